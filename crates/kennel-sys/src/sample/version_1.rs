//! What groups of version 1 beside a group count: memory, and how long it was held back by a CPU limit.
//!
//! Not what was read and written: version 1 counts what the kernel writes back later for nobody, so the sum of the processes says more.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::kept::{Kept, LONGEST, number, value};
use crate::cgroup::bounds::Controller;

/// Its groups, as far as there are any.
#[derive(Debug, Default)]
pub(super) struct Version1 {
    memory: Option<Memory>,
    cpu: Option<(OwnedFd, Kept)>,
}

#[derive(Debug)]
struct Memory {
    directory: OwnedFd,
    used: Kept,
    peak: Kept,
    /// Memory and swap together.
    both: Kept,
}

/// Memory in bytes.
pub(super) struct Used {
    pub(super) memory: u64,
    pub(super) peak: Option<u64>,
    pub(super) swap: Option<u64>,
}

impl Version1 {
    /// Those of a controller that can be opened.
    pub(super) fn open(groups: &[(Controller, PathBuf)]) -> Self {
        let find = |wanted| {
            let (_, directory) = groups.iter().find(|(controller, _)| *controller == wanted)?;
            open(directory)
        };
        let memory = find(Controller::Memory).map(|directory| Memory {
            directory,
            used: Kept::new("memory.usage_in_bytes"),
            peak: Kept::new("memory.max_usage_in_bytes"),
            both: Kept::new("memory.memsw.usage_in_bytes"),
        });
        Self { memory, cpu: find(Controller::Cpu).map(|directory| (directory, Kept::new("cpu.stat"))) }
    }

    /// Source: kernel documentation, cgroup v1, "memory".
    pub(super) fn memory(&mut self, buffer: &mut [u8; LONGEST]) -> Option<Used> {
        let Memory { directory, used, peak, both } = self.memory.as_mut()?;
        let memory = used.read(directory, buffer).and_then(number)?;
        let peak = peak.read(directory, buffer).and_then(number);
        let swap = both.read(directory, buffer).and_then(number).map(|both| both.saturating_sub(memory));
        Some(Used { memory, peak, swap })
    }

    /// Time that was taken by a limit, microseconds.
    ///
    /// Source: kernel documentation, scheduler, "CFS bandwidth control": `throttled_time`, nanoseconds.
    pub(super) fn throttled_us(&mut self, buffer: &mut [u8; LONGEST]) -> Option<u64> {
        let (directory, stat) = self.cpu.as_mut()?;
        stat.read(directory, buffer).and_then(|text| value(text, b"throttled_time")).map(|ns| ns / 1000)
    }
}

fn open(directory: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
        write("memory.usage_in_bytes", "1000\n");
        write("memory.max_usage_in_bytes", "5000\n");
        write("memory.memsw.usage_in_bytes", "1300\n");
        write("cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 7000999\n");
        let at = |controller| (controller, dir.path().to_owned());
        let mut groups = Version1::open(&[at(Controller::Memory), at(Controller::Cpu)]);
        let mut buffer = [0; LONGEST];
        let Used { memory, peak, swap } = groups.memory(&mut buffer).unwrap();
        assert_eq!((memory, peak, swap), (1000, Some(5000), Some(300)));
        assert_eq!(groups.throttled_us(&mut buffer), Some(7000));
        assert!(Version1::open(&[(Controller::Memory, dir.path().join("none"))]).memory(&mut buffer).is_none());
    }
}

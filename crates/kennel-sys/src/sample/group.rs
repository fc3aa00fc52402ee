//! A scope that is a cgroup.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::kept::{Kept, LONGEST, number, some_avg10, sum, value};
use super::sum::{Members, Traffic};
use super::version_1::{Used, Version1};
use super::{Figures, MEMORY_EACH, SLOW, SLOW_EACH, is_due, sum as processes};
use crate::cgroup::bounds::Controller;

/// How often pressure is read where nobody runs: it fades, and who waits for a disk uses no CPU.
const PRESSURE: Duration = Duration::from_secs(10);

/// Reads one cgroup of version 2, whatever controllers it has.
#[derive(Debug)]
pub struct Group {
    directory: OwnedFd,
    cpu: Kept,
    procs: Kept,
    memory: Kept,
    memory_max: Kept,
    memory_stat: Kept,
    memory_peak: Kept,
    swap: Kept,
    io: Kept,
    pressure: [Kept; 3],
    version_1: Version1,
    pids: Members,
    last: Option<Figures>,
    memory_at: Option<Duration>,
    slow_at: Option<Duration>,
    /// Whether somebody has run since memory and what changes slowly were read.
    is_stale: (bool, bool),
    pressure_at: Option<Duration>,
    /// Where no controller counts it.
    traffic: Traffic,
}

impl Group {
    /// Opens its directory.
    ///
    /// # Errors
    /// `NotFound` and what else the system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::with_version_1(directory, &[])
    }

    /// The same, with what these groups of version 1 beside it count.
    ///
    /// # Errors
    /// As [`Group::open`]; one of the others that cannot be opened is left out.
    pub fn with_version_1(directory: &Path, others: &[(Controller, PathBuf)]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        Ok(Self {
            directory,
            cpu: Kept::new("cpu.stat"),
            procs: Kept::new("cgroup.procs"),
            memory: Kept::new("memory.current"),
            memory_max: Kept::new("memory.max"),
            memory_stat: Kept::new("memory.stat"),
            memory_peak: Kept::new("memory.peak"),
            swap: Kept::new("memory.swap.current"),
            io: Kept::new("io.stat"),
            pressure: [Kept::new("cpu.pressure"), Kept::new("memory.pressure"), Kept::new("io.pressure")],
            version_1: Version1::open(others),
            pids: Members::default(),
            last: None,
            memory_at: None,
            slow_at: None,
            is_stale: (true, true),
            pressure_at: None,
            traffic: Traffic::default(),
        })
    }

    /// Members at the last look, sorted.
    #[must_use]
    pub fn members(&self) -> &[u32] {
        self.pids.pids()
    }

    /// Members now, in no order; none once it is gone. The next look compares with the one before, not with this.
    #[must_use]
    pub fn members_now(&mut self) -> Vec<u32> {
        self.procs.members(&self.directory, &mut [0; LONGEST]).unwrap_or_default()
    }

    /// Looks at it; none once it is gone. `now` is any monotonic time, the same clock at each look.
    pub fn read(&mut self, now: Duration) -> Option<Figures> {
        let mut buffer = [0; LONGEST];
        let text = self.cpu.read(&self.directory, &mut buffer)?;
        let cpu_us = value(text, b"usage_usec");
        let throttled_us = value(text, b"throttled_usec");
        let throttled_us = self.version_1.throttled_us(&mut buffer).or(throttled_us);
        let mut figures = Figures { cpu_us, throttled_us, newcomers: 0, ..self.last.unwrap_or_default() };
        if cpu_us.is_none() || self.last.is_none_or(|last| last.cpu_us != cpu_us) {
            self.is_stale = (true, true);
            self.read_members(&mut figures, &mut buffer)?;
        }
        // Somebody may have run between the last look at these and the last one at the time.
        if self.is_stale.0 {
            self.read_memory(&mut figures, now, &mut buffer);
        }
        if self.is_stale.1 {
            self.read_rest(&mut figures, now, &mut buffer);
        }
        self.read_pressure(&mut figures, now, &mut buffer);
        self.last = Some(figures);
        Some(figures)
    }

    fn read_members(&mut self, figures: &mut Figures, buffer: &mut [u8; LONGEST]) -> Option<()> {
        let pids = self.procs.members(&self.directory, buffer)?;
        figures.processes = u32::try_from(pids.len()).unwrap_or(u32::MAX);
        figures.newcomers = self.pids.update(pids);
        Some(())
    }

    fn read_memory(&mut self, figures: &mut Figures, now: Duration, buffer: &mut [u8; LONGEST]) {
        if let Some(memory) = self.memory.read(&self.directory, buffer).and_then(number) {
            figures.memory = Some(memory);
            figures.reclaimable = self.read_reclaimable(buffer);
            figures.memory_peak = self.memory_peak.read(&self.directory, buffer).and_then(number);
            figures.swap = self.swap.read(&self.directory, buffer).and_then(number);
            self.is_stale.0 = false;
        } else if let Some(Used { memory, peak, swap }) = self.version_1.memory(buffer) {
            (figures.memory, figures.memory_peak, figures.swap) = (Some(memory), peak, swap);
            self.is_stale.0 = false;
        } else if is_due(self.memory_at, now, Duration::ZERO, MEMORY_EACH, self.members().len()) {
            self.memory_at = Some(now);
            self.is_stale.0 = false;
            figures.memory = processes::resident(self.members());
        }
        figures.memory_peak = figures.memory_peak.max(figures.memory);
    }

    /// Files that were read once fill a limit in time, and that is no sign of anything: the kernel drops them for whoever wants memory.
    ///
    /// Source: kernel documentation, "Control Group v2", `memory.stat`, `inactive_file`.
    fn read_reclaimable(&mut self, buffer: &mut [u8; LONGEST]) -> Option<u64> {
        let _limit = self.memory_max.read(&self.directory, buffer).and_then(number)?;
        value(self.memory_stat.read(&self.directory, buffer)?, b"inactive_file")
    }

    /// What changes slowly, or is read process by process.
    fn read_rest(&mut self, figures: &mut Figures, now: Duration, buffer: &mut [u8; LONGEST]) {
        if let Some(text) = self.io.read(&self.directory, buffer) {
            // Empty as long as nothing was read or written.
            figures.read_bytes = Some(sum(text, b"rbytes").unwrap_or(0));
            figures.written_bytes = Some(sum(text, b"wbytes").unwrap_or(0));
        }
        if !is_due(self.slow_at, now, SLOW, SLOW_EACH, self.members().len()) {
            return;
        }
        self.slow_at = Some(now);
        self.is_stale.1 = false;
        let slow = processes::slow(self.members());
        figures.open_files = slow.open_files;
        figures.threads = slow.threads;
        if !self.io.is_there()
            && let Some(disk) = slow.disk
        {
            let (read, written) = self.traffic.update(disk);
            figures.read_bytes = Some(read);
            figures.written_bytes = Some(written);
        }
    }

    fn read_pressure(&mut self, figures: &mut Figures, now: Duration, buffer: &mut [u8; LONGEST]) {
        let quiet = self.last.is_some_and(|last| last.cpu_us == figures.cpu_us)
            && figures.pressure.is_none_or(|pressure| pressure == [0; 3]);
        if !is_due(self.pressure_at, now, if quiet { PRESSURE } else { SLOW }, Duration::ZERO, 0) {
            return;
        }
        self.pressure_at = Some(now);
        let mut found = [0; 3];
        for (file, value) in self.pressure.iter_mut().zip(&mut found) {
            match file.read(&self.directory, buffer).and_then(some_avg10) {
                Some(read) => *value = read,
                None => return,
            }
        }
        figures.pressure = Some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with the files of a group, as the kernel shows them.
    fn group(files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("cpu.stat", "usage_usec 1\n"), ("cgroup.procs", "")].iter().chain(files) {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let group = Group::open(directory.path()).unwrap();
        (directory, group)
    }

    #[test]
    fn page_cache_counts_where_it_fills_a_limit() {
        let stat = ("memory.stat", "anon 100\nfile 900\ninactive_anon 5\ninactive_file 700\nactive_file 200\n");
        let of = |max| {
            let (_directory, mut group) = group(&[("memory.current", "1000\n"), ("memory.max", max), stat]);
            let figures = group.read(Duration::from_secs(1)).unwrap();
            (figures.memory, figures.reclaimable)
        };
        assert_eq!(of("2000\n"), (Some(1000), Some(700)));
        assert_eq!(of("max\n"), (Some(1000), None));
    }
}

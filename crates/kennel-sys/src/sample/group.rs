//! A scope that is a cgroup.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::kept::{Kept, LONGEST, number, some_avg10, sum, value};
use super::{Figures, MEMORY_EACH, SLOW, SLOW_EACH, is_due, sum as processes};
use crate::cgroup;

/// How often pressure is read where nobody runs: it fades, and who waits for a disk uses no CPU.
const PRESSURE: Duration = Duration::from_secs(10);

/// Reads one cgroup of version 2, whatever controllers it has.
#[derive(Debug)]
pub struct Group {
    directory: OwnedFd,
    cpu: Kept,
    members: Kept,
    memory: Kept,
    memory_peak: Kept,
    swap: Kept,
    io: Kept,
    pressure: [Kept; 3],
    /// Sorted.
    pids: Vec<u32>,
    last: Option<Figures>,
    memory_at: Option<Duration>,
    slow_at: Option<Duration>,
    /// Whether somebody has run since memory and what changes slowly were read.
    is_stale: (bool, bool),
    pressure_at: Option<Duration>,
    /// What processes that have ended had read and written, where no controller counts: at least.
    gone: (u64, u64),
    /// The sums of the living at the last look.
    living: (u64, u64),
}

impl Group {
    /// Opens its directory.
    ///
    /// # Errors
    /// `NotFound` and what else the system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        Ok(Self {
            directory,
            cpu: Kept::new("cpu.stat"),
            members: Kept::new("cgroup.procs"),
            memory: Kept::new("memory.current"),
            memory_peak: Kept::new("memory.peak"),
            swap: Kept::new("memory.swap.current"),
            io: Kept::new("io.stat"),
            pressure: [Kept::new("cpu.pressure"), Kept::new("memory.pressure"), Kept::new("io.pressure")],
            pids: Vec::new(),
            last: None,
            memory_at: None,
            slow_at: None,
            is_stale: (true, true),
            pressure_at: None,
            gone: (0, 0),
            living: (0, 0),
        })
    }

    /// Members at the last look, sorted.
    #[must_use]
    pub fn members(&self) -> &[u32] {
        &self.pids
    }

    /// Looks at it; none once it is gone. `now` is any monotonic time, the same clock at each look.
    pub fn read(&mut self, now: Duration) -> Option<Figures> {
        let mut buffer = [0; LONGEST];
        let text = self.cpu.read(&self.directory, &mut buffer)?;
        let cpu_us = value(text, b"usage_usec");
        let throttled_us = value(text, b"throttled_usec");
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
        let mut pids = Vec::with_capacity(self.pids.len() + 1);
        // A directory has two links, and one for each in it.
        if rustix::fs::fstat(&self.directory).ok()?.st_nlink > 2 {
            pids = cgroup::members_below(&self.directory);
        } else {
            self.members.numbers(&self.directory, buffer, |pid| pids.push(pid))?;
        }
        pids.sort_unstable();
        let newcomers = pids.iter().filter(|pid| self.pids.binary_search(pid).is_err()).count();
        figures.processes = u32::try_from(pids.len()).unwrap_or(u32::MAX);
        figures.newcomers = u32::try_from(newcomers).unwrap_or(u32::MAX);
        self.pids = pids;
        Some(())
    }

    fn read_memory(&mut self, figures: &mut Figures, now: Duration, buffer: &mut [u8; LONGEST]) {
        if let Some(memory) = self.memory.read(&self.directory, buffer).and_then(number) {
            figures.memory = Some(memory);
            figures.memory_peak = self.memory_peak.read(&self.directory, buffer).and_then(number);
            figures.swap = self.swap.read(&self.directory, buffer).and_then(number);
            self.is_stale.0 = false;
        } else if is_due(self.memory_at, now, Duration::ZERO, MEMORY_EACH, self.pids.len()) {
            self.memory_at = Some(now);
            self.is_stale.0 = false;
            figures.memory = processes::resident(&self.pids);
        }
        figures.memory_peak = figures.memory_peak.max(figures.memory);
    }

    /// What changes slowly, or is read process by process.
    fn read_rest(&mut self, figures: &mut Figures, now: Duration, buffer: &mut [u8; LONGEST]) {
        if let Some(text) = self.io.read(&self.directory, buffer) {
            // Empty as long as nothing was read or written.
            figures.read_bytes = Some(sum(text, b"rbytes").unwrap_or(0));
            figures.written_bytes = Some(sum(text, b"wbytes").unwrap_or(0));
        }
        if !is_due(self.slow_at, now, SLOW, SLOW_EACH, self.pids.len()) {
            return;
        }
        self.slow_at = Some(now);
        self.is_stale.1 = false;
        let slow = processes::slow(&self.pids);
        figures.open_files = slow.open_files;
        figures.threads = slow.threads;
        if !self.io.is_there() {
            let total = |living: u64, before: u64, gone: &mut u64| {
                *gone += before.saturating_sub(living);
                living + *gone
            };
            if let Some((read, written)) = slow.read_bytes.zip(slow.written_bytes) {
                figures.read_bytes = Some(total(read, self.living.0, &mut self.gone.0));
                figures.written_bytes = Some(total(written, self.living.1, &mut self.gone.1));
                self.living = (read, written);
            }
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

//! What a scope, a process or a stack uses: figures as they were read, and what follows from two of them.
//!
//! Totals only grow within one run; everything that could not be read is none, never 0.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What was read of one scope at one time. Totals count from the begin of the run and include processes that have ended
/// where the back end can tell.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When, by the clock of the daemon (time since boot).
    pub at: Duration,
    /// CPU time, total, microseconds.
    pub cpu_usec: Option<u64>,
    /// Time it was held back by a CPU limit, total, microseconds.
    pub throttled_usec: Option<u64>,
    /// Memory in use now, bytes: what the limit counts where there is a controller, else the sum of resident memory.
    pub memory: Option<u64>,
    /// Page cache in it that the kernel takes back before a limit of it ends anybody, bytes; none where no controller limits it.
    #[serde(default)]
    pub reclaimable: Option<u64>,
    /// The most memory it has used, bytes.
    pub memory_peak: Option<u64>,
    /// Swap in use now, bytes.
    pub swap: Option<u64>,
    /// Living processes.
    pub processes: u32,
    /// Processes that were not there at the sample before: the least that was forked meanwhile.
    pub newcomers: u32,
    /// Threads of all.
    pub threads: Option<u32>,
    /// Open descriptors of the process that has most.
    pub open_files: Option<u32>,
    /// Read from disks, total, bytes.
    pub read_bytes: Option<u64>,
    /// Written to disks, total, bytes.
    pub written_bytes: Option<u64>,
    /// Written to stdout and stderr, total, bytes.
    pub log_bytes: u64,
    /// Share of the last 10 s in which somebody in it waited for CPU, memory or I/O, hundredths of a percent.
    pub pressure: Option<Pressure>,
    /// Whether it is stopped where it is.
    pub frozen: bool,
}

/// Pressure stall information, `some avg10`, hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// Waiting for a CPU.
    pub cpu: u32,
    /// Waiting for memory.
    pub memory: u32,
    /// Waiting for I/O.
    pub io: u32,
}

/// What is used per second, from two samples of one run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Over this time.
    pub over: Duration,
    /// Percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// Bytes a second; negative while it shrinks.
    pub memory: Option<f64>,
    /// Bytes a second.
    pub read: Option<f64>,
    /// Bytes a second.
    pub written: Option<f64>,
    /// Bytes a second.
    pub log: f64,
    /// New processes a second, at least.
    pub forks: f64,
}

impl Sample {
    /// What was used between an earlier sample and this one; `None` if no time has passed, or a total went back (which is
    /// another run).
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Rates> {
        let over = self.at.checked_sub(earlier.at).filter(|over| !over.is_zero())?;
        let seconds = over.as_secs_f64();
        let went_back = |now: Option<u64>, then: Option<u64>| now.zip(then).is_some_and(|(now, then)| now < then);
        if went_back(self.cpu_usec, earlier.cpu_usec) || self.log_bytes < earlier.log_bytes {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
        let rate = |now: Option<u64>, then: Option<u64>| {
            now.zip(then).map(|(now, then)| now.saturating_sub(then) as f64 / seconds)
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate is no count")]
        let slope = |now: u64, then: u64| (now as f64 - then as f64) / seconds;
        Some(Rates {
            over,
            cpu_percent: rate(self.cpu_usec, earlier.cpu_usec).map(|usec| usec / 10_000.0),
            memory: self.memory.zip(earlier.memory).map(|(now, then)| slope(now, then)),
            read: rate(self.read_bytes, earlier.read_bytes),
            written: rate(self.written_bytes, earlier.written_bytes),
            log: slope(self.log_bytes, earlier.log_bytes),
            forks: f64::from(self.newcomers) / seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, cpu_usec: u64, memory: u64) -> Sample {
        let at = Duration::from_secs(seconds);
        Sample { at, cpu_usec: Some(cpu_usec), memory: Some(memory), newcomers: 4, ..Sample::default() }
    }

    #[test]
    fn rates_are_per_second() {
        let rates = sample(12, 3_000_000, 100).since(&sample(10, 1_000_000, 300));
        let expected = Rates {
            over: Duration::from_secs(2),
            cpu_percent: Some(100.0),
            memory: Some(-100.0),
            forks: 2.0,
            ..Rates::default()
        };
        assert_eq!(rates, Some(expected));
    }

    #[test]
    fn another_run_has_no_rate() {
        assert_eq!(sample(12, 1, 0).since(&sample(10, 2, 0)), None);
        assert_eq!(sample(10, 2, 0).since(&sample(10, 1, 0)), None);
    }
}

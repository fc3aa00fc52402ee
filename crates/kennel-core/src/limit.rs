//! What a service may use, and what is to be done once it has used more: for what no kernel holds, decided by samples.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// What all processes of one instance may use together; none: as much as they want.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory, bytes. Who wants more where the kernel holds it is killed.
    pub memory: Option<u64>,
    /// Memory, bytes. Beyond it the kernel takes memory back and slows its processes down.
    pub memory_high: Option<u64>,
    /// Swap, bytes. None, where there is a limit of memory: no swap.
    pub swap: Option<u64>,
    /// Processes and threads; where nothing but samples holds it, processes.
    pub pids: Option<u64>,
    /// CPU time, thousandths of a CPU.
    pub cpus: Option<u64>,
    /// Share of the CPU while there is not enough for all: 1 to 10000, usually 100.
    pub cpu_weight: Option<u64>,
    /// The same of disks.
    pub io_weight: Option<u64>,
    /// Bytes a second read from each disk.
    pub io_read: Option<u64>,
    /// Bytes a second written to each disk.
    pub io_write: Option<u64>,
    /// Open descriptors of each process.
    pub open_files: Option<u64>,
    /// Bytes a second written to stdout and stderr; held by who records them, see `docs/limits.md`.
    pub log_rate: Option<u64>,
    /// What happens to it when it was found beyond one of them, or somebody of it was killed for want of memory.
    pub action: LimitAction,
}

/// What happens to an instance that has gone beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitAction {
    /// It is told, and nothing else.
    Warn,
    /// It stands still until somebody thaws or stops it.
    Freeze,
    /// It is stopped and started again.
    Restart,
    /// It is stopped and stays so.
    Stop,
    /// All of it is killed; its restart policy decides what follows.
    #[default]
    Kill,
}

impl LimitAction {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Freeze => "freeze",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

/// A limit that samples can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sampled {
    /// [`Limits::memory`]
    Memory,
    /// [`Limits::pids`]
    Pids,
}

impl Sampled {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Pids];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

/// A limit that was found to be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub what: Sampled,
    /// What was found, in the unit of the limit.
    pub value: u64,
    /// The limit.
    pub limit: u64,
}

/// Pauses between samples while the nearest limit is at least half used, and while all are far.
const NEAR: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(5);

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { action: self.action, ..Self::default() }
    }

    /// Those that several instances can have together: descriptors are bounded for each process, output for each log.
    #[must_use]
    pub fn together(self) -> Self {
        Self { open_files: None, log_rate: None, ..self }
    }

    /// The value of a limit that samples can hold.
    #[must_use]
    pub fn sampled(&self, what: Sampled) -> Option<u64> {
        match what {
            Sampled::Memory => self.memory,
            Sampled::Pids => self.pids,
        }
    }

    /// How soon the next sample is wanted: the nearer a limit, the sooner.
    #[must_use]
    pub fn pace(&self, sample: Option<&Sample>) -> Duration {
        let is_near = |what: Sampled| {
            let used = sample.and_then(|sample| used(what, sample));
            used.zip(self.sampled(what)).is_some_and(|(used, limit)| used >= limit / 2)
        };
        if sample.is_none() || Sampled::ALL.into_iter().any(is_near) { NEAR } else { FAR }
    }
}

/// What is used of a limit now; none: it cannot be told.
fn used(what: Sampled, sample: &Sample) -> Option<u64> {
    match what {
        Sampled::Memory => sample.memory,
        Sampled::Pids => Some(u64::from(sample.processes)),
    }
}

/// Which limits of an instance are exceeded now, so that each is told once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watch {
    over: Vec<Sampled>,
}

impl Watch {
    /// Takes in a sample; answers with the limits of `watched` that are exceeded and were not before. One counts as kept
    /// again at nine tenths of it, so that what stays at its limit is not told again and again.
    pub fn step(&mut self, limits: &Limits, watched: &[Sampled], sample: &Sample) -> Vec<Exceeded> {
        let mut found = Vec::new();
        for what in watched.iter().copied() {
            let Some((value, limit)) = used(what, sample).zip(limits.sampled(what)) else { continue };
            let was_over = self.over.contains(&what);
            if value > limit && !was_over {
                self.over.push(what);
                found.push(Exceeded { what, value, limit });
            } else if was_over && value <= limit - limit / 10 {
                self.over.retain(|over| *over != what);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(memory: u64, processes: u32) -> Sample {
        Sample { memory: Some(memory), processes, ..Sample::default() }
    }

    fn limits() -> Limits {
        Limits { memory: Some(1000), pids: Some(10), ..Limits::default() }
    }

    #[test]
    fn each_excess_is_told_once() {
        let mut watch = Watch::default();
        let mut told = |memory, processes| watch.step(&limits(), &Sampled::ALL, &sample(memory, processes));
        assert_eq!(told(1000, 10), []);
        let memory = Exceeded { what: Sampled::Memory, value: 1001, limit: 1000 };
        assert_eq!(told(1001, 3), [memory]);
        let pids = Exceeded { what: Sampled::Pids, value: 11, limit: 10 };
        assert_eq!(told(5000, 11), [pids]);
        assert_eq!(told(950, 3), []);
        assert_eq!(told(1001, 3), []);
        assert_eq!(told(900, 3), []);
        assert_eq!(told(1001, 3), [memory]);
    }

    #[test]
    fn what_is_near_is_looked_at_more_often() {
        assert_eq!(limits().pace(None), NEAR);
        assert_eq!(limits().pace(Some(&sample(499, 4))), FAR);
        assert_eq!(limits().pace(Some(&sample(500, 4))), NEAR);
        assert_eq!(limits().pace(Some(&sample(1, 5))), NEAR);
    }

    #[test]
    fn an_action_alone_limits_nothing() {
        assert!(Limits { action: LimitAction::Stop, ..Limits::default() }.is_empty());
        assert!(!limits().is_empty());
    }

    proptest! {
        /// Whatever is used: never told below the limit, nor twice without having been below it.
        #[test]
        fn never_without_an_excess_and_never_twice(uses in proptest::collection::vec(0_u64..2000, 0..60)) {
            let (mut watch, mut is_over) = (Watch::default(), false);
            for used in uses {
                let told = watch.step(&limits(), &[Sampled::Memory], &sample(used, 0));
                prop_assert_eq!(!told.is_empty(), used > 1000 && !is_over);
                is_over = used > 1000 || is_over && used > 900;
            }
        }
    }
}

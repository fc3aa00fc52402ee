//! What a rule can watch, and how it is read off a sample.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sample::{Rates, Sample};

/// A figure of an instance or of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Living processes.
    Processes,
    /// Memory in use, bytes; where the kernel holds a limit, without what it takes back before it ends anybody.
    Memory,
    /// Percent of one CPU.
    Cpu,
    /// New processes a second, at least.
    Forks,
    /// Open descriptors of the process that has most.
    OpenFiles,
    /// Output, bytes a second.
    LogRate,
    /// Written to disks, bytes a second.
    WriteRate,
    /// Written to disks since the begin of the run, bytes.
    Written,
    /// Restarts within the last minute.
    Restarts,
}

/// All of them, with their words.
pub(super) const WORDS: [(&str, Measure); 9] = [
    ("processes", Measure::Processes),
    ("memory", Measure::Memory),
    ("cpu", Measure::Cpu),
    ("forks", Measure::Forks),
    ("open_files", Measure::OpenFiles),
    ("log_rate", Measure::LogRate),
    ("write_rate", Measure::WriteRate),
    ("written", Measure::Written),
    ("restarts", Measure::Restarts),
];

impl Measure {
    /// All of them, with their words in configuration and events.
    #[must_use]
    pub fn all() -> &'static [(&'static str, Self)] {
        &WORDS
    }

    /// Its word in configuration and events.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, measure)| *measure == self).map_or("unknown", |(word, _)| word)
    }

    /// Its value; `None` where it cannot be told. `restarts` are those of the last minute.
    #[must_use]
    pub fn of(self, sample: &Sample, rates: Option<&Rates>, restarts: u32) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "compared with a threshold for people")]
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        match self {
            Self::Processes => Some(f64::from(sample.processes)),
            Self::Memory => bytes(sample.memory.map(|memory| memory.saturating_sub(sample.reclaimable.unwrap_or(0)))),
            Self::Cpu => rates?.cpu_percent,
            Self::Forks => Some(rates?.forks),
            Self::OpenFiles => sample.open_files.map(f64::from),
            Self::LogRate => Some(rates?.log),
            Self::WriteRate => rates?.written,
            Self::Written => bytes(sample.written_bytes),
            Self::Restarts => Some(f64::from(restarts)),
        }
    }

    /// The value of a stack from those of its instances; `None` if nobody's is known.
    #[must_use]
    pub fn together(self, values: impl Iterator<Item = f64>) -> Option<f64> {
        let join = match self {
            Self::OpenFiles => f64::max,
            Self::Processes
            | Self::Memory
            | Self::Cpu
            | Self::Forks
            | Self::LogRate
            | Self::WriteRate
            | Self::Written
            | Self::Restarts => |one: f64, other: f64| one + other,
        };
        values.reduce(join)
    }

    /// Whether it grows towards a threshold, so that the time when it gets there can be told.
    #[must_use]
    pub fn has_slope(self) -> bool {
        match self {
            Self::Processes | Self::Memory | Self::OpenFiles | Self::Written => true,
            Self::Cpu | Self::Forks | Self::LogRate | Self::WriteRate | Self::Restarts => false,
        }
    }

    /// Whether it has to be sampled. The others are known to whoever restarts.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self != Self::Restarts
    }

    /// How long it has to be too much unless the rule says: what grows is too much at once, what is spent a second may be
    /// a moment of work.
    #[must_use]
    pub fn lasting(self) -> Duration {
        match self {
            Self::Processes | Self::Memory | Self::OpenFiles | Self::Written | Self::Restarts => Duration::ZERO,
            Self::Forks | Self::LogRate | Self::WriteRate => Duration::from_secs(10),
            Self::Cpu => Duration::from_secs(300),
        }
    }
}

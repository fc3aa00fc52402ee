//! What is declared about an instance that runs and does not work: how that is found, and what follows.
//!
//! Apart from readiness, which says whether it can serve now: who is not ready is left alone, who is not alive is ended.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::ProbeKind;

/// How it is found that an instance works no more. Asked from the moment it is ready, or runs if it has no readiness; the time
/// before that is bounded by the time a start may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Liveness {
    /// What is looked at.
    pub check: Check,
    /// Pause between two looks, varied by a tenth; default 3 s.
    pub interval: Duration,
    /// Longest time one look may take; default 1 s.
    pub timeout: Duration,
    /// Pause before the first; default 0.
    pub initial_delay: Duration,
    /// Successes in a row after which one that failed is well again; default 1.
    pub success_threshold: u32,
    /// Failures in a row after which it counts as failed; default 3. Of no concern to what is not asked but waited for.
    pub failure_threshold: u32,
    /// What follows; default: a restart.
    pub action: Remedy,
}

/// What liveness looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// What readiness can ask as well, save what has to be said by the service itself (`log_line`, `notify`).
    Ask(ProbeKind),
    /// This file was modified within this time, or the instance is younger than that.
    Heartbeat {
        /// Absolute.
        file: PathBuf,
        /// The oldest it may be.
        max_age: Duration,
    },
    /// It sends `WATCHDOG=1` to the socket named in `NOTIFY_SOCKET` at least this often.
    Watchdog(Duration),
    /// It writes something to its output at least this often.
    LogSilence(Duration),
}

impl Check {
    /// How long it may say nothing, if it is not asked but waited for.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        match self {
            Self::Watchdog(patience) | Self::LogSilence(patience) => Some(*patience),
            Self::Ask(_) | Self::Heartbeat { .. } => None,
        }
    }
}

/// What is done about an instance that works no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It is told, and nothing more.
    Event,
    /// It is told, and the instance is unhealthy.
    Warn,
    /// The instance is stopped, which counts as a failure: the restart policy says what follows.
    Restart,
    /// The service is stopped, and stays so.
    Stop,
}

/// When an instance counts as hanging, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hang {
    /// So long without a sign of life: no output, no disk accesses, no new process, and either no CPU time or all of it.
    pub after: Duration,
    /// What follows; default: a warning.
    pub action: Remedy,
}

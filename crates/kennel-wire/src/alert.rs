//! Alerts: what was too much, whose it was, and what was done about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/alerts`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct AlertReport {
    /// Those that are open, the oldest first; then the last ones that are over, the youngest first.
    pub alerts: Vec<Alert>,
}

/// One alert of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Name of the rule.
    pub rule: String,
    /// `service` or `stack`: whose figure it is.
    pub scope: String,
    /// Name in `ps` of the service that it is about; of the stack's, the one that the growth came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What is watched: `processes`, `memory`, `cpu`, `forks`, `open_files`, `log_rate`, `write_rate`, `written`, `restarts`.
    pub measure: String,
    /// The latest value: a count, bytes, percent of one CPU, or bytes or processes a second.
    pub value: f64,
    /// What is too much, in the same unit.
    pub threshold: f64,
    /// The last action that was taken: `event`, `warn`, `throttle`, `freeze`, `stop`, `kill`.
    pub action: String,
    /// Why that could not be done as it was asked for, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// It was foreseen, and it was to be too much after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_ms: Option<u64>,
    /// It is not too much yet, and will be after this time at the pace of the last readings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_in_ms: Option<u64>,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// When it was over; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Timestamp>,
    /// Who it is, the one to blame first; empty until that was looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub culprits: Vec<Culprit>,
}

/// An alert before its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Foreseen {
    /// Name of the rule; `limit-memory` is the limit of its memory.
    pub rule: String,
    /// What is watched, as in [`Alert::measure`].
    pub measure: String,
    /// What will be too much, in the measure's unit.
    pub threshold: f64,
    /// After this time, at the pace of the last readings.
    pub in_ms: u64,
}

/// A process that an alert is about, as it was when that was raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Culprit {
    /// Process id.
    pub pid: u32,
    /// Begin, clock ticks since boot: with the pid, which process it is.
    pub start_ticks: u64,
    /// Name in `ps` of its service.
    pub service: String,
    /// Its command line.
    pub command: String,
    /// Its parents within the service, the nearest first.
    pub ancestry: Vec<Ancestor>,
    /// Processes below it, all generations.
    pub descendants: u32,
    /// Percent of one CPU, of itself and all below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Resident memory of itself and all below it, bytes.
    pub memory_bytes: u64,
    /// Its open descriptors; absent if we may not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
}

/// A parent of a culprit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a shutdown did: every cleanup, how it ended and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShutdownReport {
    /// When it began.
    pub timestamp: Timestamp,
    /// Why: `requested`, `SIGTERM`, `SIGINT`, `client_gone`, `idle`, `keeper_lost`, or an embedder's own words.
    pub reason: String,
    /// Whether every cleanup succeeded and nothing is left.
    pub ok: bool,
    /// Living processes left; 0 is the promise.
    pub left: u32,
    /// Of the whole.
    pub duration_ms: u64,
    /// In the order of the phases.
    pub cleanups: Vec<CleanupReport>,
}

/// What became of one cleanup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanupReport {
    /// As it was registered.
    pub name: String,
    /// When it had its turn.
    pub phase: CleanupPhase,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: CleanupOutcome,
    /// How long it ran.
    pub duration_ms: u64,
}

/// The order of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CleanupPhase {
    /// State is saved.
    Persist,
    /// Trackers of resources are set back.
    Reset,
    /// Services, workflows and connections are cleaned up.
    Cleanup,
    /// Work in the background comes to its end.
    Drain,
    /// Last words.
    End,
}

/// How a cleanup ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CleanupOutcome {
    /// It did what it was to do.
    Ok,
    /// It said why not.
    Failed {
        /// One line.
        error: String,
    },
    /// It panicked.
    Panicked {
        /// The message.
        error: String,
    },
    /// It took too long and was given up.
    TimedOut,
    /// It was not begun: the shutdown was forced before.
    Skipped,
}

/// `shutdown_state.json` in the state directory: the last shutdown, or the one under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShutdownState {
    /// When it began.
    pub timestamp: Timestamp,
    /// Why; see [`ShutdownReport::reason`].
    pub reason: String,
    /// What it did. Absent while it is under way, and for ever if it was ended by force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ShutdownReport>,
}

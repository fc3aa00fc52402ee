use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which process is meant, for longer than its number is its own: the number is used again, the rest is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// `/proc/sys/kernel/random/boot_id`: everything below holds within one boot.
    pub boot_id: String,
    /// Process id.
    pub pid: u32,
    /// Begin, clock ticks since boot.
    pub start_ticks: u64,
    /// Inode of its pidfd: never used twice. Absent where the kernel has none (before 6.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// Name of its scope, for example `web.17`.
    pub scope: String,
}

/// Answer to `POST /v1/processes/{pid}/signal?signal=N`: one process of one service was signalled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignalReport {
    /// Which it was; checked after it was taken hold of, and before the signal was sent.
    pub process: Identity,
    /// Its command line, or its name in brackets.
    pub command: String,
    /// Linux signal number.
    pub signal: i32,
    /// Name in `ps`; `run` for a command that was run on request.
    pub service: String,
    /// Number of the run.
    pub instance: u64,
    /// Whether it is the main process.
    pub main: bool,
}

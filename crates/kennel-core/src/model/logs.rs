//! What becomes of what services write.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much is kept of what all services of a project write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectLogs {
    /// All logs together, bytes on the disk.
    pub max_size: u64,
}

impl Default for ProjectLogs {
    /// 1 GiB.
    fn default() -> Self {
        Self { max_size: 1 << 30 }
    }
}

/// How much is kept of what a service writes, what happens beyond that, and where it goes as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// All its segments, bytes on the disk.
    pub max_size: u64,
    /// How long a closed segment is kept after its last byte; none: as long as there is room.
    pub max_age: Option<Duration>,
    /// Another segment is begun beyond this, bytes; none: an eighth of `max_size`, at most 8 MiB.
    pub segment_size: Option<u64>,
    /// Whether closed segments are compressed.
    pub compress: bool,
    /// What happens when `max_size` is reached.
    pub on_full: OnFull,
    /// Where its output is passed on to, each at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<LogSink>,
}

/// Where output goes beside the log that kennel keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSink {
    /// The bytes, to the end of this file: an absolute path.
    Path(PathBuf),
    /// Each line, to the journal of systemd, with fields.
    Journald,
}

impl Default for Logs {
    /// 64 MiB of any age, compressed, of which the oldest goes.
    fn default() -> Self {
        let on_full = OnFull::default();
        Self { max_size: 64 << 20, max_age: None, segment_size: None, compress: true, on_full, to: Vec::new() }
    }
}

/// What happens when no more of the output of a service may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The oldest goes.
    #[default]
    DropOldest,
    /// Nothing goes and nothing more is read, so the service waits in its write.
    Block,
    /// The service is stopped.
    Stop,
}

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Exit, Limits, OwnerRequest, Receipt, ShutdownReport, Survivor};

/// `POST /v1/up`: load the configuration and start services in dependency order.
/// Answered by [`UpReport`] once each is ready, completed or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpRequest {
    /// Absolute path of the configuration file; none: what is registered, alone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub config: Option<PathBuf>,
    /// The caller's environment: for `${VAR}` and as the base of every service's environment.
    pub environment: BTreeMap<String, String>,
    /// Chosen profiles.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Only these and what they depend on; empty: all.
    #[serde(default)]
    pub services: Vec<String>,
}

/// Answer to `up`, `start` and `restart`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpReport {
    /// Whether every outcome is good.
    pub ok: bool,
    /// One for each service or replica that was asked for, dependencies included.
    pub services: Vec<Outcome>,
}

/// What became of one service's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Name in `ps`.
    pub service: String,
    /// What became of it.
    #[serde(flatten)]
    pub kind: OutcomeKind,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Ready.
    Ready {
        /// Since the spawn; absent if it ran already.
        after_ms: Option<u64>,
    },
    /// Ran and ended with success.
    Completed,
    /// Did not start, did not get ready, ended, or was given up.
    Failed {
        /// Why, one line.
        reason: String,
        /// Its last log lines.
        logs: Vec<LogLine>,
    },
    /// Stopped by somebody meanwhile.
    Stopped,
    /// Is started by the clock.
    Scheduled {
        /// When for the first time; absent if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_at: Option<Timestamp>,
    },
}

/// `POST /v1/start`, `/v1/stop`, `/v1/restart`, `/v1/kill`.
/// `start` is answered by [`UpReport`], the others by [`ActionReport`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ActionRequest {
    /// Services (all their replicas) or single replicas by their name in `ps`.
    #[serde(default)]
    pub services: Vec<String>,
    /// All services instead.
    #[serde(default)]
    pub all: bool,
    /// Longest time before the kill of a stop; replaces the sum of the configured waits.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// With `kill`: the Linux number of the signal, sent to every process of the scope. 9, the default, empties it.
    #[serde(default)]
    pub signal: Option<i32>,
}

/// Answer to `stop`, `restart`, `kill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionReport {
    /// False if anything is left, or did not start again.
    pub ok: bool,
    /// Living processes left, over all receipts.
    pub left: u32,
    /// One for each instance that was stopped.
    pub receipts: Vec<Receipt>,
    /// With `restart`: what became of the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<Outcome>,
}

/// How patient a `down` is. A later, more urgent request hastens one that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// The configured stop sequences.
    #[default]
    Graceful,
    /// At most one more second.
    Hurry,
    /// Kill at once.
    Kill,
}

/// `POST /v1/down`: stop everything in reverse order, then end daemon and keeper. Answered by [`DownReport`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DownRequest {
    /// How patient.
    #[serde(default)]
    pub urgency: Urgency,
    /// Longest time before the kill; replaces the sum of the configured waits.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// Answer to `down`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DownReport {
    /// Whether nothing is left and every cleanup of the shutdown succeeded.
    pub ok: bool,
    /// Living processes left.
    pub left: u32,
    /// One for each instance that was stopped.
    pub receipts: Vec<Receipt>,
    /// What an earlier kennel that was lost left, was killed and has not ended yet; in `left`, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Survivor>,
    /// Of the whole.
    pub duration_ms: u64,
    /// Everything that the shutdown did. Absent while it cannot come to its end because something is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<ShutdownReport>,
}

/// `POST /v1/run`: run one command in a scope of its own on descriptors that the client handed over.
/// Answered by [`RunReport`] when its scope is empty. Ends also when the connection that handed over the
/// descriptors closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunRequest {
    /// What the client sent along with its descriptors: 32 lower-case hex digits. Also the id for
    /// `POST /v1/run/{token}/signal?signal=N`.
    pub token: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Absolute.
    #[schema(value_type = String)]
    pub directory: PathBuf,
    /// The caller's environment.
    pub environment: BTreeMap<String, String>,
    /// With `exec`: the service whose environment, working directory and user are taken (its environment
    /// overlays the caller's; its working directory replaces `directory`).
    #[serde(default)]
    pub service: Option<String>,
    /// Longest run time; then the scope is stopped.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// With whom it ends at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerRequest>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// How a `run` ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunReport {
    /// How the command ended.
    pub exit: Exit,
    /// The proof that nothing of it is left.
    pub receipt: Receipt,
}

/// One line of output. `GET /v1/logs?service=a&service=b&tail=N&since=T&follow=true`, one JSON document a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When kennel read it.
    pub time: Timestamp,
    /// Name in `ps`.
    pub service: String,
    /// stdout or stderr.
    pub stream: LogStream,
    /// Without its newline; invalid UTF-8 is replaced.
    pub line: String,
    /// The bytes in base64, where `line` is not faithful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// False where the line goes on in the next record or the output ended without a newline.
    pub complete: bool,
    /// It is no line: so many bytes (0: nobody knows how many) are missing here, and `line` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

impl LogLine {
    /// The bytes that were written, without the newline.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let coded = self.bytes.as_ref().and_then(|coded| STANDARD.decode(coded).ok());
        coded.unwrap_or_else(|| self.line.clone().into_bytes())
    }
}

/// What happens when as much of a log is kept as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogPolicy {
    /// The oldest goes.
    DropOldest,
    /// Nothing more is read, so the service waits in its write.
    Block,
    /// The service is stopped.
    Stop,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

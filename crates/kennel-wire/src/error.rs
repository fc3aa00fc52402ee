use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request that was refused or failed: RFC 9457 problem details with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// For programs.
    pub code: Code,
    /// HTTP status.
    pub status: u16,
    /// One line for people: operation and object, lower case, no full stop.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With `config_invalid`: everything wrong with the file at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// Stable error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is malformed.
    BadRequest,
    /// The configuration has errors.
    ConfigInvalid,
    /// There is no configuration and the request needs one.
    ConfigMissing,
    /// No service has that name.
    UnknownService,
    /// No owner has that name.
    UnknownOwner,
    /// The owner has ended, and nothing is started for it any more.
    OwnerEnded,
    /// No command runs under that token, and none was begun.
    UnknownRun,
    /// No webhook has that name.
    UnknownWebhook,
    /// The service is not in a state for that.
    Conflict,
    /// The program could not be started: not found.
    NotFound,
    /// The program could not be started: not executable.
    NotExecutable,
    /// The program could not be started for another reason.
    SpawnFailed,
    /// No process has that number, or the one that was meant has ended.
    ProcessGone,
    /// The process belongs to no service of this kennel instance; nothing was sent.
    ProcessNotOurs,
    /// The process is kennel's own: daemon, keeper or the reaper of a scope; nothing was sent.
    ProcessIsKennel,
    /// The process has ended already and only waits for its parent; nothing was sent.
    ProcessIsZombie,
    /// It is only likely that the process is ours, and that was not said to be enough; nothing was done.
    NotCertain,
    /// The orphan cannot be held here: no cgroups, no right to it, or it does not stand still to be moved.
    CannotAdopt,
    /// This machine does not give the containment that the configuration requires; nothing was started.
    ContainmentTooWeak,
    /// The daemon is shutting down.
    ShuttingDown,
    /// Another daemon takes this one's place: the same request is to be sent again, to the same socket.
    HandedOver,
    /// Another daemon was to take this one's place and could not; nothing has changed.
    HandoverFailed,
    /// Whoever asks has not shown who that is: no token, no session, or one that has ended.
    Unauthorized,
    /// Whoever asks may not do that: another user, a role that is too weak, a page from elsewhere.
    Forbidden,
    /// Too many wrong attempts; later again.
    RateLimited,
    /// It is not what the request takes it for any more: `If-Match` or `If-None-Match`.
    PreconditionFailed,
    /// A defect of kennel or of the machine.
    Internal,
}

impl Problem {
    /// A problem without hint or diagnostics; the HTTP status follows from the code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = match code {
            Code::BadRequest => 400,
            Code::ConfigInvalid | Code::ConfigMissing => 422,
            Code::UnknownService | Code::UnknownOwner | Code::UnknownRun | Code::UnknownWebhook | Code::ProcessGone => {
                404
            }
            Code::Conflict
            | Code::OwnerEnded
            | Code::NotFound
            | Code::NotExecutable
            | Code::SpawnFailed
            | Code::ProcessNotOurs
            | Code::ProcessIsKennel
            | Code::ProcessIsZombie
            | Code::NotCertain
            | Code::CannotAdopt
            | Code::ContainmentTooWeak => 409,
            Code::ShuttingDown | Code::HandedOver | Code::HandoverFailed => 503,
            Code::Unauthorized => 401,
            Code::Forbidden => 403,
            Code::PreconditionFailed => 412,
            Code::RateLimited => 429,
            Code::Internal => 500,
        };
        Self { code, status, detail: detail.into(), hint: None, diagnostics: Vec::new() }
    }

    /// With another HTTP status than that of its code.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

/// One thing wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    /// Stable name of the kind of mistake, for example `unknown_key`.
    pub code: String,
    /// One line.
    pub message: String,
    /// The file.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// First line is 1; 0 when no place is known.
    pub line: u32,
    /// First column is 1, counted in characters.
    pub column: u32,
    /// Byte range in the file.
    pub span: (usize, usize),
    /// What to do, for example ``did you mean `working_dir`?``
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A request that was refused or failed: RFC 9457 problem details with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// This machine does not give the containment that the configuration requires; nothing was started.
    ContainmentTooWeak,
    /// The daemon is shutting down.
    ShuttingDown,
    /// Another daemon takes this one's place: the same request is to be sent again, to the same socket.
    HandedOver,
    /// Another daemon was to take this one's place and could not; nothing has changed.
    HandoverFailed,
    /// The peer is another user.
    Forbidden,
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
            Code::UnknownService | Code::UnknownOwner | Code::ProcessGone => 404,
            Code::Conflict
            | Code::OwnerEnded
            | Code::NotFound
            | Code::NotExecutable
            | Code::SpawnFailed
            | Code::ProcessNotOurs
            | Code::ProcessIsKennel
            | Code::ProcessIsZombie
            | Code::ContainmentTooWeak => 409,
            Code::ShuttingDown | Code::HandedOver | Code::HandoverFailed => 503,
            Code::Forbidden => 403,
            Code::Internal => 500,
        };
        Self { code, status, detail: detail.into(), hint: None, diagnostics: Vec::new() }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable name of the kind of mistake, for example `unknown_key`.
    pub code: String,
    /// One line.
    pub message: String,
    /// The file.
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

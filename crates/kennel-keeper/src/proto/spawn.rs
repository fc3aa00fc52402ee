//! A process to start, and why it was not.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use super::{Bound, ScopeId};

/// A process to start.
#[derive(Debug)]
pub struct Spawn {
    /// Chosen by the daemon.
    pub scope: ScopeId,
    /// Name of the scope's leaf, `[A-Za-z0-9_.-]+`, for example `web.2.17`.
    pub name: String,
    /// Never empty.
    pub argv: Vec<CString>,
    /// `KEY=value` entries, the whole environment.
    pub env: Vec<CString>,
    /// Absolute.
    pub cwd: CString,
    /// Run as this user; none: as the keeper.
    pub user: Option<Ids>,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Which namespaces it gets.
    pub isolation: Isolation,
    /// Rights, limits and priorities.
    pub privileges: Privileges,
    /// Whether a process that left its cgroup is killed as soon as it is found, or only with its scope.
    pub kill_escaped: bool,
    /// Where stdin, stdout and stderr go.
    pub stdio: Stdio,
    /// Whether it runs on when the daemon is lost. With a cgroup for the scope also when the keeper is.
    pub keep: bool,
    /// The daemon's own, given back in [`Known::note`](super::Known::note).
    pub note: Vec<u8>,
    /// What it may use; that it cannot be had here fails no start. Told by [`Event::Bounded`](super::Event::Bounded), before the
    /// answer, if there is any.
    pub bounds: Vec<Bound>,
    /// For whom it runs, the outermost first, each named as a leaf is: what those may use together is bounded by
    /// [`Request::BoundPool`](super::Request::BoundPool).
    pub owners: Vec<String>,
}

/// Which namespaces a scope gets; all false: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Isolation {
    /// PID namespace with the keeper's own init.
    pub pid: bool,
    /// With `pid`: mount namespace with a `/proc` of this PID namespace.
    pub proc: bool,
    /// Mount namespace with an empty `/tmp`.
    pub tmp: bool,
    /// Network namespace with a loopback only.
    pub network: bool,
}

/// Rights, limits and priorities of a new process; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Privileges {
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Bit mask of the capabilities that it may ever have; none: as its user has them.
    pub capabilities: Option<u64>,
    /// Bit mask of the capabilities that it has from the start, whoever it runs as.
    pub added_capabilities: u64,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// -20 to 19.
    pub nice: Option<i32>,
    /// CPU numbers; empty: all.
    pub cpus: Vec<u32>,
    /// As `ioprio_set(2)` takes it: class << 13 | level.
    pub io_priority: Option<u32>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// All processes of the scope's user may be killed at once: nothing else runs as that user.
    pub dedicated_user: bool,
}

/// One resource limit, in the kernel's numbers; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Numeric credentials; names are resolved by the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, complete.
    pub groups: Vec<u32>,
}

/// Where a process reads and writes.
#[derive(Debug)]
pub enum Stdio {
    /// stdin from `/dev/null`; stdout and stderr into pipes that the keeper makes and keeps open.
    Capture,
    /// These descriptors, for stdin, stdout and stderr; they travel with the message.
    Passed([OwnedFd; 3]),
}

/// Why nothing was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnError {
    /// What failed.
    pub kind: SpawnErrorKind,
    /// `errno` of the failing call.
    pub errno: i32,
    /// The file, directory, interpreter or user that it concerns.
    pub subject: String,
}

/// A decision somebody takes about a failed spawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnErrorKind {
    /// No such program, searched in the service's own `PATH`.
    NotFound,
    /// The file is there and cannot be executed.
    NotExecutable,
    /// The file names an interpreter or loader that is not there; `subject` is the interpreter.
    BadInterpreter,
    /// The working directory cannot be entered.
    BadCwd,
    /// The user, group or groups cannot be taken on.
    BadUser,
    /// This limit, priority or right cannot be given; `subject` is its name.
    Setting(Setting),
    /// Arguments and environment together are too long for the kernel (`E2BIG`).
    TooLong,
    /// A namespace that was asked for cannot be had; `subject` says why, and what would help.
    Isolation,
    /// The scope could not be made.
    Scope,
    /// Processes, memory or descriptors are short; trying later may help.
    Resources,
}

/// One of [`Privileges`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// A resource limit; the subject is its name in lower case, without `RLIMIT_`.
    Limit,
    /// `nice`.
    Nice,
    /// `cpus`: some of them are not there, or not allowed here.
    Cpus,
    /// `io_priority`.
    IoPriority,
    /// `oom_score_adj`.
    OomScoreAdj,
    /// `capabilities` and `added_capabilities`.
    Capabilities,
}

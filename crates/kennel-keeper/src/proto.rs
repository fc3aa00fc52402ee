//! What daemon and keeper say to each other over one `SOCK_SEQPACKET` pair, one message a packet.
//!
//! Answers name the scope they are about: with the reaper back end several spawns may be answered in another order.
//! Events come at any time. The daemon chooses scope ids; a keeper never sees one twice in its life.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Version of this protocol; a peer with another one is refused by name.
pub const VERSION: u16 = 1;

/// One scope as the daemon numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub u64);

/// What the daemon asks for.
#[derive(Debug)]
pub enum Request {
    /// First message of a daemon. Answered by [`Event::Welcome`].
    Hello {
        /// [`VERSION`] of the daemon.
        version: u16,
    },
    /// Start a process in a fresh scope. Answered by `Spawned` or `SpawnFailed`.
    Spawn(Box<Spawn>),
    /// Signal the main process or every member of the scope. No answer; a scope that is gone is no error.
    /// Stopped members are continued after the signal, so that they can act on it.
    Signal {
        /// The scope.
        scope: ScopeId,
        /// Linux signal number.
        signal: i32,
        /// Every member, or the main process alone.
        everyone: bool,
    },
    /// Kill every member, whatever it takes; ends in `Emptied`, or in `Stuck` and later `Emptied`.
    Kill {
        /// The scope.
        scope: ScopeId,
    },
    /// The daemon has recorded the end of this scope; the keeper drops its record and its pipe ends.
    Forget {
        /// The scope.
        scope: ScopeId,
    },
    /// The daemon is about to exit on purpose: empty everything, clean up, exit, restart nothing.
    Bye,
}

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
    /// Where stdin, stdout and stderr go.
    pub stdio: Stdio,
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

/// What the keeper tells.
#[derive(Debug)]
pub enum Event {
    /// Answer to `Hello`.
    Welcome {
        /// [`VERSION`] of the keeper.
        version: u16,
        /// The keeper's process id.
        pid: u32,
        /// The containment in use.
        backend: Backend,
        /// Scopes left by an earlier daemon that it had not forgotten, each ended or being emptied.
        known: Vec<Known>,
    },
    /// The main process was executed.
    Spawned {
        /// The scope.
        scope: ScopeId,
        /// The main process.
        pid: u32,
        /// Where its members can be enumerated.
        place: Place,
        /// Read ends of stdout and stderr, non-blocking, with [`Stdio::Capture`].
        pipes: Option<[OwnedFd; 2]>,
    },
    /// Nothing was started and nothing is left of the attempt.
    SpawnFailed {
        /// The scope; its id is free of any record.
        scope: ScopeId,
        /// Why.
        error: SpawnError,
    },
    /// The main process was reaped.
    MainExited {
        /// The scope.
        scope: ScopeId,
        /// How it ended.
        exit: Exit,
        /// What it and the children it waited for used.
        usage: Usage,
    },
    /// Another process of the scope, reparented to us, was reaped.
    Reaped {
        /// The scope.
        scope: ScopeId,
        /// Which.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
    /// No living process is left in the scope, and its leaf is removed. Comes before or after `MainExited`.
    Emptied {
        /// The scope.
        scope: ScopeId,
    },
    /// The kill has not emptied the scope for five seconds; it goes on. Repeated while that lasts.
    Stuck {
        /// The scope.
        scope: ScopeId,
        /// Who is left.
        survivors: Vec<Survivor>,
    },
}

/// A scope that outlived its daemon.
#[derive(Debug)]
pub struct Known {
    /// As the earlier daemon numbered it.
    pub scope: ScopeId,
    /// Name of its leaf.
    pub name: String,
    /// Its main process.
    pub pid: u32,
    /// How the main process ended, if it did.
    pub exit: Option<Exit>,
    /// Whether the scope is empty.
    pub empty: bool,
    /// Read ends of stdout and stderr with what was written last.
    pub pipes: Option<[OwnedFd; 2]>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit code.
    Code(i32),
    /// Signal number.
    Signal(i32),
    /// Could not be learnt.
    Unknown,
}

/// Resources used, from `wait4(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// User plus system CPU time, microseconds.
    pub cpu_us: u64,
    /// Peak resident set of the largest process, bytes.
    pub max_rss_bytes: u64,
}

/// The containment in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// One cgroup v2 leaf a scope, below this directory.
    Cgroup {
        /// `…/kennel/<instance>`.
        root: PathBuf,
    },
    /// One subreaper process a scope.
    Reaper {
        /// Why there is no usable cgroup.
        because: String,
    },
}

/// Where the members of a scope can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Directory of the leaf, to be read recursively.
    Cgroup(PathBuf),
    /// All descendants of this process.
    Reaper(u32),
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
    /// Arguments and environment together are too long for the kernel (`E2BIG`).
    TooLong,
    /// The scope could not be made.
    Scope,
    /// Processes, memory or descriptors are short; trying later may help.
    Resources,
}

/// A process that a kill could not end yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Process id.
    pub pid: u32,
    /// State letter as in `/proc/PID/stat`.
    pub state: char,
    /// Kernel function it waits in, if readable.
    pub wchan: String,
    /// The tracer's process id, 0 if none.
    pub tracer: u32,
    /// Command line, or its name in brackets.
    pub command: String,
}

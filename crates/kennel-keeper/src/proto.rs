//! What daemon and keeper say to each other over one `SOCK_SEQPACKET` pair, one message a packet.
//!
//! Answers name the scope they are about: with the reaper back end several spawns may be answered in another order.
//! Events come at any time. The daemon chooses scope ids; a keeper never sees one twice in its life.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Version of this protocol; a peer with another one is refused by name.
pub const VERSION: u16 = 3;

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
    /// Signal one process of a scope, if it is still the one that is meant and still in the scope. Answered by
    /// [`Event::Signalled`].
    SignalProcess {
        /// The scope.
        scope: ScopeId,
        /// Which.
        process: Identity,
        /// Linux signal number.
        signal: i32,
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
    /// Which namespaces it gets.
    pub isolation: Isolation,
    /// Rights, limits and priorities.
    pub privileges: Privileges,
    /// Whether a process that left its cgroup is killed as soon as it is found, or only with its scope.
    pub kill_escaped: bool,
    /// Where stdin, stdout and stderr go.
    pub stdio: Stdio,
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

/// Which process is meant: a number alone can be another process by the time it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// Inode of its pidfd where the kernel has pidfs (6.9): unique until the next boot. 0: not known.
    pub inode: u64,
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
        /// Its start time and inode, with the same `pid`.
        identity: Identity,
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
    /// The single kill was not enough; what the keeper does about it. For the receipt.
    Stage {
        /// The scope.
        scope: ScopeId,
        /// What begins.
        stage: KillStage,
    },
    /// A process of the scope moved itself out of its cgroup. It is still ours: no stop ends before it does.
    Escaped {
        /// The scope.
        scope: ScopeId,
        /// Who.
        process: Survivor,
        /// The cgroup it is in, as `/proc/PID/cgroup` shows it.
        path: String,
    },
    /// What an earlier keeper left and what has not ended yet, although it was killed. Follows the welcome if there is
    /// any, and is told anew whenever it has changed; in the end nobody.
    Leftovers {
        /// Who is left.
        survivors: Vec<Survivor>,
    },
    /// Answer to `SignalProcess`.
    Signalled {
        /// The scope.
        scope: ScopeId,
        /// Which was meant.
        process: Identity,
        /// Why nothing was sent; none: it was.
        refused: Option<SignalRefused>,
    },
}

/// Stages of a kill, all of them after the first write of `cgroup.kill` or the first pass of SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillStage {
    /// The group is frozen, or every member stopped, and each is killed by its own descriptor.
    Sweep,
    /// What is left was reported as stuck; the kill is repeated until it ends.
    Stuck,
}

/// Why a process was not signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalRefused {
    /// There is no such process any more.
    Gone,
    /// The number belongs to another process now.
    NotTheSame,
    /// It is not in the scope.
    NotInScope,
    /// The system refused, with this `errno`.
    Os(i32),
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
        /// Why there is no usable cgroup, as a kind.
        reason: Reason,
        /// The same in words, with what the system said.
        because: String,
    },
}

/// Why no cgroup can be used here. What can be done about each is in `docs/containment.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No cgroup v2 hierarchy is mounted.
    NoCgroup2,
    /// One is mounted, but the group that this process is in is not visible there.
    NotVisible,
    /// It is mounted read-only, as in most containers.
    ReadOnly,
    /// This user may not make groups below the own one, or not move processes there: a session that was not
    /// delegated.
    NotDelegated,
    /// Not even root may.
    NotWritable,
    /// The own group takes no groups or no processes: it has controllers or too many groups, or is of the kind for
    /// threads.
    NotUsable,
    /// The kernel cannot start a process in a group, or not kill a whole one: Linux before 5.14.
    OldKernel,
    /// The kernel kills what is born in any group that this process can make.
    KilledAtBirth,
    /// The reaper back end was asked for.
    Forced,
    /// Anything else.
    Other,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoCgroup2,
        Self::NotVisible,
        Self::ReadOnly,
        Self::NotDelegated,
        Self::NotWritable,
        Self::NotUsable,
        Self::OldKernel,
        Self::KilledAtBirth,
        Self::Forced,
        Self::Other,
    ];

    /// As the API names it: lower-case words with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCgroup2 => "no_cgroup2",
            Self::NotVisible => "not_visible",
            Self::ReadOnly => "read_only",
            Self::NotDelegated => "not_delegated",
            Self::NotWritable => "not_writable",
            Self::NotUsable => "not_usable",
            Self::OldKernel => "old_kernel",
            Self::KilledAtBirth => "killed_at_birth",
            Self::Forced => "forced",
            Self::Other => "other",
        }
    }
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

/// A process that a kill could not end yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Process id.
    pub pid: u32,
    /// State letter as in `/proc/PID/stat`.
    pub state: char,
    /// Kernel function it waits in, if readable.
    pub wchan: String,
    /// Top of its kernel stack, innermost first, at most 8 names, if readable (root only).
    pub stack: Vec<String>,
    /// The tracer's process id, 0 if none.
    pub tracer: u32,
    /// Command line, or its name in brackets.
    pub command: String,
}

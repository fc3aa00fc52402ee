//! What the keeper tells.

use std::os::fd::OwnedFd;

use super::{Applied, Backend, Identity, Place, ScopeId, SpawnError};

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
        /// What went before.
        follows: Follows,
        /// Scopes that an earlier daemon had not forgotten.
        known: Vec<Known>,
        /// How many [`Event::Held`] follow at once.
        held: u32,
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
        /// Read ends of stdout and stderr, non-blocking, with [`Stdio::Capture`](super::Stdio::Capture).
        pipes: Option<[OwnedFd; 2]>,
        /// Inodes of both pipes, by which [`Request::Adopt`](super::Request::Adopt) finds them again; none from a
        /// keeper of version 3.
        inodes: Option<[u64; 2]>,
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
    /// Every member of the scope stands still, or all of them go on. Told whenever that has changed, whoever has done it.
    Frozen {
        /// The scope.
        scope: ScopeId,
        /// Whether it stands still.
        frozen: bool,
    },
    /// What became of the bounds of a scope: at its start, and for each [`Request::Bound`](super::Request::Bound).
    Bounded {
        /// The scope.
        scope: ScopeId,
        /// One for each that was asked for.
        applied: Vec<Applied>,
    },
    /// The kernel has killed members for want of memory. Before the end of the main process is told, if that was it.
    OutOfMemory {
        /// The scope.
        scope: ScopeId,
        /// How many since this was told last.
        kills: u64,
        /// The bound, bytes; none: the whole machine was short of it.
        limit: Option<u64>,
        /// The most that the scope has used, bytes.
        peak: Option<u64>,
        /// Whose bound it was, as in [`Request::BoundPool`](super::Request::BoundPool); none: the scope's own.
        of: Option<Vec<String>>,
    },
    /// Answer to [`Request::BoundPool`](super::Request::BoundPool).
    PoolBounded {
        /// As it was asked for.
        owners: Vec<String>,
        /// One for each that was asked for.
        applied: Vec<Applied>,
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
    /// A descriptor that an earlier daemon gave to [`Request::Hold`](super::Request::Hold). Follows the welcome.
    Held {
        /// As it was named.
        name: String,
        /// The keeper keeps its own copy.
        fd: OwnedFd,
    },
    /// Answer to `Adopt`: the scope is one like any other from here on.
    Adopted {
        /// The scope.
        scope: ScopeId,
        /// Where its members can be enumerated.
        place: Place,
        /// Read ends of stdout and stderr, non-blocking, if somebody in the scope still has the other ends open.
        pipes: Option<[OwnedFd; 2]>,
        /// Whether the main process lives; else `MainExited` follows, with an exit that is not known.
        main_alive: bool,
    },
    /// Answer to `Adopt`: nothing was taken over.
    AdoptRefused {
        /// The scope; its id is free of any record.
        scope: ScopeId,
        /// Why.
        error: AdoptError,
    },
    /// Answer to `Settled`: what an earlier keeper was to keep and what nobody has adopted.
    Strays {
        /// Sorted by leaf.
        strays: Vec<Stray>,
    },
    /// Answer to `KillStray`, when nobody of it is left.
    StrayEnded {
        /// As it was asked for.
        leaf: String,
    },
    /// News of the hand-over that was asked for with `Succeed`.
    Successor(Successor),
    /// Answer to `Exec`: the keeper is another program now, or goes on as it was.
    Executed {
        /// [`VERSION`](super::VERSION) of the keeper that is there now.
        version: u16,
        /// Why it is still the same; none: it is the new one.
        refused: Option<String>,
    },
}

/// Where a daemon stands in the life of its keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// It is the first one.
    Fresh,
    /// The one before it was lost: scopes without [`Spawn::keep`](super::Spawn::keep) are ended or being ended.
    Loss,
    /// The one before it has handed over: every scope runs on.
    HandOver,
}

/// A scope that an earlier daemon had not forgotten.
#[derive(Debug)]
pub struct Known {
    /// As the earlier daemon numbered it.
    pub scope: ScopeId,
    /// Name that the daemon chose for it.
    pub name: String,
    /// As it was asked for, see [`Spawn::keep`](super::Spawn::keep).
    pub keep: bool,
    /// As it was given, see [`Spawn::note`](super::Spawn::note).
    pub note: Vec<u8>,
    /// None: the start is under way, and `Spawned` or `SpawnFailed` follows.
    pub started: Option<Started>,
}

/// A scope whose main process was executed.
#[derive(Debug)]
pub struct Started {
    /// The main process.
    pub identity: Identity,
    /// Where its members can be enumerated; none: the keeper speaks version 3, which does not say.
    pub place: Option<Place>,
    /// Read ends of stdout and stderr with what was written last.
    pub pipes: Option<[OwnedFd; 2]>,
    /// How the main process ended, if it did.
    pub exit: Option<Exit>,
    /// Whether it is being emptied by a kill.
    pub ending: bool,
    /// Whether it is empty.
    pub empty: bool,
    /// Whether it stands still, see [`Event::Frozen`]; false from a keeper before version 5.
    pub frozen: bool,
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

/// Why nothing was adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdoptError {
    /// There is no such leaf, or nobody lives in it; it is removed.
    Gone,
    /// Without cgroups no scope outlives its keeper.
    NoCgroups,
    /// The number or the leaf belongs to a scope that lives, or the leaf is being emptied.
    Taken,
    /// The system refused, with this `errno`.
    Os(i32),
}

/// Processes of an earlier keeper that were to be kept and that nobody has adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Name of the leaf that they are in. Of processes that left theirs `tag:` and their tag in hexadecimal.
    pub leaf: String,
    /// Who they are; of many the first.
    pub processes: Vec<Survivor>,
}

/// What becomes of a hand-over. The old daemon is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Successor {
    /// It runs and has said hello; it waits for [`Request::HandOver`](super::Request::HandOver).
    Ready,
    /// There is none, or none any more. Before `HandOver` nothing has changed. After it the keeper starts a daemon
    /// of its own program, and the old one has nothing left to do but to exit.
    Failed {
        /// Why, in words.
        why: String,
    },
    /// It is settled: the old daemon has nothing left to do but to exit.
    Done,
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

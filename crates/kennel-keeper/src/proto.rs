//! What daemon and keeper say to each other over one `SOCK_SEQPACKET` pair, one message a packet.
//!
//! Answers name the scope they are about: with the reaper back end several spawns may be answered in another order.
//! Events come at any time. The daemon chooses scope ids; a keeper never sees one twice in its life.

mod backend;
mod bound;
mod event;
mod spawn;

use std::os::fd::OwnedFd;

pub use self::backend::{Backend, Place, Reason};
pub use self::bound::{Applied, Bound, HeldBy, Resource};
pub use self::event::{
    AdoptError, Event, Exit, Follows, KillStage, Known, SignalRefused, Started, Stray, Successor, Survivor, Usage,
};
pub use self::spawn::{Ids, Isolation, Limit, Privileges, Setting, Spawn, SpawnError, SpawnErrorKind, Stdio};

/// Version of this protocol. A keeper of an older one, from [`OLDEST`] on, is served: a [`Link`](crate::Link) speaks
/// as it does and refuses what it does not know.
pub const VERSION: u16 = 7;
/// The oldest keeper that a daemon can work with.
pub const OLDEST: u16 = 3;
/// Since this version [`Request::Adopt`] also takes a leaf that orphans were gathered in.
pub const ADOPTS_GATHERED: u16 = 7;

/// One scope as the daemon numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScopeId(pub u64);

/// What the daemon asks for.
#[derive(Debug)]
pub enum Request {
    /// First message of a daemon. Answered by [`Event::Welcome`], after a hand-over only once the old daemon let go.
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
    /// Stop every member where it is, newborns included, or let all of them go on. Answered by [`Event::Frozen`] once it
    /// is so; a scope that is gone is no error. A signal that does not stop, and a kill, let a frozen scope go on.
    Freeze {
        /// The scope.
        scope: ScopeId,
        /// Stop, or let go on.
        frozen: bool,
    },
    /// Change bounds of a scope that runs. Answered by [`Event::Bounded`]; a scope that is gone is no error.
    Bound {
        /// The scope.
        scope: ScopeId,
        /// Only those that change.
        bounds: Vec<Bound>,
    },
    /// Change bounds of all scopes together, or of those of an owner with all owners below it, whether there are any now or not.
    /// Answered by [`Event::PoolBounded`]. They last until they are taken away.
    BoundPool {
        /// Those above it and itself, the outermost first; empty: all scopes.
        owners: Vec<String>,
        /// Only those that change.
        bounds: Vec<Bound>,
    },
    /// The daemon has recorded the end of this scope; the keeper drops its record and its pipe ends.
    Forget {
        /// The scope.
        scope: ScopeId,
    },
    /// The daemon is about to exit on purpose: empty everything, clean up, exit, restart nothing.
    Bye,
    /// Keep a descriptor, for example a listening socket, for the next daemon: [`Event::Held`]. An earlier one with
    /// this name is closed.
    Hold {
        /// The daemon's own; not empty.
        name: String,
        /// Duplicated on the way.
        fd: OwnedFd,
    },
    /// Close what is held under this name.
    Release {
        /// As in `Hold`.
        name: String,
    },
    /// Take over what a lost keeper kept, or what [`orphans::gather`](crate::orphans::gather) has brought together in a leaf of
    /// this keeper's root. Answered by [`Event::Adopted`] or [`Event::AdoptRefused`].
    Adopt(Box<Adopt>),
    /// The daemon has asked for all that it wants to adopt, and serves. Answered by [`Event::Strays`]. A successor
    /// that has said so has taken over.
    Settled,
    /// End what was listed in [`Event::Strays`]. Answered by [`Event::StrayEnded`]; until then who is left is in
    /// [`Event::Leftovers`].
    KillStray {
        /// [`Stray::leaf`].
        leaf: String,
    },
    /// Start another daemon beside this one, to hand over to. Answered by [`Event::Successor`].
    Succeed {
        /// The program, open for reading or as a path alone; none: the one that the keeper itself runs.
        program: Option<OwnedFd>,
    },
    /// This daemon has stopped recording. From here on it is told nothing but what becomes of its successor, which is
    /// welcomed. Without a successor that is ready it is an answer of its own: `Successor::Failed`.
    HandOver,
    /// Replace the keeper's own program, with all that it holds. Answered by [`Event::Executed`].
    Exec {
        /// The program, open for reading or as a path alone.
        program: OwnedFd,
    },
}

/// A scope of a lost keeper to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// Its number from now on, chosen by the daemon.
    pub scope: ScopeId,
    /// Name of its leaf: the last part of the path that [`Event::Spawned`] told.
    pub leaf: String,
    /// Its main process.
    pub process: Identity,
    /// See [`Spawn::kill_escaped`].
    pub kill_escaped: bool,
    /// The daemon's own, given back in [`Known::note`].
    pub note: Vec<u8>,
    /// Inodes of the pipes that its stdout and stderr are, if they are to be found again.
    pub pipes: Option<[u64; 2]>,
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

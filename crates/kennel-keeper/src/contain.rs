//! The two ways to hold a scope together, behind one set of calls.
//!
//! Each call may learn something; what is learnt is appended to `out` as the events that the daemon will get, and
//! none of the calls blocks.

mod cgroups;
mod reapers;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use kennel_sys::process::Nofile;
use kennel_sys::tag::Tag;
use rustix::event::epoll;

pub(crate) use self::cgroups::Cgroups;
pub(crate) use self::reapers::Reapers;
use crate::bounds::by_nobody;
use crate::codec::{Reader, Writer};
use crate::place::Refused;
use crate::proto::{
    Adopt, AdoptError, Backend, Bound, Event, Exit, Identity, ScopeId, SignalRefused, Spawn, Stray, Survivor, Usage,
};
use crate::tag::Tags;

/// The containment in use.
pub(crate) struct Contain {
    /// Where every scope has a group, or why that does not work here.
    cgroups: Result<Cgroups, Refused>,
    /// Scopes held by a process of their own: all of them without cgroups, those with a PID namespace otherwise.
    reapers: Reapers,
}

/// What a containment needs of the keeper.
pub(crate) struct Tools {
    pub(crate) epoll: OwnedFd,
    pub(crate) null: OwnedFd,
    /// Limit of open descriptors that services get back.
    pub(crate) nofile: Option<Nofile>,
    /// Most descriptors that the keeper itself may have open; none: no limit.
    pub(crate) most: Option<u64>,
    pub(crate) tags: Tags,
    /// Children of the keeper that hold a scope together, and so are in none.
    pub(crate) reapers: RefCell<HashSet<u32>>,
}

impl Contain {
    pub(crate) fn new(cgroups: Result<Cgroups, Refused>, reapers: Reapers) -> Self {
        Self { cgroups, reapers }
    }

    pub(crate) fn backend(&self) -> Backend {
        match &self.cgroups {
            Ok(cgroups) => cgroups.backend(),
            Err(refused) => Backend::Reaper { reason: refused.reason, because: refused.because.clone() },
        }
    }

    /// Starts a process in a fresh scope.
    pub(crate) fn spawn(&mut self, spawn: Box<Spawn>, out: &mut Vec<Event>) {
        match &mut self.cgroups {
            Ok(cgroups) if spawn.isolation.pid => match cgroups.leaf(&spawn, out) {
                Ok((leaf, bounds)) => self.reapers.spawn(&spawn, Some(leaf), bounds, out),
                Err(error) => out.push(Event::SpawnFailed { scope: spawn.scope, error }),
            },
            Ok(cgroups) => cgroups.spawn(&spawn, out),
            Err(refused) => {
                if !spawn.bounds.is_empty() {
                    let applied = by_nobody(&spawn.bounds, &format!("no cgroup can be used: {}", refused.because));
                    out.push(Event::Bounded { scope: spawn.scope, applied });
                }
                self.reapers.spawn(&spawn, None, None, out);
            }
        }
    }

    /// Signals the main process or every member; a scope that is gone is no error.
    pub(crate) fn signal(&mut self, scope: ScopeId, signal: i32, everyone: bool, out: &mut Vec<Event>) {
        match self.cgroups_of(scope) {
            Some(cgroups) => cgroups.signal(scope, signal, everyone),
            None => self.reapers.signal(scope, signal, everyone, out),
        }
    }

    /// Signals one process, if it is the one that is meant and in the scope.
    pub(crate) fn signal_process(&mut self, scope: ScopeId, process: Identity, signal: i32, out: &mut Vec<Event>) {
        let result = match self.cgroups_of(scope) {
            Some(it) => signal_one(process, signal, |fd| it.holds(scope, process.pid, fd)),
            None => signal_one(process, signal, |_| self.reapers.holds(scope, process.pid)),
        };
        out.push(Event::Signalled { scope, process, refused: result.err() });
    }

    /// Has every member stand still, or go on. Told once it is so.
    pub(crate) fn freeze(&mut self, scope: ScopeId, frozen: bool, out: &mut Vec<Event>) {
        match self.cgroups_of(scope) {
            Some(cgroups) => cgroups.freeze(scope, frozen, out),
            None => self.reapers.freeze(scope, frozen, out),
        }
    }

    /// Changes what a scope may use.
    pub(crate) fn bound(&mut self, scope: ScopeId, wanted: &[Bound], out: &mut Vec<Event>) {
        let applied = match &mut self.cgroups {
            Ok(cgroups) if self.reapers.has(scope) => self.reapers.bound(scope, wanted, cgroups.place_and_pools().0),
            Ok(cgroups) => cgroups.bound(scope, wanted),
            Err(refused) => Some(by_nobody(wanted, &format!("no cgroup can be used: {}", refused.because))),
        };
        out.extend(applied.map(|applied| Event::Bounded { scope, applied }));
    }

    /// Changes what all scopes of these owners may use together.
    pub(crate) fn bound_pool(&mut self, owners: Vec<String>, wanted: &[Bound], out: &mut Vec<Event>) {
        let applied = match &mut self.cgroups {
            Ok(cgroups) => {
                let applied = cgroups.bound_pool(&owners, wanted);
                let (place, pools) = cgroups.place_and_pools();
                self.reapers.take_part(place, pools);
                applied
            }
            Err(refused) => by_nobody(wanted, &format!("no cgroup can be used: {}", refused.because)),
        };
        out.push(Event::PoolBounded { owners, applied });
    }

    /// Begins to empty a scope, or goes on with it.
    pub(crate) fn kill(&mut self, scope: ScopeId, out: &mut Vec<Event>) {
        match self.cgroups_of(scope) {
            Some(cgroups) => cgroups.kill(scope),
            None => self.reapers.kill(scope, out),
        }
    }

    /// Begins to empty every scope.
    pub(crate) fn kill_all(&mut self, out: &mut Vec<Event>) {
        self.kill_all_but(&BTreeSet::new(), out);
    }

    /// Begins to empty every scope but these.
    pub(crate) fn kill_all_but(&mut self, kept: &BTreeSet<ScopeId>, out: &mut Vec<Event>) {
        self.reapers.kill_all_but(kept, out);
        if let Ok(cgroups) = &mut self.cgroups {
            cgroups.kill_all_but(kept);
        }
    }

    /// Which children are daemons.
    pub(crate) fn set_daemons(&mut self, daemons: Vec<u32>) {
        if let Ok(cgroups) = &mut self.cgroups {
            cgroups.set_daemons(daemons.clone());
        }
        self.reapers.set_daemons(daemons);
    }

    /// Whether it wants to know of children that were stopped.
    pub(crate) fn minds_stops(&self) -> bool {
        self.reapers.has_any()
    }

    /// A child was stopped.
    pub(crate) fn stopped(&mut self, pid: u32) {
        self.reapers.stopped(pid);
    }

    /// Reaps a child that has ended. `pid` is a zombie and stays one until this reaps it.
    pub(crate) fn reap(&mut self, pid: u32, out: &mut Vec<Event>) {
        match &mut self.cgroups {
            Ok(cgroups) if !self.reapers.has_reaper(pid) => cgroups.reap(pid, out),
            _ => self.reapers.reap(pid, out),
        }
    }

    /// Called after each round of reaping.
    pub(crate) fn reaped(&mut self, out: &mut Vec<Event>) {
        self.reapers.tick(Instant::now(), out);
    }

    /// Called at the end of each turn of the loop: what was asked for, reaped or due may have ended scopes.
    pub(crate) fn look(&mut self, out: &mut Vec<Event>) {
        if let Ok(cgroups) = &mut self.cgroups {
            cgroups.look(out);
        }
    }

    /// A descriptor registered with a token of [`Tools::watch`] has something to say.
    pub(crate) fn ready(&mut self, token: u64, out: &mut Vec<Event>) {
        let is_reaper = token & FOREIGN == 0 && scope_of(token).is_some_and(|scope| self.reapers.has(scope));
        match &mut self.cgroups {
            Ok(cgroups) if !is_reaper => cgroups.ready(token),
            _ => self.reapers.ready(token, out),
        }
    }

    /// When [`Contain::tick`] wants to be called; `None`: not without other news.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.cgroups.iter().filter_map(Cgroups::due).chain(self.reapers.due()).min()
    }

    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Event>) {
        if let Ok(cgroups) = &mut self.cgroups {
            cgroups.tick(now, out);
        }
        self.reapers.tick(now, out);
    }

    /// Takes over a scope that a lost keeper was to keep.
    pub(crate) fn adopt(&mut self, adopt: &Adopt, out: &mut Vec<Event>) -> Result<(), AdoptError> {
        if self.reapers.has(adopt.scope) {
            return Err(AdoptError::Taken);
        }
        self.cgroups.as_mut().map_err(|_| AdoptError::NoCgroups)?.adopt(adopt, out)
    }

    /// Whether what is in a leaf that is to be adopted outlives the keeper.
    pub(crate) fn keeps(&self, leaf: &str) -> bool {
        self.cgroups.as_ref().is_ok_and(|cgroups| cgroups.keeps(leaf))
    }

    /// Leaves of a lost keeper that nobody has adopted, sorted.
    pub(crate) fn strays(&mut self) -> Vec<Stray> {
        self.cgroups.as_mut().map_or_else(|_| Vec::new(), Cgroups::strays)
    }

    /// Whether there are any.
    pub(crate) fn has_strays(&self) -> bool {
        self.cgroups.as_ref().is_ok_and(Cgroups::has_strays)
    }

    /// Begins to end one of these leaves; answers whether it is there.
    pub(crate) fn kill_stray(&mut self, leaf: &str) -> bool {
        self.cgroups.as_mut().is_ok_and(|cgroups| cgroups.kill_stray(leaf))
    }

    /// Begins to end all of them.
    pub(crate) fn kill_strays(&mut self) {
        if let Ok(cgroups) = &mut self.cgroups {
            cgroups.kill_strays();
        }
    }

    /// Whether a cgroup is a leaf of a scope or a stray, or below one.
    pub(crate) fn has_leaf(&self, path: &Path) -> bool {
        self.cgroups.as_ref().is_ok_and(|cgroups| cgroups.has_leaf(path))
    }

    /// Whether a tag is that of a scope that is held by its group, adopted ones included.
    pub(crate) fn holds_tag(&self, tag: Tag) -> bool {
        self.cgroups.as_ref().is_ok_and(|cgroups| cgroups.holds_tag(tag))
    }

    /// Who lives in what an earlier keeper left.
    pub(crate) fn leftovers(&self) -> Vec<u32> {
        self.cgroups.as_ref().map(Cgroups::leftovers).unwrap_or_default()
    }

    pub(crate) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        match &self.cgroups {
            Ok(cgroups) => {
                writer.bool(true);
                cgroups.save(writer);
            }
            Err(refused) => {
                writer.bool(false);
                refused.save(writer);
            }
        }
        self.reapers.save(writer);
    }

    /// # Errors
    /// If the table is malformed or this process can watch nothing.
    pub(crate) fn load(reader: &mut Reader<'_>, tools: &Rc<Tools>, own_pidfd: OwnedFd) -> io::Result<Self> {
        let cgroups =
            if reader.bool()? { Ok(Cgroups::load(reader, tools.clone())?) } else { Err(Refused::load(reader)?) };
        Ok(Self { cgroups, reapers: Reapers::load(reader, tools.clone(), own_pidfd)? })
    }

    /// Whether no scope has anything alive in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.reapers.is_empty() && self.cgroups.as_ref().map_or(true, Cgroups::is_empty)
    }

    /// Removes what was made for all scopes together, before the keeper exits.
    pub(crate) fn remove(&mut self) {
        if let Ok(cgroups) = &mut self.cgroups {
            cgroups.remove();
        }
    }

    /// What holds a scope, if that is not a process of its own.
    fn cgroups_of(&mut self, scope: ScopeId) -> Option<&mut Cgroups> {
        self.cgroups.as_mut().ok().filter(|_| !self.reapers.has(scope))
    }
}

/// Tokens below this are the keeper's own.
pub(crate) const FIRST_TOKEN: u64 = 16;
/// With it set a token is of the adopted main process of a scope.
pub(crate) const FOREIGN: u64 = 1 << 63;
/// Scopes may be numbered up to here, so that tokens can be made of the numbers.
pub(crate) const LAST_SCOPE: u64 = FOREIGN - FIRST_TOKEN - 1;

/// Descriptors that a start leaves free: what comes with the next message must always find room.
const SPARE: u64 = 32;

impl Tools {
    /// Fails while there are too few descriptors to start something and still be able to do anything else.
    pub(crate) fn check_room(&self) -> io::Result<()> {
        // The kernel gives the lowest number that is free, so all below it are in use.
        let lowest = u64::from(self.null.try_clone()?.as_raw_fd().unsigned_abs());
        let full = self.most.is_some_and(|most| lowest.saturating_add(SPARE) > most);
        if full { Err(rustix::io::Errno::MFILE.into()) } else { Ok(()) }
    }

    /// Has the loop call [`Contain::ready`] with a token when `fd` is ready.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, token: u64, flags: epoll::EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags)?)
    }

    pub(crate) fn unwatch(&self, fd: impl AsFd) {
        // It fails only for a descriptor that was not watched.
        let _unknown = epoll::delete(&self.epoll, fd);
    }
}

/// The token of a descriptor of one scope.
pub(crate) fn token_of(scope: ScopeId) -> u64 {
    scope.0.saturating_add(FIRST_TOKEN)
}

/// The scope of a token.
pub(crate) fn scope_of(token: u64) -> Option<ScopeId> {
    token.checked_sub(FIRST_TOKEN).map(ScopeId)
}

impl From<kennel_sys::wait::Exit> for Exit {
    fn from(exit: kennel_sys::wait::Exit) -> Self {
        match exit {
            kennel_sys::wait::Exit::Code(code) => Self::Code(code),
            kennel_sys::wait::Exit::Signal(signal) => Self::Signal(signal),
        }
    }
}

pub(crate) fn usage(reaped: &kennel_sys::wait::Reaped) -> Usage {
    Usage { cpu_us: reaped.cpu_us, max_rss_bytes: reaped.max_rss_bytes }
}

impl From<kennel_sys::identity::Identity> for Identity {
    fn from(it: kennel_sys::identity::Identity) -> Self {
        Self { pid: it.pid, start_ticks: it.start_ticks, inode: it.inode }
    }
}

/// Sends a signal to the process that is meant, if the scope holds it.
///
/// Whatever is learnt about a number is learnt while the descriptor is open and the identity is checked on both
/// sides of it, so it is true of the process that gets the signal and of no later one.
fn signal_one(process: Identity, signal: i32, holds: impl FnOnce(&OwnedFd) -> bool) -> Result<(), SignalRefused> {
    let meant =
        kennel_sys::identity::Identity { pid: process.pid, start_ticks: process.start_ticks, inode: process.inode };
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SignalRefused::Gone,
        io::ErrorKind::InvalidData => SignalRefused::NotTheSame,
        _ => match error.raw_os_error() {
            Some(errno) if errno == rustix::io::Errno::SRCH.raw_os_error() => SignalRefused::Gone,
            errno => SignalRefused::Os(errno.unwrap_or(rustix::io::Errno::INVAL.raw_os_error())),
        },
    };
    let fd = meant.open().map_err(refused)?;
    if !holds(&fd) {
        return Err(SignalRefused::NotInScope);
    }
    // Reaped meanwhile means that what was read may have been another's: then this fails.
    if kennel_sys::identity::Identity::read(process.pid, &fd).map_err(refused)? != meant {
        return Err(SignalRefused::NotTheSame);
    }
    kennel_sys::pidfd::send_signal(&fd, signal).map_err(refused)
}

/// Identity of a child that is not reaped yet, so that its number is its own.
pub(crate) fn identity(pid: u32, pidfd: &OwnedFd) -> Identity {
    let unknown = Identity { pid, start_ticks: 0, inode: 0 };
    kennel_sys::identity::Identity::read(pid, pidfd).map_or(unknown, Into::into)
}

/// Most survivors in one report.
const REPORTED: usize = 64;

/// What is known of these processes, for an event; of many the first.
pub(crate) fn reported(pids: &[u32]) -> Vec<Survivor> {
    kennel_sys::cgroup::survivors(pids, REPORTED).into_iter().map(Into::into).collect()
}

impl From<kennel_sys::cgroup::Survivor> for Survivor {
    fn from(it: kennel_sys::cgroup::Survivor) -> Self {
        Self { pid: it.pid, state: it.state, wchan: it.wchan, stack: it.stack, tracer: it.tracer, command: it.command }
    }
}

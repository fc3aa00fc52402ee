//! A group of its own for every scope.

mod adopt;
mod escapes;
mod look;
mod pools;
mod saved;
mod strays;

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use kennel_sys::cgroup::{Group, Killer, Step};
use kennel_sys::spawn::Spawner;
use kennel_sys::tag::Tag;
use kennel_sys::{pidfd, proc, process, signal, wait};
use rustix::event::epoll::EventFlags;
use rustix::fs::{Mode, OFlags, inotify};
use rustix::process::Signal;

use self::escapes::Escapes;
use self::look::Pace;
pub(crate) use self::pools::Pools;
use self::strays::Stray;
use super::{LAST_SCOPE, Tools, scope_of, token_of, usage};
use crate::bounds::Bounds;
use crate::hunt::Hunt;
use crate::launch::{Launch, Pipes, inodes, no_scope, stdio};
use crate::place::Place;
use crate::proto::{Applied, Backend, Bound, Event, Exit, ScopeId, Spawn, SpawnError, Stdio};
use crate::start::{is_plain, note};

/// Token of the one inotify descriptor: no scope has it, see [`LAST_SCOPE`].
const INOTIFY: u64 = super::FIRST_TOKEN - 1;
/// A zombie that nobody lets us reap is reported after this time, and again after each such span.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a start waits for the leftovers of an earlier keeper to be gone.
const SWEEP: Duration = Duration::from_secs(3);

/// All scopes that live.
pub(crate) struct Cgroups {
    tools: Rc<Tools>,
    place: Place,
    spawner: Spawner,
    inotify: OwnedFd,
    live: HashMap<ScopeId, Live>,
    mains: HashMap<u32, ScopeId>,
    /// By the path of their groups.
    leaves: HashMap<PathBuf, ScopeId>,
    watches: HashMap<i32, ScopeId>,
    tags: HashMap<Tag, ScopeId>,
    daemons: Vec<u32>,
    /// Scopes that something has happened to since they were last looked at.
    touched: Vec<ScopeId>,
    pace: Pace,
    /// What scopes may use together.
    pools: Pools,
    /// Groups of an earlier keeper that would not empty.
    stale: Vec<(Group, Killer)>,
    /// Groups of version 1 of scopes that are over, which could not be removed yet.
    used: Vec<Bounds>,
    /// Groups that an earlier keeper was to keep and that nobody has adopted.
    strays: Vec<Stray>,
}

/// A scope that is not known to be empty.
struct Live {
    group: Group,
    pid: u32,
    main: Main,
    tag: Tag,
    /// It was started by another keeper: what is left outside of its group does not become ours.
    adopted: bool,
    watch: Watch,
    kill_escaped: bool,
    /// What it may use, if that is bounded.
    bounds: Option<Box<Bounds>>,
    /// Whether it was told to stand still.
    frozen: bool,
    escapes: Escapes,
    killer: Option<Killer>,
    /// Set once nobody lives in it and its directory is removed; then only zombies keep it, and this is when to
    /// report them.
    removed: Option<Instant>,
}

/// The main process of a scope.
enum Main {
    /// A child of ours.
    Child(OwnedFd),
    /// Adopted: somebody else reaps it.
    Foreign(adopt::Foreign),
    /// Reaped, or at least gone for us.
    Ended,
}

/// How news of `cgroup.events` comes.
enum Watch {
    Inotify(i32),
    /// The file itself, in epoll: when the user's inotify watches are used up.
    File(OwnedFd),
    /// There is none any more: the group is removed.
    Removed,
}

/// Empties what an earlier keeper left, before anything starts that might need its ports. What will not empty
/// within [`SWEEP`] is returned, to be gone on with beside the rest.
fn sweep(place: &mut Place) -> (Vec<(Group, Killer)>, Vec<Stray>) {
    let begin = Instant::now();
    let (groups, kept) = place.sweep();
    let strays = kept.into_iter().map(Stray::new).collect();
    let mut stale: Vec<(Group, Killer)> = groups
        .into_iter()
        .map(|group| {
            let killer = Killer::start(&group, begin).0;
            (group, killer)
        })
        .collect();
    if !stale.is_empty() {
        note!("an earlier kennel was lost; ending what it left in {} scopes", stale.len());
    }
    loop {
        let now = Instant::now();
        stale.retain_mut(|(group, killer)| killer.step(group, now) != Step::Empty);
        if stale.is_empty() || now.duration_since(begin) >= SWEEP {
            return (stale, strays);
        }
        process::pause(Duration::from_millis(1));
    }
}

impl Cgroups {
    /// Takes over the place, and empties what it finds there.
    pub(crate) fn new(tools: Rc<Tools>, mut place: Place, spawner: Spawner) -> io::Result<Self> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        tools.watch(inotify.as_fd(), INOTIFY, EventFlags::IN)?;
        let (stale, strays) = sweep(&mut place);
        // Of what has ended with an earlier keeper.
        place.remove_1();
        place.remove_lost_1();
        Ok(Self {
            tools,
            place,
            spawner,
            inotify,
            live: HashMap::new(),
            mains: HashMap::new(),
            leaves: HashMap::new(),
            watches: HashMap::new(),
            tags: HashMap::new(),
            daemons: Vec::new(),
            touched: Vec::new(),
            pace: Pace::default(),
            pools: Pools::default(),
            stale,
            used: Vec::new(),
            strays,
        })
    }

    pub(crate) fn backend(&self) -> Backend {
        Backend::Cgroup { root: self.place.root().to_owned() }
    }

    /// A fresh group for a scope that something else holds together.
    pub(crate) fn leaf(
        &mut self,
        spawn: &Spawn,
        out: &mut Vec<Event>,
    ) -> Result<(Group, Option<Box<Bounds>>), SpawnError> {
        let fail = |error: io::Error| no_scope(&error, spawn.name.clone());
        if !has_plain_names(spawn) || self.live.contains_key(&spawn.scope) {
            return Err(fail(rustix::io::Errno::INVAL.into()));
        }
        // Whoever ends with the process that holds it together cannot outlive the keeper.
        let taken = |leaf: &std::path::Path| self.leaves.contains_key(leaf);
        let group = self.place.leaf(&spawn.name, &spawn.owners, false, taken).map_err(fail)?;
        let bounds = self.bounds(&group, spawn, out);
        Ok((group, bounds))
    }

    /// Bounds what a new scope may use.
    fn bounds(&mut self, group: &Group, spawn: &Spawn, out: &mut Vec<Event>) -> Option<Box<Bounds>> {
        let mut bounds = None;
        self.pools.join(&self.place, &spawn.owners, group, &mut bounds);
        if !spawn.bounds.is_empty() {
            let applied = bounds.get_or_insert_default().set(&self.place, group.directory(), &spawn.bounds);
            out.push(Event::Bounded { scope: spawn.scope, applied });
        }
        if let Some(bounds) = &mut bounds {
            // Whoever comes enters by itself.
            bounds.entered();
        }
        bounds
    }

    pub(crate) fn place_and_pools(&mut self) -> (&Place, &Pools) {
        (&self.place, &self.pools)
    }

    /// Changes what a scope may use.
    pub(crate) fn bound(&mut self, scope: ScopeId, wanted: &[Bound]) -> Option<Vec<Applied>> {
        let live = self.live.get_mut(&scope).filter(|live| live.removed.is_none())?;
        let bounds = live.bounds.get_or_insert_default();
        let applied = bounds.set(&self.place, live.group.directory(), wanted);
        bounds.move_in(&live.group);
        self.watch_bounds(scope);
        Some(applied)
    }

    /// Has kills for want of memory told.
    fn watch_bounds(&mut self, scope: ScopeId) {
        let Some(live) = self.live.get_mut(&scope) else { return };
        let Some(bounds) = &mut live.bounds else { return };
        if let Some(file) = bounds.watch(&self.tools, &live.group, scope)
            && let Ok(watch) = inotify::add_watch(&self.inotify, &file, inotify::WatchFlags::MODIFY)
        {
            // It goes with the file.
            self.watches.insert(watch, scope);
        }
    }

    /// Which children are daemons, for they are in no scope.
    pub(crate) fn set_daemons(&mut self, daemons: Vec<u32>) {
        self.daemons = daemons;
    }

    pub(crate) fn spawn(&mut self, spawn: &Spawn, out: &mut Vec<Event>) {
        let scope = spawn.scope;
        match self.try_spawn(spawn, out) {
            Ok(event) => out.push(event),
            Err(error) => out.push(Event::SpawnFailed { scope, error }),
        }
    }

    fn try_spawn(&mut self, spawn: &Spawn, out: &mut Vec<Event>) -> Result<Event, SpawnError> {
        let scope = spawn.scope;
        if !has_plain_names(spawn) || scope.0 > LAST_SCOPE || self.live.contains_key(&scope) {
            let error = io::Error::from(rustix::io::Errno::INVAL);
            return Err(no_scope(&error, spawn.name.clone()));
        }
        self.tools.check_room().map_err(|error| no_scope(&error, spawn.name.clone()))?;
        let pipes = matches!(spawn.stdio, Stdio::Capture).then(|| Pipes::new(spawn.keep)).transpose();
        let pipes = pipes.map_err(|error| no_scope(&error, spawn.name.clone()))?;
        let group = self
            .place
            .leaf(&spawn.name, &spawn.owners, spawn.keep, |leaf| self.leaves.contains_key(leaf))
            .map_err(|error| no_scope(&error, spawn.name.clone()))?;
        kennel_sys::crash_point!("spawn.group-made");
        let directory = group.directory().to_owned();
        let tag = self.tools.tags.next(spawn.keep);
        let mut bounds = self.bounds(&group, spawn, out);
        let groups = bounds.as_ref().map(|bounds| bounds.tasks()).unwrap_or_default();
        let started = self.start_in(&group, spawn, pipes.as_ref(), tag, &groups);
        let (watch, child) = match started {
            Ok(started) => started,
            Err(error) => {
                // Nothing is in it: the failed child has been reaped.
                let _gone = group.remove();
                let _gone = bounds.as_mut().map(|bounds| bounds.remove(&self.tools));
                self.leave_pool(&group);
                return Err(error);
            }
        };
        kennel_sys::crash_point!("spawn.cloned");
        if let Watch::Inotify(watch) = watch {
            self.watches.insert(watch, scope);
        }
        self.mains.insert(child.pid, scope);
        self.leaves.insert(group.path().to_owned(), scope);
        self.tags.insert(tag, scope);
        let identity = super::identity(child.pid, &child.pidfd);
        let live = Live {
            group,
            pid: child.pid,
            main: Main::Child(child.pidfd),
            tag,
            adopted: false,
            watch,
            kill_escaped: spawn.kill_escaped,
            bounds,
            frozen: false,
            escapes: Escapes::default(),
            killer: None,
            removed: None,
        };
        self.live.insert(scope, live);
        self.watch_bounds(scope);
        let pipes = pipes.map(|pipes| pipes.read);
        let inodes = pipes.as_ref().and_then(inodes);
        let place = crate::proto::Place::Cgroup(directory);
        Ok(Event::Spawned { scope, pid: child.pid, identity, place, pipes, inodes })
    }

    fn start_in(
        &mut self,
        group: &Group,
        spawn: &Spawn,
        pipes: Option<&Pipes>,
        tag: Tag,
        groups: &[CString],
    ) -> Result<(Watch, kennel_sys::spawn::Child), SpawnError> {
        let watch = self.watch(group, spawn.scope).map_err(|error| no_scope(&error, spawn.name.clone()))?;
        let launch = Launch {
            spawn,
            stdio: stdio(spawn, pipes, &self.tools.null),
            nofile: self.tools.nofile,
            tag: Some(tag),
            no_new_privs: false,
            cgroup: Some(group.fd().as_fd()),
            groups,
        };
        match launch.run(&mut self.spawner) {
            Ok(child) => Ok((watch, child)),
            Err(error) => {
                self.unwatch(&watch);
                Err(error)
            }
        }
    }

    /// Source: `inotify(7)`; kernel documentation, cgroup v2: a change of `cgroup.events` is both a modification
    /// and `POLLPRI`, at most every 10 ms, the last one never lost.
    fn watch(&self, group: &Group, scope: ScopeId) -> io::Result<Watch> {
        let file = group.directory().join("cgroup.events");
        if let Ok(watch) = inotify::add_watch(&self.inotify, &file, inotify::WatchFlags::MODIFY) {
            return Ok(Watch::Inotify(watch));
        }
        let file = rustix::fs::open(&file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        // Edge-triggered: the condition holds until the file is read, and it is another descriptor that is read.
        self.tools.watch(file.as_fd(), token_of(scope), EventFlags::PRI | EventFlags::ET)?;
        Ok(Watch::File(file))
    }

    fn unwatch(&mut self, watch: &Watch) {
        match watch {
            Watch::Inotify(watch) => {
                self.watches.remove(watch);
                // The kernel removes it by itself together with the directory.
                let _gone = inotify::remove_watch(&self.inotify, *watch);
            }
            Watch::File(file) => self.tools.unwatch(file),
            Watch::Removed => {}
        }
    }

    pub(crate) fn signal(&mut self, scope: ScopeId, number: i32, everyone: bool) {
        let Some(live) = self.live.get(&scope) else { return };
        let then_continue = number != Signal::KILL.as_raw() && !signal::stops(number);
        let continue_ = Signal::CONT.as_raw();
        if everyone {
            live.group.signal(number);
            self.signal_escaped(scope, number);
            if then_continue {
                live.group.signal(continue_);
                self.signal_escaped(scope, continue_);
            }
        } else if let Some(main) = live.main.fd() {
            // It may have ended, or run as another user; neither is news.
            let _gone = pidfd::send_signal(main, number);
            if then_continue {
                let _gone = pidfd::send_signal(main, continue_);
            }
        }
        if then_continue && live.killer.is_none() {
            // Somebody may have frozen it; the signal waits until it thaws.
            live.group.thaw();
        }
    }

    /// Those outside of the leaf are stopped one by one, and may start others meanwhile.
    pub(crate) fn freeze(&mut self, scope: ScopeId, frozen: bool, out: &mut Vec<Event>) {
        let Some(live) = self.live.get(&scope).filter(|live| live.killer.is_none()) else { return };
        if frozen {
            if let Err(error) = live.group.freeze(true) {
                note!("cannot freeze {}: {error}", live.group.directory().display());
            }
            self.signal_escaped(scope, Signal::STOP.as_raw());
        } else {
            live.group.thaw();
            self.signal_escaped(scope, Signal::CONT.as_raw());
        }
        // It may be so already, and then there is no notice.
        if let Some(live) = self.live.get_mut(&scope)
            && live.group.condition().is_ok_and(|now| now.populated && now.frozen == frozen)
        {
            live.frozen = frozen;
            out.push(Event::Frozen { scope, frozen });
        }
    }

    /// Whether a process is in a scope; `fd` is open on it.
    pub(crate) fn holds(&self, scope: ScopeId, pid: u32, fd: &OwnedFd) -> bool {
        let Some(live) = self.live.get(&scope) else { return false };
        // One that left it is known by its tag, which anybody can take on, and as a descendant of ours, which nobody can.
        let has_left = || self.scope_of_tag(pid) == Some(scope) && proc::is_descendant(pid, std::process::id());
        live.group.contains(pid, fd) || has_left()
    }

    pub(crate) fn kill_all_but(&mut self, kept: &BTreeSet<ScopeId>) {
        let scopes: Vec<ScopeId> = self.live.keys().copied().filter(|scope| !kept.contains(scope)).collect();
        for scope in scopes {
            self.kill(scope);
        }
    }

    pub(crate) fn kill(&mut self, scope: ScopeId) {
        let Some(live) = self.live.get_mut(&scope) else { return };
        if live.killer.is_none() && live.removed.is_none() {
            let (killer, result) = Killer::start(&live.group, Instant::now());
            if let Err(error) = result {
                note!("cannot kill {} at once: {error}", live.group.directory().display());
            }
            live.killer = Some(killer);
            kennel_sys::crash_point!("stop.kill-written");
        }
        self.touched.push(scope);
    }

    pub(crate) fn reap(&mut self, pid: u32, out: &mut Vec<Event>) {
        // Read while it is a zombie: afterwards the number tells nothing. The leaf may be another's.
        let main = self.mains.get(&pid).copied();
        let scope = main.or_else(|| self.scope_of_tag(pid));
        let scope = scope.or_else(|| self.leaves.get(&self.place.leaf_of(pid)?).copied());
        let Ok(Some(reaped)) = wait::reap(pid, false) else { return };
        let Some(scope) = scope else { return };
        let exit = reaped.exit.into();
        if exit == Exit::Signal(Signal::KILL.as_raw()) {
            // The reason comes before what it explains.
            self.tell_memory(scope, out);
        }
        if main.is_some() {
            self.mains.remove(&pid);
            if let Some(live) = self.live.get_mut(&scope) {
                live.main = Main::Ended;
            }
            out.push(Event::MainExited { scope, exit, usage: usage(&reaped) });
        } else {
            out.push(Event::Reaped { scope, pid, exit });
        }
        self.touched.push(scope);
    }

    /// Tells of kills for want of memory, if there were any.
    fn tell_memory(&mut self, scope: ScopeId, out: &mut Vec<Event>) {
        if let Some(Live { bounds: Some(bounds), group, .. }) = self.live.get_mut(&scope) {
            out.extend(bounds.news(scope, group, Instant::now()));
        }
    }

    pub(crate) fn ready(&mut self, token: u64) {
        if token == INOTIFY {
            self.read_inotify();
        } else if let Some(scope) = adopt::main_of(token).or_else(|| scope_of(token)) {
            if let Some(Live { bounds: Some(bounds), .. }) = self.live.get_mut(&scope) {
                bounds.may_be_short(Instant::now());
            }
            self.touched.push(scope);
        }
    }

    fn read_inotify(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        // Ends with "nothing there": each entry only says which file to read.
        while let Ok(event) = reader.next() {
            if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                self.touched.extend(self.live.keys());
            }
            if let Some(scope) = self.watches.get(&event.wd()) {
                self.touched.push(*scope);
            }
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let live = self.live.values().filter_map(Live::due);
        let stale = self.stale.iter().map(|(_, killer)| killer.due());
        let strays = self.strays.iter().filter_map(Stray::due);
        let bounds = self.live.values().filter_map(|live| live.bounds.as_ref()?.due());
        live.chain(bounds).chain(stale).chain(strays).chain(self.pace.due()).min()
    }

    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.end_strays(now, out);
        self.stale.retain_mut(|(group, killer)| killer.due() > now || killer.step(group, now) != Step::Empty);
        self.used.retain_mut(|bounds| !bounds.remove(&self.tools));
        let due = self.live.iter().filter(|(_, live)| live.is_due(now));
        self.touched.extend(due.map(|(scope, _)| *scope));
    }

    /// Who lives in the groups of an earlier keeper and is to end.
    pub(crate) fn leftovers(&self) -> Vec<u32> {
        let stale = self.stale.iter().flat_map(|(group, _)| group.members());
        stale.chain(self.strays.iter().flat_map(Stray::ending)).collect()
    }

    /// What an earlier keeper left does not hold this one back: it stays for the next.
    pub(crate) fn is_empty(&self) -> bool {
        let waits = self.strays.iter().any(Stray::is_waited_for);
        self.live.is_empty() && self.mains.is_empty() && !waits
    }

    pub(crate) fn remove(&mut self) {
        self.place.remove();
    }
}

impl Main {
    /// As long as it is there.
    fn fd(&self) -> Option<&OwnedFd> {
        match self {
            Self::Child(fd) => Some(fd),
            Self::Foreign(main) => Some(main.fd()),
            Self::Ended => None,
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }
}

impl Live {
    fn is_due(&self, now: Instant) -> bool {
        let bounds = self.bounds.as_ref().and_then(|bounds| bounds.due());
        self.due().into_iter().chain(bounds).any(|due| due <= now)
    }

    fn due(&self) -> Option<Instant> {
        let leaf = self.removed.or_else(|| self.killer.as_ref().map(Killer::due));
        let main = if let Main::Foreign(main) = &self.main { main.due() } else { None };
        leaf.into_iter().chain(main).chain(self.escapes.hunt.as_ref().map(Hunt::due)).min()
    }
}

/// Whether its leaf and the groups of its owners can be named so.
fn has_plain_names(spawn: &Spawn) -> bool {
    std::iter::once(&spawn.name).chain(&spawn.owners).all(|name| is_plain(name.as_ref()))
}

fn stuck(scope: ScopeId, pids: &[u32]) -> Event {
    Event::Stuck { scope, survivors: super::reported(pids) }
}

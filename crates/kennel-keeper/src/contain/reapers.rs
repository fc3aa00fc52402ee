//! A small process of its own for a scope: for every one where there is no usable cgroup, and as the first process
//! of its PID namespace for one that has such, whose members are then in a cgroup all the same if there are any.

mod live;
mod saved;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use kennel_sys::cgroup::{Group, Killer, Step};
use kennel_sys::namespace::{Born, fork_init};
use kennel_sys::process::{self, Side, fork};
use kennel_sys::{packet, pidfd, proc, signal, wait};
use rustix::event::epoll::EventFlags;
use rustix::process::Signal;

use self::live::{Live, SILENCE};
use super::cgroups::Pools;
use super::{LAST_SCOPE, Tools, scope_of, token_of, usage};
use crate::bounds::Bounds;
use crate::channel::{Channel, Incoming};
use crate::codec;
use crate::hunt::{Hunt, Pass};
use crate::init;
use crate::launch::{Pipes, no_scope};
use crate::place::Place;
use crate::proto::{Applied, Bound, Event, Exit, Request, ScopeId, Spawn, SpawnError, Stdio, Usage, VERSION};
use crate::reaper::{self, Errand};
use crate::start::{is_plain, note};

/// All scopes that live and have a process of their own.
pub(crate) struct Reapers {
    tools: Rc<Tools>,
    own_pidfd: OwnedFd,
    live: HashMap<ScopeId, Live>,
    reapers: HashMap<u32, ScopeId>,
    daemons: Vec<u32>,
    /// Scopes whose reaper was killed: their members are children of the keeper now.
    lost: Vec<Lost>,
    hunt: Option<Hunt>,
    /// Scopes that are over but for their groups.
    closing: Vec<Closing>,
}

struct Lost {
    scope: ScopeId,
    name: String,
    main: Option<u32>,
    main_exited: bool,
}

/// Why nothing was started, and what had been made for it.
type Unstarted = (SpawnError, Option<Group>, Option<Box<Bounds>>);

/// A scope in which nothing can be left; somebody may still have put something into its group from outside.
struct Closing {
    group: Group,
    killer: Killer,
    /// What is told when the group is gone.
    last: Event,
}

impl Reapers {
    pub(crate) fn new(tools: Rc<Tools>, own_pidfd: OwnedFd) -> Self {
        Self {
            tools,
            own_pidfd,
            live: HashMap::new(),
            reapers: HashMap::new(),
            daemons: Vec::new(),
            lost: Vec::new(),
            hunt: None,
            closing: Vec::new(),
        }
    }

    /// Whether a scope is held by a process of its own.
    pub(crate) fn has(&self, scope: ScopeId) -> bool {
        self.live.contains_key(&scope)
    }

    /// Whether a child is such a process.
    pub(crate) fn has_reaper(&self, pid: u32) -> bool {
        self.reapers.contains_key(&pid)
    }

    /// Whether there is any.
    pub(crate) fn has_any(&self) -> bool {
        !self.reapers.is_empty()
    }

    /// Which children are daemons, for they are none of the orphans.
    pub(crate) fn set_daemons(&mut self, daemons: Vec<u32>) {
        self.daemons = daemons;
    }

    /// Starts a process in a scope held by one of its own. `group` is where its members go.
    pub(crate) fn spawn(
        &mut self,
        spawn: &Spawn,
        group: Option<Group>,
        bounds: Option<Box<Bounds>>,
        out: &mut Vec<Event>,
    ) {
        if let Err((error, group, bounds)) = self.try_spawn(spawn, group, bounds) {
            // Nothing was ever in it.
            let _gone = group.map(|group| group.remove());
            let _gone = bounds.map(|mut bounds| bounds.remove(&self.tools));
            out.push(Event::SpawnFailed { scope: spawn.scope, error });
        }
    }

    fn try_spawn(&mut self, spawn: &Spawn, group: Option<Group>, bounds: Option<Box<Bounds>>) -> Result<(), Unstarted> {
        let groups = bounds.as_ref().map(|bounds| bounds.tasks()).unwrap_or_default();
        let (ours, pipes, reaper) = match self.start(spawn, group.as_ref(), &groups) {
            Ok(started) => started,
            Err(error) => return Err((error, group, bounds)),
        };
        kennel_sys::crash_point!("spawn.reaper-forked");
        self.reapers.insert(reaper, spawn.scope);
        self.tools.reapers.borrow_mut().insert(reaper);
        let live = Live {
            reaper,
            channel: Channel::new(ours),
            version: VERSION,
            name: spawn.name.clone(),
            pipes: pipes.map(|pipes| pipes.read),
            group,
            bounds,
            is_init: spawn.isolation.pid,
            main: None,
            main_pidfd: None,
            main_exited: false,
            silent: None,
            freezing: None,
            last: None,
        };
        self.live.insert(spawn.scope, live);
        Ok(())
    }

    /// Makes the process; our end of the channel to it, the pipes of the service, and its number.
    fn start(
        &self,
        spawn: &Spawn,
        group: Option<&Group>,
        groups: &[CString],
    ) -> Result<(OwnedFd, Option<Pipes>, u32), SpawnError> {
        let scope = spawn.scope;
        let fail = |error: io::Error| no_scope(&error, spawn.name.clone());
        if !is_plain(spawn.name.as_ref()) || scope.0 > LAST_SCOPE || self.live.contains_key(&scope) {
            return Err(fail(rustix::io::Errno::INVAL.into()));
        }
        self.tools.check_room().map_err(fail)?;
        let pipes = matches!(spawn.stdio, Stdio::Capture).then(|| Pipes::new(spawn.keep)).transpose().map_err(fail)?;
        let (ours, theirs) = packet::pair().map_err(fail)?;
        self.tools.watch(ours.as_fd(), token_of(scope), EventFlags::IN).map_err(fail)?;
        let tag = self.tools.tags.next(false);
        let newborn = if spawn.isolation.pid {
            match fork_init(init::namespaces(spawn.isolation)).map_err(|error| init::refused(&error))? {
                Born::Parent(pid) => return Ok((ours, pipes, pid)),
                Born::Init(newborn) => Some(newborn),
            }
        } else {
            match fork().map_err(fail)? {
                Side::Parent(pid) => return Ok((ours, pipes, pid)),
                Side::Child => None,
            }
        };
        reaper::run(Errand {
            spawn,
            pipes: pipes.as_ref(),
            null: &self.tools.null,
            nofile: self.tools.nofile,
            tag,
            channel: theirs,
            keeper: &self.own_pidfd,
            newborn,
            cgroup: group.map(|group| group.fd().as_fd()),
            groups,
        })
    }

    pub(crate) fn signal(&mut self, scope: ScopeId, number: i32, everyone: bool, out: &mut Vec<Event>) {
        let Some(live) = self.live.get_mut(&scope) else { return };
        // Not taken: it is ending, or stopped and about to be continued. A signal promises nothing.
        let _lost = live.ask(&Request::Signal { scope, signal: number, everyone });
        let then_continue = number != Signal::KILL.as_raw() && !signal::stops(number);
        let Some(group) = live.group.as_ref().filter(|_| then_continue) else { return };
        if group.is_told_to_freeze() {
            live.freeze(scope, false, Instant::now(), out);
        } else {
            // The signal waits where somebody has frozen a group below.
            group.thaw();
        }
    }

    /// Changes what a scope may use, if it has a group.
    pub(crate) fn bound(&mut self, scope: ScopeId, wanted: &[Bound], place: &Place) -> Option<Vec<Applied>> {
        let live = self.live.get_mut(&scope)?;
        let group = live.group.as_ref()?;
        let bounds = live.bounds.get_or_insert_default();
        let applied = bounds.set(place, group.directory(), wanted);
        bounds.move_in(group);
        Some(applied)
    }

    /// Has every scope that has a group take part in what is bounded above it now.
    pub(crate) fn take_part(&mut self, place: &Place, pools: &Pools) {
        for live in self.live.values_mut() {
            let Some(group) = &live.group else { continue };
            pools.join_again(place, group, &mut live.bounds);
            if let Some(bounds) = &mut live.bounds {
                bounds.move_in(group);
            }
        }
    }

    pub(crate) fn freeze(&mut self, scope: ScopeId, frozen: bool, out: &mut Vec<Event>) {
        if let Some(live) = self.live.get_mut(&scope) {
            live.freeze(scope, frozen, Instant::now(), out);
        }
    }

    /// Whether a process is in a scope: below its reaper, which is a child of ours that is not reaped.
    pub(crate) fn holds(&self, scope: ScopeId, pid: u32) -> bool {
        self.live.get(&scope).is_some_and(|live| proc::is_descendant(pid, live.reaper))
    }

    pub(crate) fn kill(&mut self, scope: ScopeId, _out: &mut Vec<Event>) {
        if let Some(live) = self.live.get_mut(&scope) {
            live.kill(scope);
        }
    }

    pub(crate) fn kill_all_but(&mut self, kept: &BTreeSet<ScopeId>, _out: &mut Vec<Event>) {
        for (scope, live) in self.live.iter_mut().filter(|(scope, _)| !kept.contains(scope)) {
            live.kill(*scope);
        }
    }

    pub(crate) fn ready(&mut self, token: u64, out: &mut Vec<Event>) {
        if let Some(scope) = scope_of(token) {
            self.listen(scope, out);
        }
    }

    fn listen(&mut self, scope: ScopeId, out: &mut Vec<Event>) {
        let Some(live) = self.live.get_mut(&scope) else { return };
        loop {
            match live.channel.receive() {
                Ok(Incoming::Message(bytes, fds)) => match codec::decode_event(&bytes, fds, live.version) {
                    Ok(event) => live.hear(event, out),
                    Err(error) => note!("the reaper of {} cannot be understood: {error}", live.name),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(Incoming::Closed) | Err(_) => {
                    // The rest is said by its exit.
                    self.tools.unwatch(&live.channel);
                    return;
                }
            }
        }
    }

    /// A child was stopped. A reaper must not stay so: its own scope may have done it.
    pub(crate) fn stopped(&mut self, pid: u32) {
        if self.reapers.contains_key(&pid)
            && let Ok(fd) = pidfd::open(pid)
        {
            // A child of ours that is not reaped, so the number is right.
            let _gone = pidfd::send_signal(&fd, Signal::CONT.as_raw());
        }
    }

    pub(crate) fn reap(&mut self, pid: u32, out: &mut Vec<Event>) {
        let Some(scope) = self.reapers.get(&pid).copied() else { return self.reap_orphan(pid, out) };
        self.listen(scope, out);
        let Ok(Some(_)) = wait::reap(pid, false) else { return };
        self.reapers.remove(&pid);
        self.tools.reapers.borrow_mut().remove(&pid);
        let Some(mut live) = self.live.remove(&scope) else { return };
        self.tools.unwatch(&live.channel);
        if let Some(mut bounds) = live.bounds.take() {
            if let Some(group) = &live.group {
                out.extend(bounds.news(scope, group, Instant::now()));
            }
            // Nobody is left in a namespace that has ended. What is not removed goes with the place.
            let _gone = bounds.remove(&self.tools);
        }
        match live.last {
            Some(event) => self.close(live.group, event, out),
            None if live.is_init => {
                note!("the first process of {} was killed, and everything in its namespace with it", live.name);
                self.init_lost(scope, live, out);
            }
            None => {
                note!("the reaper of {} was killed; ending what it held together", live.name);
                let Live { name, main, main_exited, .. } = live;
                self.lost.push(Lost { scope, name, main, main_exited });
            }
        }
    }

    /// It could not be reaped before all of its namespace was gone, so there is nothing left to end.
    fn init_lost(&mut self, scope: ScopeId, live: Live, out: &mut Vec<Event>) {
        if live.main.is_none() {
            let error = io::Error::from(rustix::io::Errno::AGAIN);
            let error = no_scope(&error, live.name);
            return self.close(live.group, Event::SpawnFailed { scope, error }, out);
        }
        if !live.main_exited {
            let status = live.main_pidfd.and_then(|main| pidfd::info(main).ok()?.wait_status);
            let exit = status.map_or(Exit::Unknown, |status| wait::Exit::of_status(status).into());
            out.push(Event::MainExited { scope, exit, usage: Usage::default() });
        }
        self.close(live.group, Event::Emptied { scope }, out);
    }

    /// Tells the last of a scope, once its group is gone.
    fn close(&mut self, group: Option<Group>, last: Event, out: &mut Vec<Event>) {
        match group {
            Some(group) if group.remove().is_err() => {
                let (killer, _later) = Killer::start(&group, Instant::now());
                self.closing.push(Closing { group, killer, last });
            }
            _ => out.push(last),
        }
    }

    /// Goes on with what takes its time.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.hunt(out);
        for (scope, live) in &mut self.live {
            if live.silent.is_some_and(|silent| silent <= now) {
                live.hasten(*scope, now, out);
            }
            if live.freezing.as_ref().is_some_and(|freezing| freezing.due <= now) {
                live.look_at_freezing(*scope, now, out);
            }
        }
        for mut closing in std::mem::take(&mut self.closing) {
            match closing.killer.step(&closing.group, now) {
                Step::Empty => {
                    out.push(closing.last);
                    continue;
                }
                Step::Stuck => note!("{} does not get empty", closing.group.directory().display()),
                Step::Again => {}
            }
            self.closing.push(closing);
        }
    }

    fn reap_orphan(&mut self, pid: u32, out: &mut Vec<Event>) {
        let Ok(Some(reaped)) = wait::reap(pid, false) else { return };
        let exit = reaped.exit.into();
        if let Some(lost) = self.lost.iter_mut().find(|lost| lost.main == Some(pid) && !lost.main_exited) {
            lost.main_exited = true;
            out.push(Event::MainExited { scope: lost.scope, exit, usage: usage(&reaped) });
        } else if let [lost] = self.lost.as_slice() {
            out.push(Event::Reaped { scope: lost.scope, pid, exit });
        }
    }

    /// Ends the orphans of scopes that lost their reaper. Which belongs to which cannot be told any more, so
    /// all these scopes become empty together.
    fn hunt(&mut self, out: &mut Vec<Event>) {
        if self.lost.is_empty() {
            self.hunt = None;
            return;
        }
        let known: HashSet<u32> = self.reapers.keys().chain(&self.daemons).copied().collect();
        let now = Instant::now();
        let hunt = self.hunt.get_or_insert_with(|| Hunt::new(now));
        if hunt.due() > now {
            return;
        }
        match hunt.pass(|pid| known.contains(&pid)) {
            Pass::Again => return,
            Pass::Stuck(pids) => {
                let left = super::reported(&pids);
                for lost in &self.lost {
                    out.push(Event::Stuck { scope: lost.scope, survivors: left.clone() });
                }
                return;
            }
            Pass::Gone => {}
        }
        // Zombies among them are children of ours, and reaped before the next pass.
        let children = process::children().unwrap_or_default();
        if children.iter().any(|pid| !known.contains(pid)) {
            return;
        }
        self.hunt = None;
        for lost in std::mem::take(&mut self.lost) {
            let scope = lost.scope;
            if lost.main.is_none() {
                let error = io::Error::from(rustix::io::Errno::AGAIN);
                out.push(Event::SpawnFailed { scope, error: no_scope(&error, lost.name) });
                continue;
            }
            if !lost.main_exited {
                out.push(Event::MainExited { scope, exit: Exit::Unknown, usage: Usage::default() });
            }
            out.push(Event::Emptied { scope });
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let hunt = self.hunt.as_ref().map(Hunt::due);
        let silent = self.live.values().filter_map(|live| live.silent);
        let closing = self.closing.iter().map(|closing| closing.killer.due());
        let freezing = self.live.values().filter_map(|live| live.freezing.as_ref().map(|freezing| freezing.due));
        silent.chain(freezing).chain(closing).chain(hunt).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.lost.is_empty() && self.closing.is_empty()
    }
}

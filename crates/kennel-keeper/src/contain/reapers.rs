//! A small process of its own for every scope, where there is no usable cgroup.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

use kennel_sys::process::{self, Side, fork};
use kennel_sys::{packet, pidfd, proc, wait};
use rustix::event::epoll::EventFlags;
use rustix::process::Signal;

use super::{LAST_SCOPE, Tools, scope_of, token_of, usage};
use crate::channel::{Channel, Incoming, send_now};
use crate::codec;
use crate::hunt::{Hunt, Pass};
use crate::launch::{Pipes, no_scope};
use crate::place::Refused;
use crate::proto::{Backend, Event, Exit, Request, ScopeId, Spawn, SpawnError, Stdio, Usage};
use crate::reaper::{self, Errand};
use crate::start::{is_plain, note};

/// All scopes that live.
pub(crate) struct Reapers {
    tools: Rc<Tools>,
    own_pidfd: OwnedFd,
    /// Why there is no cgroup.
    refused: Refused,
    live: HashMap<ScopeId, Live>,
    reapers: HashMap<u32, ScopeId>,
    daemon: Option<u32>,
    /// Scopes whose reaper was killed: their members are children of the keeper now.
    lost: Vec<Lost>,
    hunt: Option<Hunt>,
}

/// A scope whose reaper runs.
struct Live {
    reaper: u32,
    channel: Channel,
    name: String,
    pipes: Option<[OwnedFd; 2]>,
    main: Option<u32>,
    main_exited: bool,
    /// The last word of a reaper that ends as it should; told when the reaper itself is gone.
    last: Option<Event>,
}

struct Lost {
    scope: ScopeId,
    name: String,
    main: Option<u32>,
    main_exited: bool,
}

impl Reapers {
    pub(crate) fn new(tools: Rc<Tools>, own_pidfd: OwnedFd, refused: Refused) -> Self {
        Self {
            tools,
            own_pidfd,
            refused,
            live: HashMap::new(),
            reapers: HashMap::new(),
            daemon: None,
            lost: Vec::new(),
            hunt: None,
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        Backend::Reaper { reason: self.refused.reason, because: self.refused.because.clone() }
    }

    /// Which child is the daemon, for it is none of the orphans.
    pub(crate) fn set_daemon(&mut self, daemon: Option<u32>) {
        self.daemon = daemon;
    }

    pub(crate) fn spawn(&mut self, spawn: &Spawn, out: &mut Vec<Event>) {
        if let Err(error) = self.try_spawn(spawn) {
            out.push(Event::SpawnFailed { scope: spawn.scope, error });
        }
    }

    fn try_spawn(&mut self, spawn: &Spawn) -> Result<(), SpawnError> {
        let scope = spawn.scope;
        let fail = |error: io::Error| no_scope(&error, spawn.name.clone());
        if !is_plain(spawn.name.as_ref()) || scope.0 > LAST_SCOPE || self.live.contains_key(&scope) {
            return Err(fail(rustix::io::Errno::INVAL.into()));
        }
        self.tools.check_room().map_err(fail)?;
        let pipes = matches!(spawn.stdio, Stdio::Capture).then(Pipes::new).transpose().map_err(fail)?;
        let (ours, theirs) = packet::pair().map_err(fail)?;
        self.tools.watch(ours.as_fd(), token_of(scope), EventFlags::IN).map_err(fail)?;
        let tag = self.tools.tags.next();
        let reaper = match fork().map_err(fail)? {
            Side::Parent(pid) => pid,
            Side::Child => reaper::run(Errand {
                spawn,
                pipes: pipes.as_ref(),
                null: &self.tools.null,
                nofile: self.tools.nofile,
                tag,
                channel: theirs,
                keeper: &self.own_pidfd,
            }),
        };
        kennel_sys::crash_point!("spawn.reaper-forked");
        self.reapers.insert(reaper, scope);
        let live = Live {
            reaper,
            channel: Channel::new(ours),
            name: spawn.name.clone(),
            pipes: pipes.map(|pipes| pipes.read),
            main: None,
            main_exited: false,
            last: None,
        };
        self.live.insert(scope, live);
        Ok(())
    }

    pub(crate) fn signal(&mut self, scope: ScopeId, signal: i32, everyone: bool) {
        if let Some(live) = self.live.get(&scope) {
            // Not taken: it is ending, or stopped and about to be continued. A signal promises nothing.
            let _lost = live.ask(&Request::Signal { scope, signal, everyone });
        }
    }

    /// Whether a process is in a scope: below its reaper, which is a child of ours that is not reaped.
    pub(crate) fn holds(&self, scope: ScopeId, pid: u32) -> bool {
        self.live.get(&scope).is_some_and(|live| proc::is_descendant(pid, live.reaper))
    }

    pub(crate) fn kill(&mut self, scope: ScopeId, _out: &mut Vec<Event>) {
        if let Some(live) = self.live.get(&scope) {
            live.kill(scope);
        }
    }

    pub(crate) fn kill_all(&mut self, _out: &mut Vec<Event>) {
        for (scope, live) in &self.live {
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
                Ok(Incoming::Message(bytes, fds)) => match codec::decode_event(&bytes, fds) {
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
        let Some(live) = self.live.remove(&scope) else { return };
        self.tools.unwatch(&live.channel);
        match live.last {
            Some(event) => out.push(event),
            None => {
                note!("the reaper of {} was killed; ending what it held together", live.name);
                let Live { name, main, main_exited, .. } = live;
                self.lost.push(Lost { scope, name, main, main_exited });
            }
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
    pub(crate) fn hunt(&mut self, out: &mut Vec<Event>) {
        if self.lost.is_empty() {
            self.hunt = None;
            return;
        }
        let known: HashSet<u32> = self.reapers.keys().copied().chain(self.daemon).collect();
        let now = Instant::now();
        let hunt = self.hunt.get_or_insert_with(|| Hunt::new(now));
        if hunt.due() > now {
            return;
        }
        match hunt.pass(|pid| known.contains(&pid)) {
            Pass::Again => return,
            Pass::Stuck(pids) => {
                let left = kennel_sys::cgroup::survivors(&pids, 64);
                let left: Vec<_> = left.into_iter().map(Into::into).collect();
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
        self.hunt.as_ref().map(Hunt::due)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.lost.is_empty()
    }
}

impl Live {
    fn ask(&self, request: &Request) -> io::Result<()> {
        let (bytes, fds) = codec::encode_request(request);
        send_now(self.channel.socket(), &bytes, &fds)
    }

    fn kill(&self, scope: ScopeId) {
        let asked = self.ask(&Request::Kill { scope });
        kennel_sys::crash_point!("stop.kill-asked");
        let Err(error) = asked else { return };
        if error.kind() == io::ErrorKind::WouldBlock {
            // It does not listen. Without it the members become ours, and are ended by ourselves.
            note!("the reaper of {} does not listen", self.name);
            if let Ok(fd) = pidfd::open(self.reaper) {
                let _gone = pidfd::send_signal(&fd, Signal::KILL.as_raw());
            }
        }
    }

    /// Takes what the reaper says; what it says last is kept until the reaper itself is gone.
    fn hear(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::Spawned { scope, pid, identity, place, .. } => {
                self.main = Some(pid);
                out.push(Event::Spawned { scope, pid, identity, place, pipes: self.pipes.take() });
            }
            Event::MainExited { .. } => {
                self.main_exited = true;
                out.push(event);
            }
            Event::SpawnFailed { .. } | Event::Emptied { .. } => self.last = Some(event),
            Event::Reaped { .. }
            | Event::Stuck { .. }
            | Event::Stage { .. }
            | Event::Escaped { .. }
            | Event::Signalled { .. } => out.push(event),
            Event::Welcome { .. } => {}
        }
    }
}

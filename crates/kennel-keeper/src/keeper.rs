//! The loop: what the daemon asks, what the kernel tells, what is due.

mod records;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use kennel_sys::signal::SignalFd;
use kennel_sys::spawn::Spawner;
use kennel_sys::wait::{self, News};
use rustix::event::epoll::{self, EventFlags};
use rustix::process::Signal;

use self::records::Records;
use crate::channel::Incoming;
use crate::contain::{Contain, Tools};
use crate::daemon::{Daemon, Losses};
use crate::proto::{AdoptError, Backend, Event, Follows, Request, Successor, VERSION};
use crate::start::{Options, Setup, note};
use crate::tag::{Leftovers, Tags};
use crate::{codec, contain};

const CHANNEL: u64 = 0;
const SIGNALS: u64 = 1;

/// A daemon that says goodbye and does not go is ended after this time.
const GOODBYE: Duration = Duration::from_secs(10);
/// Most messages taken from the daemon before anything else is looked at.
const BATCH: usize = 64;
/// Most children reaped before anything else is looked at: a service that makes them faster than they can be reaped
/// must not keep its own stop from being heard.
const REAPED: usize = 256;

/// Everything a running keeper has.
pub(crate) struct Keeper {
    options: Options,
    setup: Setup,
    tools: Rc<Tools>,
    signals: SignalFd,
    spawner: Spawner,
    contain: Contain,
    /// Every scope that the daemon has not forgotten.
    records: Records,
    /// What the daemon gave to keep for the next one, by its name for it.
    held: BTreeMap<String, OwnedFd>,
    daemon: Option<Daemon>,
    losses: Losses,
    /// What an earlier keeper left and what could not be ended at the start.
    leftovers: Option<Leftovers>,
    /// Who the daemon knows to be left of it.
    told_left: BTreeSet<u32>,
    next_start: Option<Instant>,
    /// More children wait to be reaped, and no signal will say so again.
    unreaped: bool,
    /// Set by a goodbye, or when the daemon cannot be kept alive: nothing is started any more.
    leaving: Option<Instant>,
}

impl Keeper {
    pub(crate) fn new(
        options: Options,
        setup: Setup,
        tools: Rc<Tools>,
        signals: SignalFd,
        contain: Contain,
    ) -> io::Result<Self> {
        tools.watch(signals.as_fd(), SIGNALS, EventFlags::IN)?;
        // Before anything starts that might need its ports.
        let leftovers = setup.follows_a_loss.then(|| {
            note!("an earlier keeper was lost; looking for what it left");
            Leftovers::sweep(tools.tags.instance())
        });
        Ok(Self {
            options,
            setup,
            tools,
            signals,
            spawner: Spawner::new()?,
            contain,
            records: Records::default(),
            held: BTreeMap::new(),
            daemon: None,
            losses: Losses::default(),
            leftovers: leftovers.flatten(),
            told_left: BTreeSet::new(),
            next_start: None,
            unreaped: false,
            leaving: None,
        })
    }

    /// Starts the daemon; the first one reports to `ready`.
    pub(crate) fn start_daemon(&mut self, ready: Option<&OwnedFd>) -> io::Result<()> {
        let daemon = Daemon::start(&self.options, &self.setup, &mut self.spawner, ready)?;
        self.tools.watch(daemon.channel.as_fd(), CHANNEL, EventFlags::IN)?;
        self.contain.set_daemon(Some(daemon.pid));
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Runs until everything has ended; answers whether nothing at all is left.
    pub(crate) fn run(mut self) -> bool {
        while !self.is_done() {
            if let Err(error) = self.turn() {
                // Nothing here is known to fail. Leaving would abandon the scopes, so that is not what happens.
                note!("the event loop stumbled: {error}");
                kennel_sys::process::pause(Duration::from_millis(100));
            }
        }
        self.contain.remove();
        // Whatever went where neither cgroup nor reaper saw it.
        self.leftovers.is_none() && Leftovers::sweep(self.tools.tags.instance()).is_none()
    }

    /// Cleans up after a start that failed.
    pub(crate) fn abandon(mut self) {
        self.contain.remove();
    }

    fn is_done(&self) -> bool {
        self.leaving.is_some() && self.daemon.is_none() && self.contain.is_empty()
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut ready = [epoll::Event { flags: EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
        let now = Instant::now();
        let due = if self.unreaped { Some(now) } else { self.due() };
        let timeout = due.map(|due| due.saturating_duration_since(now));
        let timeout = timeout.and_then(|time| rustix::event::Timespec::try_from(time).ok());
        let count = match epoll::wait(&self.tools.epoll, &mut ready[..], timeout.as_ref()) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let mut out = Vec::new();
        let ready = ready.get(..count).unwrap_or_default();
        let has = |token: u64| ready.iter().any(|event| event.data.u64() == token);
        if has(CHANNEL) {
            self.hear(&mut out);
        }
        // After the daemon's last words have been read, and before anything that takes its time.
        if has(SIGNALS) || self.unreaped {
            self.on_signals(&mut out)?;
        }
        for token in ready.iter().map(|event| event.data.u64()).filter(|token| ![CHANNEL, SIGNALS].contains(token)) {
            self.contain.ready(token, &mut out);
        }
        self.on_time(Instant::now(), &mut out);
        // Once for all of it: a look costs the more the more children there are.
        self.contain.look(&mut out);
        self.publish(out);
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        // Once it has passed, the goodbye needs no more looking after.
        let goodbye = self.leaving.filter(|_| self.daemon.is_some());
        let leftovers = self.leftovers.as_ref().map(Leftovers::due);
        [self.contain.due(), self.next_start, goodbye, leftovers].into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Instant, out: &mut Vec<Event>) {
        let due = self.contain.due().is_some_and(|due| due <= now);
        if due {
            self.contain.tick(now, out);
        }
        let hunted = self.leftovers.take_if(|leftovers| leftovers.due() <= now);
        let looked = due || hunted.is_some();
        if let Some(leftovers) = hunted {
            self.leftovers = leftovers.go_on();
        }
        if looked {
            self.tell_leftovers(out);
        }
        if self.next_start.is_some_and(|due| due <= now) {
            self.next_start = None;
            if let Err(error) = self.start_daemon(None) {
                note!("cannot start the daemon: {error}");
                self.lost(now, out);
            }
            kennel_sys::crash_point!("restart.started");
        }
        if self.leaving.is_some_and(|due| due <= now)
            && let Some(daemon) = &self.daemon
        {
            daemon.kill();
            self.leaving = Some(now + GOODBYE);
        }
    }

    /// Reads what the daemon says.
    fn hear(&mut self, out: &mut Vec<Event>) {
        for _ in 0..BATCH {
            let Some(daemon) = &mut self.daemon else { return };
            let request = match daemon.channel.receive() {
                Ok(Incoming::Message(bytes, fds)) => codec::decode_request(&bytes, fds).map_err(io::Error::from),
                Ok(Incoming::Closed) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => Err(error),
            };
            match request {
                Ok(request) => self.obey(request, out),
                Err(error) => {
                    if error.kind() != io::ErrorKind::UnexpectedEof {
                        note!("the daemon cannot be understood: {error}");
                    }
                    // Without a connection it is of no use. Its end is dealt with when it is reaped.
                    self.tools.unwatch(&daemon.channel);
                    daemon.greeted = false;
                    if self.leaving.is_none() {
                        daemon.kill();
                    }
                    return;
                }
            }
        }
        self.flush();
    }

    fn obey(&mut self, request: Request, out: &mut Vec<Event>) {
        match request {
            Request::Hello { version } => {
                if version != VERSION {
                    note!("the daemon speaks version {version} of the protocol, we speak {VERSION}");
                }
                kennel_sys::crash_point!("start.hello-heard");
                // What has happened until now is part of the welcome; what comes after it is told.
                self.publish(std::mem::take(out));
                self.welcome();
                self.told_left.clear();
                self.tell_leftovers(out);
                kennel_sys::crash_point!("start.welcomed");
            }
            Request::Spawn(spawn) => {
                self.records.begin(&spawn);
                self.contain.spawn(spawn, out);
            }
            Request::Signal { scope, signal, everyone } => {
                self.contain.signal(scope, signal, everyone);
                kennel_sys::crash_point!("stop.signalled");
            }
            Request::SignalProcess { scope, process, signal } => {
                self.contain.signal_process(scope, process, signal, out);
            }
            Request::Kill { scope } => {
                self.records.ending(scope);
                self.contain.kill(scope, out);
            }
            Request::Forget { scope } => self.records.forget(scope),
            Request::Hold { name, fd } => {
                self.held.insert(name, fd);
            }
            Request::Release { name } => {
                self.held.remove(&name);
            }
            Request::Adopt(adopt) => {
                let error = match self.contain.backend() {
                    Backend::Cgroup { .. } => AdoptError::Gone,
                    Backend::Reaper { .. } => AdoptError::NoCgroups,
                };
                out.push(Event::AdoptRefused { scope: adopt.scope, error });
            }
            Request::Settled => out.push(Event::Strays { strays: Vec::new() }),
            Request::KillStray { leaf } => out.push(Event::StrayEnded { leaf }),
            Request::Succeed { .. } | Request::HandOver => {
                let why = "this keeper cannot start a second daemon".to_owned();
                out.push(Event::Successor(Successor::Failed { why }));
            }
            Request::Exec { .. } => {
                let refused = Some("this keeper cannot replace itself".to_owned());
                out.push(Event::Executed { version: VERSION, refused });
            }
            Request::Bye => {
                self.leaving = Some(Instant::now() + GOODBYE);
                self.contain.kill_all(out);
                kennel_sys::crash_point!("end.bye-heard");
            }
        }
    }

    /// Says who is left of an earlier keeper, if that has changed.
    fn tell_leftovers(&mut self, out: &mut Vec<Event>) {
        let hunted = self.leftovers.iter().flat_map(Leftovers::left);
        let left: BTreeSet<u32> = hunted.chain(self.contain.leftovers()).collect();
        if left != self.told_left {
            let pids: Vec<u32> = left.iter().copied().collect();
            out.push(Event::Leftovers { survivors: contain::reported(&pids) });
            self.told_left = left;
        }
    }

    fn welcome(&mut self) {
        let event = Event::Welcome {
            version: VERSION,
            pid: std::process::id(),
            backend: self.contain.backend(),
            follows: if self.losses.is_none() { Follows::Fresh } else { Follows::Loss },
            known: self.records.known(),
        };
        if let Some(daemon) = &mut self.daemon {
            daemon.greeted = true;
        }
        self.send(&event);
        // Sent as they are and not duplicated: the channel does that for those that cannot go at once.
        for (name, fd) in std::mem::take(&mut self.held) {
            let event = Event::Held { name, fd };
            self.send(&event);
            if let Event::Held { name, fd } = event {
                self.held.insert(name, fd);
            }
        }
    }

    /// Keeps what an event says, and tells it to the daemon.
    fn publish(&mut self, events: Vec<Event>) {
        for event in events {
            self.send(&event);
            if let Event::Stuck { scope, survivors } = &event {
                note!("scope {} will not empty: {survivors:?}", scope.0);
            }
            self.records.keep(event);
        }
        self.flush();
    }

    fn send(&mut self, event: &Event) {
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.greeted) else { return };
        let (bytes, fds) = codec::encode_event(event);
        if let Err(error) = daemon.channel.queue(&bytes, &fds) {
            // Out of descriptors, and so the same as below.
            note!("cannot tell the daemon what happened: {error}");
            daemon.kill();
        }
        match event {
            Event::Spawned { .. } => kennel_sys::crash_point!("spawn.answered"),
            Event::Emptied { .. } => kennel_sys::crash_point!("stop.told"),
            _ => {}
        }
    }

    /// Sends what is queued, and asks to be woken if the daemon does not take it all.
    fn flush(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        let waiting = match daemon.channel.flush() {
            Ok(waiting) => waiting,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
                    // A daemon that misses an event is worse than one that starts anew and asks.
                    note!("cannot tell the daemon what happened: {error}");
                    daemon.kill();
                }
                // Else it is gone, or about to be: reported when it is reaped.
                daemon.greeted = false;
                return;
            }
        };
        if std::mem::replace(&mut daemon.is_behind, waiting) == waiting {
            return;
        }
        let flags = if waiting { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        let data = epoll::EventData::new_u64(CHANNEL);
        // Fails only after it was taken out of the set, because the connection is closed.
        let _closed = epoll::modify(&self.tools.epoll, &daemon.channel, data, flags);
    }

    fn on_signals(&mut self, out: &mut Vec<Event>) -> io::Result<()> {
        let pending = self.signals.take()?;
        let has = |signal: Signal| pending & 1 << (signal.as_raw() - 1) != 0;
        if has(Signal::CHILD) || self.unreaped {
            self.reap(out)?;
        }
        if has(Signal::TERM) || has(Signal::INT) {
            match &self.daemon {
                // It knows how to stop everything politely.
                Some(daemon) => daemon.signal(Signal::TERM.as_raw()),
                None => self.leave(out),
            }
        }
        Ok(())
    }

    fn reap(&mut self, out: &mut Vec<Event>) -> io::Result<()> {
        self.unreaped = false;
        self.unreaped = self.reap_some(out)?;
        // Whoever waits for an exit need not wait for the look at its scope, which comes at the end of the turn.
        self.publish(std::mem::take(out));
        self.contain.reaped(out);
        Ok(())
    }

    /// Answers whether there may be more.
    fn reap_some(&mut self, out: &mut Vec<Event>) -> io::Result<bool> {
        let stops = self.contain.minds_stops();
        let mut before = None;
        for _ in 0..REAPED {
            match wait::peek(stops) {
                Ok(Some((pid, News::Stopped))) => {
                    // In this order: a stop that comes after the continue is news again.
                    wait::forget_stop(pid)?;
                    self.contain.stopped(pid);
                }
                // Not reaped the last time, for whatever reason: never a busy loop.
                Ok(Some((pid, News::Ended))) if before == Some(pid) => return Ok(false),
                Ok(Some((pid, News::Ended))) => {
                    before = Some(pid);
                    match self.daemon.take_if(|daemon| daemon.pid == pid) {
                        Some(daemon) => self.daemon_ended(daemon, out)?,
                        None => {
                            self.contain.reap(pid, out);
                            kennel_sys::crash_point!("stop.reaped");
                        }
                    }
                }
                Ok(None) => return Ok(false),
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::CHILD.raw_os_error()) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn daemon_ended(&mut self, mut daemon: Daemon, out: &mut Vec<Event>) -> io::Result<()> {
        let reaped = wait::reap(daemon.pid, false)?;
        self.contain.set_daemon(None);
        // Goodbye may be the last thing that it said.
        while let Ok(Incoming::Message(bytes, fds)) = daemon.channel.receive() {
            if let Ok(Request::Bye) = codec::decode_request(&bytes, fds) {
                self.leaving = Some(Instant::now());
            }
        }
        if self.leaving.is_some() {
            self.contain.kill_all(out);
            return Ok(());
        }
        note!("the daemon is lost: {:?}", reaped.map(|reaped| reaped.exit));
        let failed_to_start = matches!(reaped.map(|reaped| reaped.exit), Some(wait::Exit::Code(_)));
        if failed_to_start && !daemon.greeted && self.losses.is_none() {
            // It has said why to whoever waits, and would say so again.
            self.leave(out);
        } else {
            self.lost(Instant::now(), out);
        }
        Ok(())
    }

    /// The policy for the loss of the daemon: everything ends at once, then a new one is started.
    fn lost(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.contain.kill_all(out);
        kennel_sys::crash_point!("restart.lost");
        match self.losses.note(now) {
            Some(next) => self.next_start = Some(next),
            None => {
                note!("the daemon was lost too often");
                self.leave(out);
            }
        }
    }

    fn leave(&mut self, out: &mut Vec<Event>) {
        self.leaving = Some(Instant::now());
        self.next_start = None;
        self.contain.kill_all(out);
    }
}

/// Opens what every containment shares.
pub(crate) fn tools(setup: &Setup) -> io::Result<Rc<Tools>> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let most = setup.nofile.and_then(|nofile| nofile.maximum);
    let tags = Tags::new(&setup.lock)?;
    let (null, nofile) = (setup.null.try_clone()?, setup.nofile);
    Ok(Rc::new(contain::Tools { epoll, null, nofile, most, tags, reapers: RefCell::default() }))
}

//! The loop: what the daemon asks, what the kernel tells, what is due.

mod exec;
mod handover;
mod losses;
mod records;
mod saved;
mod strays;
mod talk;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use kennel_sys::signal::SignalFd;
use kennel_sys::spawn::Spawner;
use kennel_sys::wait::{self, News};
use rustix::event::epoll::{self, EventFlags};
use rustix::process::Signal;

use self::exec::Exec;
pub(crate) use self::exec::{CHECK, RESUME, can_resume, resume};
use self::handover::HandOver;
use self::losses::Losses;
use self::records::Records;
use self::strays::Hunted;
use crate::contain::{self, Contain, Tools};
use crate::daemon::{Daemon, Manner};
use crate::proto::{Event, Follows};
use crate::start::{Options, Setup, note};
use crate::tag::{Leftovers, Tags, Which};

const SIGNALS: u64 = 0;
/// Tokens of the channels to daemons, of which there are two at most, and two that are just ending.
const CHANNELS: std::ops::Range<u64> = 1..5;

/// A daemon that says goodbye and does not go is ended after this time.
const GOODBYE: Duration = Duration::from_secs(10);
/// After this time nobody needs what a start has touched: a keeper runs for as long as the stack.
const BEGINNING: Duration = Duration::from_secs(3);
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
    records: Records,
    /// What the daemon gave to keep for the next one, by its name for it.
    held: BTreeMap<String, OwnedFd>,
    /// The one that decides.
    daemon: Option<Daemon>,
    /// What it will follow, or follows.
    follows: Follows,
    handover: HandOver,
    exec: Exec,
    /// Process ids of daemons that were killed because they are of no use any more.
    discarded: Vec<u32>,
    losses: Losses,
    /// What an earlier keeper left and what could not be ended at the start.
    leftovers: Option<Leftovers>,
    /// Strays that are being ended on request, found by their tag.
    hunted: Hunted,
    /// Who the daemon knows to be left of it.
    told_left: BTreeSet<u32>,
    next_start: Option<Instant>,
    /// When it gives back what only its start needed.
    rests_at: Option<Instant>,
    /// More children wait to be reaped, and no signal will say so again.
    unreaped: bool,
    /// Set by a goodbye, or when the daemon cannot be kept alive: nothing is started any more.
    leaving: Option<Instant>,
    /// The daemon has ended everything on purpose, also what was to be kept.
    said_goodbye: bool,
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
            Leftovers::sweep(tools.tags.instance(), Which::NotKept)
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
            follows: Follows::Fresh,
            handover: HandOver::None,
            exec: Exec::None,
            discarded: Vec::new(),
            losses: Losses::default(),
            leftovers: leftovers.flatten(),
            hunted: Hunted::new(),
            told_left: BTreeSet::new(),
            next_start: None,
            rests_at: Some(Instant::now() + BEGINNING),
            unreaped: false,
            leaving: None,
            said_goodbye: false,
        })
    }

    /// Starts the first daemon, which reports to `ready`.
    pub(crate) fn start(&mut self, ready: &OwnedFd) -> io::Result<()> {
        self.start_daemon(Manner::First(ready))
    }

    fn start_daemon(&mut self, manner: Manner<'_>) -> io::Result<()> {
        self.daemon = Some(self.launch(manner)?);
        self.tell_contain();
        Ok(())
    }

    fn launch(&mut self, manner: Manner<'_>) -> io::Result<Daemon> {
        let used: Vec<u64> = self.daemons().map(|daemon| daemon.token).collect();
        let token = CHANNELS.clone().find(|token| !used.contains(token)).unwrap_or(CHANNELS.start);
        let daemon = Daemon::start(&self.options, &self.setup, &mut self.spawner, manner, token)?;
        if let Err(error) = self.tools.watch(daemon.channel.as_fd(), token, EventFlags::IN) {
            daemon.kill();
            self.discarded.push(daemon.pid);
            return Err(error);
        }
        Ok(daemon)
    }

    /// Those that live and are of use.
    fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.daemon.iter().chain(self.handover.other())
    }

    /// Which children are daemons, for they are in no scope.
    fn tell_contain(&mut self) {
        let daemons = self.daemons().map(|daemon| daemon.pid);
        let others = self.discarded.iter().copied().chain(self.exec.pid());
        self.contain.set_daemons(daemons.chain(others).collect());
    }

    /// Runs until everything has ended; answers with the lock, and whether nothing at all is left.
    pub(crate) fn run(mut self) -> (File, bool) {
        while !self.is_done() {
            if let Err(error) = self.turn() {
                // Nothing here is known to fail. Leaving would abandon the scopes, so that is not what happens.
                note!("the event loop stumbled: {error}");
                kennel_sys::process::pause(Duration::from_millis(100));
            }
        }
        // Whatever went where neither cgroup nor reaper saw it.
        // After a goodbye nothing at all may be left; else what an earlier keeper kept waits for the next one.
        let which = if self.said_goodbye { Which::All } else { Which::NotKept };
        let swept = Leftovers::sweep(self.tools.tags.instance(), which).is_none();
        self.contain.remove();
        let all_gone = self.leftovers.is_none() && swept && !self.leaves_strays();
        (self.setup.lock, all_gone)
    }

    /// Cleans up after a start that failed.
    pub(crate) fn abandon(mut self) {
        self.contain.remove();
    }

    fn is_done(&self) -> bool {
        let nobody = self.daemons().next().is_none() && self.discarded.is_empty() && self.exec.pid().is_none();
        self.leaving.is_some() && nobody && self.contain.is_empty()
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
        for token in CHANNELS.filter(|token| has(*token)) {
            self.hear(token, &mut out);
        }
        // After what the daemon has said, and before anything that takes its time.
        if has(SIGNALS) || self.unreaped {
            self.on_signals(&mut out)?;
        }
        for token in ready.iter().map(|event| event.data.u64()).filter(|token| *token >= CHANNELS.end) {
            self.contain.ready(token, &mut out);
        }
        self.on_time(Instant::now(), &mut out);
        // Once for all of it: a look costs the more the more children there are.
        self.contain.look(&mut out);
        self.publish(out);
        self.replace_if_due();
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        // Once it has passed, the goodbye needs no more looking after.
        let goodbye = self.leaving.filter(|_| self.daemon.is_some());
        let leftovers = self.leftovers.as_ref().map(Leftovers::due);
        let ours = [
            self.next_start,
            self.rests_at,
            goodbye,
            leftovers,
            self.handover.due(),
            self.exec.due(),
            self.strays_due(),
        ];
        ours.into_iter().chain([self.contain.due()]).flatten().min()
    }

    fn on_time(&mut self, now: Instant, out: &mut Vec<Event>) {
        let due = self.contain.due().is_some_and(|due| due <= now);
        if due {
            self.contain.tick(now, out);
        }
        let hunted = self.leftovers.take_if(|leftovers| leftovers.due() <= now);
        let looked = due | hunted.is_some() | self.hunt_strays(now, out);
        if let Some(leftovers) = hunted {
            self.leftovers = leftovers.go_on(&self.tools.tags);
        }
        if looked {
            self.tell_leftovers(out);
        }
        if self.next_start.is_some_and(|due| due <= now) {
            self.next_start = None;
            if let Err(error) = self.start_daemon(Manner::Again) {
                note!("cannot start the daemon: {error}");
                self.lost(false, now, out);
            }
            kennel_sys::crash_point!("restart.started");
        }
        if self.rests_at.take_if(|due| *due <= now).is_some() {
            kennel_sys::memory::release();
        }
        self.hasten_handover(now);
        self.hasten_exec(now);
        if self.leaving.is_some_and(|due| due <= now)
            && let Some(daemon) = &self.daemon
        {
            daemon.kill();
            self.leaving = Some(now + GOODBYE);
        }
    }

    fn on_signals(&mut self, out: &mut Vec<Event>) -> io::Result<()> {
        let pending = self.signals.take()?;
        let has = |signal: Signal| pending & 1 << (signal.as_raw() - 1) != 0;
        if has(Signal::CHILD) || self.unreaped {
            self.reap(out)?;
        }
        if has(Signal::HUP)
            && let Some(daemon) = &self.daemon
        {
            // It loads its configuration again; without one there is nothing to load.
            daemon.signal(Signal::HUP.as_raw());
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
                    if !self.reap_daemon(pid, out)? {
                        self.contain.reap(pid, out);
                        kennel_sys::crash_point!("stop.reaped");
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

    /// Answers whether this child was a daemon.
    fn reap_daemon(&mut self, pid: u32, out: &mut Vec<Event>) -> io::Result<bool> {
        // Its last words come before its end, also those that it said after this turn had begun.
        let token = self.daemons().find(|daemon| daemon.pid == pid && daemon.is_heard).map(|daemon| daemon.token);
        if let Some(token) = token {
            self.hear(token, out);
        }
        if let Some(daemon) = self.daemon.take_if(|daemon| daemon.pid == pid) {
            self.daemon_ended(daemon, out)?;
        } else if self.handover.other().is_some_and(|other| other.pid == pid) {
            let reaped = wait::reap(pid, false)?;
            self.other_ended(reaped.map(|reaped| reaped.exit));
        } else if self.exec.pid() == Some(pid) {
            let reaped = wait::reap(pid, false)?;
            self.checked(reaped.map(|reaped| reaped.exit));
        } else if self.discarded.contains(&pid) {
            wait::reap(pid, false)?;
            self.discarded.retain(|discarded| *discarded != pid);
        } else {
            return Ok(false);
        }
        self.tell_contain();
        Ok(true)
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

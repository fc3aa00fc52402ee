//! The beginning of a daemon: the keeper's welcome, the store, and what follows from both.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::brake::Brake;
use kennel_keeper::Link;
use kennel_keeper::proto::{self, Backend, Follows, Known, Request};
use kennel_store::Restored;
use kennel_sys::home::Home;
use kennel_wire::EventKind;
use tokio::sync::{mpsc, watch};

use super::handover::HandOver;
use super::link::AsyncLink;
use super::owners::Owners;
use super::record::Dirty;
use super::restore::Found;
use super::rules::Rules;
use super::sampling::Sampling;
use super::{Driver, HELPERS, Input, view};
use crate::alarm::Alarm;
use crate::announce::Announcer;
use crate::desktop::{Desktop, Words};
use crate::events::{Events, RECORDS_MISSING};
use crate::handle::Handle;
use crate::logs::Recorder;
use crate::timers::Timers;
use crate::webhooks::{Left, Webhooks};

/// What a daemon begins with.
#[derive(Debug)]
pub struct Beginning {
    /// Its directories.
    pub home: Home,
    /// Its end of the channel.
    pub keeper: OwnedFd,
    /// Whether another daemon still serves and hands over to this one.
    pub successor: bool,
    /// How events are told to people.
    pub words: Words,
}

/// A welcome in parts.
struct Welcome {
    version: u16,
    pid: u32,
    backend: Backend,
    follows: Follows,
    known: Vec<Known>,
    /// What an earlier daemon left, by name.
    held: Vec<(String, OwnedFd)>,
    /// What else came with it.
    then: Vec<proto::Event>,
}

/// Names under which the keeper holds both ends of the pipe between services and logs.
const STAGE: [&str; 2] = ["logs.stage.read", "logs.stage.write"];

/// Connects to the keeper and readies the engine; services that are wanted and were lost with an earlier daemon are
/// taken over, everything else starts only on request.
///
/// The third is what an earlier daemon left with the keeper: listening sockets, by name.
///
/// # Errors
/// The state directory cannot be used, the keeper does not answer or speaks another version.
pub async fn start(beginning: Beginning) -> io::Result<(Handle, Driver, BTreeMap<String, OwnedFd>)> {
    let Beginning { home, keeper, successor, words } = beginning;
    let boot_id = kennel_sys::identity::boot_id()?;
    let mut link = AsyncLink::new(Link::new(keeper)?)?;
    // The old daemon writes until it is told that we are ready, so for now there is only a look.
    let opened = if successor {
        kennel_store::Records::read(&home.state_dir).map_err(io::Error::other)?;
        None
    } else {
        Some(Events::open(&home.state_dir, &boot_id)?)
    };
    kennel_sys::crash_point!("daemon.store-open");
    link.send(Request::Hello { version: proto::VERSION });
    let welcome = welcome(&mut link).await?;
    if welcome.version < proto::VERSION {
        let (keeper, daemon) = (welcome.version, proto::VERSION);
        tracing::warn!(keeper, daemon, "the keeper is of an older version, so nothing outlives this daemon");
    }
    kennel_sys::crash_point!("daemon.connected");
    let (events, mut restored) = match opened {
        Some(opened) => opened,
        None => Events::open(&home.state_dir, &boot_id)?,
    };
    let mut held: BTreeMap<String, OwnedFd> = welcome.held.into_iter().collect();
    let stage = held.remove(STAGE[0]).zip(held.remove(STAGE[1])).map(<[OwnedFd; 2]>::from);
    let is_new = stage.is_none();
    let (inbox_sender, inbox) = mpsc::unbounded_channel();
    let told = inbox_sender.clone();
    let hear = move |name: &str, run: u64, notice| drop(told.send(Input::Log(name.to_owned(), run, notice)));
    let recorder = Recorder::start(&home, stage, Arc::new(hear))?;
    for (name, fd) in STAGE.iter().zip(recorder.stage().into_iter().flatten()).filter(|_| is_new) {
        link.send(Request::Hold { name: (*name).to_owned(), fd });
    }
    let (finished, finished_receiver) = watch::channel(None);
    let announcer = Announcer::new(events.clone(), &home.name);
    let desktop = Desktop::new(events.clone(), words);
    let damaged = restored.damaged.is_some() || restored.meta.contains_key(RECORDS_MISSING);
    let left = Left::of(&mut restored);
    let webhooks = Webhooks::open(events.clone(), inbox_sender.clone(), &home.state_dir, &home.name, left);
    let handle = Handle {
        inbox: inbox_sender.clone(),
        events: events.clone(),
        announcer: announcer.clone(),
        webhooks: webhooks.clone(),
        desktop: desktop.clone(),
        recorder: recorder.clone(),
        logs_dir: Arc::new(home.logs_dir()),
        home: Arc::new(home.clone()),
        facts: Arc::new(restored.meta.clone()),
        finished: finished_receiver,
        adoptions: Arc::default(),
    };
    let mut driver = Driver {
        home,
        link,
        inbox,
        inbox_sender,
        next_instance: events.newest() + 1,
        next_helper: HELPERS | u64::from(fastrand::u32(..)) << 28,
        events,
        announcer,
        webhooks,
        desktop,
        recorder,
        finished,
        timers: Timers::new(),
        alarm: Alarm::default(),
        watching: HashMap::new(),
        queue: VecDeque::new(),
        dirty: Dirty::default(),
        answers: Vec::new(),
        loaded: None,
        pools: super::pools::Pools::default(),
        slots: IndexMap::new(),
        runs: super::table::Runs::default(),
        owners: Owners::default(),
        rules: Rules::default(),
        brake: Brake::default(),
        held: IndexMap::new(),
        leaving: HashSet::new(),
        waiters: Vec::new(),
        stdio: HashMap::new(),
        sampling: Sampling::default(),
        signals: Vec::new(),
        boot_id,
        keeper_pid: welcome.pid,
        keeper_lost: false,
        swept: false,
        containment: view::containment(&welcome.backend),
        backend: welcome.backend,
        started_at: Timestamp::now(),
        down_since: None,
        given_up: false,
        inherited: HashSet::new(),
        adopting: HashSet::new(),
        asked_adoptions: HashMap::new(),
        strays: BTreeMap::new(),
        facts: HashSet::from_iter(damaged.then_some(RECORDS_MISSING)),
        is_clearing: welcome.version >= 4 && welcome.follows == Follows::Fresh && !restored.runs.is_empty(),
        damaged,
        handover: HandOver::None,
        recorded_calls: HashSet::new(),
        call_results: VecDeque::new(),
        keeper_change: None,
        leftovers: Vec::new(),
        told_orphans: HashSet::new(),
        lost: Vec::new(),
    };
    driver.events.publish(None, None, EventKind::DaemonStarted { pid: std::process::id() });
    driver.begin_with(welcome.follows, welcome.known, restored, welcome.then);
    driver.commit();
    Ok((handle, driver, held))
}

/// Waits for the keeper's welcome, as long as it takes: for a successor until the old daemon lets go.
async fn welcome(link: &mut AsyncLink) -> io::Result<Welcome> {
    let mut received = Vec::new();
    link.receive(&mut received).await?;
    let mut received = received.into_iter();
    let Some(proto::Event::Welcome { version, pid, backend, follows, known, held }) = received.next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the keeper did not answer the greeting"));
    };
    if !(proto::OLDEST..=proto::VERSION).contains(&version) {
        let text = format!("the keeper speaks protocol {version}, this daemon {}", proto::VERSION);
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let mut events: Vec<proto::Event> = received.collect();
    let (mut held_fds, mut then) = (Vec::new(), Vec::new());
    loop {
        for event in events.drain(..) {
            match event {
                proto::Event::Held { name, fd } => held_fds.push((name, fd)),
                other => then.push(other),
            }
        }
        if held_fds.len() >= usize::try_from(held).unwrap_or(usize::MAX) {
            break;
        }
        link.receive(&mut events).await?;
    }
    Ok(Welcome { version, pid, backend, follows, known, held: held_fds, then })
}

impl Driver {
    fn begin_with(&mut self, follows: Follows, known: Vec<Known>, restored: Restored, then: Vec<proto::Event>) {
        self.restore(Found { follows, known, restored });
        for event in then {
            self.keeper_event(event);
        }
    }

    /// When this daemon began to wait for an end that was asked for.
    pub(super) fn begin_to_end(&mut self) -> Instant {
        *self.down_since.get_or_insert_with(Instant::now)
    }
}

//! The imperative shell: one task that feeds events to the pure machines and carries out their actions.
//!
//! It owns all state, so nothing is locked; it never blocks and never sleeps inside a step.

mod closing;
mod link;
mod oneoff;
mod orphans;
mod privileges;
mod requests;
mod runs;
mod signal;
mod slots;
mod spawn;
mod view;
mod waiters;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::instance::Reason;
use kennel_core::{instance, model, slot};
use kennel_keeper::Link;
use kennel_keeper::proto::{self, Backend, KillStage, Request};
use kennel_orphans::Tracking;
use kennel_sys::home::Home;
use kennel_wire::{
    ActionReport, ActionRequest, Containment, DaemonInfo, DownReport, DownRequest, EndedProcess, EventKind, Orphan,
    Outcome, Problem, RunReport, RunRequest, ServiceStatus, SignalReport, Survivor,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::events::Events;
use crate::handle::{Handle, Up};
use crate::logs::Recorder;
use crate::probe::Told;
use crate::receipt::SWEEP;
use crate::timers::Timers;
pub use closing::Ended;
use link::AsyncLink;
use runs::Run;
use slots::{Held, Slot};
use waiters::Waiter;

type Reply<T> = oneshot::Sender<T>;

/// Outcomes without log lines, which are read apart from the driver.
#[derive(Debug)]
pub(crate) struct Started(pub(crate) Vec<Outcome>);

/// Everything that can reach the driver beside the keeper and the timers.
#[derive(Debug)]
pub(crate) enum Input {
    Up(Box<Up>, Reply<Result<Started, Problem>>),
    Start(ActionRequest, Reply<Result<Started, Problem>>),
    Stop(ActionRequest, Reply<Result<ActionReport, Problem>>),
    Restart(ActionRequest, Reply<Result<(ActionReport, Started), Problem>>),
    Kill(ActionRequest, Reply<Result<ActionReport, Problem>>),
    Down(DownRequest, Reason, Reply<DownReport>),
    /// Ends with whatever is left.
    GiveUp,
    /// Answered once nothing is left of an earlier daemon or keeper.
    Cleared(Reply<()>),
    /// Something that happened outside of the driver.
    Tell(EventKind),
    /// Answered once everything that has happened is recorded.
    Persist(Reply<()>),
    Stdio(String, [OwnedFd; 3]),
    StdioClosed(String),
    Run(Box<RunRequest>, Reply<Result<RunReport, Problem>>),
    SignalRun(String, i32, Reply<Result<(), Problem>>),
    SignalProcess {
        pid: u32,
        signal: i32,
        reply: Reply<Result<SignalReport, Problem>>,
    },
    Services(Reply<Vec<ServiceStatus>>),
    Service(String, Reply<Result<Vec<ServiceStatus>, Problem>>),
    Info(Reply<DaemonInfo>),
    IsIdle(Reply<bool>),
    /// What is not untracked.
    Tracking(Reply<Tracking>),
    /// Somebody looked for what is, and perhaps ended it.
    Orphans {
        found: Vec<Orphan>,
        ended: Vec<EndedProcess>,
    },
    Probe(u64, Told),
    /// A log line or a notification said that the run is ready.
    SaidReady(u64),
    /// A scope of a lost keeper is empty.
    Emptied(u64),
    /// Nothing that a lost keeper held is left.
    Swept,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum TimerKey {
    Run(u64, instance::Timer),
    Backoff(String),
    /// A helper command or a one-off has run for as long as it may.
    RunTime(u64),
}

#[derive(Debug)]
enum Work {
    Slot(String, slot::Event),
    Run(u64, instance::Event),
}

/// The loaded configuration.
#[derive(Debug)]
struct Loaded {
    project: model::Project,
    config: PathBuf,
    environment: BTreeMap<String, String>,
}

/// How the engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Asked down; the keeper was told and clears up.
    Said,
    /// The keeper was lost; all that it held was ended, and there is nobody left to tell.
    WithoutKeeper,
}

/// The engine's task. See [`Driver::run`].
#[derive(Debug)]
pub struct Driver {
    home: Home,
    link: AsyncLink,
    inbox: mpsc::UnboundedReceiver<Input>,
    inbox_sender: mpsc::UnboundedSender<Input>,
    events: Events,
    recorder: Recorder,
    finished: watch::Sender<bool>,
    timers: Timers<TimerKey>,
    queue: VecDeque<Work>,

    loaded: Option<Loaded>,
    slots: IndexMap<String, Slot>,
    runs: HashMap<u64, Run>,
    /// Stops that wait for dependants to be down first.
    held: IndexMap<String, Held>,
    /// Slots that the latest configuration no longer has; they go when they are down.
    leaving: HashSet<String>,
    waiters: Vec<Waiter>,
    stdio: HashMap<String, [OwnedFd; 3]>,

    /// Signals to single processes that the keeper has not answered.
    signals: Vec<signal::Asked>,

    boot_id: String,
    keeper_pid: u32,
    keeper_lost: bool,
    /// Whether nothing of a lost keeper is left.
    swept: bool,
    backend: Backend,
    /// The same, for whoever asks.
    containment: Containment,
    zero: Instant,
    started_at: Timestamp,
    next_instance: u64,
    next_helper: u64,
    down_since: Option<Instant>,
    given_up: bool,
    /// Scopes of a lost daemon that are not empty yet.
    inherited: HashSet<u64>,
    /// What an earlier keeper left and what has not ended yet.
    leftovers: Vec<Survivor>,
    /// Orphans that were told of, by number and start time.
    told_orphans: HashSet<(u32, u64)>,
    /// Services that were ended with a lost daemon.
    lost: Vec<ServiceStatus>,
}

/// Helper runs (probes, stop commands, one-offs) are numbered from here, so that services' runs have small numbers.
const HELPERS: u64 = 1 << 62;

/// Connects to the keeper and readies the engine; services start only on request.
///
/// # Errors
/// The state directory cannot be used, the keeper does not answer or speaks another version.
pub async fn start(home: Home, keeper: OwnedFd) -> io::Result<(Handle, Driver)> {
    let boot_id = kennel_sys::identity::boot_id()?;
    let (events, _restored) = Events::open(&home.state_dir, &boot_id)?;
    let recorder = Recorder::start(home.logs_dir())?;
    let mut link = AsyncLink::new(Link::new(keeper)?)?;
    link.send(Request::Hello { version: proto::VERSION });
    let mut received = Vec::new();
    link.receive(&mut received).await?;
    kennel_sys::crash_point!("daemon.connected");
    let mut received = received.into_iter();
    let Some(proto::Event::Welcome { version, pid, backend, known, .. }) = received.next() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the keeper did not answer the greeting"));
    };
    if version != proto::VERSION {
        let text = format!("the keeper speaks protocol {version}, this daemon {}", proto::VERSION);
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let (inbox_sender, inbox) = mpsc::unbounded_channel();
    let (finished, finished_receiver) = watch::channel(false);
    let handle = Handle {
        inbox: inbox_sender.clone(),
        events: events.clone(),
        recorder: recorder.clone(),
        logs_dir: Arc::new(home.logs_dir()),
        home: Arc::new(home.clone()),
        finished: finished_receiver,
    };
    let mut driver = Driver {
        home,
        link,
        inbox,
        inbox_sender,
        next_instance: events.newest() + 1,
        next_helper: HELPERS | u64::from(fastrand::u32(..)) << 28,
        events,
        recorder,
        finished,
        timers: Timers::new(),
        queue: VecDeque::new(),
        loaded: None,
        slots: IndexMap::new(),
        runs: HashMap::new(),
        held: IndexMap::new(),
        leaving: HashSet::new(),
        waiters: Vec::new(),
        stdio: HashMap::new(),
        signals: Vec::new(),
        boot_id,
        keeper_pid: pid,
        keeper_lost: false,
        swept: false,
        containment: view::containment(&backend),
        backend,
        zero: Instant::now(),
        started_at: Timestamp::now(),
        down_since: None,
        given_up: false,
        inherited: HashSet::new(),
        leftovers: Vec::new(),
        told_orphans: HashSet::new(),
        lost: Vec::new(),
    };
    driver.events.publish(None, None, EventKind::DaemonStarted { pid: std::process::id() });
    driver.inherit(known);
    for event in received {
        driver.keeper_event(event);
    }
    driver.events.flush();
    Ok((handle, driver))
}

impl Driver {
    /// Runs until everything was asked down and is down, or the keeper is lost and its scopes are empty, or until it
    /// is given up by [`Handle::give_up`]. What remains to be done is the result's.
    pub async fn run(mut self) -> Ended {
        let mut events = Vec::new();
        loop {
            self.turn();
            self.events.flush();
            if self.is_finished() {
                break;
            }
            let next = self.timers.next();
            let timer = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let receive = async {
                if self.keeper_lost { std::future::pending().await } else { self.link.receive(&mut events).await }
            };
            tokio::select! {
                biased; // An exit already observed wins over a timer that fired in the same turn.
                result = receive => match result {
                    Ok(()) => events.drain(..).for_each(|event| self.keeper_event(event)),
                    Err(error) => self.lose_keeper(&error),
                },
                Some(input) = self.inbox.recv() => self.input(input),
                () = timer => {}
            }
            // Requests come in bursts; one turn for all of them. Also after something else: a service that makes
            // processes faster than their ends are heard of leaves no moment in which the keeper says nothing.
            while let Ok(input) = self.inbox.try_recv() {
                self.input(input);
            }
            while let Some(key) = self.timers.pop(Instant::now()) {
                self.elapsed(key);
            }
            // Whoever follows the events hears of an exit before what follows from it is worked out.
            self.events.flush();
            kennel_sys::crash_point!("daemon.recorded");
            tokio::task::yield_now().await;
        }
        Ended::new(self)
    }

    /// Carries out all work that follows from what was learnt, to a fixed point.
    fn turn(&mut self) {
        loop {
            while let Some(work) = self.queue.pop_front() {
                match work {
                    Work::Slot(name, event) => self.slot_event(&name, event),
                    Work::Run(id, event) => self.run_event(id, event),
                }
            }
            self.release_held_stops();
            self.check_dependencies();
            self.drop_leavers();
            if self.queue.is_empty() {
                break;
            }
        }
        self.answer_waiters();
    }

    fn is_finished(&self) -> bool {
        if self.given_up {
            return true;
        }
        let ending = if self.keeper_lost { self.swept } else { self.down_since.is_some() };
        ending
            && self.runs.is_empty()
            && self.inherited.is_empty()
            && self.queue.is_empty()
            && self.slots.values().all(Slot::is_at_rest)
    }

    fn elapsed(&mut self, key: TimerKey) {
        match key {
            TimerKey::Run(id, timer) => self.queue.push_back(Work::Run(id, instance::Event::Elapsed(timer))),
            TimerKey::Backoff(name) => self.queue.push_back(Work::Slot(name, slot::Event::BackoffElapsed)),
            TimerKey::RunTime(id) => self.run_time_is_over(id),
        }
    }

    fn keeper_event(&mut self, event: proto::Event) {
        match event {
            proto::Event::Welcome { .. } => {}
            proto::Event::Spawned { scope, identity, place, pipes, .. } => {
                self.spawned(scope.0, identity, place, pipes);
            }
            proto::Event::SpawnFailed { scope, error } => self.spawn_failed(scope.0, &error),
            proto::Event::MainExited { scope, exit, usage: _ } => self.main_exited(scope.0, exit),
            proto::Event::Reaped { scope, pid, exit } => {
                if let Some(run) = self.runs.get_mut(&scope.0) {
                    run.receipt.reaped(pid, view::wire_exit(spawn::model_exit(exit)));
                }
            }
            proto::Event::Emptied { scope } => self.emptied(scope.0),
            proto::Event::Stuck { scope, survivors } => self.stuck(scope.0, survivors),
            proto::Event::Stage { scope, stage } => match stage {
                KillStage::Sweep => self.enter_stage(scope.0, SWEEP),
                // Comes with the report of who is left.
                KillStage::Stuck => {}
            },
            proto::Event::Leftovers { survivors } => self.leftovers(survivors),
            proto::Event::Signalled { scope, process, refused } => self.signalled(scope.0, process, refused),
            proto::Event::Escaped { scope, process, path } => self.escaped(scope.0, process, path),
            // Nothing that these answer is asked for yet.
            proto::Event::Held { .. }
            | proto::Event::Adopted { .. }
            | proto::Event::AdoptRefused { .. }
            | proto::Event::Strays { .. }
            | proto::Event::StrayEnded { .. }
            | proto::Event::Successor(_)
            | proto::Event::Executed { .. } => {}
        }
    }

    /// Monotonic time for the restart policy.
    fn now(&self) -> Duration {
        self.zero.elapsed()
    }
}

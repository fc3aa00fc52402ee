//! The imperative shell: one task that feeds events to the pure machines and carries out their actions.
//!
//! It owns all state, so nothing is locked; it never blocks and never sleeps inside a step.

mod ad_hoc;
mod adopt;
mod adoption;
mod alerts;
mod bounds;
mod calls;
mod changes;
mod clean;
mod closing;
mod ending;
mod freeze;
mod handover;
mod hang;
mod health;
mod history;
mod input;
mod lease;
mod limits;
mod link;
mod liveness;
mod logs;
mod oneoff;
mod orphans;
mod owners;
mod pools;
mod ports;
mod privileges;
mod record;
mod reload;
mod requests;
mod restore;
mod rules;
mod runs;
mod sampling;
mod schedule;
mod signal;
mod slots;
mod spawn;
mod start;
mod storm;
mod table;
mod takeover;
mod unsent;
mod usage;
mod view;
mod waiters;
mod zombies;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_core::brake::Brake;
use kennel_core::reload::Selection;
use kennel_core::{instance, model};
use kennel_keeper::proto::{self, Backend, KillStage};
use kennel_sys::home::Home;
use kennel_wire::{Containment, Orphan, Problem, RunReport, ServiceStatus, Survivor};
use tokio::sync::{mpsc, oneshot, watch};

use crate::alarm::Alarm;
use crate::announce::Announcer;
use crate::desktop::Desktop;
use crate::events::Events;
use crate::logs::Recorder;
use crate::receipt::SWEEP;
use crate::timers::Timers;
use crate::webhooks::Webhooks;
pub(crate) use adoption::{Adoption, AdoptionPlan, WantsAdoption};
use changes::Watching;
pub use closing::Ended;
use handover::HandOver;
pub(crate) use health::Noted;
pub(crate) use history::Recollected;
pub(crate) use input::{Input, Started};
use input::{TimerKey, Work};
pub use lease::Grant;
use link::AsyncLink;
use owners::Owners;
use record::{Answer, Dirty};
use rules::Rules;
pub(crate) use sampling::Looked;
use sampling::Sampling;
use slots::{Held, Slot};
use table::Runs;
use waiters::Waiter;

pub use ending::become_keeper;
pub use start::{Beginning, start};

type Reply<T> = oneshot::Sender<T>;

/// The loaded configuration.
#[derive(Debug)]
struct Loaded {
    project: model::Project,
    config: PathBuf,
    environment: BTreeMap<String, String>,
    /// What was asked for since it was loaded first.
    selection: Selection,
}

/// How the engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Asked down; the keeper was told and clears up.
    Said,
    /// The keeper was lost; all that it held was ended, and there is nobody left to tell.
    WithoutKeeper,
    /// The keeper was lost, and services that are kept run on: somebody has to be their keeper.
    Orphaned,
    /// Another daemon goes on in its place.
    HandedOver,
}

/// The engine's task. See [`Driver::run`].
#[derive(Debug)]
pub struct Driver {
    home: Home,
    link: AsyncLink,
    inbox: mpsc::UnboundedReceiver<Input>,
    inbox_sender: mpsc::UnboundedSender<Input>,
    events: Events,
    announcer: Announcer,
    webhooks: Webhooks,
    desktop: Desktop,
    recorder: Recorder,
    finished: watch::Sender<Option<End>>,
    timers: Timers<TimerKey>,
    /// For what the calendar starts.
    alarm: Alarm,
    /// Services whose files are watched.
    watching: HashMap<String, Watching>,
    queue: VecDeque<Work>,
    /// What the store does not know yet.
    dirty: Dirty,
    /// Answers that wait until what they say is recorded.
    answers: Vec<Answer>,

    loaded: Option<Loaded>,
    /// What several instances may use together.
    pools: pools::Pools,
    slots: IndexMap<String, Slot>,
    runs: Runs,
    owners: Owners,
    rules: Rules,
    /// Restarts of all services share a window.
    brake: Brake,
    /// Stops that wait for dependants to be down first.
    held: IndexMap<String, Held>,
    /// Slots that the latest configuration no longer has; they go when they are down.
    leaving: HashSet<String>,
    waiters: Vec<Waiter>,
    stdio: HashMap<String, [OwnedFd; 3]>,

    sampling: Sampling,

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
    started_at: Timestamp,
    next_instance: u64,
    next_helper: u64,
    down_since: Option<Instant>,
    given_up: bool,
    /// Scopes of a lost daemon that are not empty yet.
    inherited: HashSet<u64>,
    /// Runs of a lost keeper that the present one was asked to adopt.
    adopting: HashSet<u64>,
    /// Those that somebody asked for.
    asked_adoptions: HashMap<u64, adoption::Asked>,
    /// Processes of a lost keeper that were to be kept and that no record tells of.
    strays: BTreeMap<String, Vec<Orphan>>,
    /// Nothing is begun before it is known that nothing is left of a keeper that may have begun it.
    is_clearing: bool,
    /// What was to be remembered, and goes with the stack.
    facts: HashSet<&'static str>,
    /// Whether records may be missing, so that a stray may be somebody's.
    damaged: bool,
    handover: HandOver,
    /// Commands that clients wait for and that stand in the store.
    recorded_calls: HashSet<u64>,
    /// Of commands whose clients have not come back yet, the newest last.
    call_results: VecDeque<(String, Result<RunReport, Problem>)>,
    /// Waits for the keeper to run another program.
    keeper_change: Option<Reply<Result<(), Problem>>>,
    /// What an earlier keeper left and what has not ended yet.
    leftovers: Vec<Survivor>,
    /// Orphans that were told of, by number and start time.
    told_orphans: HashSet<(u32, u64)>,
    /// Services that were ended with a lost daemon.
    lost: Vec<ServiceStatus>,
}

/// Helper runs (probes, stop commands, one-offs) are numbered from here, so that services' runs have small numbers.
const HELPERS: u64 = 1 << 62;

/// Pieces of work after which a long turn is committed as far as it is.
const BATCH: usize = 16;

/// Pause of a restart that is due while it is not known yet whether its service still runs.
const CLEARING: Duration = Duration::from_millis(20);

impl Driver {
    /// Runs until everything was asked down and is down, or the keeper is lost and its scopes are empty, or until it
    /// is given up by [`Handle::give_up`]. What remains to be done is the result's.
    pub async fn run(mut self) -> Ended {
        let mut events = Vec::new();
        loop {
            self.turn();
            self.commit();
            if self.answer_unsent() {
                continue;
            }
            self.let_go().await;
            if self.handover.has_let_go() {
                self.await_successor().await;
            }
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
                () = self.alarm.wait() => self.look_at_calendar(),
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
            self.commit();
            kennel_sys::crash_point!("daemon.recorded");
            tokio::task::yield_now().await;
        }
        self.leave_kept().await;
        self.record_last_usage().await;
        Ended::new(self)
    }

    /// Carries out all work that follows from what was learnt, to a fixed point.
    fn turn(&mut self) {
        let mut done = 0;
        loop {
            while let Some(work) = self.queue.pop_front() {
                match work {
                    Work::Slot(name, event) => self.slot_event(&name, event),
                    Work::Run(id, event) => self.run_event(id, event),
                }
                done += 1;
                // The keeper starts the first of many while the rest is worked out, and what is said to it is not held for all of
                // them at once, between what stays: memory that is free piece by piece cannot be given back.
                if done % BATCH == 0 {
                    self.commit();
                }
            }
            self.release_held_stops();
            self.check_dependencies();
            self.drop_leavers();
            self.drop_old_results();
            if self.queue.is_empty() {
                break;
            }
        }
        self.answer_waiters();
    }

    fn elapsed(&mut self, key: TimerKey) {
        match key {
            TimerKey::Run(id, timer) => self.queue.push_back(Work::Run(id, instance::Event::Elapsed(timer))),
            // Begun by the next daemon, which knows of it.
            TimerKey::Backoff(_) if self.keeper_lost => {}
            TimerKey::Backoff(name) if self.is_clearing => {
                self.timers.arm(TimerKey::Backoff(name), Instant::now() + CLEARING)
            }
            TimerKey::Backoff(name) => self.restart_is_due(name),
            TimerKey::Unheld(id) => self.client_of_call_gone(id),
            TimerKey::RunTime(id) => self.run_time_is_over(id),
            TimerKey::MaxRuntime(id) => self.max_runtime_is_over(id),
            TimerKey::Idle(id) => self.may_be_idle(id),
            TimerKey::Freeze(id) => self.freeze_is_late(id),
            TimerKey::Liveness(id) => self.may_not_be_alive(id),
            TimerKey::Zombie(id) => self.look_for_zombie(id),
            TimerKey::Owner(timer) => self.owner_timer(&timer),
            TimerKey::LookedAway => self.may_look_away(),
            TimerKey::Schedule(name) => self.look_at_schedule(&name),
            TimerKey::Watch(service) => self.changes_are_due(&service),
            TimerKey::RecordUsage => self.record_usage(),
        }
    }

    fn keeper_event(&mut self, event: proto::Event) {
        match event {
            proto::Event::Welcome { .. } => {}
            proto::Event::Spawned { scope, identity, place, pipes, inodes, .. } => {
                self.spawned(scope.0, identity, place, pipes, inodes);
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
            proto::Event::Bounded { scope, applied } => self.bounded(scope.0, applied),
            proto::Event::PoolBounded { owners, applied } => self.pool_bounded(&owners, applied),
            proto::Event::OutOfMemory { scope, kills, limit, peak, of } => {
                self.out_of_memory(scope.0, kills, (limit, peak), of);
            }
            proto::Event::Frozen { scope, frozen } => self.is_frozen_now(scope.0, frozen),
            proto::Event::Leftovers { survivors } => self.leftovers(survivors),
            proto::Event::Signalled { scope, process, refused } => self.signalled(scope.0, process, refused),
            proto::Event::Escaped { scope, process, path } => self.escaped(scope.0, process, path),
            // All of them come with the welcome, and are taken there.
            proto::Event::Held { .. } => {}
            proto::Event::Adopted { scope, place, pipes, main_alive } => {
                self.adopted(scope.0, place, pipes, main_alive);
            }
            proto::Event::AdoptRefused { scope, error } => self.not_adopted(scope.0, &error),
            proto::Event::Strays { strays } => self.strays(strays),
            proto::Event::StrayEnded { leaf } => self.stray_ended(&leaf),
            proto::Event::Successor(news) => self.successor(news),
            proto::Event::Executed { version, refused } => self.executed(version, refused),
        }
    }
}

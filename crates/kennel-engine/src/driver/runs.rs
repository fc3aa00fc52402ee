//! One run: from the keeper's facts to the instance machine, and its actions back to the keeper.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_core::instance::{self, Action, End, Event, Reason, Stage, State, Timer};
use kennel_core::model::{Exit, ProbeKind, Service, StopStep, Target};
use kennel_core::probe::Counter;
use kennel_core::slot;
use kennel_keeper::proto::{self, Backend, Place, Request, ScopeId};
use kennel_store::Change;
use kennel_wire::{Code, EventKind, Receipt, StopReason};

use super::bounds::Bounded;
use super::hang::Hanging;
use super::health::Zombie;
use super::liveness::Live;
use super::oneoff::Purpose;
use super::owners::Opened;
use super::view::wire_exit;
use super::{Driver, Input, TimerKey, Work, freeze, logs, spawn, usage, view};
use crate::clock;
use crate::logs::{Counter as LogCounter, Output};
use crate::lost::{self, Reaper};
use crate::notify::Notify;
use crate::probe::{self, Told};
use crate::receipt::{Builder, KILL, STUCK, Subject, millis};

/// Everything about one scope.
#[derive(Debug)]
pub(super) struct Run {
    /// Name in `ps`, or of the service that a helper works for.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) service: Arc<Service>,
    pub(super) policy: instance::Policy,
    pub(super) state: State,
    pub(super) pid: Option<u32>,
    /// The main process, with the same number.
    pub(super) identity: Option<proto::Identity>,
    /// Name of its scope.
    pub(super) scope: String,
    pub(super) place: Option<Place>,
    pub(super) reaper: Option<Reaper>,
    /// When the spawn was asked for; the begin of the run until it is executed.
    pub(super) begun: Instant,
    pub(super) started_at: Timestamp,
    pub(super) ready_after_ms: Option<u64>,
    pub(super) receipt: Builder,
    pub(super) counter: Counter,
    pub(super) probe: Option<probe::Task>,
    pub(super) notify: Option<Notify>,
    pub(super) probe_said: Option<String>,
    /// How long the last answer of a probe took.
    pub(super) probe_took: Option<Duration>,
    /// What is known of its liveness, where that is asked for and it has been ready.
    pub(super) live: Option<Box<Live>>,
    pub(super) zombie: Zombie,
    /// What it is doing, where that is watched.
    pub(super) hang: Option<Box<Hanging>>,
    /// It said that it is ready before the keeper said that it runs.
    pub(super) ready_early: bool,
    /// Why the keeper did not start it.
    pub(super) refused: Option<proto::SpawnErrorKind>,
    pub(super) is_stuck: bool,
    /// What it may use, and who sees to that.
    pub(super) bounded: Bounded,
    /// What of it has ended and was not waited for.
    pub(super) zombies: super::zombies::Seen,
    /// Set while all of it stands still: on whose behalf.
    pub(super) frozen: Option<String>,
    /// What was asked for of that and is not so yet.
    pub(super) freezing: Option<freeze::Asked>,
    /// For the share of the CPU since the last look.
    pub(super) cpu_seen: usage::CpuSeen,
    /// How the main process ended, once that was told.
    pub(super) exit: Option<Exit>,
    /// When a command on request has run for as long as it may.
    pub(super) ends_at: Option<Instant>,
    /// When a stop with a limit kills.
    pub(super) limit_at: Option<Instant>,
    /// Inodes of the pipes for stdout and stderr.
    pub(super) pipes: Option<[u64; 2]>,
    /// How much it has written, and when it last did.
    pub(super) activity: Arc<LogCounter>,
    /// For whom it runs, if it is a command on request that ends with its request.
    pub(super) owner: Option<String>,
    /// The same until it has begun.
    pub(super) opened: Option<Opened>,
}

/// What a run is for.
#[derive(Debug)]
pub(super) enum Kind {
    /// An instance of a service, in this slot.
    Slot,
    /// Something that kennel runs for itself or on request.
    Helper(Purpose),
}

impl Run {
    /// The receipt as of now.
    pub(super) fn receipt_now(&self, id: u64, boot_id: &str, empty: bool) -> Receipt {
        let of = Subject { service: &self.name, instance: id, scope: &self.scope, boot_id };
        self.receipt.receipt(&of, empty)
    }

    /// Whether it is a command that runs for one of these owners.
    pub(super) fn is_of(&self, owners: &[String]) -> bool {
        self.owner.as_ref().is_some_and(|owner| owners.contains(owner))
    }

    /// Whether it is an instance of a service that outlives the daemon.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.kind, Kind::Slot) && self.service.is_kept()
    }

    /// Whether it is the command that changed files have started for this run.
    pub(super) fn is_for_changes_of(&self, id: u64) -> bool {
        matches!(&self.kind, Kind::Helper(Purpose::Changed { of, .. }) if *of == id)
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Running { health: instance::Health::Ready })
    }
}

impl Driver {
    pub(super) fn spawned(
        &mut self,
        id: u64,
        process: proto::Identity,
        place: Place,
        pipes: Option<[std::os::fd::OwnedFd; 2]>,
        inodes: Option<[u64; 2]>,
    ) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let pid = process.pid;
        run.pipes = inodes;
        run.pid = Some(pid);
        run.identity = Some(process);
        self.dirty.run(id);
        run.reaper = Reaper::of(&place, self.keeper_pid);
        if let Place::Cgroup(leaf) = &place
            && let Some(name) = leaf.file_name()
        {
            // Another one than was asked for, if that was taken.
            run.scope = name.to_string_lossy().into_owned();
        }
        run.place = Some(place);
        run.begun = Instant::now();
        run.receipt.spawned(&process);
        let opened = run.opened.take();
        opened.into_iter().for_each(|opened| self.settle(opened));
        self.arm_limits(id);
        self.arm_bounds(id);
        self.arm_pools(id);
        self.pace_samples(id);
        self.watch_run(id);
        if let Some(pipes) = pipes {
            self.attach_output(id, pipes);
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        if matches!(run.kind, Kind::Slot) {
            let identity = Some(view::wire_identity(&process, &self.boot_id, &run.scope));
            self.events.publish(Some(&run.name), Some(id), EventKind::Started { pid, identity });
        }
        let ready_early = run.ready_early;
        self.queue.push_back(Work::Run(id, Event::Spawned));
        if ready_early {
            self.queue.push_back(Work::Run(id, Event::ProbePassed));
        }
    }

    /// Has the output of a run recorded, and looked through for what says that it is ready.
    pub(super) fn attach_output(&self, id: u64, pipes: [std::os::fd::OwnedFd; 2]) {
        let Some(run) = self.runs.get(&id) else { return };
        let said =
            matches!(run.state, State::Running { health: instance::Health::Ready | instance::Health::Unhealthy });
        let pattern = match (&run.kind, run.service.readiness.as_ref().map(|probe| &probe.kind)) {
            (Kind::Slot, Some(ProbeKind::LogLine(pattern))) if !said => regex::bytes::Regex::new(pattern).ok(),
            _ => None,
        };
        let inbox = self.inbox_sender.clone();
        let found = move || drop(inbox.send(Input::SaidReady(id)));
        let pattern = pattern.map(|pattern| (pattern, Box::new(found) as crate::logs::Found));
        let kept = run.is_kept();
        let activity = Arc::clone(&run.activity);
        let declared = self.slots.get(&run.name).map_or(&run.service, |slot| &slot.service);
        let keep = logs::keep_of(declared);
        self.recorder.attach(Output { name: run.name.clone(), run: id, pipes, pattern, kept, activity, keep });
    }

    /// A service may be quicker to say that it is ready than the keeper to say that it runs.
    pub(super) fn said_ready(&mut self, id: u64) {
        match self.runs.get_mut(&id) {
            Some(run) if run.pid.is_none() => run.ready_early = true,
            _ => self.queue.push_back(Work::Run(id, Event::ProbePassed)),
        }
    }

    pub(super) fn spawn_failed(&mut self, id: u64, error: &proto::SpawnError) {
        // A start that was under way when the daemon was lost: the keeper has no record of it any more.
        self.inherited.remove(&id);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.refused = Some(error.kind);
        let transient = error.kind == proto::SpawnErrorKind::Resources;
        let text = spawn::explain(error, &run.service);
        self.queue.push_back(Work::Run(id, Event::SpawnFailed { error: text, transient }));
    }

    pub(super) fn main_exited(&mut self, id: u64, exit: proto::Exit) {
        // A keeper that has adopted it cannot know what was told to the daemon before.
        if self.tell_known_exit(id) {
            return;
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        let exit = spawn::model_exit(exit);
        // Recorded with the event, so that no other daemon tells it again.
        run.exit = Some(exit);
        self.dirty.run(id);
        run.receipt.begin(StopReason::MainExited);
        if matches!(run.state, State::Running { .. } | State::Starting { .. }) {
            run.receipt.enter("exit", None);
        }
        run.receipt.main_exited(wire_exit(exit));
        if let (Kind::Slot, Some(pid)) = (&run.kind, run.pid) {
            self.events.publish(Some(&run.name), Some(id), EventKind::Exited { pid, exit: wire_exit(exit) });
            kennel_sys::crash_point!("daemon.exit-heard");
        }
        self.queue.push_back(Work::Run(id, Event::MainExited(exit)));
    }

    pub(super) fn emptied(&mut self, id: u64) {
        if self.inherited.remove(&id) {
            self.link.send(Request::Forget { scope: ScopeId(id) });
        }
        self.queue.push_back(Work::Run(id, Event::ScopeEmptied));
    }

    pub(super) fn escaped(&mut self, id: u64, process: proto::Survivor, cgroup: String) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let proto::Survivor { pid, command, .. } = process;
        tracing::warn!(service = run.name, pid, cgroup, "a process left the cgroup of its scope");
        run.receipt.escaped(pid, command.clone(), cgroup.clone());
        let kind = EventKind::Escaped { pid, command, cgroup };
        self.events.publish(Some(&run.name), Some(id), kind);
        let service = run.name.clone();
        self.feeds_a_storm(&service);
    }

    pub(super) fn stuck(&mut self, id: u64, survivors: Vec<proto::Survivor>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        // A daemon was lost before, or a stop that nobody asked for: without a begin there is nothing to report.
        run.receipt.begin(StopReason::MainExited);
        run.receipt.enter(STUCK, run.place.as_ref());
        run.receipt.stuck(survivors.into_iter().map(view::wire_survivor).collect());
        let receipt = run.receipt_now(id, &self.boot_id, false);
        let name = run.name.clone();
        if !std::mem::replace(&mut run.is_stuck, true) {
            let kind = EventKind::Stuck { receipt: Box::new(receipt.clone()) };
            self.events.publish(Some(&name), Some(id), kind);
        }
        self.note_receipt(&name, &receipt);
    }

    /// Who is left of an earlier keeper, as it is now.
    pub(super) fn leftovers(&mut self, survivors: Vec<proto::Survivor>) {
        let pids: Vec<u32> = survivors.iter().map(|one| one.pid).collect();
        match pids.is_empty() {
            true => tracing::info!("nothing of an earlier kennel is left any more"),
            false => tracing::warn!(?pids, "what an earlier kennel left is killed and does not end yet"),
        }
        self.leftovers = survivors.into_iter().map(view::wire_survivor).collect();
    }

    pub(super) fn leftovers_left(&self) -> u32 {
        u32::try_from(self.leftovers.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn run_event(&mut self, id: u64, event: Event) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        self.dirty.run(id);
        let state = std::mem::take(&mut run.state);
        let waited = matches!(event, Event::Elapsed(Timer::Stage(_)));
        let (state, actions) = instance::step(&run.policy, state, event);
        run.state = state;
        for action in actions {
            self.act(id, action);
        }
        if waited {
            self.look_for_zombie(id);
        }
    }

    pub(super) fn act(&mut self, id: u64, action: Action) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        match action {
            Action::StartProbe => self.start_probe(id),
            Action::StopProbe => {
                run.probe = None;
                run.notify = None;
                run.live = None;
                self.timers.disarm(&TimerKey::Liveness(id));
                self.end_hang(id);
                self.stop_helpers_of(id, |purpose| matches!(purpose, Purpose::Probe { .. }));
            }
            Action::Arm(Timer::Limit, after) => {
                let at = Instant::now() + after;
                run.limit_at = Some(run.limit_at.map_or(at, |armed| armed.min(at)));
                self.timers.arm_earlier(TimerKey::Run(id, Timer::Limit), at);
            }
            Action::Arm(timer, after) => self.timers.arm(TimerKey::Run(id, timer), Instant::now() + after),
            Action::AnnounceReady => {
                let after_ms = millis(run.begun.elapsed());
                run.ready_after_ms.get_or_insert(after_ms);
                self.timers.disarm(&TimerKey::Run(id, Timer::Start));
                if matches!(run.kind, Kind::Slot) {
                    self.events.publish(Some(&run.name), Some(id), EventKind::Ready { after_ms });
                }
                self.begin_liveness(id);
                self.begin_hang(id);
            }
            Action::AnnounceUnhealthy => {
                let reason = run.probe_said.clone().unwrap_or_default();
                self.events.publish(Some(&run.name), Some(id), EventKind::Unhealthy { reason });
            }
            Action::AnnounceStop(reason) => {
                let reason = wire_reason(reason);
                run.receipt.begin(reason);
                if matches!(run.kind, Kind::Slot) {
                    self.events.publish(Some(&run.name), Some(id), EventKind::Stopping { reason });
                }
                self.thaw_to_stop(id);
            }
            Action::Step(index) => self.stop_step(id, index),
            Action::Kill => {
                self.enter_stage(id, KILL);
                self.link.send(Request::Kill { scope: ScopeId(id) });
            }
            Action::Finish(end) => self.finish(id, end),
        }
    }

    fn start_probe(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(probe) = &run.service.readiness else { return };
        run.counter = Counter::new(probe.success_threshold, probe.failure_threshold);
        let plan = probe::Plan::readiness(probe);
        run.probe = plan.map(|plan| probe::start(plan, self.inbox_sender.clone(), move |told| Input::Probe(id, told)));
    }

    pub(super) fn probe_told(&mut self, id: u64, told: Told) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        match told {
            // What stands still cannot answer, and is not to be ended for that.
            Told::Answer { .. } if run.frozen.is_some() => {}
            Told::Answer { answer, took } => {
                run.probe_took = Some(took);
                let verdict = run.counter.answer(answer.is_ok());
                run.probe_said = answer.err();
                match verdict {
                    Some(true) => self.queue.push_back(Work::Run(id, Event::ProbePassed)),
                    Some(false) => self.queue.push_back(Work::Run(id, Event::ProbeFailed)),
                    None => {}
                }
            }
            Told::Exec { command, limit, reply } => {
                self.run_helper(id, command, limit, Purpose::Probe { of: id, reply });
            }
        }
    }

    fn stop_step(&mut self, id: u64, index: usize) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(stage) = run.policy.stop.get(index).cloned() else { return };
        let label = match &stage.step {
            StopStep::Signal { signal, .. } => signal_label(*signal),
            StopStep::Command(command) => command.join(" "),
        };
        self.enter_stage(id, &label);
        match stage.step {
            StopStep::Signal { signal, target } => {
                let everyone = target == Target::Scope;
                self.link.send(Request::Signal { scope: ScopeId(id), signal, everyone });
            }
            StopStep::Command(command) => {
                self.run_helper(id, command, stage.wait, Purpose::StopCommand { of: id });
            }
        }
    }

    /// Notes that a stage of a stop begins, and says so.
    pub(super) fn enter_stage(&mut self, id: u64, stage: &str) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if run.receipt.enter(stage, run.place.as_ref()) && matches!(run.kind, Kind::Slot) {
            self.events.publish(Some(&run.name), Some(id), EventKind::Stage { stage: stage.to_owned() });
        }
    }

    fn finish(&mut self, id: u64, end: End) {
        let Some(mut run) = self.runs.remove(&id) else { return };
        // It has never begun.
        run.opened.take().into_iter().for_each(|opened| self.undo(opened));
        self.dirty.run(id);
        self.end_samples(id);
        if matches!(run.kind, Kind::Slot) {
            self.unwatch_run(id, &run.name);
        }
        for timer in [Timer::Start, Timer::Limit, Timer::Stage(Stage::Settle), Timer::Stage(Stage::Kill)] {
            self.timers.disarm(&TimerKey::Run(id, timer));
        }
        for index in 0..run.policy.stop.len() {
            self.timers.disarm(&TimerKey::Run(id, Timer::Stage(Stage::Step(index))));
        }
        for key in [
            TimerKey::RunTime(id),
            TimerKey::Unheld(id),
            TimerKey::MaxRuntime(id),
            TimerKey::Idle(id),
            TimerKey::Freeze(id),
            TimerKey::Liveness(id),
            TimerKey::Zombie(id),
        ] {
            self.timers.disarm(&key);
        }
        self.stop_helpers_of(id, |_| true);
        if matches!(end, End::Ran { .. }) {
            self.link.send(Request::Forget { scope: ScopeId(id) });
            kennel_sys::crash_point!("daemon.forget-sent");
        }
        let receipt = run.receipt_now(id, &self.boot_id, true);
        match run.kind {
            Kind::Slot => {
                if let Some(slot) = self.slots.get_mut(&run.name) {
                    slot.bounded = std::mem::take(&mut run.bounded);
                    slot.refused = match &end {
                        End::NotSpawned { error, .. } => {
                            Some((run.refused.map_or(Code::SpawnFailed, spawn::problem_code), error.clone()))
                        }
                        End::Ran { .. } => None,
                    };
                }
                self.slot_run_ended(&run.name, id, run.begun, end, receipt);
            }
            Kind::Helper(purpose) => self.helper_ended(purpose, &run.name, end, run.refused, receipt),
        }
    }

    fn slot_run_ended(&mut self, name: &str, id: u64, begun: Instant, end: End, receipt: Receipt) {
        let (ran, now) = (begun.elapsed(), clock::now());
        if let End::Ran { exit, .. } = end {
            if let Some(slot) = self.slots.get_mut(name) {
                slot.last_exit = Some(exit);
                slot.last_receipt = Some(receipt.clone());
            }
            self.note_receipt(name, &receipt);
            let (service, kept) = (name.to_owned(), Box::new(receipt.clone()));
            self.events.change(Change::Receipt { service, instance: id, receipt: kept });
            self.events.publish(Some(name), Some(id), EventKind::Down { receipt: Box::new(receipt) });
            kennel_sys::crash_point!("daemon.receipt-made");
        }
        if let Some(slot) = self.slots.get_mut(name) {
            slot.run = None;
        }
        if let Err(error) = self.choose_ports(name) {
            tracing::warn!(error, service = name, "cannot choose a port");
        }
        let ended = slot::Event::Ended { end, ran, now, random: fastrand::f64() };
        self.queue.push_back(Work::Slot(name.to_owned(), ended));
    }

    /// The keeper is gone and with it all exit codes. With cgroups the scopes are ours to empty; without, each
    /// scope's own reaper empties it as it sees the keeper go.
    pub(super) fn lose_keeper(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "the keeper is lost; what it held and what is not to be kept is being ended");
        self.keeper_lost = true;
        self.link.lose();
        // Nobody answers them any more.
        self.signals.clear();
        self.events.publish(None, None, EventKind::KeeperLost {});
        kennel_sys::crash_point!("daemon.keeper-lost");
        let limit = Some(std::time::Duration::ZERO);
        // What is kept is taken over by the next keeper, and nothing is begun until then.
        for (name, _) in self.slots.iter().filter(|(_, slot)| slot.run.is_none() && !slot.service.is_kept()) {
            let stop = slot::Event::Stop { reason: Reason::KeeperLost, limit };
            self.queue.push_back(Work::Slot(name.clone(), stop));
        }
        let mut scopes: Vec<u64> = self.inherited.iter().copied().collect();
        let (mut reapers, mut lost) = (Vec::new(), Vec::new());
        let outlive: HashSet<u64> =
            self.runs.iter().filter(|(_, run)| self.outlives_keeper(run)).map(|(id, _)| *id).collect();
        for (id, run) in self.runs.iter_mut().filter(|(id, _)| !outlive.contains(id)) {
            let is_kept = run.is_kept();
            // What is kept and ends all the same has ended like any other: its restart policy decides.
            if !is_kept {
                self.queue.push_back(Work::Run(*id, Event::StopRequested { reason: Reason::KeeperLost, limit }));
            }
            reapers.extend(run.reaper.take());
            scopes.push(*id);
            lost.push((*id, is_kept, run.pid.is_some(), run.exit.is_some()));
        }
        for (id, is_kept, began, exit_told) in lost {
            match (began, exit_told) {
                (true, false) => self.main_exited(id, proto::Exit::Unknown),
                (true, true) => {}
                // Nobody was told that it runs, and if it does, it is ended with the rest.
                (false, _) => {
                    let error = "the keeper was lost".to_owned();
                    self.queue.push_back(Work::Run(id, Event::SpawnFailed { error, transient: is_kept }));
                }
            }
        }
        let root = match &self.backend {
            Backend::Cgroup { root } => Some(root.clone()),
            Backend::Reaper { .. } => None,
        };
        let (inbox, lock) = (self.inbox_sender.clone(), self.home.lock_file());
        tokio::task::spawn_blocking(move || {
            lost::end(&reapers, root.as_deref(), &lock);
            for id in scopes {
                let _driver_ended = inbox.send(Input::Emptied(id));
            }
            let _driver_ended = inbox.send(Input::Swept);
        });
    }
}

pub(super) fn wire_reason(reason: Reason) -> StopReason {
    match reason {
        Reason::Requested => StopReason::Requested,
        Reason::Restart => StopReason::Restart,
        Reason::Down => StopReason::Down,
        Reason::MainExited => StopReason::MainExited,
        Reason::StartTimeout => StopReason::StartTimeout,
        Reason::DaemonLost => StopReason::DaemonLost,
        Reason::KeeperLost => StopReason::KeeperLost,
        Reason::ClientGone => StopReason::ClientGone,
        Reason::OwnerEnded => StopReason::OwnerEnded,
        Reason::MaxRuntime => StopReason::MaxRuntime,
        Reason::Limit => StopReason::Limit,
        Reason::Idle => StopReason::Idle,
        Reason::NotAlive => StopReason::NotAlive,
        Reason::Hung => StopReason::Hung,
        Reason::LogBound => StopReason::LogBound,
        Reason::Rule => StopReason::Rule,
    }
}

/// `TERM` for 15: the exit's own words without their `SIG`.
fn signal_label(signal: i32) -> String {
    let text = kennel_wire::Exit::Signal { signal }.to_string();
    text.strip_prefix("SIG").map_or_else(|| text.clone(), str::to_owned)
}

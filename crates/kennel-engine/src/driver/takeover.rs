//! Runs of an earlier daemon: those that the keeper still knows, those that a lost keeper was to keep, and those that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel_core::instance::{self, Health, State as RunState};
use kennel_core::model::{OnEscape, ProbeKind, RestartMode, Service};
use kennel_core::probe::Counter;
use kennel_core::slot::{self, State, Then};
use kennel_keeper::proto::{Adopt, Follows, Known, Request, ScopeId, Started};
use kennel_logs::told::{Batch, Query};
use kennel_wire::{EventKind, StopReason};

use super::oneoff::Purpose;
use super::runs::{Kind, Run, wire_reason};
use super::slots::Slot;
use super::spawn::model_exit;
use super::view::wire_exit;
use super::{Driver, HELPERS, TimerKey, Work, view};
use crate::clock;
use crate::logs::{Keep, Output, Reader};
use crate::records::{AdHoc, CallRecord, Note, RunRecord};

/// So many lines of its log are looked through for the one that says that a service is ready.
const READY_WITHIN_LINES: usize = 20_000;
/// How long the client of a `run` may take to come to another daemon.
const COMES_BACK: Duration = Duration::from_secs(15);

impl Driver {
    /// A run that the keeper still knows.
    pub(super) fn take_over(
        &mut self,
        id: u64,
        record: RunRecord,
        definition: Arc<Service>,
        known: Known,
        follows: Follows,
    ) {
        if record.call.is_some() {
            return self.take_over_call(id, record, definition, known, follows);
        }
        let keeps = known.keep || follows == Follows::HandOver;
        self.insert_run(id, record, definition, &known.name);
        if !keeps {
            self.lose(id, StopReason::DaemonLost);
        }
        // A start that is under way is told of when it is done.
        let Some(started) = known.started else { return };
        self.take_over_started(id, started, keeps);
    }

    fn take_over_started(&mut self, id: u64, started: Started, keeps: bool) {
        let Started { identity, place, pipes, exit, ending: _, empty, frozen } = started;
        let Some(run) = self.runs.get_mut(&id) else { return };
        match place {
            // The word that it runs was lost.
            Some(place) if run.pid.is_none() => self.spawned(id, identity, place, pipes, None),
            place => {
                run.reaper = place.as_ref().and_then(|place| crate::lost::Reaper::of(place, self.keeper_pid));
                run.place = place;
                self.pace_samples(id);
                self.watch_run(id);
                if let Some(pipes) = pipes {
                    self.attach_output(id, pipes);
                }
            }
        }
        // Told by the keeper, for nobody heard of it while there was no daemon.
        self.is_frozen_now(id, frozen);
        if keeps {
            self.resume_run(id);
        }
        match exit {
            Some(exit) => self.main_exited(id, exit),
            // Told by an event whose word to the machine was lost with the daemon.
            None => {
                self.tell_known_exit(id);
            }
        }
        if empty {
            self.queue.push_back(Work::Run(id, instance::Event::ScopeEmptied));
        }
    }

    /// A run that the keeper does not know: never begun, or of a keeper that was lost.
    pub(super) fn take_over_unknown(&mut self, id: u64, record: RunRecord, definition: Arc<Service>, follows: Follows) {
        if record.call.is_some() {
            return self.forget_call(id);
        }
        let survives =
            follows == Follows::Fresh && record.boot_id == self.boot_id && self.can_outlive_keeper(&definition);
        let identity = record.identity();
        let (name, scope) = (record.service.clone(), record.scope.clone());
        let pipes = record.pipes;
        let keeps = definition.is_kept();
        self.insert_run(id, record, definition, &scope);
        match identity {
            Some(process) if survives => {
                let Some(run) = self.runs.get(&id) else { return };
                let note = self.note_of(run);
                let adopt = Adopt {
                    scope: ScopeId(id),
                    leaf: run.scope.clone(),
                    process,
                    kill_escaped: run.service.on_escape == OnEscape::Kill,
                    note,
                    pipes,
                };
                self.adopting.insert(id);
                self.link.send(Request::Adopt(Box::new(adopt)));
            }
            Some(_) => self.is_gone(id, keeps),
            None => self.was_never_begun(id, &name),
        }
    }

    /// Recorded as meant, and never asked for: it is begun anew, if it still is to be.
    fn was_never_begun(&mut self, id: u64, name: &str) {
        self.runs.remove(&id);
        self.dirty.run(id);
        let Some(slot) = self.slots.get_mut(name).filter(|slot| slot.run == Some(id)) else { return };
        slot.run = None;
        self.dirty.slot(name);
        match slot.state {
            State::Active { then: Then::Decide | Then::Again | Then::Lost } => slot.state = State::Pending,
            State::Active { then: Then::Rest } => slot.state = State::Rest(slot::Rest::Stopped),
            State::Rest(_) | State::Pending | State::Waiting => {}
        }
    }

    /// It ended with an earlier keeper, and nobody could learn how.
    pub(super) fn is_gone(&mut self, id: u64, keeps: bool) {
        if !keeps {
            self.lose(id, StopReason::KeeperLost);
        }
        self.main_exited(id, kennel_keeper::proto::Exit::Unknown);
        self.queue.push_back(Work::Run(id, instance::Event::ScopeEmptied));
    }

    /// Tells the machine and the receipt of an exit that was told to everybody else before. Answers whether it was.
    pub(super) fn tell_known_exit(&mut self, id: u64) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        let Some(exit) = run.exit else { return false };
        run.receipt.main_exited(wire_exit(exit));
        // One that knows it already is not moved by it.
        self.queue.push_back(Work::Run(id, instance::Event::MainExited(exit)));
        true
    }

    /// A command that a client waits for: it runs on where one daemon hands over to the next, and ends with a lost one.
    fn take_over_call(&mut self, id: u64, record: RunRecord, definition: Arc<Service>, known: Known, follows: Follows) {
        let CallRecord { token, ends_at } = record.call.clone().unwrap_or_default();
        if follows != Follows::HandOver {
            self.forget_call(id);
            return self.see_off(known);
        }
        self.insert_run(id, record, definition, &known.name);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.kind = Kind::Helper(Purpose::OneOff { token, reply: None });
        run.policy.probed = false;
        run.ends_at = ends_at.map(clock::instant);
        if let Some(at) = run.ends_at {
            self.timers.arm(TimerKey::RunTime(id), at);
        }
        self.timers.arm(TimerKey::Unheld(id), Instant::now() + COMES_BACK);
        self.recorded_calls.insert(id);
        if let Some(started) = known.started {
            self.take_over_started(id, started, true);
        }
    }

    fn forget_call(&mut self, id: u64) {
        self.recorded_calls.insert(id);
        self.dirty.run(id);
    }

    /// What does not outlive its daemon or keeper is stopped before anything else is said of it.
    fn lose(&mut self, id: u64, reason: StopReason) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.receipt.begin(reason);
        let name = run.name.clone();
        if self.slots.get(&name).is_some_and(|slot| slot.run == Some(id)) {
            self.queue.push_back(Work::Slot(name, slot::Event::DaemonLost));
        }
        let limit = Some(std::time::Duration::ZERO);
        let stop = instance::Event::StopRequested { reason: instance::Reason::DaemonLost, limit };
        self.queue.push_back(Work::Run(id, stop));
    }

    /// A scope that the store says nothing of: of a helper, or of a service whose record was lost.
    pub(super) fn take_over_unrecorded(&mut self, known: Known, follows: Follows) {
        let id = known.scope.0;
        let note: Option<Note> = serde_json::from_slice(&known.note).ok();
        match note {
            Some(note) if id < HELPERS && (known.keep || follows == Follows::HandOver) => {
                self.rebuild(known, note);
            }
            _ => self.see_off(known),
        }
    }

    /// The keeper has a second copy of the record.
    fn rebuild(&mut self, known: Known, note: Note) {
        let id = known.scope.0;
        let Note { name, service, replica, mut definition, ad_hoc } = note;
        if ad_hoc.is_some() {
            // The environment for another run is lost.
            definition.restart = RestartMode::No;
        }
        tracing::warn!(service = name, instance = id, "taken over by what the keeper knows, for its record is lost");
        let definition = Arc::new(definition);
        let slot =
            self.slots.entry(name.clone()).or_insert_with(|| Slot::new(&service, replica, Arc::clone(&definition)));
        if slot.run.is_some() {
            return self.see_off(known);
        }
        slot.run = Some(id);
        slot.last_run = Some(id);
        slot.wanted = true;
        slot.state = State::Active { then: Then::Decide };
        slot.ad_hoc =
            ad_hoc.map(|about| Box::new(AdHoc { about, environment: BTreeMap::new(), request: None, adopted: false }));
        self.dirty.slot(&name);
        self.dirty.ad_hoc(&name);
        self.dirty.run(id);
        let mut run = self.new_run(&name, Kind::Slot, &definition, &definition.command);
        run.scope.clone_from(&known.name);
        run.policy.probed = definition.readiness.is_some();
        self.runs.insert(id, run);
        if let Some(started) = known.started {
            self.take_over_started(id, started, true);
        }
    }

    /// Nobody's: it is ended if it has not, and what it left is recorded.
    fn see_off(&mut self, known: Known) {
        let Known { scope, name, started, keep, .. } = known;
        let id = scope.0;
        let name = name.rsplit_once('.').map_or(name.as_str(), |(name, _)| name).to_owned();
        let started = started.map(|started| {
            if let Some(pipes) = started.pipes {
                let output = Output {
                    name: name.clone(),
                    run: id,
                    pipes,
                    pattern: None,
                    kept: keep,
                    activity: Arc::default(),
                    keep: Keep::default(),
                };
                self.recorder.attach(output);
            }
            let exit = started.exit.map(|exit| wire_exit(model_exit(exit)));
            if let (Some(exit), true) = (exit, id < HELPERS) {
                let kind = EventKind::Exited { pid: started.identity.pid, exit };
                self.events.publish(Some(&name), Some(id), kind);
            }
            (exit, started.empty)
        });
        if id < HELPERS && !self.slots.contains_key(&name) {
            self.lost.push(view::lost(&name, id, started.and_then(|(exit, _)| exit), &self.backend));
        }
        if started.is_some_and(|(_, empty)| empty) {
            self.link.send(Request::Forget { scope });
        } else {
            self.inherited.insert(id);
            self.link.send(Request::Kill { scope });
        }
    }

    fn insert_run(&mut self, id: u64, record: RunRecord, service: Arc<Service>, scope: &str) {
        // A run of the definition that is in force shares it, which is how a changed one is told.
        let slot = self.slots.get(&record.service).map(|slot| &slot.service);
        let service = slot.filter(|declared| ***declared == *service).cloned().unwrap_or(service);
        let mut run = self.new_run(&record.service, Kind::Slot, &service, &service.command);
        run.policy.probed = service.readiness.is_some();
        run.counter = counter(&service, &record.state);
        run.identity = match (record.pid, record.start_ticks) {
            (Some(pid), Some(start_ticks)) => {
                Some(kennel_keeper::proto::Identity { pid, start_ticks, inode: record.inode.unwrap_or(0) })
            }
            _ => None,
        };
        run.pid = record.pid;
        run.scope = if record.scope.is_empty() { scope.to_owned() } else { record.scope };
        run.started_at = record.started_at;
        run.begun = clock::instant(record.begun);
        run.ready_after_ms = record.ready_after_ms;
        run.exit = record.exit;
        run.limit_at = record.limit_at.map(clock::instant);
        run.pipes = record.pipes;
        run.frozen = record.frozen;
        if let Some(identity) = run.identity {
            run.receipt.spawned(&identity);
        }
        if let RunState::Stopping(stopping) = &record.state {
            run.receipt.begin(wire_reason(stopping.reason));
        }
        self.reopen_notify(id, &mut run, record.notify.as_deref());
        run.state = record.state;
        self.runs.insert(id, run);
    }

    /// Goes on with probes, timers and the stage of a stop.
    pub(super) fn resume_run(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id) else { return };
        if matches!(run.state, RunState::Starting { .. }) && run.pid.is_some() {
            // Told to everybody, and the machine had not moved yet.
            self.queue.push_back(Work::Run(id, instance::Event::Spawned));
        }
        if self.has_said_ready(run) {
            self.queue.push_back(Work::Run(id, instance::Event::ProbePassed));
        }
        if let Some(at) = run.limit_at.filter(|_| matches!(run.state, RunState::Stopping(_))) {
            self.timers.arm_earlier(TimerKey::Run(id, instance::Timer::Limit), at);
        }
        let is_running = matches!(run.state, RunState::Running { .. });
        let was_ready = matches!(run.state, RunState::Running { health: Health::Ready | Health::Unhealthy });
        let actions = instance::resume(&run.policy, &run.state);
        if is_running {
            self.arm_limits(id);
            self.ask_bounds(id);
        }
        if was_ready {
            self.begin_liveness(id);
            self.begin_hang(id);
        }
        for action in actions {
            self.act(id, action);
        }
    }

    /// Whether the line that it was waited for is in its log already: recorded by a daemon that had no time to act on it.
    fn has_said_ready(&self, run: &Run) -> bool {
        let waits = matches!(run.state, RunState::Starting { .. } | RunState::Running { health: Health::Starting });
        let Some(ProbeKind::LogLine(pattern)) = run.service.readiness.as_ref().map(|probe| &probe.kind) else {
            return false;
        };
        let Some(pattern) = waits.then(|| regex::bytes::Regex::new(pattern).ok()).flatten() else { return false };
        let query = Query { names: vec![run.name.clone()], since: Some(run.started_at), ..Query::default() };
        let mut reader = Reader::open(&self.home.logs_dir(), &query, self.recorder.watch());
        let mut looked = 0;
        while looked < READY_WITHIN_LINES {
            let Batch { lines, more } = reader.batch(512);
            if lines.iter().any(|line| pattern.is_match(line.line.as_bytes())) {
                return true;
            }
            if !more {
                return false;
            }
            looked += lines.len().max(1);
        }
        false
    }
}

/// Goes on counting from the verdict that was given.
pub(super) fn counter(service: &Service, state: &RunState) -> Counter {
    let Some(probe) = &service.readiness else { return Counter::new(1, 1) };
    let (passes, failures) = (probe.success_threshold, probe.failure_threshold);
    match state {
        RunState::Running { health: Health::Ready } => Counter::resumed(passes, failures, true),
        RunState::Running { health: Health::Unhealthy } => Counter::resumed(passes, failures, false),
        RunState::Running { health: Health::Starting }
        | RunState::Starting { .. }
        | RunState::Stopping(_)
        | RunState::Down(_) => Counter::new(passes, failures),
    }
}

//! Drives one shutdown from its begin to its report.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_core::shutdown::{Action, Event, Outcome, Phase, Plan, Shutdown, Status, Urgency};
use kennel_wire::{CleanupOutcome, CleanupPhase, CleanupReport, ShutdownReport, ShutdownState};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::cleanup::{Call, Run};
use super::{SAVE, state};
use crate::panics::Guarded;
use crate::receipt::millis;

/// A shutdown that somebody asked for.
pub(super) struct Begun {
    pub(super) reason: String,
    pub(super) urgency: Urgency,
    pub(super) plan: Plan,
    /// In the order of the plan.
    pub(super) runs: Vec<Run>,
    pub(super) state_dir: Option<Box<Path>>,
}

/// The cleanups that have begun.
struct Tasks {
    set: JoinSet<Outcome>,
    indices: HashMap<Id, usize>,
    aborts: HashMap<usize, AbortHandle>,
    runs: Vec<Option<Run>>,
    call: Call,
}

/// Runs every cleanup, then saves, logs and tells the report.
pub(super) async fn drive(
    begun: Begun,
    mut asked: watch::Receiver<Option<Urgency>>,
    told: watch::Sender<Option<ShutdownReport>>,
) {
    let Begun { reason, urgency, plan, runs, state_dir } = begun;
    let (timestamp, zero) = (Timestamp::now(), Instant::now());
    tracing::info!(reason, "the shutdown begins");
    // First of all, so that the next start knows of a shutdown that was ended by force.
    let mut state = ShutdownState { timestamp, reason, report: None };
    save(state_dir.as_deref(), &state).await;
    kennel_sys::crash_point!("shutdown.saved");

    let (urgencies, receiver) = watch::channel(urgency);
    let left = Arc::new(AtomicU32::new(0));
    let call = Call { urgency: receiver, left: Arc::clone(&left) };
    let mut tasks = Tasks::new(runs, call);
    let (mut machine, actions) = Shutdown::begin(plan, urgency, zero.elapsed());
    let mut finished = tasks.carry_out(actions);
    while !finished {
        let event = next(&mut tasks, &mut asked, &machine, zero).await;
        let actions = machine.step(event, zero.elapsed());
        urgencies.send_if_modified(|known| std::mem::replace(known, machine.urgency()) != machine.urgency());
        finished = tasks.carry_out(actions);
    }
    let mut report = report(&state, &machine, left.load(Ordering::Relaxed), zero.elapsed());
    state.report = Some(report.clone());
    report.ok &= save(state_dir.as_deref(), &state).await;
    kennel_sys::crash_point!("shutdown.reported");
    log(&report);
    told.send_replace(Some(report));
}

/// Whether it is saved, or is not to be.
async fn save(directory: Option<&Path>, state: &ShutdownState) -> bool {
    let Some(directory) = directory.map(Path::to_owned) else { return true };
    let state = state.clone();
    let written = tokio::task::spawn_blocking(move || state::write(&directory, &state));
    match tokio::time::timeout(SAVE, written).await {
        Ok(Ok(Ok(()))) => return true,
        Ok(Ok(Err(error))) => tracing::error!(%error, "cannot save the state of the shutdown"),
        Ok(Err(error)) => tracing::error!(%error, "cannot save the state of the shutdown"),
        Err(_) => tracing::error!(after = ?SAVE, "cannot save the state of the shutdown in time"),
    }
    false
}

/// Waits for whatever is next.
async fn next(
    tasks: &mut Tasks,
    asked: &mut watch::Receiver<Option<Urgency>>,
    machine: &Shutdown,
    zero: Instant,
) -> Event {
    let due = machine.due();
    let timer = async {
        match due.and_then(|due| zero.checked_add(due)) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased; // An end already observed wins over a timer that fired in the same turn.
        ended = tasks.ended() => ended,
        Ok(()) = asked.changed() => Event::Asked(asked.borrow_and_update().unwrap_or_default()),
        () = timer => Event::Elapsed,
    }
}

impl Tasks {
    fn new(runs: Vec<Run>, call: Call) -> Self {
        let runs = runs.into_iter().map(Some).collect();
        Self { set: JoinSet::new(), indices: HashMap::new(), aborts: HashMap::new(), runs, call }
    }

    /// Answers whether that was the end.
    fn carry_out(&mut self, actions: Vec<Action>) -> bool {
        let mut finished = false;
        for action in actions {
            match action {
                Action::Begin(index) => self.begin(index),
                Action::Abandon(index) => {
                    if let Some(task) = self.aborts.remove(&index) {
                        task.abort();
                    }
                }
                Action::Finish => finished = true,
            }
        }
        finished
    }

    fn begin(&mut self, index: usize) {
        let Some(run) = self.runs.get_mut(index).and_then(Option::take) else { return };
        let work = Guarded::new(run(self.call.clone()));
        let task = self.set.spawn(async move {
            match work.await {
                Ok(Ok(())) => Outcome::Ok,
                Ok(Err(error)) => Outcome::Failed(error),
                Err(panic) => Outcome::Panicked(panic.to_string()),
            }
        });
        self.indices.insert(task.id(), index);
        self.aborts.insert(index, task);
    }

    /// The next end. One of a task that was given up is of no interest to the machine, which knows.
    async fn ended(&mut self) -> Event {
        loop {
            let (id, outcome) = match self.set.join_next_with_id().await {
                Some(Ok((id, outcome))) => (id, outcome),
                Some(Err(error)) => (error.id(), lost(&error)),
                None => std::future::pending().await,
            };
            if let Some(index) = self.indices.remove(&id) {
                self.aborts.remove(&index);
                return Event::Ended(index, outcome);
            }
        }
    }
}

fn lost(error: &JoinError) -> Outcome {
    // A panic in what the cleanup leaves to be dropped comes after its guard.
    if error.is_panic() { Outcome::Panicked("while it was dropped".to_owned()) } else { Outcome::TimedOut }
}

fn report(state: &ShutdownState, machine: &Shutdown, left: u32, took: Duration) -> ShutdownReport {
    let cleanups: Vec<CleanupReport> = machine
        .report()
        .map(|(cleanup, status)| {
            let (outcome, took) = match status {
                Status::Ended { outcome, took } => (wire_outcome(outcome), *took),
                // Not with a machine that has finished.
                Status::Waiting | Status::Running { .. } => (CleanupOutcome::Skipped, Duration::ZERO),
            };
            let phase = wire_phase(cleanup.phase);
            CleanupReport { name: cleanup.name.clone(), phase, outcome, duration_ms: millis(took) }
        })
        .collect();
    let ok = left == 0 && cleanups.iter().all(|cleanup| cleanup.outcome == CleanupOutcome::Ok);
    let (timestamp, reason) = (state.timestamp, state.reason.clone());
    ShutdownReport { timestamp, reason, ok, left, duration_ms: millis(took), cleanups }
}

fn log(report: &ShutdownReport) {
    let ShutdownReport { reason, ok, left, duration_ms, cleanups, .. } = report;
    if *ok {
        tracing::info!(reason, duration_ms, left, cleanups = cleanups.len(), "cleanup completed");
    } else {
        let failed: Vec<String> = cleanups.iter().filter_map(failure).collect();
        tracing::error!(reason, duration_ms, left, failed = failed.join("; "), "cleanup not completed");
    }
}

/// `keeper failed: broken pipe`
fn failure(cleanup: &CleanupReport) -> Option<String> {
    let name = &cleanup.name;
    match &cleanup.outcome {
        CleanupOutcome::Ok => None,
        CleanupOutcome::Failed { error } => Some(format!("{name} failed: {error}")),
        CleanupOutcome::Panicked { error } => Some(format!("{name} panicked: {error}")),
        CleanupOutcome::TimedOut => Some(format!("{name} took too long")),
        CleanupOutcome::Skipped => Some(format!("{name} was skipped")),
    }
}

fn wire_outcome(outcome: &Outcome) -> CleanupOutcome {
    match outcome {
        Outcome::Ok => CleanupOutcome::Ok,
        Outcome::Failed(error) => CleanupOutcome::Failed { error: error.clone() },
        Outcome::Panicked(error) => CleanupOutcome::Panicked { error: error.clone() },
        Outcome::TimedOut => CleanupOutcome::TimedOut,
        Outcome::Skipped => CleanupOutcome::Skipped,
    }
}

fn wire_phase(phase: Phase) -> CleanupPhase {
    match phase {
        Phase::Persist => CleanupPhase::Persist,
        Phase::Reset => CleanupPhase::Reset,
        Phase::Cleanup => CleanupPhase::Cleanup,
        Phase::Drain => CleanupPhase::Drain,
        Phase::End => CleanupPhase::End,
    }
}

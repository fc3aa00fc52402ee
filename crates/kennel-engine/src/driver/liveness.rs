//! Whether instances are alive, apart from whether they are ready: asked, or waited for, and what follows.
//!
//! Begins when an instance is ready for the first time, for until then the time that a start may take is its bound.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kennel_core::instance::{Event, Reason, State};
use kennel_core::liveness::{Check, Remedy};
use kennel_core::probe::Counter;
use kennel_core::slot;
use kennel_wire::Health;

use super::oneoff::Purpose;
use super::runs::{Kind, Run};
use super::{Driver, Input, TimerKey, Work};
use crate::clock;
use crate::probe::{self, Plan, Told};

/// What is known of the liveness of one run.
#[derive(Debug)]
pub(super) struct Live {
    counter: Counter,
    /// Asks, unless it is waited for what the run does by itself.
    _task: Option<probe::Task>,
    /// From when on it may be silent for as long as it may, by [`crate::clock`].
    from: Duration,
    /// Why it counts as failed, while it does.
    pub(super) failing: Option<String>,
}

impl Driver {
    /// Begins to ask or to wait; once for each run.
    pub(super) fn begin_liveness(&mut self, id: u64) {
        let was_failing = self.was_told_failing(id);
        let Some(run) = self.runs.get_mut(&id).filter(|run| matches!(run.kind, Kind::Slot) && run.live.is_none())
        else {
            return;
        };
        let Some(liveness) = &run.service.liveness else { return };
        let (passes, failures) = (liveness.success_threshold, liveness.failure_threshold);
        let inbox = self.inbox_sender.clone();
        let plan = Plan::liveness(liveness);
        let from = clock::now().saturating_add(liveness.initial_delay);
        if let Some(patience) = liveness.check.patience() {
            self.timers.arm(TimerKey::Liveness(id), clock::instant(from.saturating_add(patience)));
        }
        run.live = Some(Box::new(Live {
            // It was ready a moment ago: alive until the opposite is known.
            counter: Counter::resumed(passes, failures, was_failing.is_none()),
            _task: plan.map(|plan| probe::start(plan, inbox, move |told| Input::Liveness(id, told))),
            from,
            failing: was_failing,
        }));
    }

    /// What a daemon before this one told of its health, if that was bad and nothing was done about it.
    fn was_told_failing(&self, id: u64) -> Option<String> {
        let slot = self.slots.get(&self.runs.get(&id)?.name).filter(|slot| slot.run == Some(id))?;
        let told = slot.health.of_run == Some(id) && slot.health.word == Health::Unhealthy && slot.health.told;
        told.then(|| slot.health.reason.clone().unwrap_or_default())
    }

    pub(super) fn liveness_told(&mut self, id: u64, told: Told) {
        self.look_for_zombie(id);
        let Some(run) = self.runs.get_mut(&id).filter(|run| is_watched(run)) else { return };
        match told {
            // What stands still cannot answer, and is not to be ended for that.
            Told::Answer { .. } if stands_still(run) => {}
            Told::Answer { answer, took } => {
                run.probe_took = Some(took);
                self.answered(id, answer, false);
            }
            Told::Exec { command, limit, reply } => {
                self.run_helper(id, command, limit, Purpose::Probe { of: id, reply });
            }
        }
    }

    /// It says so itself: nothing has to be asked again.
    pub(super) fn said_trouble(&mut self, id: u64) {
        if self.runs.get(&id).is_some_and(|run| is_watched(run) && !stands_still(run)) {
            self.answered(id, Err("it said `WATCHDOG=trigger`".into()), true);
        }
    }

    /// The timer is as old as the last look: what was heard since moves it on.
    pub(super) fn may_not_be_alive(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| is_watched(run)) else { return };
        let is_still = stands_still(run);
        let (Some(liveness), Some(live)) = (&run.service.liveness, &mut run.live) else { return };
        if is_still {
            // All its time begins when it goes on.
            live.from = clock::now();
            let at = Instant::now() + liveness.interval;
            return self.timers.arm(TimerKey::Liveness(id), at);
        }
        let (last, what) = match &liveness.check {
            Check::Watchdog(_) => {
                let alive = run.notify.as_ref().map_or(0, |notify| notify.alive_ms.load(Ordering::Relaxed));
                (alive, "did not say `WATCHDOG=1`")
            }
            Check::LogSilence(_) => (run.activity.last_ms.load(Ordering::Relaxed), "wrote nothing"),
            Check::Ask(_) | Check::Heartbeat { .. } => return,
        };
        let Some(patience) = liveness.check.patience() else { return };
        let interval = liveness.interval;
        let at = Duration::from_millis(last).max(live.from).saturating_add(patience);
        if at > clock::now() {
            self.timers.arm(TimerKey::Liveness(id), clock::instant(at));
            return self.answered(id, Ok(()), true);
        }
        // Perhaps it is heard of again, if nothing is done about it.
        self.timers.arm(TimerKey::Liveness(id), Instant::now() + interval);
        self.answered(id, Err(format!("it {what} for {patience:?}")), true);
    }

    /// Counts an answer, or takes it at its word, and does what is to be done if that changes what is known.
    fn answered(&mut self, id: u64, answer: Result<(), String>, at_once: bool) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(live) = &mut run.live else { return };
        let passed = answer.is_ok();
        let verdict = live.counter.answer(passed).or((at_once && passed != live.failing.is_none()).then_some(passed));
        if verdict.is_none() && live.failing.is_none() {
            return;
        }
        match (verdict, answer) {
            (Some(true), _) => live.failing = None,
            (Some(false), Err(why)) => live.failing = Some(why),
            // It fails still, perhaps otherwise.
            (None, Err(why)) => live.failing = Some(why),
            (None | Some(false), Ok(())) => {}
        }
        let (name, action) = (run.name.clone(), run.service.liveness.as_ref().map(|liveness| liveness.action));
        if verdict.is_some() {
            self.note_health(&name);
        }
        if verdict == Some(false) {
            tracing::warn!(service = name, instance = id, "its liveness failed");
            self.remedy(id, action.unwrap_or(Remedy::Warn), Reason::NotAlive);
        }
    }

    /// Does what is to be done about a run that works no more.
    pub(super) fn remedy(&mut self, id: u64, action: Remedy, reason: Reason) {
        match action {
            Remedy::Event | Remedy::Warn => {}
            // The restart policy says what follows, so this is no stop of the slot.
            Remedy::Restart => self.queue.push_back(Work::Run(id, Event::StopRequested { reason, limit: None })),
            Remedy::Stop => {
                let Some(run) = self.runs.get(&id) else { return };
                let stop = slot::Event::Stop { reason, limit: None };
                self.queue.push_back(Work::Slot(run.name.clone(), stop));
            }
        }
    }
}

/// Frozen, or about to be.
pub(super) fn stands_still(run: &Run) -> bool {
    run.frozen.is_some() || run.freezing.is_some()
}

/// Late answers and timers are normal.
fn is_watched(run: &Run) -> bool {
    matches!(run.state, State::Running { .. }) && run.live.is_some()
}

//! Instances that stand still, so that they can be looked at before anything is decided.

use std::time::{Duration, Instant};

use kennel_core::instance::State;
use kennel_keeper::proto::{Request, ScopeId};
use kennel_wire::{ActionRequest, EventKind, FreezeOutcome, FreezeReport, Problem};

use super::runs::Kind;
use super::waiters::WaitsFor;
use super::{Driver, Reply, TimerKey};

/// Who waits for a freeze or a thaw waits no longer than this: a process in an uninterruptible sleep stops at its end only.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the keeper was asked to do with a scope and has not done yet.
#[derive(Debug)]
pub(super) struct Asked {
    frozen: bool,
    /// By whom or for what.
    by: String,
    /// Nobody waits for it any more, and why.
    late: Option<String>,
}

impl Driver {
    /// Has the scope of a run stand still or go on. `by` says on whose behalf, as a few words: `request`, `rule memory`.
    ///
    /// What is so already stays so; a run that has not begun or that is ending is left alone. What follows is told by the
    /// events `instance.frozen` and `instance.thawed`.
    pub(super) fn set_frozen(&mut self, id: u64, frozen: bool, by: String) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.pid.is_some()) else { return };
        let is_so = run.frozen.is_some() == frozen && run.freezing.is_none();
        if is_so || matches!(run.state, State::Down(_)) || (frozen && matches!(run.state, State::Stopping(_))) {
            return;
        }
        run.freezing = Some(Asked { frozen, by, late: None });
        self.timers.arm(TimerKey::Freeze(id), Instant::now() + PATIENCE);
        self.link.send(Request::Freeze { scope: ScopeId(id), frozen });
    }

    /// The keeper says how it is.
    pub(super) fn is_frozen_now(&mut self, id: u64, frozen: bool) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let asked = match &run.freezing {
            // The answer to an earlier request is not the answer to this one.
            Some(asked) if asked.frozen != frozen => None,
            Some(_) => run.freezing.take(),
            None => None,
        };
        if asked.is_some() {
            self.timers.disarm(&TimerKey::Freeze(id));
        }
        if run.frozen.is_some() == frozen {
            return;
        }
        let is_stopping = matches!(run.state, State::Stopping(_));
        let by = asked.map(|asked| asked.by).unwrap_or_else(|| match (frozen, is_stopping) {
            (false, true) => "stop".to_owned(),
            (false, false) => "signal".to_owned(),
            (true, _) => "somebody else".to_owned(),
        });
        run.frozen = frozen.then(|| by.clone());
        self.dirty.run(id);
        if matches!(run.kind, Kind::Slot) {
            let kind = if frozen { EventKind::Frozen { by } } else { EventKind::Thawed { by } };
            self.events.publish(Some(&run.name), Some(id), kind);
        }
        if !frozen && !is_stopping {
            self.let_go_on(id);
        }
    }

    /// It takes too long; it goes on, and nobody waits for it.
    pub(super) fn freeze_is_late(&mut self, id: u64) {
        self.not_frozen(id, "some of its processes cannot be stopped yet");
    }

    /// The keeper was not able to, or has not done it yet.
    pub(super) fn not_frozen(&mut self, id: u64, why: &str) {
        if let Some(asked) = self.runs.get_mut(&id).and_then(|run| run.freezing.as_mut()) {
            asked.late = Some(why.to_owned());
        }
    }

    /// A stop asks the service first, which has to be able to hear it.
    pub(super) fn thaw_to_stop(&mut self, id: u64) {
        if self.runs.get(&id).is_some_and(|run| run.frozen.is_some() || run.freezing.is_some()) {
            self.set_frozen(id, false, "stop".to_owned());
        }
    }

    pub(super) fn freeze_services(
        &mut self,
        request: &ActionRequest,
        frozen: bool,
        reply: Reply<Result<FreezeReport, Problem>>,
    ) {
        let names = match self.refuse_while_ending().map_or_else(|| self.meant(request), Err) {
            Ok(names) => names,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let runs: Vec<u64> = names.iter().filter_map(|name| self.slots.get(name)?.run).collect();
        for id in runs {
            // One that was given up is asked for once more.
            if let Some(run) = self.runs.get_mut(&id)
                && run.freezing.as_ref().is_some_and(|asked| asked.late.is_some())
            {
                run.freezing = None;
            }
            self.set_frozen(id, frozen, "request".to_owned());
        }
        self.wait(names, WaitsFor::Frozen { frozen, reply });
    }

    /// Whether nothing more is to come of a freeze or a thaw of this slot.
    pub(super) fn is_freeze_over(&self, name: &str) -> bool {
        let run = self.slots.get(name).and_then(|slot| slot.run).and_then(|id| self.runs.get(&id));
        run.is_none_or(|run| run.freezing.as_ref().is_none_or(|asked| asked.late.is_some()))
    }

    pub(super) fn freeze_report(&self, slots: &[String], wanted: bool) -> FreezeReport {
        let services: Vec<FreezeOutcome> = slots.iter().filter_map(|name| self.freeze_outcome(name, wanted)).collect();
        FreezeReport { ok: services.iter().all(|one| one.reason.is_none()), services }
    }

    fn freeze_outcome(&self, name: &str, wanted: bool) -> Option<FreezeOutcome> {
        let slot = self.slots.get(name)?;
        let run = slot.run.and_then(|id| self.runs.get(&id));
        let frozen = run.is_some_and(|run| run.frozen.is_some());
        let late = run.and_then(|run| run.freezing.as_ref()).and_then(|asked| asked.late.clone());
        let reason = match run {
            None => Some("it does not run".to_owned()),
            Some(_) if frozen == wanted => None,
            Some(run) if run.pid.is_none() => Some("it has not begun".to_owned()),
            Some(run) if matches!(run.state, State::Stopping(_) | State::Down(_)) => {
                Some("it is being stopped".to_owned())
            }
            Some(_) => Some(late.unwrap_or_else(|| "somebody else has changed it meanwhile".to_owned())),
        };
        // What does not run stands still anyway, and goes on as it is.
        Some(FreezeOutcome { service: name.to_owned(), instance: slot.run, frozen, reason })
    }
}

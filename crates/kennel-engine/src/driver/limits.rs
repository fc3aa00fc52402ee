//! How long an instance may run, and how long it may be silent.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kennel_core::instance::{Event as RunEvent, Reason, State};
use kennel_core::slot::Event;

use super::runs::Kind;
use super::{Driver, TimerKey, Work};
use crate::clock;

impl Driver {
    /// Begins to count, for an instance that has just begun or was taken over. The time of its run goes on; when it last wrote
    /// something nobody knows after a loss of the daemon, so silence is counted anew.
    pub(super) fn arm_limits(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| matches!(run.kind, Kind::Slot)) else { return };
        if let Some(at) = run.service.max_runtime.and_then(|limit| run.begun.checked_add(limit)) {
            self.timers.arm(TimerKey::MaxRuntime(id), at);
        }
        if let Some(limit) = run.service.idle_timeout {
            run.activity.touch();
            self.timers.arm(TimerKey::Idle(id), Instant::now() + limit);
        }
    }

    pub(super) fn max_runtime_is_over(&mut self, id: u64) {
        // The restart policy says what follows, so this is no stop of the slot.
        let stop = RunEvent::StopRequested { reason: Reason::MaxRuntime, limit: None };
        if self.runs.get(&id).is_some_and(|run| matches!(run.state, State::Running { .. })) {
            self.queue.push_back(Work::Run(id, stop));
        }
    }

    /// The timer is as old as the last look: what was written since moves it on.
    pub(super) fn may_be_idle(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id).filter(|run| matches!(run.state, State::Running { .. })) else { return };
        let Some(limit) = run.service.idle_timeout else { return };
        // What stands still is silent because somebody wants to look at it.
        if run.frozen.is_some() {
            return self.timers.arm(TimerKey::Idle(id), Instant::now() + limit);
        }
        let last = Duration::from_millis(run.activity.last_ms.load(Ordering::Relaxed));
        let at = last.saturating_add(limit);
        if at > clock::now() {
            return self.timers.arm(TimerKey::Idle(id), clock::instant(at));
        }
        let stop = Event::Stop { reason: Reason::Idle, limit: None };
        self.queue.push_back(Work::Slot(run.name.clone(), stop));
    }
}

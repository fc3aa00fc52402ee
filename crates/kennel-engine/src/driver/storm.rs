//! The storm brake: what restarts, and what gets away while it does, shares one window over all services.

use std::time::Instant;

use kennel_core::brake::{Policy, Verdict};
use kennel_core::slot::{Event, State};
use kennel_wire::EventKind;

use super::{Driver, TimerKey, Work};
use crate::clock;
use crate::receipt::millis;

impl Driver {
    /// The pause of a restart is over: it begins, unless all services together restart too often.
    pub(super) fn restart_is_due(&mut self, name: String) {
        let policy = self.storm_policy();
        let elapsed = Work::Slot(name.clone(), Event::BackoffElapsed);
        // Whatever else was asked for meanwhile is no restart of itself.
        let Some(slot) = self.slots.get_mut(&name).filter(|slot| slot.state == State::Waiting) else {
            return self.queue.push_back(elapsed);
        };
        match self.brake.ask(&policy, &slot.service_name, clock::now(), fastrand::f64()) {
            Verdict::Go => {
                self.queue.push_back(elapsed);
                self.count_restart(&name);
            }
            Verdict::Hold { delay, restarts, is_news } => {
                let at = Instant::now() + delay;
                (slot.retry_at, slot.held_back) = (Some(at), Some(restarts));
                if is_news {
                    tracing::warn!(service = name, restarts, "all services together restart too often");
                    let (window_ms, held_ms) = (millis(policy.window), millis(delay));
                    let kind = EventKind::StormBrake { restarts, window_ms, held_ms };
                    self.events.publish(Some(&name), slot.last_run, kind);
                }
                self.timers.arm(TimerKey::Backoff(name), at);
            }
        }
    }

    /// A process got away from a service, which takes the room of a restart: what a storm leaves behind would feed it.
    pub(super) fn feeds_a_storm(&mut self, service: &str) {
        let policy = self.storm_policy();
        self.brake.note(&policy, service, clock::now());
    }

    fn storm_policy(&self) -> Policy {
        self.loaded.as_ref().map(|loaded| loaded.project.storm_brake.clone()).unwrap_or_default()
    }
}

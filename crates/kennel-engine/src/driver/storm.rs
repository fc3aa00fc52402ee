//! The storm brake: what restarts, and what gets away while it does, shares one window over all services.

use std::time::Instant;

use kennel_core::brake::{Policy, Verdict};
use kennel_core::slot::{Event, State};
use kennel_wire::EventKind;

use super::slots::Slot;
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

    /// Why a start is not worth waiting for: the service is held back, or one that it waits for is. How long that takes is up to what all
    /// services do, and may be for ever.
    pub(super) fn held_by_the_brake(&self, slot: &Slot) -> Option<String> {
        match slot.state {
            State::Waiting => slot.held_back.map(held_back),
            State::Pending => {
                let declared = self.loaded.as_ref()?.project.services.get(&slot.service_name)?;
                let is_held = |service: &&str| {
                    let mut slots = self.slots.values().filter(|other| other.service_name == *service);
                    slots.any(|other| self.held_by_the_brake(other).is_some())
                };
                // Dependencies make no ring: that is checked when they are loaded.
                let service = declared.depends_on.iter().map(|edge| edge.service.as_str()).find(is_held)?;
                Some(format!("waits for `{service}`, which is held back by the storm brake"))
            }
            State::Rest(_) | State::Active { .. } => None,
        }
    }

    fn storm_policy(&self) -> Policy {
        self.loaded.as_ref().map(|loaded| loaded.project.storm_brake.clone()).unwrap_or_default()
    }
}

/// The same in words.
pub(super) fn held_back(restarts: u32) -> String {
    format!("held back by the storm brake, after {restarts} restarts of all services")
}

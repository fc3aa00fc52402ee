//! Slots: one place per replica, what depends on what, and stops that wait for dependants.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kennel_core::graph::{self, Seen, Verdict};
use kennel_core::instance::{self, Health, Reason};
use kennel_core::model::{Condition, Exit, Service};
use kennel_core::restart::History;
use kennel_core::slot::{self, Action, Event, Rest, State, Then};
use kennel_wire::{Code, EventKind, Receipt};

use super::bounds::Bounded;
use super::health::Noted;
use super::ports::Chosen;
use super::runs::Kind;
use super::schedule::Armed;
use super::{Driver, TimerKey, Work};
use crate::receipt::millis;
use crate::records::AdHoc;

/// One place of a service.
#[derive(Debug)]
pub(super) struct Slot {
    /// The declared service.
    pub(super) service_name: String,
    /// From 1.
    pub(super) replica: u32,
    pub(super) service: Arc<Service>,
    pub(super) policy: slot::Policy,
    pub(super) state: State,
    pub(super) history: History,
    pub(super) wanted: bool,
    pub(super) run: Option<u64>,
    pub(super) last_run: Option<u64>,
    pub(super) retry_at: Option<Instant>,
    pub(super) waiting_for: Vec<String>,
    /// Its schedule, while that counts.
    pub(super) armed: Option<Box<Armed>>,
    /// Ports that kennel chose for it.
    pub(super) chosen: Chosen,
    pub(super) last_exit: Option<Exit>,
    /// Who saw to the limits of the last run.
    pub(super) bounded: Bounded,
    pub(super) last_receipt: Option<Receipt>,
    /// Set if it was started on request, and is not in the configuration.
    pub(super) ad_hoc: Option<Box<AdHoc>>,
    /// Restarts of all services, while they keep back that of this one.
    pub(super) held_back: Option<u32>,
    /// Why its last run could not be started.
    pub(super) refused: Option<(Code, String)>,
    /// How it was when that was looked at last.
    pub(super) health: Noted,
}

/// A stop that is held back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) reason: Reason,
    pub(super) limit: Option<Duration>,
}

impl Slot {
    pub(super) fn new(service_name: &str, replica: u32, service: Arc<Service>) -> Self {
        Self {
            service_name: service_name.to_owned(),
            replica,
            policy: policy(&service),
            service,
            state: State::Rest(Rest::Stopped),
            history: History::default(),
            wanted: false,
            run: None,
            last_run: None,
            retry_at: None,
            waiting_for: Vec::new(),
            armed: None,
            chosen: Chosen::default(),
            last_exit: None,
            bounded: Bounded::default(),
            last_receipt: None,
            ad_hoc: None,
            held_back: None,
            refused: None,
            health: Noted::default(),
        }
    }

    pub(super) fn redefine(&mut self, service: Arc<Service>) {
        self.policy = policy(&service);
        self.service = service;
    }

    /// For whom it runs, if it was started for somebody.
    pub(super) fn owner(&self) -> Option<&str> {
        self.ad_hoc.as_ref()?.about.owner.as_deref()
    }

    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Rest(_))
    }
}

fn policy(service: &Service) -> slot::Policy {
    slot::Policy {
        restart: service.restart,
        pace: service.restart_policy.clone(),
        success_exit_codes: service.success_exit_codes.clone(),
        start_timeout: service.start_timeout,
    }
}

/// Name in `ps`.
pub(super) fn slot_name(service: &str, replica: u32, replicas: u32) -> String {
    kennel_core::reload::place_name(service, replica, replicas)
}

impl Driver {
    pub(super) fn slot_event(&mut self, name: &str, event: Event) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        self.dirty.slot(name);
        match event {
            Event::Start | Event::Restart { .. } => slot.wanted = true,
            Event::Stop { .. } => slot.wanted = false,
            _ => {}
        }
        let restarts = matches!((&event, &slot.state), (Event::Restart { .. }, State::Active { .. }));
        let state = std::mem::replace(&mut slot.state, State::Pending);
        let (state, actions) = slot::step(&slot.policy, &mut slot.history, state, event);
        slot.state = state;
        for action in actions {
            self.slot_action(name, action);
        }
        if restarts {
            self.restart_along(name);
        }
        self.sync_schedule(name);
        self.start_queued(name);
        if let Some(slot) = self.slots.get(name).filter(|slot| slot.service.watch.is_some()) {
            let service = slot.service_name.clone();
            self.sync_watch(&service);
        }
    }

    fn slot_action(&mut self, name: &str, action: Action) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        match action {
            Action::CheckDependencies => {
                slot.waiting_for.clear();
                slot.retry_at = None;
                slot.held_back = None;
                self.timers.disarm(&TimerKey::Backoff(name.to_owned()));
            }
            Action::Begin => {
                slot.retry_at = None;
                slot.held_back = None;
                slot.waiting_for.clear();
                self.begin(name);
            }
            Action::StopInstance { reason, limit } => {
                if let Some(id) = slot.run {
                    self.queue.push_back(Work::Run(id, instance::Event::StopRequested { reason, limit }));
                }
            }
            Action::ArmBackoff { delay, attempt } => {
                let at = Instant::now() + delay;
                slot.retry_at = Some(at);
                let kind = EventKind::RestartScheduled { in_ms: millis(delay), attempt };
                self.events.publish(Some(name), slot.last_run, kind);
                if delay.is_zero() {
                    // The runtime's timers count in milliseconds; no pause should be none.
                    self.restart_is_due(name.to_owned());
                } else {
                    self.timers.arm(TimerKey::Backoff(name.to_owned()), at);
                }
            }
            Action::Announce(rest) => {
                slot.retry_at = None;
                slot.held_back = None;
                slot.waiting_for.clear();
                self.timers.disarm(&TimerKey::Backoff(name.to_owned()));
                let kind = match rest {
                    Rest::Stopped => EventKind::Stopped {},
                    Rest::Completed => EventKind::Completed {},
                    Rest::Failed(failure) => EventKind::Failed { reason: failure.to_string() },
                    Rest::GivenUp(failure) => EventKind::GivenUp { reason: failure.to_string() },
                };
                self.events.publish(Some(name), slot.last_run, kind);
            }
        }
    }

    /// Restarts what runs and is to be restarted with this slot. It waits for its dependencies, so it begins when they are there again.
    fn restart_along(&mut self, name: &str) {
        let (Some(slot), Some(loaded)) = (self.slots.get(name), &self.loaded) else { return };
        let is_meant = |other: &Slot| {
            let declared = loaded.project.services.get(&other.service_name);
            let mut edges = declared.into_iter().flat_map(|service| &service.depends_on);
            edges.any(|edge| edge.restart && edge.service == slot.service_name)
        };
        let runs = |other: &Slot| matches!(other.state, State::Active { then: Then::Decide });
        let others = self.slots.iter().filter(|(_, other)| runs(other) && is_meant(other));
        let others: Vec<String> = others.map(|(name, _)| name.clone()).collect();
        for other in others {
            self.queue.push_back(Work::Slot(other, Event::Restart { limit: None }));
        }
    }

    /// Looks at the dependencies of everything that waits for them.
    pub(super) fn check_dependencies(&mut self) {
        if self.is_clearing || self.keeper_lost {
            return;
        }
        let mut news = Vec::new();
        for (name, slot) in &self.slots {
            if slot.state != State::Pending {
                continue;
            }
            let declared = self.loaded.as_ref().and_then(|loaded| loaded.project.services.get(&slot.service_name));
            let edges = declared.map_or(&[][..], |service| &service.depends_on);
            let mut waiting = Vec::new();
            let mut never = None;
            for edge in edges {
                match self.judge(&edge.service, edge.condition) {
                    Verdict::Met => {}
                    Verdict::NotYet => waiting.push(format!("{} {}", edge.service, condition_word(edge.condition))),
                    Verdict::Never(reason) => never = Some(reason),
                }
            }
            news.push((name.clone(), waiting, never));
        }
        for (name, waiting, never) in news {
            if let Some(reason) = never {
                self.queue.push_back(Work::Slot(name, Event::DependencyFailed(reason)));
            } else if waiting.is_empty() {
                self.queue.push_back(Work::Slot(name, Event::DependenciesMet));
            } else if let Some(slot) = self.slots.get_mut(&name).filter(|slot| slot.waiting_for != waiting) {
                slot.waiting_for.clone_from(&waiting);
                self.events.publish(Some(&name), None, EventKind::Pending { waiting_for: waiting });
            }
        }
    }

    fn judge(&self, service: &str, condition: Condition) -> Verdict {
        let slots = self.slots.values().filter(|slot| slot.service_name == service);
        let seen: Vec<Seen> = slots.map(|slot| self.seen(slot)).collect();
        graph::judge(service, condition, &seen)
    }

    fn seen(&self, slot: &Slot) -> Seen {
        match &slot.state {
            // Its time will come.
            State::Rest(Rest::Stopped) if slot.armed.is_some() => Seen::NotYet,
            State::Rest(rest) => Seen::Resting(rest.clone()),
            State::Active { then: Then::Decide } => {
                match slot.run.and_then(|id| self.runs.get(&id)).map(|run| &run.state) {
                    Some(instance::State::Running { health: Health::Ready }) => Seen::Ready,
                    Some(instance::State::Running { .. }) => Seen::Up,
                    _ => Seen::NotYet,
                }
            }
            State::Pending | State::Waiting | State::Active { .. } => Seen::NotYet,
        }
    }

    /// Stops a slot, but not before those that depend on it and are to go as well.
    pub(super) fn hold_stop(&mut self, name: &str, held: Held) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.wanted = false;
            self.dirty.slot(name);
            self.held.insert(name.to_owned(), held);
        }
    }

    pub(super) fn release_held_stops(&mut self) {
        let free: Vec<String> = self.held.keys().filter(|name| !self.has_leaving_dependants(name)).cloned().collect();
        for name in free {
            if let Some(Held { reason, limit }) = self.held.swap_remove(&name) {
                self.queue.push_back(Work::Slot(name, Event::Stop { reason, limit }));
            }
        }
    }

    fn has_leaving_dependants(&self, name: &str) -> bool {
        let (Some(slot), Some(loaded)) = (self.slots.get(name), &self.loaded) else { return false };
        graph::dependants(&loaded.project, &slot.service_name).any(|dependant| {
            self.slots.values().any(|slot| slot.service_name == dependant && !slot.wanted && !slot.is_at_rest())
        })
    }

    /// Forgets slots that the configuration no longer has, once they are down.
    pub(super) fn drop_leavers(&mut self) {
        let (slots, dirty) = (&mut self.slots, &mut self.dirty);
        self.leaving.retain(|name| {
            let at_rest = slots.get(name).is_none_or(Slot::is_at_rest);
            if at_rest {
                slots.shift_remove(name);
                dirty.slot(name);
            }
            !at_rest
        });
    }

    fn begin(&mut self, name: &str) {
        if self.is_of_ended_owner(name) {
            // Its stop is under way, or it was asked for in the same turn.
            let reason = Reason::OwnerEnded;
            return self.queue.push_back(Work::Slot(name.to_owned(), Event::Stop { reason, limit: None }));
        }
        let id = self.next_instance;
        self.next_instance += 1;
        if let Some(slot) = self.slots.get_mut(name) {
            slot.run = Some(id);
            slot.last_run = Some(id);
            let (service, replica) = (Arc::clone(&slot.service), slot.replica);
            slot.refused = None;
            let service_name = slot.service_name.clone();
            self.spawn_service(id, name, &service_name, replica, service, Kind::Slot);
        }
    }
}

fn condition_word(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::Completed => "completed",
        Condition::CompletedSuccessfully => "completed successfully",
    }
}

//! How each service is, in one word: by its probes, by what is seen of it, and by how it ended.
//!
//! Looked at whenever something of a service has changed. What no other event tells is told as `instance.health`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_core::instance::{Health as RunHealth, State as RunState};
use kennel_core::slot::{Rest, State};
use kennel_sys::proc;
use kennel_wire::{EventKind, Health, HealthReport, Problem, ServiceHealth, State as Shown, is_well};
use serde::{Deserialize, Serialize};

use super::runs::{Kind, Run};
use super::slots::Slot;
use super::view::{shown, wire_exit};
use super::{Driver, TimerKey};

/// How a service was when that was looked at last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noted {
    pub(crate) word: Health,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Since when; `None` until something was noted.
    #[serde(default)]
    pub(crate) since: Option<Timestamp>,
    /// Of which run.
    #[serde(default)]
    pub(crate) of_run: Option<u64>,
    /// Whether it was told as an event of its own, so that its end is told as well.
    #[serde(default)]
    pub(crate) told: bool,
}

impl Default for Noted {
    fn default() -> Self {
        Self { word: Health::None, reason: None, since: None, of_run: None, told: false }
    }
}

/// How a service is now.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) word: Health,
    pub(super) reason: Option<String>,
    /// Whether no other event tells it.
    is_news: bool,
}

/// Whether the main process of a run has ended and is not reaped.
#[derive(Debug, Default)]
pub(super) struct Zombie {
    seen_since: Option<Instant>,
    /// It was one for longer than reaping takes.
    sure: bool,
}

/// Every main process is one for a moment.
const REAPED_WITHIN: Duration = Duration::from_millis(500);

impl Driver {
    /// Notes what has changed in the health of all that has changed otherwise.
    pub(super) fn note_healths(&mut self) {
        let names: BTreeSet<String> = {
            let runs = self.dirty.runs().filter_map(|id| self.runs.get(&id));
            let of_slots = runs.filter(|run| matches!(run.kind, Kind::Slot)).map(|run| run.name.clone());
            of_slots.chain(self.dirty.slots().cloned()).collect()
        };
        names.iter().for_each(|name| self.note_health(name));
    }

    /// The same of one service.
    pub(super) fn note_health(&mut self, name: &str) {
        let Some(slot) = self.slots.get(name) else { return };
        let run = slot.run.and_then(|id| self.runs.get(&id));
        let Finding { word, reason, is_news } = self.health(slot, run, false);
        let before = &slot.health;
        if before.word == word && before.of_run == slot.run {
            return;
        }
        let of_run = slot.run;
        // Of another run nothing goes on.
        let ends = before.told && before.of_run == of_run && word == Health::Healthy;
        let since = if before.word == word { before.since } else { Some(Timestamp::now()) };
        if is_news || ends {
            let kind = EventKind::Health { health: word, reason: reason.clone() };
            self.events.publish(Some(name), of_run, kind);
        }
        if let Some(slot) = self.slots.get_mut(name) {
            slot.health = Noted { word, reason, since, of_run, told: is_news };
            self.dirty.slot(name);
        }
    }

    /// How a service is. `for_eyes`: also what may be over in a moment.
    pub(super) fn health(&self, slot: &Slot, run: Option<&Run>, for_eyes: bool) -> Finding {
        let known = |word, reason: Option<String>| Finding { word, reason, is_news: false };
        let news = |word, reason: String| Finding { word, reason: Some(reason), is_news: true };
        let is_zombie = |run: &Run| run.zombie.sure || (for_eyes && run.zombie.seen_since.is_some());
        match (&slot.state, run) {
            (State::Rest(Rest::Completed), _) => known(Health::Completed, None),
            (State::Rest(Rest::Failed(failure) | Rest::GivenUp(failure)), _) => {
                let limit = slot.last_receipt.as_ref().and_then(super::bounds::explained);
                known(Health::Failed, limit.or_else(|| Some(failure.to_string())))
            }
            (State::Waiting, _) => match slot.last_exit {
                Some(exit) if exit.is_success(&slot.service.success_exit_codes) => known(Health::Completed, None),
                exit => known(Health::Failed, exit.map(|exit| format!("ended: {}", wire_exit(exit)))),
            },
            (State::Rest(Rest::Stopped) | State::Pending, _) | (State::Active { .. }, None) => {
                known(Health::None, None)
            }
            (State::Active { .. }, Some(run)) if is_zombie(run) => {
                news(Health::Zombie, "the main process has ended and is not reaped: a tracer holds it".into())
            }
            (State::Active { .. }, Some(_)) if slot.run.is_some_and(|id| self.adopting.contains(&id)) => {
                news(Health::Unknown, "the keeper was lost, and it is being taken over".into())
            }
            (State::Active { .. }, Some(run)) => match &run.state {
                RunState::Starting { .. } if run.policy.probed => known(Health::Starting, None),
                RunState::Running { health: RunHealth::Starting } => known(Health::Starting, run.probe_said.clone()),
                RunState::Running { .. } => of_running(run),
                RunState::Stopping(_) if run.is_stuck => known(Health::Unhealthy, Some("it cannot be ended".into())),
                RunState::Starting { .. } | RunState::Stopping(_) | RunState::Down(_) => known(Health::None, None),
            },
        }
    }

    /// Whether these services are well, or all that are wanted or have run.
    pub(super) fn health_report(&self, names: &[String]) -> Result<HealthReport, Problem> {
        let is_named = !names.is_empty();
        let names: Vec<String> = if is_named { self.named(names)? } else { self.slots.keys().cloned().collect() };
        let one = |name: &String| {
            let slot = self.slots.get(name)?;
            let run = slot.run.and_then(|id| self.runs.get(&id));
            let (state, because) = shown(slot, run);
            if !is_named && !slot.wanted && state == Shown::Stopped {
                return None;
            }
            let Finding { word, reason, .. } = self.health(slot, run, true);
            let frozen = run.is_some_and(|run| run.frozen.is_some());
            Some(ServiceHealth {
                name: name.clone(),
                // Whoever asks for one by name wants it to run.
                ok: is_well(state, word, slot.wanted || is_named, frozen),
                state,
                health: word,
                reason: reason.or(because),
                since: slot.health.since.filter(|_| slot.health.word == word),
                activity: run.and_then(|run| run.hang.as_ref()?.activity()).map(super::hang::wire),
                frozen,
            })
        };
        let services: Vec<ServiceHealth> = names.iter().filter_map(one).collect();
        Ok(HealthReport { ok: services.iter().all(|one| one.ok), services })
    }

    /// Looks whether the main process of a run has ended without being reaped, where nobody has told its end.
    pub(super) fn look_for_zombie(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| matches!(run.kind, Kind::Slot)) else { return };
        let process = run.identity.filter(|_| run.exit.is_none());
        let is_zombie = process.is_some_and(|process| {
            let stat = proc::stat(process.pid).filter(|stat| stat.start_ticks == process.start_ticks);
            stat.is_some_and(|stat| proc::has_ended(&stat))
        });
        if !is_zombie {
            run.zombie = Zombie::default();
            return;
        }
        let since = *run.zombie.seen_since.get_or_insert_with(Instant::now);
        if since.elapsed() < REAPED_WITHIN {
            // Whoever looked may never look again.
            self.timers.arm(TimerKey::Zombie(id), since + REAPED_WITHIN);
        } else if !run.zombie.sure {
            run.zombie.sure = true;
            let name = run.name.clone();
            self.note_health(&name);
        }
    }
}

/// Of one that has been ready.
fn of_running(run: &Run) -> Finding {
    let known = |word, reason: Option<String>| Finding { word, reason, is_news: false };
    if let Some(why) = run.live.as_ref().and_then(|live| live.failing.clone()) {
        return Finding { word: Health::Unhealthy, reason: Some(why), is_news: true };
    }
    if let Some(why) = run.hang.as_ref().and_then(|hang| hang.why.clone()) {
        return Finding { word: Health::Unhealthy, reason: Some(why), is_news: true };
    }
    match run.state {
        RunState::Running { health: RunHealth::Unhealthy } => known(Health::Unhealthy, run.probe_said.clone()),
        _ if run.policy.probed || run.live.is_some() || run.hang.is_some() => known(Health::Healthy, None),
        _ => known(Health::None, None),
    }
}

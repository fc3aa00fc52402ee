//! Requests that are answered later: when services are ready, or down.

use std::collections::HashSet;
use std::time::Instant;

use kennel_core::instance::{Health, Reason, State as RunState};
use kennel_core::slot::{Rest, State, Then};
use kennel_wire::{
    ActionReport, CleanReport, DetachReport, DownReport, FreezeReport, Outcome, OutcomeKind, Problem, Receipt,
    ReloadReport,
};

use super::ad_hoc::gone_meanwhile;
use super::owners::Opened;
use super::runs::Run;
use super::slots::Slot;
use super::{Driver, Reply, Started};
use crate::receipt::millis;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) slots: Vec<String>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) waits_for: WaitsFor,
}

/// What it waits for, and how it is answered.
#[derive(Debug)]
pub(super) enum WaitsFor {
    /// Each slot is ready or rests.
    Up {
        /// Were ready before.
        already: HashSet<String>,
        /// Are started when their time comes, which is not waited for.
        timed: HashSet<String>,
        reply: Reply<Result<Started, Problem>>,
    },
    /// Each slot rests, or is stuck.
    Rest(Reply<Result<ActionReport, Problem>>),
    /// Each slot is up again.
    Restart(Reply<Result<(ActionReport, Started), Problem>>),
    /// Those that are started are up again, all others rest or are gone.
    Reload { report: Box<ReloadReport>, starts: Vec<String>, reply: Reply<Result<(ReloadReport, Started), Problem>> },
    /// Each slot and every helper is gone, or stuck.
    Down { since: Instant, reply: Reply<DownReport> },
    /// Its slot has begun, or could not.
    Begun { opened: Opened, reply: Reply<Result<DetachReport, Problem>> },
    /// Each slot and every helper of these owners rests, or is stuck.
    Cleaned { owners: Vec<String>, reply: Reply<Result<CleanReport, Problem>> },
    /// Each scope stands still or goes on, or is not waited for any more.
    Frozen { frozen: bool, reply: Reply<Result<FreezeReport, Problem>> },
    /// Nothing is left of an earlier daemon or keeper.
    Cleared(Reply<()>),
}

impl Driver {
    /// Adds a receipt to every answer that waits for this slot.
    pub(super) fn note_receipt(&mut self, name: &str, receipt: &Receipt) {
        for waiter in self.waiters.iter_mut().filter(|waiter| waiter.slots.iter().any(|slot| slot == name)) {
            // A stuck stop that ends after all replaces what was said of it before.
            waiter.receipts.retain(|earlier| earlier.instance != receipt.instance);
            waiter.receipts.push(receipt.clone());
        }
    }

    pub(super) fn answer_waiters(&mut self) {
        let waiters = std::mem::take(&mut self.waiters);
        for waiter in waiters {
            if self.is_over(&waiter) {
                self.answer(waiter);
            } else {
                self.waiters.push(waiter);
            }
        }
    }

    fn is_over(&self, waiter: &Waiter) -> bool {
        let mut slots = waiter.slots.iter().filter_map(|name| self.slots.get(name));
        match &waiter.waits_for {
            WaitsFor::Up { timed, .. } => waiter
                .slots
                .iter()
                .filter(|name| !timed.contains(*name))
                .all(|name| self.slots.get(name).is_none_or(|slot| self.outcome(slot, None).is_some())),
            WaitsFor::Restart(_) => slots.all(|slot| self.outcome(slot, None).is_some()),
            WaitsFor::Reload { starts, .. } => waiter.slots.iter().all(|name| {
                self.slots.get(name).is_none_or(|slot| match starts.contains(name) {
                    true => self.outcome(slot, None).is_some(),
                    false => slot.is_at_rest() || self.is_stuck(slot),
                })
            }),
            WaitsFor::Rest(_) => slots.all(|slot| slot.is_at_rest() || self.is_stuck(slot)),
            WaitsFor::Down { .. } => {
                slots.all(|slot| slot.is_at_rest() || self.is_stuck(slot))
                    && self.runs.values().all(|run| run.is_stuck)
                    && self.inherited.is_empty()
            }
            WaitsFor::Begun { .. } => slots.all(|slot| self.has_begun(slot)),
            WaitsFor::Cleaned { owners, .. } => {
                slots.all(|slot| slot.is_at_rest() || self.is_stuck(slot))
                    && self.runs.values().all(|run| run.is_stuck || !run.is_of(owners))
            }
            WaitsFor::Frozen { .. } => waiter.slots.iter().all(|name| self.is_freeze_over(name)),
            WaitsFor::Cleared(_) => self.is_cleared(),
        }
    }

    /// Whether everything of an earlier daemon or keeper has either ended or become one of ours.
    fn is_cleared(&self) -> bool {
        let is_lost = |reason: Reason| matches!(reason, Reason::DaemonLost | Reason::KeeperLost);
        let is_ending = |run: &Run| match &run.state {
            RunState::Stopping(stopping) => is_lost(stopping.reason),
            RunState::Starting { stop } => stop.is_some_and(|(reason, _)| is_lost(reason)),
            RunState::Running { .. } | RunState::Down(_) => false,
        };
        self.inherited.is_empty()
            && self.leftovers.is_empty()
            && self.adopting.is_empty()
            && self.strays.is_empty()
            && !self.runs.values().any(is_ending)
    }

    fn is_stuck(&self, slot: &Slot) -> bool {
        slot.run.and_then(|id| self.runs.get(&id)).is_some_and(|run| run.is_stuck)
    }

    fn answer(&mut self, waiter: Waiter) {
        let Waiter { slots, mut receipts, waits_for } = waiter;
        let is_no_end = |it: &WaitsFor| {
            matches!(it, WaitsFor::Up { .. } | WaitsFor::Begun { .. } | WaitsFor::Frozen { .. } | WaitsFor::Cleared(_))
        };
        if !is_no_end(&waits_for) {
            receipts.extend(self.still_stuck(&slots, &receipts, matches!(waits_for, WaitsFor::Down { .. })));
        }
        receipts.sort_by(|a, b| a.service.cmp(&b.service));
        let left = receipts.iter().map(|receipt| receipt.left).sum();
        let outcomes = |already: &HashSet<String>, timed: &HashSet<String>| {
            let named = slots.iter().filter_map(|name| Some((name, self.slots.get(name)?)));
            let outcomes = named.filter_map(|(name, slot)| {
                let kind = match slot.armed.as_deref().filter(|_| timed.contains(name)) {
                    Some(armed) => OutcomeKind::Scheduled { next_at: armed.next_at() },
                    None => self.outcome(slot, Some(already.contains(name)))?,
                };
                Some(Outcome { service: name.clone(), kind })
            });
            Started(outcomes.collect())
        };
        match waits_for {
            WaitsFor::Up { already, timed, reply } => {
                let started = outcomes(&already, &timed);
                self.answer_when_durable(reply, Ok(started));
            }
            WaitsFor::Rest(reply) => {
                let report = ActionReport { ok: left == 0, left, receipts, started: Vec::new() };
                self.answer_when_durable(reply, Ok(report));
            }
            WaitsFor::Restart(reply) => {
                let report = ActionReport { ok: left == 0, left, receipts, started: Vec::new() };
                let started = outcomes(&HashSet::new(), &HashSet::new());
                self.answer_when_durable(reply, Ok((report, started)));
            }
            WaitsFor::Reload { report, starts, reply } => {
                let mut started = outcomes(&HashSet::new(), &HashSet::new());
                started.0.retain(|outcome| starts.contains(&outcome.service));
                let report = ReloadReport { ok: left == 0, left, receipts, ..*report };
                self.answer_when_durable(reply, Ok((report, started)));
            }
            WaitsFor::Begun { opened, reply } => {
                let report =
                    slots.first().map_or_else(|| Err(gone_meanwhile("the run")), |name| self.begun(name, opened));
                self.answer_when_durable(reply, report);
            }
            WaitsFor::Cleaned { owners, reply } => {
                let report = self.cleaned(&slots, &owners, receipts);
                self.answer_when_durable(reply, Ok(report));
            }
            WaitsFor::Frozen { frozen, reply } => {
                let report = self.freeze_report(&slots, frozen);
                self.answer_when_durable(reply, Ok(report));
            }
            WaitsFor::Cleared(reply) => drop(reply.send(())),
            WaitsFor::Down { since, reply } => {
                let duration_ms = millis(since.elapsed());
                let leftovers = self.leftovers.clone();
                let left = left + self.leftovers_left();
                let report = DownReport { ok: left == 0, left, receipts, leftovers, duration_ms, shutdown: None };
                self.answer_when_durable(reply, report);
            }
        }
    }

    /// Receipts of stops that were stuck before this request came: whoever asks again is told the same again.
    fn still_stuck(&self, slots: &[String], known: &[Receipt], all: bool) -> Vec<Receipt> {
        let is_meant = |id: u64, run: &Run| {
            let of_slot = |name: &String| self.slots.get(name).is_some_and(|slot| slot.run == Some(id));
            run.is_stuck && (all || slots.iter().any(of_slot)) && known.iter().all(|receipt| receipt.instance != id)
        };
        let stuck = self.runs.iter().filter(|(id, run)| is_meant(**id, run));
        stuck.map(|(id, run)| run.receipt_now(*id, &self.boot_id, false)).collect()
    }

    /// What has become of a start; `None` while that is open.
    fn outcome(&self, slot: &Slot, already: Option<bool>) -> Option<OutcomeKind> {
        let failed = |reason: String| OutcomeKind::Failed { reason, logs: Vec::new() };
        match &slot.state {
            State::Rest(Rest::Stopped) => Some(OutcomeKind::Stopped),
            State::Rest(Rest::Completed) => Some(OutcomeKind::Completed),
            State::Rest(Rest::Failed(failure)) => Some(failed(failure.to_string())),
            State::Rest(Rest::GivenUp(failure)) => Some(failed(format!("given up, {failure}"))),
            State::Active { then: Then::Decide } => {
                let run = slot.run.and_then(|id| self.runs.get(&id))?;
                match &run.state {
                    RunState::Running { health: Health::Ready } => Some(OutcomeKind::Ready {
                        after_ms: if already == Some(true) { None } else { run.ready_after_ms },
                    }),
                    RunState::Running { health: Health::Unhealthy } => {
                        Some(failed(format!("is unhealthy: {}", run.probe_said.as_deref().unwrap_or("no answer"))))
                    }
                    RunState::Stopping(_) if run.is_stuck => Some(failed("its last run cannot be ended".into())),
                    RunState::Starting { .. }
                    | RunState::Running { health: Health::Starting }
                    | RunState::Stopping(_)
                    | RunState::Down(_) => None,
                }
            }
            State::Active { .. } if self.is_stuck(slot) => Some(failed("its last run cannot be ended".into())),
            State::Pending | State::Waiting => self.held_by_the_brake(slot).map(failed),
            State::Active { .. } => None,
        }
    }
}

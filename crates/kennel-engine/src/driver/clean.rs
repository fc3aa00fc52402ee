//! What is known of runs that have ended is forgotten; an owner is ended with all below it first.

use std::time::Duration;

use kennel_core::instance::{Event as RunEvent, Reason};
use kennel_core::lease::{Cause, Refusal};
use kennel_core::slot::Event;
use kennel_wire::{CleanReport, CleanRequest, Problem, Receipt};

use super::owners::refused;
use super::waiters::WaitsFor;
use super::{Driver, Reply, TimerKey, Work};

/// How many runs that have ended stay listed.
const RESULTS: usize = 100;

impl Driver {
    pub(super) fn clean(&mut self, request: &CleanRequest, reply: Reply<Result<CleanReport, Problem>>) {
        let Some(owner) = &request.owner else {
            let all: Vec<String> = self.slots.keys().cloned().collect();
            let owners: Vec<String> = self.owners.all.iter().map(|(name, _)| name.clone()).collect();
            let report = self.cleaned(&all, &owners, Vec::new());
            return self.answer_when_durable(reply, Ok(report));
        };
        if self.owners.all.get(owner).is_none() {
            return drop(reply.send(Err(refused(Refusal::Unknown(owner.clone())))));
        }
        let owners = self.owners.all.with_descendants(owner);
        let actions = self.owners.all.end(owner, &Cause::Stopped);
        self.obey(actions);
        let of_owners = |owner: Option<&str>| owner.is_some_and(|owner| owners.iter().any(|one| one == owner));
        let slots: Vec<String> =
            self.slots.iter().filter(|(_, slot)| of_owners(slot.owner())).map(|(name, _)| name.clone()).collect();
        if let Some(limit) = request.timeout_ms.map(Duration::from_millis) {
            // Hastens the stops that the end of the owner has asked for, and those of one that had ended before.
            let (reason, limit) = (Reason::OwnerEnded, Some(limit));
            for name in &slots {
                self.queue.push_back(Work::Slot(name.clone(), Event::Stop { reason, limit }));
            }
            for (id, _) in self.runs.iter().filter(|(_, run)| run.is_of(&owners)) {
                self.queue.push_back(Work::Run(*id, RunEvent::StopRequested { reason, limit }));
            }
        }
        self.wait(slots, WaitsFor::Cleaned { owners, reply });
    }

    /// Forgets what of these is over.
    pub(super) fn cleaned(&mut self, slots: &[String], owners: &[String], receipts: Vec<Receipt>) -> CleanReport {
        let left = receipts.iter().map(|receipt| receipt.left).sum();
        let mut report = CleanReport { ok: left == 0, left, receipts, ..CleanReport::default() };
        for name in slots {
            if self.slots.get(name).is_some_and(|slot| slot.ad_hoc.is_some() && slot.is_at_rest()) {
                self.forget_slot(name);
                report.runs.push(name.clone());
            }
        }
        // Children first: a parent is known for as long as they are. Sorted by depth, for the order of their beginning is
        // another one where a parent was given later.
        let mut order: Vec<&String> = owners.iter().collect();
        order.sort_by_key(|name| self.owners.all.with_descendants(name).len());
        for name in order {
            if self.is_unused(name) {
                let actions = self.owners.all.forget(name);
                if !actions.is_empty() {
                    report.owners.push(name.clone());
                }
                self.obey(actions);
            }
        }
        report
    }

    /// Forgets a run that is down, with its log.
    pub(super) fn forget_slot(&mut self, name: &str) {
        self.slots.shift_remove(name);
        self.held.shift_remove(name);
        self.leaving.remove(name);
        self.timers.disarm(&TimerKey::Backoff(name.to_owned()));
        self.dirty.slot(name);
        self.dirty.ad_hoc(name);
        self.recorder.remove(name);
    }

    /// Keeps the youngest results.
    pub(super) fn drop_old_results(&mut self) {
        let mut over: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_at_rest())
            .filter_map(|(name, slot)| Some((slot.ad_hoc.as_ref()?.about.created_at, name.clone())))
            .collect();
        let surplus = over.len().saturating_sub(RESULTS);
        if surplus > 0 {
            over.sort();
            over.truncate(surplus);
            over.iter().for_each(|(_, name)| self.forget_slot(name));
        }
    }
}

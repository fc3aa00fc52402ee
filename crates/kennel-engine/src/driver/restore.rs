//! Another daemon's beginning: what is wanted comes from the store, what is there from the keeper.
//!
//! One way for all three: the daemon before was killed, handed over, or was lost together with the keeper. What differs is
//! only which scopes the keeper has kept. Nothing is started here: what is wanted and not there is begun by the machines, as always.

use std::collections::HashMap;
use std::sync::Arc;

use kennel_core::slot::{self, State, Then};
use kennel_keeper::proto::{Follows, Known, Request};
use kennel_store::Restored;
use kennel_wire::EventKind;

use super::ports::Chosen;
use super::schedule::Armed;
use super::slots::Slot;
use super::{Driver, HELPERS, Loaded, TimerKey, Work};
use crate::clock;
use crate::records::{self, AdHocRecord, RunRecord, SlotRecord, read};

/// What another daemon finds.
pub(super) struct Found {
    pub(super) follows: Follows,
    pub(super) known: Vec<Known>,
    pub(super) restored: Restored,
}

impl Driver {
    pub(super) fn restore(&mut self, found: Found) {
        let Found { follows, known, mut restored } = found;
        let receipts = std::mem::take(&mut restored.receipts);
        let (owners, leases) = (std::mem::take(&mut restored.owners), std::mem::take(&mut restored.leases));
        let mut known: HashMap<u64, Known> = known.into_iter().map(|known| (known.scope.0, known)).collect();
        let scopes = u32::try_from(known.len().max(restored.runs.len())).unwrap_or(u32::MAX);
        let runs = std::mem::take(&mut restored.runs);
        let runs =
            runs.into_iter().filter_map(|(id, body)| Some((id, read::<RunRecord>("run", &id.to_string(), body)?)));
        let runs: Vec<(u64, RunRecord)> = runs.collect();
        let numbers = known.keys().copied().chain(runs.iter().map(|(id, _)| *id));
        let newest = numbers.filter(|id| *id < HELPERS).max();
        self.next_instance = self.next_instance.max(newest.unwrap_or(0) + 1);
        self.restore_wanted(&mut restored, &runs);
        for (id, mut record) in runs {
            let declared = || self.slots.get(&record.service).map(|slot| Arc::clone(&slot.service));
            let Some(definition) = record.definition.take().map(Arc::new).or_else(declared) else {
                // The keeper may have a copy.
                let service = record.service;
                tracing::error!(service, id, "what a run was started with is lost with another record");
                continue;
            };
            match known.remove(&id) {
                Some(known) => self.take_over(id, record, definition, known, follows),
                None => self.take_over_unknown(id, record, definition, follows),
            }
        }
        for (name, receipt) in receipts {
            // Told before, and the word to the keeper was lost.
            if let Some(done) = known.remove(&receipt.instance) {
                self.link.send(Request::Forget { scope: done.scope });
            }
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.last_receipt = Some(receipt);
            }
        }
        known.into_values().for_each(|known| self.take_over_unrecorded(known, follows));
        self.resume_slots(follows);
        self.sync_watches();
        self.choose_all_ports();
        self.restore_owners(owners, leases);
        self.sync_pools();
        kennel_sys::crash_point!("daemon.inherited");
        match follows {
            Follows::Fresh if scopes == 0 => {}
            Follows::Fresh | Follows::Loss => {
                self.events.publish(None, None, EventKind::DaemonRecovered { scopes });
            }
            Follows::HandOver => {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                self.events.publish(None, None, EventKind::DaemonReplaced { version, scopes });
            }
        }
    }

    /// Configuration and slots as they were wanted.
    fn restore_wanted(&mut self, restored: &mut Restored, runs: &[(u64, RunRecord)]) {
        let loaded: Option<records::Loaded> =
            restored.project.take().and_then(|body| read("configuration", "project", body));
        self.loaded = loaded.map(|records::Loaded { config, environment, project, selection }| Loaded {
            project,
            config,
            environment,
            selection,
        });
        self.wish_announcements();
        self.wish_webhooks();
        self.wish_notifications();
        let mut ad_hoc: HashMap<String, AdHocRecord> = HashMap::new();
        for (name, body) in std::mem::take(&mut restored.services) {
            ad_hoc.extend(read::<AdHocRecord>("run", &name, body).map(|record| (name, record)));
        }
        for (name, body) in std::mem::take(&mut restored.slots) {
            let Some(record) = read::<SlotRecord>("service", &name, body) else { continue };
            let declared = self.loaded.as_ref().and_then(|loaded| loaded.project.services.get(&record.service));
            let running = || runs.iter().find(|(id, _)| Some(*id) == record.run)?.1.definition.as_ref();
            let on_request = ad_hoc.remove(&name);
            let defined = on_request.as_ref().map(|record| &record.definition);
            // One that is leaving is declared no more, and without a run it has left.
            let Some(service) = defined.or(declared).or_else(running).cloned() else { continue };
            if record.leaving {
                self.leaving.insert(name.clone());
            }
            let mut slot = Slot::new(&record.service, record.replica, Arc::new(service));
            slot.ad_hoc = on_request.map(|record| Box::new(record.ad_hoc));
            slot.state = record.state;
            slot.history = record.history;
            slot.wanted = record.wanted;
            slot.run = record.run;
            slot.last_run = record.last_run;
            slot.retry_at = record.retry_at.map(clock::instant);
            slot.last_exit = record.last_exit;
            slot.chosen = Chosen::restored(record.ports);
            slot.armed = slot.service.schedule.as_ref().zip(record.plan).map(|it| Box::new(Armed::resume(it.0, it.1)));
            slot.health = record.health;
            self.slots.insert(name, slot);
        }
        self.sort_slots();
        self.keep_logs();
    }

    /// In the file's order, which `ps` shows; records come by name, and what is new comes last.
    pub(super) fn sort_slots(&mut self) {
        let Some(loaded) = &self.loaded else { return };
        let place = |slot: &Slot| loaded.project.services.get_index_of(&slot.service_name).unwrap_or(usize::MAX);
        self.slots.sort_by(|a, one, b, other| (place(one), one.replica, a).cmp(&(place(other), other.replica, b)));
    }

    /// What follows for slots without a run, and for those that end with the daemon.
    fn resume_slots(&mut self, follows: Follows) {
        let names: Vec<String> = self.slots.keys().cloned().collect();
        for name in names {
            let Some(slot) = self.slots.get_mut(&name) else { continue };
            // Its run had been recorded as ended in the same breath, or the record of the run was lost.
            if matches!(slot.state, State::Active { .. }) && slot.run.is_none_or(|id| !self.runs.contains_key(&id)) {
                slot.run = None;
                slot.state = match slot.state {
                    State::Active { then: Then::Rest } => State::Rest(slot::Rest::Stopped),
                    _ => State::Pending,
                };
                self.dirty.slot(&name);
            }
            let outlives = follows == Follows::HandOver || slot.service.is_kept();
            // With nobody there for a while, perhaps since a boot, only what is kept goes on by itself; and nothing starts again
            // by a schedule what was to be restarted by it.
            if !outlives && (follows == Follows::Fresh || !slot.service.is_timed()) && slot.armed.take().is_some() {
                self.dirty.slot(&name);
            }
            if !outlives && matches!(slot.state, State::Pending | State::Waiting) {
                self.queue.push_back(Work::Slot(name.clone(), slot::Event::DaemonLost));
            } else if slot.state == State::Waiting {
                let at = *slot.retry_at.get_or_insert_with(std::time::Instant::now);
                self.timers.arm(TimerKey::Backoff(name.clone()), at);
            }
            self.look_at_schedule(&name);
        }
    }
}

//! The end of every turn: what has changed is recorded, then published, and only then acted on outside.
//!
//! So a start is recorded as meant before the keeper hears of it, an end before the keeper may forget it, and an answer
//! is given when what it says is on the disk.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kennel_core::instance::State;
use kennel_core::model::Service;
use kennel_store::Change;

use super::oneoff::Purpose;
use super::runs::{Kind, Run};
use super::slots::Slot;
use super::{Driver, Loaded, Reply};
use crate::clock;
use crate::records::{self, AdHocRecord, CallRecord, RunRecord, SlotRecord, body};

/// What has changed since the last commit.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    slots: BTreeSet<String>,
    runs: BTreeSet<u64>,
    ad_hoc: BTreeSet<String>,
    owners: BTreeSet<String>,
    leases: BTreeSet<String>,
    loaded: bool,
}

impl Dirty {
    pub(super) fn slot(&mut self, name: &str) {
        if !self.slots.contains(name) {
            self.slots.insert(name.to_owned());
        }
    }

    pub(super) fn run(&mut self, id: u64) {
        self.runs.insert(id);
    }

    /// What a slot is for: written once, since it does not change.
    pub(super) fn ad_hoc(&mut self, name: &str) {
        self.ad_hoc.insert(name.to_owned());
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &String> {
        self.slots.iter()
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().copied()
    }

    pub(super) fn owner(&mut self, name: String) {
        self.owners.insert(name);
    }

    pub(super) fn lease(&mut self, id: String) {
        self.leases.insert(id);
    }

    pub(super) fn loaded(&mut self) {
        self.loaded = true;
    }
}

/// Tells somebody something, once it may be told.
pub(super) struct Answer(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Driver {
    /// Answers when what has changed so far would survive a power cut. Whoever asked may have gone meanwhile; what was
    /// done is done.
    pub(super) fn answer_when_durable<T: Send + 'static>(&mut self, reply: Reply<T>, answer: T) {
        self.answers.push(Answer(Box::new(move || drop(reply.send(answer)))));
    }

    pub(super) fn commit(&mut self) {
        self.note_healths();
        self.note_changes();
        self.events.flush();
        for Answer(answer) in self.answers.drain(..) {
            self.events.when_durable(answer);
        }
        self.link.flush();
    }

    /// Has events passed on to where the configuration says.
    pub(super) fn wish_announcements(&self) {
        self.announcer.wish(self.loaded.as_ref().map_or_else(Default::default, |loaded| loaded.project.log_events));
    }

    /// Has events sent to where the configuration says.
    pub(super) fn wish_webhooks(&self) {
        let loaded = self.loaded.as_ref().map(|loaded| (&loaded.project.webhooks, &loaded.environment));
        self.webhooks.wish(loaded, self.events.newest());
    }

    /// Has people told of events as the configuration says.
    pub(super) fn wish_notifications(&self) {
        self.desktop.wish(self.loaded.as_ref().map(|loaded| (&loaded.project, &loaded.environment)));
    }

    fn note_changes(&mut self) {
        let Dirty { slots, mut runs, ad_hoc, owners, leases, loaded } = std::mem::take(&mut self.dirty);
        if loaded {
            self.wish_announcements();
            self.wish_webhooks();
            self.wish_notifications();
            // What was declared the same may not be any more.
            runs.extend(self.runs.keys());
            self.events.change(Change::Project(self.loaded.as_ref().map(loaded_body)));
        }
        for name in ad_hoc {
            let body = self.slots.get(&name).and_then(ad_hoc_body);
            self.events.change(Change::Service { name, body });
        }
        for name in owners {
            let body = self.owner_record(&name).map(|record| body(&record));
            self.events.change(Change::Owner { name, body });
        }
        for id in leases {
            let body = self.lease_record(&id).map(|record| body(&record));
            self.events.change(Change::Lease { id, body });
        }
        for name in slots {
            let leaving = self.leaving.contains(&name);
            let body = self.slots.get(&name).map(|slot| body(&slot_record(slot, leaving)));
            self.events.change(Change::Slot { name, body });
        }
        for id in runs {
            let run =
                self.runs.get(&id).filter(|run| matches!(run.kind, Kind::Slot | Kind::Helper(Purpose::OneOff { .. })));
            let run = run.filter(|run| !matches!(run.state, State::Down(_)));
            let body = run.map(|run| body(&run_record(run, self.own_definition(run), &self.boot_id)));
            if body.is_some() && id >= super::HELPERS {
                self.recorded_calls.insert(id);
            }
            // Most helpers have never been recorded.
            if body.is_some() || id < super::HELPERS || self.recorded_calls.remove(&id) {
                self.events.change(Change::Run { id, body });
            }
        }
    }
}

impl Driver {
    /// What has to stand in the record of a run, because no other record has it. What is kept has it always: it can outlive
    /// the keeper's copy, and the other record may be damaged.
    fn own_definition(&self, run: &Run) -> Option<Service> {
        let slot = self.slots.get(&run.name).filter(|_| matches!(run.kind, Kind::Slot));
        let elsewhere = slot.is_some_and(|slot| match (&slot.ad_hoc, &self.loaded) {
            (Some(_), _) => Arc::ptr_eq(&slot.service, &run.service),
            (None, Some(loaded)) => loaded.project.services.get(&slot.service_name) == Some(&*run.service),
            (None, None) => false,
        });
        (!elsewhere || run.is_kept()).then(|| (*run.service).clone())
    }
}

fn ad_hoc_body(slot: &Slot) -> Option<serde_json::Value> {
    let ad_hoc = slot.ad_hoc.as_deref()?.clone();
    Some(body(&AdHocRecord { definition: (*slot.service).clone(), ad_hoc }))
}

fn loaded_body(loaded: &Loaded) -> serde_json::Value {
    let Loaded { project, config, environment, selection } = loaded;
    body(&records::Loaded {
        config: config.clone(),
        environment: environment.clone(),
        project: project.clone(),
        selection: selection.clone(),
    })
}

fn slot_record(slot: &Slot, leaving: bool) -> SlotRecord {
    SlotRecord {
        service: slot.service_name.clone(),
        replica: slot.replica,
        wanted: slot.wanted,
        state: slot.state.clone(),
        history: slot.history.clone(),
        run: slot.run,
        last_run: slot.last_run,
        retry_at: slot.retry_at.map(clock::since_boot),
        last_exit: slot.last_exit,
        leaving,
        plan: slot.armed.as_ref().map(|armed| armed.plan()),
        health: slot.health.clone(),
        ports: slot.chosen.numbers.clone(),
    }
}

fn run_record(run: &Run, definition: Option<Service>, boot_id: &str) -> RunRecord {
    RunRecord {
        service: run.name.clone(),
        definition,
        state: run.state.clone(),
        scope: run.scope.clone(),
        boot_id: boot_id.to_owned(),
        pid: run.pid,
        start_ticks: run.identity.map(|it| it.start_ticks),
        inode: run.identity.map(|it| it.inode).filter(|inode| *inode != 0),
        started_at: run.started_at,
        begun: clock::since_boot(run.begun),
        ready_after_ms: run.ready_after_ms,
        exit: run.exit,
        limit_at: run.limit_at.map(clock::since_boot),
        notify: run.notify.as_ref().map(|notify| notify.address.clone()),
        pipes: run.pipes,
        frozen: run.frozen.clone(),
        call: match &run.kind {
            Kind::Helper(Purpose::OneOff { token, .. }) => {
                Some(CallRecord { token: token.clone(), ends_at: run.ends_at.map(clock::since_boot) })
            }
            Kind::Slot | Kind::Helper(_) => None,
        },
    }
}

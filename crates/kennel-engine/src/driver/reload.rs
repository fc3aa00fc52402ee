//! A configuration that is loaded again: the plan is made by `core::reload`, here it is told and carried out.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use kennel_core::graph;
use kennel_core::instance::Reason;
use kennel_core::model::Project;
use kennel_core::reload::{self, Change, Place, Planned, Selection, Will};
use kennel_core::slot::Event;
use kennel_wire::{self as wire, Code, EventKind, PlacePlan, Problem, ReloadReport, ServicePlan};

use super::slots::Slot;
use super::waiters::WaitsFor;
use super::{Driver, Loaded, Reply, Started, Work};
use crate::handle::{LoadedFrom, Reload};

impl Driver {
    /// What a reload without words of its own is about: the file, and the environment of the last request that had one.
    pub(super) fn loaded_from(&self) -> Result<LoadedFrom, Problem> {
        let loaded = self.loaded.as_ref().ok_or_else(super::requests::missing_config)?;
        Ok(LoadedFrom { config: loaded.config.clone(), environment: loaded.environment.clone() })
    }

    pub(super) fn reload(&mut self, reload: Reload, reply: Reply<Result<(ReloadReport, Started), Problem>>) {
        let plans = match self.reload_plan(&reload) {
            Ok(plans) => plans,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let report = ReloadReport {
            ok: true,
            dry_run: reload.dry_run,
            config: reload.config.clone(),
            services: plans.iter().map(told).collect(),
            left: 0,
            receipts: Vec::new(),
            started: Vec::new(),
        };
        if reload.dry_run {
            return drop(reply.send(Ok((report, Started(Vec::new())))));
        }
        let (starts, stops) = self.carry_out(&plans, reload);
        self.renew_rules();
        let slots = starts.iter().chain(&stops).cloned().collect();
        self.wait(slots, WaitsFor::Reload { report: Box::new(report), starts, reply });
    }

    fn reload_plan(&self, reload: &Reload) -> Result<Vec<Planned>, Problem> {
        if let Some(problem) = self.refuse_while_ending() {
            return Err(problem);
        }
        let new = &reload.project;
        let nothing = (Project { services: IndexMap::new(), ..new.clone() }, Selection::default());
        let (old, selection) = match (&self.loaded, &reload.resting) {
            (Some(loaded), _) => (&loaded.project, &loaded.selection),
            (None, Some(_)) => (&nothing.0, &nothing.1),
            (None, None) => return Err(super::requests::missing_config()),
        };
        graph::order(new).map_err(|error| Problem::new(Code::ConfigInvalid, error.to_string()))?;
        if let Some(problem) = self.taken_by_ad_hoc(new) {
            return Err(problem);
        }
        let places: Vec<Place<'_>> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.ad_hoc.is_none())
            .map(|(name, slot)| Place {
                name,
                service: &slot.service_name,
                wanted: slot.wanted,
                started: slot.last_run.is_some(),
                state: &slot.state,
            })
            .collect();
        let mut plans = reload::plan(old, new, &places, selection);
        reload::rest(&mut plans, reload.resting.as_deref().unwrap_or_default());
        let begins = plans.iter().filter(|one| matches!(one.will(), Will::Start | Will::Restart));
        match self.too_weak(new, begins.map(|one| &one.service)) {
            Some(problem) => Err(problem),
            None => Ok(plans),
        }
    }

    /// Takes over the configuration. Answers with the places that are started, and those that are stopped.
    fn carry_out(&mut self, plans: &[Planned], reload: Reload) -> (Vec<String>, Vec<String>) {
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        let mut declared = HashSet::new();
        for (service_name, service) in &reload.project.services {
            let service = Arc::new(service.clone());
            for replica in 1..=service.replicas {
                let name = reload::place_name(service_name, replica, service.replicas);
                self.leaving.remove(&name);
                // The result of a run on request whose name the configuration takes.
                if self.is_ad_hoc(&name) {
                    self.forget_slot(&name);
                }
                match self.slots.get_mut(&name) {
                    None => {
                        drop(self.slots.insert(name.clone(), Slot::new(service_name, replica, Arc::clone(&service))))
                    }
                    Some(slot) if *slot.service != *service => slot.redefine(Arc::clone(&service)),
                    Some(_) => {}
                }
                declared.insert(name);
            }
        }
        for (name, will) in plans.iter().flat_map(|planned| &planned.places) {
            let event = match will {
                Will::Start => Event::Start,
                Will::Restart => Event::Restart { limit: None },
                Will::Stop => Event::Stop { reason: Reason::Requested, limit: None },
                Will::Adjust => {
                    self.adjust(name);
                    continue;
                }
                Will::Nothing => continue,
            };
            let list = if *will == Will::Stop { &mut stops } else { &mut starts };
            list.push(name.clone());
            self.held.shift_remove(name);
            if *will == Will::Start && self.slots.get(name).is_some_and(|slot| slot.service.is_timed()) {
                starts.pop();
                self.arm(name);
                continue;
            }
            self.queue.push_back(Work::Slot(name.clone(), event));
        }
        self.sync_schedules();
        self.sync_watches();
        let is_gone = |(name, slot): &(&String, &Slot)| slot.ad_hoc.is_none() && !declared.contains(*name);
        self.leaving.extend(self.slots.iter().filter(is_gone).map(|(name, _)| name.clone()));
        for name in self.slots.keys() {
            self.dirty.slot(name);
        }
        self.dirty.loaded();
        self.announce(plans);
        let (environment, selection) = match self.loaded.take() {
            Some(loaded) => (reload.environment.unwrap_or(loaded.environment), loaded.selection),
            None => (reload.environment.unwrap_or_default(), Selection::default()),
        };
        self.loaded = Some(Loaded { project: reload.project, config: reload.config, environment, selection });
        self.sync_pools();
        self.pace_all();
        self.sort_slots();
        self.choose_all_ports();
        self.keep_logs();
        (starts, stops)
    }

    fn announce(&mut self, plans: &[Planned]) {
        let named = |is_meant: fn(&Change) -> bool| {
            plans.iter().filter(|one| is_meant(&one.change)).map(|one| one.service.clone()).collect::<Vec<_>>()
        };
        let added = named(|change| matches!(change, Change::Added));
        let removed = named(|change| matches!(change, Change::Removed));
        let changed = named(|change| matches!(change, Change::Changed(_)));
        self.events.publish(None, None, EventKind::ConfigReloaded { added, removed, changed });
    }
}

fn told(planned: &Planned) -> ServicePlan {
    let (change, keys) = match &planned.change {
        Change::Added => (wire::Declared::Added, Vec::new()),
        Change::Removed => (wire::Declared::Removed, Vec::new()),
        Change::Changed(keys) => (wire::Declared::Changed, keys.clone()),
        Change::Unchanged => (wire::Declared::Unchanged, Vec::new()),
    };
    let places = planned.places.iter().map(|(name, will)| PlacePlan { name: name.clone(), will: wire_will(*will) });
    let (service, will) = (planned.service.clone(), wire_will(planned.will()));
    ServicePlan { service, change, keys, will, places: places.collect() }
}

fn wire_will(will: Will) -> wire::Will {
    match will {
        Will::Start => wire::Will::Start,
        Will::Stop => wire::Will::Stop,
        Will::Restart => wire::Will::Restart,
        Will::Adjust => wire::Will::Adjust,
        Will::Nothing => wire::Will::Nothing,
    }
}

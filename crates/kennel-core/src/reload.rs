//! What a configuration that is loaded again changes, service by service, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::graph;
use crate::limit::Limits;
use crate::model::{Privileges, Project, Service};
use crate::rules::{Rule, of_limits};
use crate::slot::State;

/// Which services somebody asked to be up, beside those that run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// All, within the profiles; else only some by name.
    pub all: bool,
    /// Chosen profiles.
    pub profiles: BTreeSet<String>,
}

impl Selection {
    /// Whether a service would have been started, had it been there before.
    #[must_use]
    pub fn includes(&self, service: &Service) -> bool {
        let is_chosen = |profile: &String| self.profiles.contains(profile);
        self.all && (service.profiles.is_empty() || service.profiles.iter().any(is_chosen))
    }

    /// Somebody asks for more; what was asked for before stays.
    pub fn add(&mut self, all: bool, profiles: &[String]) {
        self.all |= all;
        self.profiles.extend(profiles.iter().cloned());
    }
}

/// One place of a service as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// Name in `ps`.
    pub name: &'a str,
    /// The declared service.
    pub service: &'a str,
    /// Whether it is to be up.
    pub wanted: bool,
    /// Whether it was ever started: if not, nobody has stopped it by hand.
    pub started: bool,
    /// What it does.
    pub state: &'a State,
}

/// How the declaration of a service differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// These keys differ, by their name in the file; of a map the entries, as in `environment.PORT`.
    Changed(Vec<String>),
    /// It is the same.
    Unchanged,
}

/// What will happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Will {
    /// It is started.
    Start,
    /// It is stopped, and gone.
    Stop,
    /// It is stopped and started anew.
    Restart,
    /// It runs on, with other limits.
    Adjust,
    /// Nothing now; a later start uses the new declaration.
    Nothing,
}

/// The plan for one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its declared name.
    pub service: String,
    /// What differs.
    pub change: Change,
    /// What happens to each of its places, those that are gone last.
    pub places: Vec<(String, Will)>,
}

impl Planned {
    /// What happens to the service as a whole.
    #[must_use]
    pub fn will(&self) -> Will {
        let any = |wanted: Will| self.places.iter().any(|(_, will)| *will == wanted);
        match (any(Will::Start), any(Will::Stop), any(Will::Restart)) {
            (_, _, true) | (true, true, _) => Will::Restart,
            (true, false, false) => Will::Start,
            (false, true, false) => Will::Stop,
            (false, false, false) if any(Will::Adjust) => Will::Adjust,
            (false, false, false) => Will::Nothing,
        }
    }
}

/// Name of a place in `ps`.
#[must_use]
pub fn place_name(service: &str, replica: u32, replicas: u32) -> String {
    if replicas > 1 { format!("{service}.{replica}") } else { service.to_owned() }
}

/// The plan, in the new file's order; services that are gone come last.
///
/// What was stopped by hand is not started. What is new is started if it belongs to what was asked for, or if something that
/// is to be up needs it.
#[must_use]
pub fn plan(old: &Project, new: &Project, places: &[Place<'_>], selection: &Selection) -> Vec<Planned> {
    let needed = needed(old, new, places, selection);
    let mut plans: Vec<Planned> = new
        .services
        .iter()
        .map(|(name, service)| {
            let change = match old.services.get(name) {
                None => Change::Added,
                Some(before) if before == service => Change::Unchanged,
                Some(before) => Change::Changed(changed_keys(before, service)),
            };
            let places = of_service(name, service, &change, places, needed.contains(name));
            Planned { service: name.clone(), change, places }
        })
        .collect();
    let gone = old.services.keys().filter(|name| !new.services.contains_key(*name));
    plans.extend(gone.map(|name| {
        let places = places.iter().filter(|place| place.service == name);
        Planned { service: name.clone(), change: Change::Removed, places: places.map(leave).collect() }
    }));
    plans
}

/// Leaves new services of these names at rest: they are only to be known.
pub fn rest(plans: &mut [Planned], names: &[String]) {
    let resting = plans.iter_mut().filter(|one| one.change == Change::Added && names.contains(&one.service));
    for (_, will) in resting.flat_map(|one| &mut one.places) {
        if *will == Will::Start {
            *will = Will::Nothing;
        }
    }
}

/// Services that are to be up, with all that they depend on.
fn needed(old: &Project, new: &Project, places: &[Place<'_>], selection: &Selection) -> BTreeSet<String> {
    let is_wanted = |name: &str| places.iter().any(|place| place.service == name && place.wanted);
    let is_to_be_up = |(name, service): &(&String, &Service)| {
        is_wanted(name) || (!old.services.contains_key(*name) && selection.includes(service))
    };
    let roots: Vec<String> = new.services.iter().filter(is_to_be_up).map(|(name, _)| name.clone()).collect();
    graph::with_dependencies(new, &roots)
}

fn of_service(
    name: &str,
    service: &Service,
    change: &Change,
    places: &[Place<'_>],
    is_needed: bool,
) -> Vec<(String, Will)> {
    let ours: Vec<&Place<'_>> = places.iter().filter(|place| place.service == name).collect();
    // More of a service that was stopped by hand are as little wanted as those that are there.
    let was_stopped = ours.iter().any(|place| place.started) && !ours.iter().any(|place| place.wanted);
    let names: Vec<String> =
        (1..=service.replicas).map(|replica| place_name(name, replica, service.replicas)).collect();
    let mut plan: Vec<(String, Will)> = names
        .iter()
        .map(|name| {
            let will = match ours.iter().find(|place| place.name == name) {
                None if is_needed && !was_stopped => Will::Start,
                None => Will::Nothing,
                Some(place) if place.wanted => stay(place, change),
                Some(place) if is_needed && !place.started => Will::Start,
                Some(_) => Will::Nothing,
            };
            (name.clone(), will)
        })
        .collect();
    plan.extend(ours.into_iter().filter(|place| !names.iter().any(|name| name == place.name)).map(leave));
    plan
}

/// Of a place that is wanted and stays.
fn stay(place: &Place<'_>, change: &Change) -> Will {
    let (is_new, has_other_limits) = match change {
        Change::Changed(keys) => {
            (!keys.iter().all(|key| takes_effect(key)), keys.iter().all(|key| takes_effect(key) || key == LIMITS))
        }
        Change::Added | Change::Removed => (true, false),
        Change::Unchanged => (false, false),
    };
    match place.state {
        _ if !is_new => Will::Nothing,
        State::Active { .. } if has_other_limits => Will::Adjust,
        // It waits for its dependencies and takes what is declared when they are met.
        State::Pending => Will::Nothing,
        State::Active { .. } | State::Waiting => Will::Restart,
        // What ended or failed was another thing.
        State::Rest(_) => Will::Start,
    }
}

/// What can be changed while it runs, but for descriptors, which each process has counted for itself.
const LIMITS: &str = "limits";

/// Whether a key is of no concern to a run that has begun, so that the new value holds at once.
fn takes_effect(key: &str) -> bool {
    const HERE: [&str; 10] = [
        "depends_on",
        "restart",
        "restart_policy",
        "success_exit_codes",
        "schedule",
        "watch",
        "profiles",
        "color",
        "logs",
        "rules",
    ];
    HERE.contains(&key) || key.starts_with("labels.")
}

/// Of a place that is not declared any more.
fn leave(place: &Place<'_>) -> (String, Will) {
    let will = if matches!(place.state, State::Rest(_)) { Will::Nothing } else { Will::Stop };
    (place.name.to_owned(), will)
}

/// Keys that differ, in the order of the documentation. Values are not told: they may be secrets.
#[must_use]
pub fn changed_keys(old: &Service, new: &Service) -> Vec<String> {
    let mut keys = Vec::new();
    let mut note = |key: &str, differs: bool| {
        if differs {
            keys.push(key.to_owned());
        }
    };
    // Taken apart, so that a key that is added to the model cannot be forgotten here.
    let Service {
        command,
        working_dir,
        environment,
        depends_on,
        restart,
        restart_policy,
        readiness,
        liveness,
        hang,
        start_timeout,
        stop,
        success_exit_codes,
        ports,
        replicas,
        user,
        group,
        umask,
        on_daemon_loss,
        on_escape,
        max_runtime,
        idle_timeout,
        schedule,
        watch,
        rules,
        isolation,
        privileges,
        limits,
        profiles,
        labels,
        color,
        logs,
    } = old;
    note("command", *command != new.command);
    note("working_dir", *working_dir != new.working_dir);
    entries("environment", environment, &new.environment, &mut note);
    note("depends_on", *depends_on != new.depends_on);
    note("restart", *restart != new.restart);
    note("restart_policy", *restart_policy != new.restart_policy);
    note("readiness", *readiness != new.readiness);
    note("liveness", *liveness != new.liveness);
    note("hang", *hang != new.hang);
    note("start_timeout", *start_timeout != new.start_timeout);
    note("stop", *stop != new.stop);
    note("success_exit_codes", *success_exit_codes != new.success_exit_codes);
    note("ports", *ports != new.ports);
    note("replicas", *replicas != new.replicas);
    note("user", *user != new.user);
    note("group", *group != new.group);
    note("umask", *umask != new.umask);
    note("on_daemon_loss", *on_daemon_loss != new.on_daemon_loss);
    note("on_escape", *on_escape != new.on_escape);
    note("max_runtime", *max_runtime != new.max_runtime);
    note("idle_timeout", *idle_timeout != new.idle_timeout);
    note("schedule", *schedule != new.schedule);
    note("watch", *watch != new.watch);
    note("rules", said(rules, limits) != said(&new.rules, &new.limits));
    note("isolation", *isolation != new.isolation);
    let open_files = limits.open_files;
    note(LIMITS, *limits != Limits { open_files, ..new.limits.clone() });
    note("limits.open_files", open_files != new.limits.open_files);
    changed_privileges(privileges, &new.privileges, &mut note);
    note("profiles", *profiles != new.profiles);
    entries("labels", labels, &new.labels, &mut note);
    note("color", *color != new.color);
    note("logs", *logs != new.logs);
    keys
}

fn changed_privileges(old: &Privileges, new: &Privileges, note: &mut impl FnMut(&str, bool)) {
    let Privileges {
        no_new_privileges,
        capabilities,
        added_capabilities,
        limits,
        nice,
        cpus,
        io,
        oom_score_adj,
        dedicated_user,
    } = old;
    note("no_new_privileges", *no_new_privileges != new.no_new_privileges);
    note("cap_drop", *capabilities != new.capabilities);
    note("cap_add", *added_capabilities != new.added_capabilities);
    note("ulimits", *limits != new.limits);
    note("nice", *nice != new.nice);
    note("cpu_affinity", *cpus != new.cpus);
    note("io_priority", *io != new.io);
    note("oom_score_adj", *oom_score_adj != new.oom_score_adj);
    note("dedicated_user", *dedicated_user != new.dedicated_user);
}

fn entries(
    key: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    note: &mut impl FnMut(&str, bool),
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        note(&format!("{key}.{name}"), old.get(name) != new.get(name));
    }
}

/// Rules that do not follow from the limits, and the names of those that would and are switched off.
fn said<'a>(rules: &'a [Rule], limits: &Limits) -> (Vec<&'a Rule>, Vec<String>) {
    let built_in = of_limits(limits);
    let is_off = |usual: &&Rule| rules.iter().all(|rule| rule.name != usual.name);
    let off = built_in.iter().filter(is_off).map(|usual| usual.name.clone()).collect();
    (rules.iter().filter(|rule| !built_in.contains(rule)).collect(), off)
}

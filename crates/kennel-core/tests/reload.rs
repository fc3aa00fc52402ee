//! Plans of a configuration that is loaded again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::path::PathBuf;
use std::time::Duration;

use kennel_core::limit::Limits;
use kennel_core::model::ProjectLogs;
use kennel_core::model::{Condition, Dependency, Exit, LogEvents, Project, RequireContainment, RestartMode, Service};
use kennel_core::reload::{Change, Place, Planned, Selection, Will, changed_keys, place_name, plan};
use kennel_core::rules::{Rule, of_limits};
use kennel_core::slot::{Failure, Rest, State, Then};
use proptest::prelude::*;

const UP: State = State::Active { then: Then::Decide };

fn service(program: &str) -> Service {
    Service { start_timeout: Duration::from_secs(1), ..Service::plain(vec![program.into()], PathBuf::from("/")) }
}

fn needs(program: &str, other: &str) -> Service {
    let edge = Dependency { service: other.into(), condition: Condition::Started, restart: false };
    Service { depends_on: vec![edge], ..service(program) }
}

fn project<const N: usize>(services: [(&str, Service); N]) -> Project {
    Project {
        name: "p".into(),
        directory: PathBuf::from("/"),
        require_containment: RequireContainment::Any,
        log_events: LogEvents::None,
        sampling: None,
        logs: ProjectLogs::default(),
        rules: Vec::new(),
        limits: Limits::default(),
        storm_brake: kennel_core::brake::Policy::default(),
        webhooks: indexmap::IndexMap::new(),
        notify: kennel_core::model::Notify::default(),
        services: services.into_iter().map(|(name, service)| (name.to_owned(), service)).collect(),
    }
}

fn place<'a>(name: &'a str, wanted: bool, state: &'a State) -> Place<'a> {
    let service = name.split('.').next().unwrap();
    Place { name, service, wanted, started: true, state }
}

fn all() -> Selection {
    Selection { all: true, ..Selection::default() }
}

fn will(plans: &[Planned], service: &str) -> Will {
    plans.iter().find(|planned| planned.service == service).unwrap().will()
}

#[test]
fn each_kind_of_change_has_its_consequence() {
    let stopped = State::Rest(Rest::Stopped);
    let failed = State::Rest(Rest::Failed(Failure::Exited(Exit::Code(1))));
    let old = project([
        ("same", service("a")),
        ("edited", service("a")),
        ("by-hand", service("a")),
        ("broken", service("a")),
        ("done", service("a")),
        ("gone", service("a")),
        ("long-gone", service("a")),
    ]);
    let new = project([
        ("new", service("b")),
        ("same", service("a")),
        ("edited", service("b")),
        ("by-hand", service("b")),
        ("broken", service("b")),
        ("done", service("a")),
    ]);
    let completed = State::Rest(Rest::Completed);
    let places = [
        place("same", true, &UP),
        place("edited", true, &UP),
        place("by-hand", false, &stopped),
        place("broken", true, &failed),
        place("done", true, &completed),
        place("gone", true, &UP),
        place("long-gone", false, &stopped),
    ];
    let plans = plan(&old, &new, &places, &all());
    let names: Vec<&str> = plans.iter().map(|planned| planned.service.as_str()).collect();
    assert_eq!(names, ["new", "same", "edited", "by-hand", "broken", "done", "gone", "long-gone"]);
    let found: Vec<Will> = plans.iter().map(Planned::will).collect();
    use Will::{Nothing, Restart, Start, Stop};
    assert_eq!(found, [Start, Nothing, Restart, Nothing, Start, Nothing, Stop, Nothing]);
    assert_eq!(plans[2].change, Change::Changed(vec!["command".into()]));
    assert_eq!((&plans[0].change, &plans[6].change), (&Change::Added, &Change::Removed));
}

#[test]
fn what_concerns_no_run_restarts_none() {
    let edited = Service {
        restart: RestartMode::Always,
        color: Some("red".into()),
        labels: [("team".to_owned(), "x".to_owned())].into(),
        ..needs("a", "db")
    };
    let old = project([("web", service("a")), ("db", service("a"))]);
    let new = project([("web", edited), ("db", service("a"))]);
    let plans = plan(&old, &new, &[place("web", true, &UP), place("db", true, &UP)], &all());
    let keys = ["depends_on", "restart", "labels.team", "color"].map(str::to_owned).to_vec();
    assert_eq!((&plans[0].change, plans[0].will()), (&Change::Changed(keys), Will::Nothing));
}

#[test]
fn other_limits_restart_nothing_that_runs() {
    let with = |limits| Service { limits, ..service("a") };
    let old = project([("web", with(Limits { memory: Some(1), open_files: Some(9), ..Limits::default() }))]);
    let more = Limits { memory: Some(2), open_files: Some(9), ..Limits::default() };
    let will =
        |new: Service, state| plan(&old, &project([("web", new)]), &[place("web", true, state)], &all())[0].will();
    assert_eq!(will(with(more.clone()), &UP), Will::Adjust);
    assert_eq!(will(Service { color: Some("red".into()), ..with(more.clone()) }, &UP), Will::Adjust);
    // Descriptors are what a process begins with, and another command is another process.
    assert_eq!(will(with(Limits { open_files: Some(10), ..more.clone() }), &UP), Will::Restart);
    assert_eq!(will(Service { limits: more.clone(), ..service("b") }, &UP), Will::Restart);
    // What failed for want of memory is tried with more.
    assert_eq!(will(with(more), &State::Rest(Rest::Completed)), Will::Start);
}

/// The rule that comes with a limit of memory is no difference of its own; one that is switched off or says something else is.
#[test]
fn a_rule_that_follows_from_the_limits_is_no_key() {
    let with = |memory, rules: fn(Vec<Rule>) -> Vec<Rule>| {
        let limits = Limits { memory: Some(memory), ..Limits::default() };
        Service { rules: rules(of_limits(&limits)), limits, ..service("a") }
    };
    let keys = |old: &Service, new: &Service| changed_keys(old, new);
    let usual: fn(Vec<Rule>) -> Vec<Rule> = |rules| rules;
    assert_eq!(keys(&with(1, usual), &with(2, usual)), ["limits"]);
    assert_eq!(keys(&with(1, usual), &with(1, |_| Vec::new())), ["rules"]);
    assert_eq!(keys(&with(1, |_| Vec::new()), &with(2, |_| Vec::new())), ["limits"]);
    let bold: fn(Vec<Rule>) -> Vec<Rule> =
        |rules| rules.into_iter().map(|rule| Rule { cooldown: Duration::ZERO, ..rule }).collect();
    assert_eq!(keys(&with(1, usual), &with(1, bold)), ["rules"]);
}

#[test]
fn replicas_come_and_go() {
    let with = |replicas| project([("w", Service { replicas, ..service("a") })]);
    let plans = plan(&with(3), &with(2), &["w.1", "w.2", "w.3"].map(|name| place(name, true, &UP)), &all());
    // The key differs, and with it what each is told of itself.
    let expected = [("w.1", Will::Restart), ("w.2", Will::Restart), ("w.3", Will::Stop)];
    assert_eq!(plans[0].places, expected.map(|(name, will)| (name.to_owned(), will)));
    let plans = plan(&with(1), &with(2), &[place("w", true, &UP)], &all());
    let expected = [("w.1", Will::Start), ("w.2", Will::Start), ("w", Will::Stop)];
    assert_eq!(plans[0].places, expected.map(|(name, will)| (name.to_owned(), will)));
    assert_eq!(plans[0].will(), Will::Restart);
    // More of what was stopped by hand is not wanted either.
    let stopped = State::Rest(Rest::Stopped);
    let plans = plan(&with(1), &with(2), &[place("w", false, &stopped)], &all());
    assert_eq!(plans[0].will(), Will::Nothing);
}

#[test]
fn what_waits_for_its_dependencies_takes_the_new_declaration_by_itself() {
    let (old, new) = (project([("web", service("a"))]), project([("web", service("b"))]));
    let plans = plan(&old, &new, &[place("web", true, &State::Pending)], &all());
    assert_eq!(plans[0].will(), Will::Nothing);
    let plans = plan(&old, &new, &[place("web", true, &State::Waiting)], &all());
    assert_eq!(plans[0].will(), Will::Restart);
}

#[test]
fn more_of_what_was_stopped_by_hand_is_not_started_for_somebody_who_needs_it() {
    let with = |replicas| project([("web", needs("a", "db")), ("db", Service { replicas, ..service("a") })]);
    let stopped = State::Rest(Rest::Stopped);
    let plans = plan(&with(1), &with(2), &[place("web", true, &UP), place("db", false, &stopped)], &all());
    assert_eq!(will(&plans, "db"), Will::Nothing);
}

#[test]
fn only_what_was_asked_for_or_is_needed_is_started() {
    let never = State::Rest(Rest::Stopped);
    let debug = Service { profiles: vec!["debug".into()], ..service("a") };
    let old = project([("web", service("a")), ("idle", service("a"))]);
    let new = project([
        ("web", needs("a", "cache")),
        ("idle", service("a")),
        ("cache", needs("a", "idle")),
        ("extra", service("a")),
        ("tools", debug),
    ]);
    let places = [
        place("web", true, &UP),
        Place { name: "idle", service: "idle", wanted: false, started: false, state: &never },
    ];
    // Somebody has asked for `web` alone.
    let plans = plan(&old, &new, &places, &Selection::default());
    assert_eq!((will(&plans, "cache"), will(&plans, "idle")), (Will::Start, Will::Start));
    assert_eq!((will(&plans, "extra"), will(&plans, "tools")), (Will::Nothing, Will::Nothing));
    let plans = plan(&old, &new, &places, &all());
    assert_eq!((will(&plans, "extra"), will(&plans, "tools")), (Will::Start, Will::Nothing));
    let mut selection = all();
    selection.add(false, &["debug".to_owned()]);
    assert_eq!(will(&plan(&old, &new, &places, &selection), "tools"), Will::Start);
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Rest(Rest::Stopped)),
        Just(State::Rest(Rest::Completed)),
        Just(State::Pending),
        Just(State::Waiting),
        Just(UP),
        Just(State::Active { then: Then::Rest }),
    ]
}

/// Declared before and after, by program and replicas; none: not declared.
fn declared() -> impl Strategy<Value = Option<(u8, u32)>> {
    prop::option::weighted(0.8, (0_u8..2, 1_u32..4))
}

proptest! {
    #[test]
    fn what_was_stopped_by_hand_stays_stopped_and_nothing_is_touched_without_a_change(
        drafts in prop::collection::vec((declared(), declared(), prop::collection::vec((state(), any::<bool>()), 3)), 1..5),
        is_all in any::<bool>(),
    ) {
        let declare = |declared: &mut dyn Iterator<Item = Option<(u8, u32)>>| {
            let mut project = project([]);
            for (index, draft) in declared.enumerate() {
                if let Some((program, replicas)) = draft {
                    let service = Service { replicas, ..service(&format!("p{program}")) };
                    project.services.insert(format!("s{index}"), service);
                }
            }
            project
        };
        let old = declare(&mut drafts.iter().map(|(old, _, _)| *old));
        let new = declare(&mut drafts.iter().map(|(_, new, _)| *new));
        let named: Vec<(String, String, &State, bool)> = old.services.iter().flat_map(|(name, service)| {
            let index: usize = name[1..].parse().unwrap();
            (1..=service.replicas).map(move |replica| (index, name.clone(), replica, service.replicas))
        }).map(|(index, name, replica, replicas)| {
            let (state, wanted) = &drafts[index].2[replica as usize - 1];
            (place_name(&name, replica, replicas), name, state, *wanted)
        }).collect();
        let places: Vec<Place<'_>> = named.iter().map(|(name, service, state, wanted)| {
            Place { name, service, wanted: *wanted, started: true, state }
        }).collect();
        let selection = Selection { all: is_all, ..Selection::default() };
        let plans = plan(&old, &new, &places, &selection);

        // Every service and every place once.
        let planned: Vec<&String> = plans.iter().flat_map(|one| one.places.iter().map(|(name, _)| name)).collect();
        let unique: std::collections::BTreeSet<_> = planned.iter().collect();
        prop_assert_eq!(unique.len(), planned.len());
        prop_assert!(places.iter().all(|place| planned.iter().any(|name| *name == place.name)));
        for one in &plans {
            for (name, will) in &one.places {
                let place = places.iter().find(|place| place.name == name);
                if place.is_some_and(|place| !place.wanted) {
                    prop_assert!(matches!(will, Will::Nothing | Will::Stop), "{} is not wanted: {:?}", name, will);
                }
                if one.change == Change::Unchanged {
                    prop_assert_eq!(*will, Will::Nothing);
                }
                if one.change == Change::Removed {
                    prop_assert!(matches!(will, Will::Nothing | Will::Stop));
                }
            }
        }
        // Once done, there is nothing more to do.
        let after: Vec<(&str, &str, bool)> = plans.iter().filter(|one| one.change != Change::Removed).flat_map(|one| {
            let stay = one.places.iter().filter(|(name, _)| {
                let replicas = new.services[&one.service].replicas;
                (1..=replicas).any(|replica| place_name(&one.service, replica, replicas) == *name)
            });
            stay.map(|(name, will)| {
                let was_wanted = places.iter().any(|place| place.name == name && place.wanted);
                (name.as_str(), one.service.as_str(), was_wanted || matches!(will, Will::Start | Will::Restart))
            })
        }).collect();
        let rest = State::Rest(Rest::Stopped);
        let after: Vec<Place<'_>> = after.iter().map(|(name, service, wanted)| {
            Place { name, service, wanted: *wanted, started: *wanted, state: if *wanted { &UP } else { &rest } }
        }).collect();
        for one in plan(&new, &new, &after, &selection) {
            let wanted = after.iter().any(|place| place.service == one.service && place.wanted);
            let is_start = one.places.iter().all(|(_, will)| matches!(will, Will::Start | Will::Nothing));
            // Beside one that is wanted, one that was never started is as wanted.
            prop_assert!(one.will() == Will::Nothing || wanted && is_start, "{:?}", one);
        }
    }
}

#[test]
fn every_key_that_differs_is_named_and_no_value() {
    let old = service("a");
    let mut new = service("b");
    new.environment.insert("SECRET".into(), "hunter2".into());
    new.privileges.nice = Some(3);
    new.privileges.capabilities = Some(0);
    new.umask = Some(0o77);
    assert_eq!(changed_keys(&old, &new), ["command", "environment.SECRET", "umask", "cap_drop", "nice"]);
    assert!(changed_keys(&new, &new).is_empty());
}

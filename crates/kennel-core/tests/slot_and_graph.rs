//! Properties of slots and of the dependency graph.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::time::Duration;

use kennel_core::graph::{GraphError, Seen, Verdict, dependants, judge, order, with_dependencies};
use kennel_core::instance::{End, Reason};
use kennel_core::model::ProjectLogs;
use kennel_core::model::{
    Condition, Dependency, Exit, LogEvents, Project, RequireContainment, RestartMode, RestartPolicy, Service,
};
use kennel_core::restart::History;
use kennel_core::slot::{self, Action, Event, Failure, Policy, Rest, State, Then, step};
use proptest::prelude::*;

fn service(depends_on: Vec<Dependency>) -> Service {
    let plain = Service::plain(vec!["true".into()], PathBuf::from("/"));
    Service { depends_on, start_timeout: Duration::from_secs(1), ..plain }
}

fn project(edges: &[(usize, usize)], count: usize) -> Project {
    let services = (0..count).map(|index| {
        let needed = edges.iter().filter(|(from, _)| *from == index);
        let needed = needed.map(|(_, to)| Dependency {
            service: format!("s{to}"),
            condition: Condition::Started,
            restart: false,
        });
        (format!("s{index}"), service(needed.collect()))
    });
    Project {
        name: "p".into(),
        directory: PathBuf::from("/"),
        require_containment: RequireContainment::Any,
        log_events: LogEvents::None,
        sampling: None,
        logs: ProjectLogs::default(),
        rules: Vec::new(),
        limits: kennel_core::limit::Limits::default(),
        storm_brake: kennel_core::brake::Policy::default(),
        webhooks: indexmap::IndexMap::new(),
        notify: kennel_core::model::Notify::default(),
        services: services.collect(),
    }
}

const COUNT: usize = 8;

fn edges() -> impl Strategy<Value = Vec<(usize, usize)>> {
    proptest::collection::vec((0..COUNT, 0..COUNT), 0..14)
}

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![(0i32..4).prop_map(Exit::Code), Just(Exit::Signal(9)), Just(Exit::Unknown)]
}

fn slot_events() -> impl Strategy<Value = Event> {
    let ran =
        (exits(), any::<bool>()).prop_map(|(exit, was_ready)| End::Ran { exit, reason: Reason::MainExited, was_ready });
    let refused = any::<bool>().prop_map(|transient| End::NotSpawned { error: "e".into(), transient, stop: None });
    let end = prop_oneof![4 => ran, 1 => refused];
    prop_oneof![
        2 => Just(Event::Start),
        1 => Just(Event::Stop { reason: Reason::Requested, limit: None }),
        1 => Just(Event::Restart { limit: None }),
        3 => Just(Event::DependenciesMet),
        1 => Just(Event::DependencyFailed("d".into())),
        4 => end.prop_map(|end| Event::Ended { end, ran: Duration::ZERO, now: Duration::ZERO, random: 0.5 }),
        3 => Just(Event::BackoffElapsed),
        1 => Just(Event::DaemonLost),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let modes = prop_oneof![Just(RestartMode::No), Just(RestartMode::OnFailure), Just(RestartMode::Always)];
    (modes, 0u32..4).prop_map(|(restart, max_restarts)| Policy {
        restart,
        pace: RestartPolicy { max_restarts, ..RestartPolicy::default() },
        success_exit_codes: vec![3],
        start_timeout: Duration::from_secs(1),
    })
}

proptest! {
    /// A second instance is never begun while one exists, and none is stopped that does not.
    #[test]
    fn never_two_instances_in_one_slot(policy in policies(), events in proptest::collection::vec(slot_events(), 0..60)) {
        let (mut state, mut history) = (State::Rest(Rest::Stopped), History::default());
        let mut runs = false;
        for event in events {
            // The driver reports the end of an instance only where there is one.
            if matches!(event, Event::Ended { .. }) {
                if !runs {
                    continue;
                }
                runs = false;
            }
            let (next, actions) = step(&policy, &mut history, state, event);
            for action in actions {
                match action {
                    Action::Begin => {
                        prop_assert!(!runs);
                        runs = true;
                    }
                    Action::StopInstance { .. } => prop_assert!(runs),
                    _ => {}
                }
            }
            prop_assert_eq!(runs, matches!(next, State::Active { .. }));
            state = next;
        }
    }

    /// After a stop nothing begins by itself, whatever ends or elapses.
    #[test]
    fn what_was_stopped_stays_stopped(policy in policies(), before in proptest::collection::vec(slot_events(), 0..30), exit in exits()) {
        let (mut state, mut history) = (State::Rest(Rest::Stopped), History::default());
        for event in before {
            (state, _) = step(&policy, &mut history, state, event);
        }
        let stop = Event::Stop { reason: Reason::Requested, limit: None };
        let end = End::Ran { exit, reason: Reason::Requested, was_ready: true };
        let ended = Event::Ended { end, ran: Duration::ZERO, now: Duration::ZERO, random: 0.5 };
        for event in [stop, Event::BackoffElapsed, Event::DependenciesMet, ended, Event::BackoffElapsed] {
            let (next, actions) = step(&policy, &mut history, state, event);
            prop_assert!(!actions.contains(&Action::Begin));
            state = next;
        }
        prop_assert!(matches!(state, State::Rest(_)));
    }

    /// What ends with the daemon is not begun again by the next one, whatever ends or elapses; only somebody who asks does that.
    // covers: B7
    #[test]
    fn what_was_lost_with_the_daemon_waits_for_a_start(
        policy in policies(),
        before in proptest::collection::vec(slot_events(), 0..30),
        exit in exits(),
        by_itself in any::<bool>(),
    ) {
        let (mut state, mut history) = (State::Rest(Rest::Stopped), History::default());
        for event in before {
            (state, _) = step(&policy, &mut history, state, event);
        }
        let reason = if by_itself { Reason::MainExited } else { Reason::DaemonLost };
        let end = End::Ran { exit, reason, was_ready: true };
        let ended = Event::Ended { end, ran: Duration::ZERO, now: Duration::ZERO, random: 0.5 };
        for event in [Event::DaemonLost, Event::BackoffElapsed, Event::DependenciesMet, ended, Event::BackoffElapsed] {
            let (next, actions) = step(&policy, &mut history, state, event);
            prop_assert!(!actions.contains(&Action::Begin));
            state = next;
        }
        prop_assert!(matches!(state, State::Rest(_)));
        let (state, _) = step(&policy, &mut history, state, Event::Start);
        prop_assert_eq!(state, State::Pending);
    }

    /// The order has every service after all that it depends on, or the error's path is a real cycle.
    #[test]
    fn order_or_a_real_cycle(edges in edges()) {
        let project = project(&edges, COUNT);
        match order(&project) {
            Ok(sorted) => {
                prop_assert_eq!(sorted.len(), COUNT);
                let place = |name: &str| sorted.iter().position(|other| other == name).unwrap();
                for (from, to) in edges {
                    let (from, to) = (format!("s{from}"), format!("s{to}"));
                    prop_assert!(place(&to) < place(&from));
                }
            }
            Err(GraphError::Cycle(path)) => {
                prop_assert!(path.len() >= 2);
                prop_assert_eq!(path.first(), path.last());
                for pair in path.windows(2) {
                    let depends = project.services[&pair[0]].depends_on.iter().any(|edge| edge.service == pair[1]);
                    prop_assert!(depends, "{pair:?}");
                }
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn a_start_takes_along_all_that_is_needed_and_no_more(edges in edges(), root in 0..COUNT) {
        let project = project(&edges, COUNT);
        let root = format!("s{root}");
        let found = with_dependencies(&project, std::slice::from_ref(&root));
        prop_assert!(found.contains(&root));
        for name in &found {
            let edges = &project.services[name].depends_on;
            prop_assert!(edges.iter().all(|edge| found.contains(&edge.service)));
            let reached = *name == root || dependants(&project, name).any(|other| found.contains(other));
            prop_assert!(reached, "{name}");
        }
    }
}

#[test]
fn unknown_names_are_errors() {
    let mut project = project(&[], 1);
    project.services[0].depends_on.push(Dependency {
        service: "db".into(),
        condition: Condition::Healthy,
        restart: false,
    });
    let error = order(&project).unwrap_err();
    assert_eq!(error, GraphError::Unknown { service: "s0".into(), missing: "db".into() });
}

#[test]
fn conditions_hold_when_they_should() {
    use Condition::{Completed, CompletedSuccessfully, Healthy, Started};
    let failed = Seen::Resting(Rest::Failed(Failure::Exited(Exit::Code(1))));
    let done = Seen::Resting(Rest::Completed);
    let met = |condition, seen: &[Seen]| judge("db", condition, seen);
    assert_eq!(met(Started, &[Seen::Up, Seen::Ready]), Verdict::Met);
    assert_eq!(met(Started, &[Seen::Up, Seen::NotYet]), Verdict::NotYet);
    assert_eq!(met(Healthy, &[Seen::Up]), Verdict::NotYet);
    assert_eq!(met(Healthy, &[Seen::Ready, done.clone()]), Verdict::Met);
    assert_eq!(met(Completed, std::slice::from_ref(&failed)), Verdict::Met);
    assert_eq!(met(CompletedSuccessfully, &[Seen::Ready]), Verdict::NotYet);
    assert_eq!(met(CompletedSuccessfully, &[done]), Verdict::Met);
    for condition in [Started, Healthy, CompletedSuccessfully] {
        assert!(matches!(met(condition, &[Seen::NotYet, failed.clone()]), Verdict::Never(_)));
    }
    assert!(matches!(met(Started, &[Seen::Resting(Rest::Stopped)]), Verdict::Never(_)));
}

#[test]
fn a_crash_loop_ends_in_given_up_with_its_reason() {
    let policy = Policy {
        restart: RestartMode::OnFailure,
        pace: RestartPolicy { max_restarts: 2, ..RestartPolicy::default() },
        success_exit_codes: vec![],
        start_timeout: Duration::from_secs(1),
    };
    let mut history = History::default();
    let mut state = State::Active { then: Then::Decide };
    for _ in 0..3 {
        let end = End::Ran { exit: Exit::Code(7), reason: Reason::MainExited, was_ready: true };
        let ended = Event::Ended { end, ran: Duration::ZERO, now: Duration::from_secs(1), random: 0.5 };
        (state, _) = step(&policy, &mut history, state, ended);
        if state == State::Waiting {
            (state, _) = step(&policy, &mut history, state, Event::BackoffElapsed);
        }
    }
    let State::Rest(Rest::GivenUp(failure)) = state else { panic!("{state:?}") };
    assert_eq!(failure.to_string(), "exited with code 7, after 2 restarts within 60s");
}

#[test]
fn a_restart_while_stopping_begins_anew_when_down() {
    let policy = Policy {
        restart: RestartMode::No,
        pace: RestartPolicy::default(),
        success_exit_codes: vec![],
        start_timeout: Duration::from_secs(1),
    };
    let mut history = History::default();
    let stop = slot::Event::Stop { reason: Reason::Requested, limit: None };
    let (state, _) = step(&policy, &mut history, State::Active { then: Then::Decide }, stop);
    let (state, _) = step(&policy, &mut history, state, slot::Event::Start);
    assert_eq!(state, State::Active { then: Then::Again });
    let end = End::Ran { exit: Exit::Signal(15), reason: Reason::Requested, was_ready: true };
    let ended = slot::Event::Ended { end, ran: Duration::ZERO, now: Duration::ZERO, random: 0.5 };
    let (state, actions) = step(&policy, &mut history, state, ended);
    assert_eq!((state, actions), (State::Pending, vec![Action::CheckDependencies]));
}

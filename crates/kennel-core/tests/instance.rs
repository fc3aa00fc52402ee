//! Properties of the instance machine, over histories such as the kernel and clients produce them.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use kennel_core::instance::{Action, End, Event, Health, Policy, Reason, Stage, State, Timer, resume, step};
use kennel_core::model::{Exit, StopStage, StopStep, Target, default_stop_sequence};
use proptest::prelude::*;

fn policies() -> impl Strategy<Value = Policy> {
    (0usize..4, any::<bool>()).prop_map(|(stages, probed)| Policy {
        stop: vec![
            StopStage {
                step: StopStep::Signal { signal: 15, target: Target::Scope },
                wait: Duration::from_millis(100)
            };
            stages
        ],
        probed,
        start_timeout: Duration::from_secs(1),
    })
}

fn limits() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![Just(None), Just(Some(Duration::ZERO)), Just(Some(Duration::from_secs(1)))]
}

fn timers() -> impl Strategy<Value = Timer> {
    prop_oneof![
        Just(Timer::Start),
        Just(Timer::Limit),
        Just(Timer::Stage(Stage::Settle)),
        Just(Timer::Stage(Stage::Kill)),
        (0usize..5).prop_map(|index| Timer::Stage(Stage::Step(index))),
    ]
}

/// What may come while it runs: each fact of the kernel once, in either order, among any requests and timers.
fn life() -> impl Strategy<Value = Vec<Event>> {
    let noise = prop_oneof![
        Just(Event::ProbePassed),
        Just(Event::ProbeFailed),
        limits().prop_map(|limit| Event::StopRequested { reason: Reason::Requested, limit }),
        timers().prop_map(Event::Elapsed),
    ];
    (
        proptest::collection::vec(noise, 0..30),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut events, spawned, exited, emptied)| {
            let at = spawned.index(events.len() + 1);
            events.insert(at, Event::Spawned);
            for (fact, place) in [(Event::MainExited(Exit::Code(3)), exited), (Event::ScopeEmptied, emptied)] {
                let begin = events.iter().position(|event| *event == Event::Spawned).unwrap() + 1;
                let place = begin + place.index(events.len() - begin + 1);
                events.insert(place, fact);
            }
            events
        })
}

proptest! {
    // covers: C2, E3
    #[test]
    fn down_exactly_when_reaped_and_empty(policy in policies(), events in life()) {
        let (mut state, mut reaped, mut empty) = (State::new(), false, false);
        for event in events {
            reaped |= matches!(event, Event::MainExited(_));
            empty |= event == Event::ScopeEmptied;
            let (next, actions) = step(&policy, state, event);
            state = next;
            prop_assert_eq!(matches!(state, State::Down(_)), reaped && empty);
            let finished = actions.iter().filter(|action| matches!(action, Action::Finish(_))).count();
            prop_assert!(finished == 0 || matches!(state, State::Down(_)));
        }
        let State::Down(End::Ran { exit, .. }) = state else { panic!("{state:?}") };
        prop_assert_eq!(exit, Exit::Code(3));
    }

    #[test]
    fn it_is_finished_once_and_nothing_is_done_after(policy in policies(), events in life(), more in life()) {
        let (mut state, mut finished) = (State::new(), 0);
        for event in events.into_iter().chain(more) {
            let was_down = matches!(state, State::Down(_));
            let (next, actions) = step(&policy, state, event);
            state = next;
            prop_assert!(!was_down || actions.is_empty());
            finished += actions.iter().filter(|action| matches!(action, Action::Finish(_))).count();
        }
        prop_assert_eq!(finished, 1);
    }

    /// Whatever has happened, waiting for the timers alone ends in the kill, and the kill is repeated.
    #[test]
    fn every_stop_reaches_the_kill_by_its_timers_alone(policy in policies(), events in life()) {
        let (mut state, mut armed) = (State::new(), None);
        for event in events {
            if matches!(event, Event::MainExited(_) | Event::ScopeEmptied) {
                continue;
            }
            let actions;
            (state, actions) = step(&policy, state, event);
            armed = last_stage_timer(&actions).or(armed);
        }
        let State::Stopping(_) = state else { return Ok(()) };
        let mut kills = 0;
        for _ in 0..policy.stop.len() + 3 {
            let timer = armed.expect("every waiting state has a timer");
            let (next, actions) = step(&policy, state, Event::Elapsed(timer));
            kills += actions.iter().filter(|action| **action == Action::Kill).count();
            armed = last_stage_timer(&actions);
            state = next;
        }
        prop_assert!(kills >= 2, "{kills} kills");
    }

    /// The same holds for another daemon that takes it over in any state, also when what it was told is told again.
    // covers: B7
    #[test]
    fn a_stop_that_is_taken_over_reaches_the_kill_and_the_end(policy in policies(), events in life(), known in 0usize..40) {
        let mut state = State::new();
        let (mut spawned, mut facts) = (false, Vec::new());
        for event in events.into_iter().take(known) {
            spawned |= event == Event::Spawned;
            if matches!(event, Event::MainExited(_) | Event::ScopeEmptied) {
                facts.push(event.clone());
            }
            (state, _) = step(&policy, state, event);
        }
        if !spawned {
            return Ok(());
        }
        let actions = resume(&policy, &state);
        let mut armed = last_stage_timer(&actions);
        let mut kills = actions.iter().filter(|action| **action == Action::Kill).count();
        prop_assert_eq!(armed.is_some(), matches!(state, State::Stopping(_)));
        // What the keeper says once more changes nothing.
        let before = state.clone();
        for fact in facts {
            let actions;
            (state, actions) = step(&policy, state, fact);
            prop_assert!(actions.is_empty());
        }
        prop_assert_eq!(&state, &before);
        if let State::Stopping(stopping) = &state {
            let (was_empty, rounds) = (stopping.empty, policy.stop.len() + 3);
            for _ in 0..rounds {
                let timer = armed.expect("every waiting state has a timer");
                let (next, actions) = step(&policy, state, Event::Elapsed(timer));
                kills += actions.iter().filter(|action| **action == Action::Kill).count();
                armed = last_stage_timer(&actions);
                state = next;
            }
            prop_assert!(was_empty || kills >= 2, "{kills} kills");
        }
    }

    /// Stages are entered in their order and never again; nothing follows the kill.
    #[test]
    fn stages_never_go_back(policy in policies(), events in life()) {
        let (mut state, mut next_stage, mut killed) = (State::new(), 0, false);
        for event in events {
            let actions;
            (state, actions) = step(&policy, state, event);
            for action in actions {
                match action {
                    Action::Step(index) => {
                        prop_assert!(!killed && index == next_stage);
                        next_stage += 1;
                    }
                    Action::Kill => killed = true,
                    _ => {}
                }
            }
        }
    }

    /// Ready and unhealthy are announced in turns, beginning with ready, and only while it runs.
    #[test]
    fn health_is_announced_in_turns(policy in policies(), events in life()) {
        let (mut state, mut ready) = (State::new(), false);
        for event in events {
            let (next, actions) = step(&policy, state, event);
            for action in &actions {
                match action {
                    Action::AnnounceReady => {
                        prop_assert!(!ready);
                        ready = true;
                    }
                    Action::AnnounceUnhealthy => {
                        prop_assert!(ready);
                        ready = false;
                    }
                    _ => {}
                }
            }
            if let State::Running { health } = &next {
                prop_assert_eq!(*health == Health::Ready, ready);
            }
            state = next;
        }
    }
}

fn last_stage_timer(actions: &[Action]) -> Option<Timer> {
    actions.iter().rev().find_map(|action| match action {
        Action::Arm(timer @ Timer::Stage(_), _) => Some(*timer),
        _ => None,
    })
}

fn policy() -> Policy {
    Policy { stop: default_stop_sequence(), probed: false, start_timeout: Duration::from_secs(1) }
}

fn run(policy: &Policy, events: impl IntoIterator<Item = Event>) -> (State, Vec<Action>) {
    events.into_iter().fold((State::new(), Vec::new()), |(state, mut all), event| {
        let (state, actions) = step(policy, state, event);
        all.extend(actions);
        (state, all)
    })
}

#[test]
fn the_default_sequence_is_term_term_kill() {
    let stop = Event::StopRequested { reason: Reason::Requested, limit: None };
    let stage = |index| Event::Elapsed(Timer::Stage(Stage::Step(index)));
    let (_, actions) = run(&policy(), [Event::Spawned, stop, stage(0), stage(1)]);
    let done: Vec<_> = actions.into_iter().filter(|a| matches!(a, Action::Step(_) | Action::Kill)).collect();
    assert_eq!(done, [Action::Step(0), Action::Step(1), Action::Kill]);
}

#[test]
fn a_stop_before_the_spawn_is_known_waits_for_it() {
    let stop = Event::StopRequested { reason: Reason::Down, limit: Some(Duration::ZERO) };
    let (state, actions) = run(&policy(), [stop.clone()]);
    assert!(actions.is_empty());
    let (_, actions) = step(&policy(), state, Event::Spawned);
    assert!(actions.contains(&Action::Kill));
    let failed = Event::SpawnFailed { error: "x".into(), transient: false };
    let (state, _) = run(&policy(), [stop, failed]);
    assert!(matches!(state, State::Down(End::NotSpawned { stop: Some(Reason::Down), .. })));
}

#[test]
fn a_probed_service_that_stays_silent_is_stopped() {
    let policy = Policy { probed: true, ..policy() };
    let (state, actions) = run(&policy, [Event::Spawned, Event::Elapsed(Timer::Start)]);
    assert!(actions.contains(&Action::AnnounceStop(Reason::StartTimeout)));
    assert!(matches!(state, State::Stopping(_)));
}

#[test]
fn stragglers_get_a_moment_before_the_sequence_begins() {
    let (state, actions) = run(&policy(), [Event::Spawned, Event::MainExited(Exit::Code(0))]);
    assert!(!actions.contains(&Action::Step(0)));
    let (_, actions) = step(&policy(), state, Event::Elapsed(Timer::Stage(Stage::Settle)));
    assert!(actions.contains(&Action::Step(0)) && actions.contains(&Action::AnnounceStop(Reason::MainExited)));
}

//! Shutdowns of random plans, driven as by a clock that only knows the machine's own timers.
//!
//! covers: A2, A3, A4, D1

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by it")]

use std::time::Duration;

use kennel_core::shutdown::{
    Action, Cleanup, Event, Outcome, Patience, Phase, Plan, RegisterError, Shutdown, Status, Urgency,
};
use proptest::prelude::*;

const PHASES: [Phase; 5] = [Phase::Persist, Phase::Reset, Phase::Cleanup, Phase::Drain, Phase::End];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn cleanup(name: &str, phase: Phase, after: &[&str], graceful: u64) -> Cleanup {
    let after = after.iter().map(|name| (*name).to_owned()).collect();
    Cleanup { name: name.to_owned(), phase, after, patience: Patience::new(ms(graceful)) }
}

/// How a cleanup behaves: ends after so many milliseconds, or never.
#[derive(Debug, Clone)]
struct Behaviour {
    ends_after: Option<u64>,
    outcome: Outcome,
}

#[derive(Debug, Clone)]
struct Case {
    plan: Plan,
    behaviours: Vec<Behaviour>,
    /// Further requests, by the time since the begin.
    asked: Vec<(u64, Urgency)>,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let outcome =
        prop_oneof![Just(Outcome::Ok), Just(Outcome::Failed("no".into())), Just(Outcome::Panicked("oh".into()))];
    (prop::option::weighted(0.8, 0_u64..3000), outcome)
        .prop_map(|(ends_after, outcome)| Behaviour { ends_after, outcome })
}

fn case() -> impl Strategy<Value = Case> {
    let one = (0_usize..5, prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0_u64..4000, 0_u64..300);
    let urgency = prop_oneof![Just(Urgency::Graceful), Just(Urgency::Hurry), Just(Urgency::Force)];
    (prop::collection::vec((one, behaviour()), 0..9), prop::collection::vec((0_u64..6000, urgency), 0..3), 1_u64..9000)
        .prop_map(|(drafts, mut asked, overall)| {
            let mut cleanups: Vec<Cleanup> = Vec::new();
            let mut behaviours = Vec::new();
            for ((phase, after, graceful, forced), behaviour) in drafts {
                let phase = PHASES[phase];
                let earlier: Vec<&Cleanup> = cleanups.iter().filter(|one| one.phase <= phase).collect();
                let after = after.iter().filter(|_| !earlier.is_empty()).map(|at| at.get(&earlier).name.clone());
                let after = after.collect();
                // Most cleanups are given up at once by a third request.
                let forced = if forced < 200 { 0 } else { forced };
                let patience = Patience { forced: ms(forced), ..Patience::new(ms(graceful)) };
                cleanups.push(Cleanup { name: format!("c{}", cleanups.len()), phase, after, patience });
                behaviours.push(behaviour);
            }
            asked.sort_by_key(|(at, _)| *at);
            let mut plan = Plan::new(ms(overall));
            plan.register(cleanups).unwrap();
            Case { plan, behaviours, asked }
        })
}

/// What a cleanup went through.
#[derive(Debug, Default, Clone)]
struct Seen {
    began: Option<Duration>,
    ended: Option<Duration>,
    abandoned: bool,
}

struct Played {
    shutdown: Shutdown,
    seen: Vec<Seen>,
    finished_at: Vec<Duration>,
    forced_at: Option<Duration>,
    hurried_at: Option<Duration>,
}

/// Plays a case to its end, in the order in which things would happen.
fn play(case: &Case) -> Played {
    let (shutdown, actions) = Shutdown::begin(case.plan.clone(), Urgency::Graceful, ms(0));
    let seen = vec![Seen::default(); case.behaviours.len()];
    let mut played = Played { shutdown, seen, finished_at: Vec::new(), forced_at: None, hurried_at: None };
    played.carry_out(actions, ms(0));
    let mut asked = case.asked.iter().peekable();
    while played.finished_at.is_empty() {
        let ends = played.seen.iter().enumerate().filter_map(|(index, seen)| {
            let at = seen.began? + ms(case.behaviours[index].ends_after?);
            seen.ended.is_none().then_some((at, index))
        });
        let end = ends.min();
        let due = played.shutdown.due().expect("a shutdown that is not finished has a timer");
        let ask = asked.peek().map(|(at, _)| ms(*at));
        let now = [Some(due), ask, end.map(|(at, _)| at)].into_iter().flatten().min().unwrap();
        let event = match (end, ask) {
            (Some((at, index)), _) if at == now => Event::Ended(index, case.behaviours[index].outcome.clone()),
            (_, Some(at)) if at == now => Event::Asked(asked.next().unwrap().1),
            _ => Event::Elapsed,
        };
        if let Event::Ended(index, _) = event {
            played.seen[index].ended = Some(now);
        }
        let actions = played.shutdown.step(event, now);
        played.note_urgency(now);
        played.carry_out(actions, now);
    }
    played
}

impl Played {
    fn note_urgency(&mut self, now: Duration) {
        if self.shutdown.urgency() >= Urgency::Hurry {
            self.hurried_at.get_or_insert(now);
        }
        if self.shutdown.urgency() == Urgency::Force {
            self.forced_at.get_or_insert(now);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>, now: Duration) {
        for action in actions {
            match action {
                Action::Begin(index) => {
                    assert!(self.seen[index].began.replace(now).is_none(), "{index} began twice");
                }
                Action::Abandon(index) => {
                    assert!(self.seen[index].ended.replace(now).is_none(), "{index} was abandoned after its end");
                    self.seen[index].abandoned = true;
                }
                Action::Finish => self.finished_at.push(now),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_cleanup_has_one_outcome_and_the_end_comes_once(case in case()) {
        let mut played = play(&case);
        let statuses: Vec<_> = played.shutdown.report().map(|(cleanup, status)| (cleanup.clone(), status.clone())).collect();
        prop_assert_eq!(statuses.len(), case.behaviours.len());
        prop_assert_eq!(played.shutdown.due(), None);
        for (cleanup, status) in statuses {
            let index = case.plan.cleanups().iter().position(|one| *one == cleanup).unwrap();
            let (seen, behaviour) = (&played.seen[index], &case.behaviours[index]);
            let Status::Ended { outcome, .. } = status else { panic!("{} has no outcome", cleanup.name) };
            match outcome {
                Outcome::Skipped => prop_assert!(seen.began.is_none() && played.forced_at.is_some()),
                Outcome::TimedOut => prop_assert!(seen.abandoned),
                other => prop_assert_eq!(&other, &behaviour.outcome),
            }
        }
        // Whatever comes late changes nothing.
        let end = played.finished_at[0] + ms(60_000);
        for index in 0..case.behaviours.len() {
            prop_assert_eq!(played.shutdown.step(Event::Ended(index, Outcome::Ok), end), vec![]);
        }
        prop_assert_eq!(played.shutdown.step(Event::Asked(Urgency::Force), end), vec![]);
        prop_assert_eq!(played.shutdown.step(Event::Elapsed, end), vec![]);
    }

    #[test]
    fn nothing_begins_before_what_it_waits_for_or_later_than_it_can(case in case()) {
        let played = play(&case);
        let cleanups = case.plan.cleanups();
        for (cleanup, seen) in cleanups.iter().zip(&played.seen) {
            let Some(began) = seen.began else { continue };
            let earlier = cleanups.iter().zip(&played.seen);
            let before = earlier.filter(|(one, _)| one.phase < cleanup.phase || cleanup.after.contains(&one.name));
            // One that was skipped was out of the way at that moment at the latest.
            let ready = before.map(|(_, seen)| seen.ended.or(played.forced_at).unwrap()).max();
            prop_assert!(ready.is_none_or(|ready| ready <= began), "{} began too early", cleanup.name);
            let skipped_some = played.seen.iter().any(|seen| seen.began.is_none());
            if !skipped_some {
                prop_assert_eq!(began, ready.unwrap_or_default(), "{} waited for nothing", &cleanup.name);
            }
        }
    }

    #[test]
    fn the_whole_is_bounded(case in case()) {
        let played = play(&case);
        let cleanups = case.plan.cleanups();
        let forced: Duration = cleanups.iter().map(|one| one.patience.forced).sum();
        prop_assert!(played.finished_at[0] <= case.plan.overall() + forced);
        if let Some(at) = played.forced_at {
            prop_assert!(played.finished_at[0] <= at + forced);
        }
        for (cleanup, seen) in cleanups.iter().zip(&played.seen) {
            let (Some(began), Some(ended)) = (seen.began, seen.ended) else { continue };
            prop_assert!(ended <= began + cleanup.patience.graceful.max(cleanup.patience.forced));
            if let Some(at) = played.hurried_at.filter(|at| *at <= ended) {
                let hurried = cleanup.patience.hurried.max(cleanup.patience.forced);
                prop_assert!(ended <= at.max(began) + hurried, "{} did not hurry", cleanup.name);
            }
            if played.forced_at.is_some_and(|at| at < began) {
                prop_assert!(!cleanup.patience.forced.is_zero(), "{} began after it was forced", cleanup.name);
            }
        }
    }

    #[test]
    fn a_plan_is_refused_exactly_if_it_cannot_be_ordered(
        edges in prop::collection::vec((0_usize..6, 0_usize..7), 0..10),
        phases in prop::collection::vec(0_usize..5, 6),
    ) {
        let name = |index: usize| format!("c{index}");
        let batch: Vec<Cleanup> = phases.iter().enumerate().map(|(index, phase)| {
            let after = edges.iter().filter(|(from, _)| *from == index).map(|(_, to)| name(*to)).collect();
            Cleanup { name: name(index), phase: PHASES[*phase], after, patience: Patience::new(ms(1)) }
        }).collect();
        // Taken away one by one, as long as one waits for nobody who is still there.
        let mut left = batch.clone();
        while let Some(at) = left.iter().position(|one| !one.after.iter().any(|after| left.iter().any(|o| o.name == *after))) {
            left.remove(at);
        }
        let unknown = edges.iter().any(|(_, to)| *to == 6);
        let later = edges.iter().any(|(from, to)| *to < 6 && PHASES[phases[*to]] > PHASES[phases[*from]]);
        let mut plan = Plan::new(ms(1));
        match plan.register(batch) {
            Ok(()) => prop_assert!(left.is_empty() && !unknown && !later),
            Err(error) => {
                prop_assert!(plan.cleanups().is_empty(), "refused, and yet registered");
                match error {
                    RegisterError::Unknown { missing, .. } => prop_assert_eq!(missing, "c6"),
                    RegisterError::Later { .. } => prop_assert!(later),
                    RegisterError::Cycle(path) => {
                        prop_assert_eq!(path.first(), path.last());
                        for pair in path.windows(2) {
                            let edge = |(from, to): &(usize, usize)| name(*from) == pair[0] && name(*to) == pair[1];
                            prop_assert!(edges.iter().any(edge), "no edge {:?}", pair);
                        }
                    }
                    other => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn what_depends_on_a_failed_one_still_runs() {
    let mut plan = Plan::new(ms(60_000));
    plan.register(vec![
        cleanup("db", Phase::Cleanup, &[], 1000),
        cleanup("web", Phase::Cleanup, &["db"], 1000),
        cleanup("cache", Phase::Cleanup, &[], 1000),
    ])
    .unwrap();
    let (mut shutdown, actions) = Shutdown::begin(plan, Urgency::Graceful, ms(5));
    assert_eq!(actions, [Action::Begin(0), Action::Begin(2)], "independent ones side by side");
    assert_eq!(shutdown.step(Event::Ended(0, Outcome::Panicked("oh".into())), ms(6)), [Action::Begin(1)]);
    assert_eq!(shutdown.step(Event::Ended(2, Outcome::Ok), ms(7)), []);
    // Its own time begins with it.
    assert_eq!(shutdown.due(), Some(ms(1006)));
    assert_eq!(shutdown.step(Event::Elapsed, ms(1006)), [Action::Abandon(1), Action::Finish]);
}

#[test]
fn a_second_request_joins_and_a_more_urgent_one_hastens() {
    let mut plan = Plan::new(ms(60_000));
    plan.register(vec![cleanup("slow", Phase::Cleanup, &[], 30_000), cleanup("last", Phase::End, &[], 10)]).unwrap();
    let (mut shutdown, _) = Shutdown::begin(plan, Urgency::Graceful, ms(0));
    assert_eq!(shutdown.step(Event::Asked(Urgency::Graceful), ms(100)), []);
    assert_eq!(shutdown.due(), Some(ms(30_000)));
    assert_eq!(shutdown.step(Event::Asked(Urgency::Hurry), ms(200)), []);
    assert_eq!(shutdown.due(), Some(ms(1200)));
    // Asked again, it does not become slower.
    assert_eq!(shutdown.step(Event::Asked(Urgency::Hurry), ms(900)), []);
    assert_eq!(shutdown.due(), Some(ms(1200)));
    assert_eq!(shutdown.step(Event::Asked(Urgency::Force), ms(1000)), [Action::Abandon(0), Action::Finish]);
    let outcomes: Vec<_> = shutdown.report().map(|(_, status)| status.clone()).collect();
    assert_eq!(outcomes[0], Status::Ended { outcome: Outcome::TimedOut, took: ms(1000) });
    assert_eq!(outcomes[1], Status::Ended { outcome: Outcome::Skipped, took: ms(0) });
}

#[test]
fn an_empty_plan_is_over_at_once() {
    let (shutdown, actions) = Shutdown::begin(Plan::new(ms(1)), Urgency::Graceful, ms(0));
    assert_eq!(actions, [Action::Finish]);
    assert_eq!(shutdown.due(), None);
}

#[test]
fn refusals_say_what_is_wrong() {
    let mut plan = Plan::new(ms(1));
    plan.register(vec![cleanup("a", Phase::Cleanup, &[], 1)]).unwrap();
    let mut refused = |one: Cleanup| plan.register(vec![one]).unwrap_err().to_string();
    assert_eq!(refused(cleanup("a", Phase::End, &[], 1)), "cannot register cleanup `a`: there is one of that name");
    assert_eq!(
        refused(cleanup("b", Phase::End, &["c"], 1)),
        "cannot register cleanup `b`: it is to run after `c`, which is not registered"
    );
    assert_eq!(
        refused(cleanup("b", Phase::Persist, &["a"], 1)),
        "cannot register cleanup `b`: it is to run after `a`, which is of a later phase"
    );
    assert_eq!(
        refused(cleanup("b", Phase::End, &["b"], 1)),
        "cannot register cleanups that wait for each other: b -> b"
    );
}

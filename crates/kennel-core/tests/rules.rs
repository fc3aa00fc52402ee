//! Rules under any course of the figure that they watch.
//!
//! covers: C5, E7, E8

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::time::Duration;

use kennel_core::limit::Limits;
use kennel_core::rules::{Act, CLEAR, Extent, Measure, Outcome, Reading, Rule, Rung, Watch, defaults, of_limits};
use proptest::prelude::*;

const ACTS: [Act; 6] = [Act::Event, Act::Warn, Act::Throttle, Act::Freeze, Act::Stop, Act::Kill];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rules() -> impl Strategy<Value = Rule> {
    let ladder = proptest::collection::vec((0usize..6, 0u64..20), 1..5);
    (ladder, 0u64..20, 0u64..40, 0u64..60, 1u32..200).prop_map(|(mut ladder, lasting, cooldown, predict, above)| {
        let mut after = 0;
        Rule {
            name: "rule".into(),
            measure: Measure::Processes,
            above: f64::from(above),
            lasting: seconds(lasting),
            extent: Extent::Service,
            ladder: ladder
                .drain(..)
                .map(|(act, pause)| {
                    after += pause;
                    Rung { act: ACTS[act], after: seconds(after) }
                })
                .collect(),
            cooldown: seconds(cooldown),
            predict: seconds(predict),
        }
    })
}

/// Pauses in milliseconds, figures as a share of the threshold, and whether it was frozen: calm, near, above, far above.
fn readings() -> impl Strategy<Value = Vec<(u64, Option<f64>, bool)>> {
    let value = prop_oneof![
        4 => (0.0f64..0.5).prop_map(Some),
        3 => (0.5f64..1.0).prop_map(Some),
        4 => (1.0f64..4.0).prop_map(Some),
        1 => Just(None),
    ];
    // Stretches of one kind, so that something can last.
    let stretch = (value, 1usize..12, 0u64..8_000, proptest::bool::weighted(0.1));
    proptest::collection::vec(stretch, 1..20).prop_map(|stretches| {
        let each = |(value, count, pause, frozen): (Option<f64>, usize, u64, bool)| {
            std::iter::repeat_n((pause, value, frozen), count)
        };
        stretches.into_iter().flat_map(each).collect()
    })
}

/// What was read, and what followed.
fn course(rule: &Rule, readings: &[(u64, Option<f64>, bool)]) -> Vec<(Reading, Vec<Outcome>)> {
    let (mut watch, mut at) = (Watch::default(), Duration::ZERO);
    let mut all = Vec::new();
    for (pause, share, frozen) in readings {
        at += Duration::from_millis(*pause);
        let reading = Reading { at, value: share.map(|share| share * rule.above), frozen: *frozen };
        let outcomes = watch.step(rule, reading);
        let open = outcomes.iter().fold(None, |_, outcome| Some(!matches!(outcome, Outcome::Cleared { .. })));
        assert!(open.is_none_or(|open| open == watch.is_raised()), "{outcomes:?}");
        all.push((reading, outcomes));
    }
    all
}

proptest! {
    #[test]
    fn nothing_is_done_before_its_time(rule in rules(), readings in readings()) {
        let course = course(&rule, &readings);
        for (index, (reading, outcomes)) in course.iter().enumerate() {
            for outcome in outcomes {
                let Outcome::Due { rung, act, value } = outcome else { continue };
                prop_assert_eq!(rule.ladder[*rung].act, *act);
                prop_assert_eq!(Some(*value), reading.value);
                // Going back, nothing was clearly below, and something was above that long ago.
                let wanted = rule.lasting + rule.ladder[*rung].after;
                let clear = rule.above * CLEAR;
                let held = course[..=index].iter().rev().take_while(|(reading, _)| {
                    reading.frozen || reading.value.is_none_or(|value| value > clear)
                });
                let since = held.filter(|(reading, _)| reading.value.is_some_and(|value| value > rule.above)).last();
                let since = since.map(|(reading, _)| reading.at).unwrap();
                prop_assert!(reading.at - since >= wanted, "{:?} < {wanted:?}", reading.at - since);
            }
        }
    }

    #[test]
    fn an_alert_is_raised_once_goes_up_once_and_ends_once(rule in rules(), readings in readings()) {
        let (mut raised, mut taken, mut ended_at) = (None, 0, None);
        for (reading, outcomes) in course(&rule, &readings) {
            for outcome in outcomes {
                match outcome {
                    Outcome::Raised { value, foreseen } => {
                        prop_assert!(raised.is_none());
                        prop_assert_eq!(foreseen.is_none(), value > rule.above * CLEAR && foreseen.is_none());
                        prop_assert!(foreseen.is_none_or(|eta| eta <= rule.predict));
                        // Calm, and with it the end of the one before, takes the whole cool-down.
                        if let Some(before) = ended_at {
                            prop_assert!(reading.at >= before);
                        }
                        (raised, taken) = (Some(reading.at), 0);
                    }
                    Outcome::Due { rung, .. } => {
                        prop_assert!(raised.is_some());
                        prop_assert_eq!(rung, taken);
                        taken += 1;
                    }
                    Outcome::Again { value } => {
                        prop_assert!(raised.is_some() && reading.frozen && value > 0.0);
                    }
                    Outcome::Cleared { lasted, .. } => {
                        let began = raised.take().unwrap();
                        prop_assert_eq!(lasted, reading.at - began);
                        prop_assert!(lasted >= rule.cooldown);
                        ended_at = Some(reading.at);
                    }
                }
            }
        }
    }

    #[test]
    fn never_two_alerts_within_the_cool_down(rule in rules(), readings in readings()) {
        let raised = course(&rule, &readings).into_iter().filter(|(_, outcomes)| {
            outcomes.iter().any(|outcome| matches!(outcome, Outcome::Raised { .. }))
        });
        let times: Vec<Duration> = raised.map(|(reading, _)| reading.at).collect();
        prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= rule.cooldown), "{times:?}");
    }

    #[test]
    fn what_is_calm_for_the_cool_down_is_over(rule in rules(), readings in readings()) {
        let mut calm: Vec<_> = readings;
        let pause = 1_000;
        let calm_for = usize::try_from(rule.cooldown.as_secs()).unwrap() + 3;
        calm.extend(std::iter::repeat_n((pause, Some(0.1), false), calm_for));
        let (mut watch, mut at) = (Watch::default(), Duration::ZERO);
        for (pause, share, frozen) in calm {
            at += Duration::from_millis(pause);
            let _ = watch.step(&rule, Reading { at, value: share.map(|share| share * rule.above), frozen });
        }
        prop_assert!(!watch.is_open());
    }

    #[test]
    fn what_is_small_or_shrinks_is_no_alert(rule in rules(), shares in proptest::collection::vec(0.0f64..1.0, 1..60)) {
        let mut shares = shares;
        shares.sort_by(|one, other| other.total_cmp(one));
        let readings: Vec<_> = shares.into_iter().map(|share| (1_000, Some(share), false)).collect();
        prop_assert!(course(&rule, &readings).iter().all(|(_, outcomes)| outcomes.is_empty()));
    }

    /// A line that gets there in time is foreseen, and the time is right.
    #[test]
    fn what_grows_steadily_is_foreseen(slope in 1.0f64..50.0, noise in 0.0f64..0.001) {
        let mut rule = Rule::new("memory", Measure::Memory, 1_000.0, Extent::Service);
        rule.predict = seconds(30);
        let (mut watch, mut found) = (Watch::default(), None);
        for second in 0..1_000u32 {
            let wobble = if second % 2 == 0 { noise } else { -noise };
            let value = slope * f64::from(second) * (1.0 + wobble);
            let reading = Reading { at: seconds(u64::from(second)), value: Some(value), frozen: false };
            if let Some(Outcome::Raised { foreseen, .. }) = watch.step(&rule, reading).first() {
                found = Some((second, *foreseen));
                break;
            }
        }
        let (second, foreseen) = found.unwrap();
        let left = 1_000.0 / slope - f64::from(second);
        let foreseen = foreseen.unwrap().as_secs_f64();
        prop_assert!(foreseen <= 30.0);
        prop_assert!((foreseen - left).abs() <= 3.0 + left * 0.2, "{foreseen} but {left}");
    }
}

#[test]
fn a_frozen_one_stays_an_alert_though_its_figure_falls() {
    let mut rule = Rule::new("spin", Measure::Cpu, 90.0, Extent::Service);
    rule.lasting = seconds(2);
    rule.cooldown = seconds(5);
    rule.ladder = vec![Rung { act: Act::Freeze, after: seconds(0) }, Rung { act: Act::Kill, after: seconds(30) }];
    let mut watch = Watch::default();
    let mut step = |at, value: f64, frozen| watch.step(&rule, Reading { at: seconds(at), value: Some(value), frozen });
    assert!(step(0, 100.0, false).is_empty());
    let frozen = step(2, 100.0, false);
    assert!(matches!(frozen[..], [Outcome::Raised { foreseen: None, .. }, Outcome::Due { act: Act::Freeze, .. }]));
    for second in 3..32 {
        assert!(step(second, 0.0, true).is_empty(), "{second}");
    }
    assert!(matches!(step(32, 0.0, true)[..], [Outcome::Due { act: Act::Kill, rung: 1, .. }]));
    // Thawed instead of killed, and calm.
    assert!(step(33, 0.0, false).is_empty());
    assert!(matches!(step(38, 0.0, false)[..], [Outcome::Cleared { lasted, .. }] if lasted == seconds(36)));
}

/// A pool that was frozen beyond 100, let go on at second 10, and what became of it.
fn let_go_on(rule: &Rule, readings: &[(u64, f64)]) -> Vec<(u64, Vec<Outcome>)> {
    let mut watch = Watch::default();
    let step = |watch: &mut Watch, at, value, frozen| {
        watch.step(rule, Reading { at: seconds(at), value: Some(value), frozen })
    };
    let first = step(&mut watch, 1, 120.0, false);
    assert!(matches!(first[..], [Outcome::Raised { .. }, Outcome::Due { act: Act::Freeze, rung: 0, .. }]), "{first:?}");
    assert!(step(&mut watch, 5, 121.0, true).is_empty());
    watch.let_go_on(rule, seconds(10));
    let each = |(at, value): &(u64, f64)| (*at, step(&mut watch, *at, *value, false));
    readings.iter().map(each).filter(|(_, outcomes)| !outcomes.is_empty()).collect()
}

#[test]
fn whoever_is_let_go_on_has_a_cool_down_unless_it_grows() {
    let mut rule = Rule::new("pool", Measure::Processes, 100.0, Extent::Service);
    rule.cooldown = seconds(20);
    rule.ladder = vec![Rung { act: Act::Freeze, after: seconds(0) }, Rung { act: Act::Kill, after: seconds(15) }];

    // Still too much at the end of it: frozen again, and the kill comes as long after that as after the first time.
    let steady: Vec<_> = (11..50).map(|second| (second, 121.0)).collect();
    let told = let_go_on(&rule, &steady);
    assert!(
        matches!(&told[..], [(30, freeze), (45, kill)]
        if matches!(freeze[..], [Outcome::Due { act: Act::Freeze, rung: 0, .. }])
        && matches!(kill[..], [Outcome::Due { act: Act::Kill, rung: 1, .. }])),
        "{told:?}"
    );

    // A tenth of the threshold more than it had is no reprieve.
    let told = let_go_on(&rule, &[(11, 125.0), (12, 131.0), (13, 132.0)]);
    assert!(
        matches!(&told[..], [(13, freeze)] if matches!(freeze[..], [Outcome::Due { act: Act::Freeze, .. }])),
        "{told:?}"
    );

    // It has been put in order meanwhile.
    let told = let_go_on(&rule, &[(11, 110.0), (12, 50.0), (32, 50.0)]);
    assert!(matches!(&told[..], [(32, over)] if matches!(over[..], [Outcome::Cleared { .. }])), "{told:?}");
}

#[test]
fn another_one_that_grows_beside_a_frozen_one_is_told() {
    let mut rule = Rule::new("stack", Measure::Processes, 100.0, Extent::Stack);
    rule.ladder = vec![Rung { act: Act::Freeze, after: seconds(0) }];
    let mut watch = Watch::default();
    let mut step = |at, value, frozen| watch.step(&rule, Reading { at: seconds(at), value: Some(value), frozen });
    assert_eq!(step(1, 110.0, false).len(), 2, "raised and frozen");
    // What was on its way when it was frozen is no growth beside it.
    assert!(step(2, 130.0, true).is_empty());
    assert!(step(3, 140.0, true).is_empty());
    assert_eq!(step(4, 141.0, true), [Outcome::Again { value: 141.0 }]);
    assert!(step(5, 150.0, true).is_empty() && step(6, 150.0, false).is_empty() && step(7, 170.0, true).is_empty());
    rule.ladder = vec![Rung { act: Act::Warn, after: seconds(0) }];
    let mut watch = Watch::default();
    for second in 0..20u32 {
        let reading =
            Reading { at: seconds(second.into()), value: Some(110.0 + 20.0 * f64::from(second)), frozen: second > 2 };
        assert!(!watch.step(&rule, reading).iter().any(|outcome| matches!(outcome, Outcome::Again { .. })));
    }
}

#[test]
fn what_stays_too_much_is_not_looked_at_for_ever() {
    let mut rule = Rule::new("stack", Measure::Processes, 100.0, Extent::Stack);
    (rule.lasting, rule.cooldown) = (seconds(2), seconds(5));
    rule.ladder = vec![Rung { act: Act::Warn, after: seconds(0) }, Rung { act: Act::Freeze, after: seconds(3) }];
    let mut watch = Watch::default();
    let mut awaits = |at, value| {
        let _outcomes = watch.step(&rule, Reading { at: seconds(at), value: Some(value), frozen: false });
        watch.awaits_time(&rule)
    };
    let told = [(0, 50.0), (1, 150.0), (3, 150.0), (6, 150.0), (7, 150.0), (8, 50.0), (12, 50.0), (13, 50.0)];
    let told = told.map(|(at, value)| awaits(at, value));
    assert_eq!(told, [false, true, true, false, false, true, true, false]);
}

#[test]
fn a_spin_that_is_let_go_on_is_no_growth() {
    let mut rule = Rule::new("spin", Measure::Cpu, 90.0, Extent::Service);
    (rule.lasting, rule.cooldown) = (seconds(0), seconds(20));
    rule.ladder = vec![Rung { act: Act::Freeze, after: seconds(0) }];
    let spins: Vec<_> = (11..32).map(|second| (second, 100.0)).collect();
    let told = let_go_on(&rule, &spins);
    assert!(
        matches!(&told[..], [(30, freeze)] if matches!(freeze[..], [Outcome::Due { act: Act::Freeze, .. }])),
        "{told:?}"
    );
}

#[test]
fn what_is_foreseen_is_told_as_long_as_it_comes_nearer() {
    let rule = Rule::new("memory", Measure::Memory, 1_000.0, Extent::Service);
    let mut watch = Watch::default();
    let mut foreseen = |at: u64, value: f64| {
        let _outcomes = watch.step(&rule, Reading { at: seconds(at), value: Some(value), frozen: false });
        watch.foreseen().map(|eta| eta.as_secs())
    };
    let told: Vec<_> =
        (0..=70).map(|second| foreseen(second, 10.0 * f64::from(u32::try_from(second).unwrap()))).collect();
    assert_eq!((told[40], told[60], told[70]), (None, Some(40), Some(30)));
    assert_eq!(foreseen(71, 1_001.0), None, "too much already");
}

#[test]
fn a_limit_of_memory_comes_with_a_rule_that_only_warns() {
    let limits = Limits { memory: Some(1 << 29), pids: Some(5), ..Limits::default() };
    let [rule] = &of_limits(&limits)[..] else { panic!("one for memory") };
    assert_eq!((rule.name.as_str(), rule.measure, rule.above), ("limit-memory", Measure::Memory, 536_870_912.0));
    assert_eq!((rule.extent, rule.ladder[0].act, rule.ladder.len()), (Extent::Service, Act::Warn, 1));
    assert!(!rule.predict.is_zero());
    assert!(of_limits(&Limits { pids: Some(5), ..Limits::default() }).is_empty());
}

#[test]
fn every_stack_is_warned_of_100_processes_and_8_gib() {
    let rules = defaults();
    let about: Vec<_> = rules.iter().map(|rule| (rule.measure, rule.above, rule.ladder[0].act)).collect();
    assert_eq!(
        about,
        [(Measure::Processes, 100.0, Act::Warn), (Measure::Memory, 8.0 * 1024.0 * 1024.0 * 1024.0, Act::Warn)]
    );
    assert!(rules.iter().all(|rule| rule.extent == Extent::Stack));
}

//! What a receiver gets, whatever it answers and however long it is away.

use std::collections::BTreeMap;
use std::time::Duration;

use kennel_core::delivery::{Fault, Heard, Limits, Next, Queue, Verdict, Waiting, pause};
use proptest::prelude::*;

fn status(status: u16) -> Heard {
    Heard::Answer { status, retry_after: None }
}

fn fresh(now: u64) -> Waiting {
    Waiting { since: now, tries: 0, due: now, fault: None }
}

/// What receivers do: mostly they answer, sometimes they are away or ask for time.
fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![
        3 => Just(status(204)),
        2 => Just(Heard::Nothing),
        2 => prop::sample::select(vec![301, 400, 404, 408, 429, 500, 503]).prop_map(status),
        1 => (0..100_000_u64).prop_map(|secs| Heard::Answer {
            status: 429,
            retry_after: Some(Duration::from_secs(secs)),
        }),
    ]
}

proptest! {
    /// Every message ends, delivered or dead, after no more tries than allowed or too old; by its own timers alone.
    #[test]
    fn every_message_is_delivered_or_dead_within_its_tries(
        answers in prop::collection::vec((heard(), 0.0..1.0_f64), 1..40),
        retries in 0..6_u32,
        count in 1..12_u64,
    ) {
        let limits = Limits { retries, max_age: Duration::from_hours(24) };
        let begun = 1_000_000;
        let (mut queue, mut now) = (Queue::default(), begun);
        (1..=count).for_each(|number| queue.add(number, fresh(now)));
        let (mut tries, mut ended) = (BTreeMap::<u64, u32>::new(), 0);
        let mut answers = answers.into_iter().cycle();
        let mut in_order = 0;
        while ended < count {
            match queue.next(now) {
                Next::Send(number) => {
                    prop_assert_eq!(queue.next(now), Next::Rest, "one at a time");
                    let (heard, jitter) = answers.next().expect("cycles");
                    *tries.entry(number).or_default() += 1;
                    now += 10;
                    match queue.heard(number, heard, limits, now, jitter) {
                        Verdict::Delivered => {
                            prop_assert_eq!(heard, status(204));
                            ended += 1;
                        }
                        Verdict::Dead => {
                            let is_old = now - begun >= limits.max_age.as_millis() as u64;
                            prop_assert!(is_old || tries[&number] == retries + 1, "{} tries", tries[&number]);
                            ended += 1;
                        }
                        Verdict::Again(due) => {
                            prop_assert!(due > now && due <= now + 3_600_000, "{} {}", due, now);
                        }
                        Verdict::Gone => prop_assert!(false),
                    }
                    if tries.values().all(|tries| *tries == 1) {
                        prop_assert!(number > in_order, "the first tries are in order");
                        in_order = number;
                    }
                }
                Next::At(due) => {
                    prop_assert!(due > now);
                    now = due;
                }
                Next::Rest => prop_assert!(false, "{} of {} ended and nothing to do", ended, count),
            }
        }
        prop_assert!(queue.is_empty() && queue.next(now) == Next::Rest);
        prop_assert!(tries.values().all(|tries| *tries <= retries + 1));
    }

    /// Pauses grow to a bound, and never leave it.
    #[test]
    fn pauses_grow_to_a_bound(tries in 1..10_000_u32, jitter in 0.0..1.0_f64) {
        let (one, next) = (pause(tries, jitter), pause(tries + 1, jitter));
        prop_assert!(one >= Duration::from_millis(800) && one <= Duration::from_mins(18));
        prop_assert!(next >= one);
        prop_assert!(pause(tries, 0.0) <= one && one <= pause(tries, 1.0));
    }
}

#[test]
fn whoever_is_back_gets_what_it_missed_but_not_what_it_refused() {
    let (mut queue, limits) = (Queue::default(), Limits::default());
    (1..=3).for_each(|number| queue.add(number, fresh(0)));
    assert_eq!(queue.next(0), Next::Send(1));
    queue.heard(1, Heard::Nothing, limits, 0, 0.5);
    assert_eq!(queue.next(0), Next::Send(2));
    queue.heard(2, status(422), limits, 0, 0.5);
    assert_eq!(queue.get(2).and_then(|waiting| waiting.fault), Some(Fault::Message));
    assert_eq!(queue.next(0), Next::Send(3));
    assert_eq!(queue.heard(3, status(200), limits, 10, 0.5), Verdict::Delivered);
    assert_eq!(queue.next(10), Next::Send(1));
    queue.heard(1, status(200), limits, 20, 0.5);
    assert_eq!(queue.next(20), Next::At(1000), "its own pause");
}

#[test]
fn whoever_asks_for_time_is_left_alone_with_all_of_it() {
    let (mut queue, limits) = (Queue::default(), Limits::default());
    (1..=2).for_each(|number| queue.add(number, fresh(0)));
    assert_eq!(queue.next(0), Next::Send(1));
    let busy = Heard::Answer { status: 503, retry_after: Some(Duration::from_secs(60)) };
    assert_eq!(queue.heard(1, busy, limits, 0, 0.5), Verdict::Again(60_000));
    assert_eq!(queue.next(0), Next::At(60_000), "the other one waits as well");
    queue.hurry(2, 5);
    assert_eq!(queue.next(5), Next::Send(2), "but not when somebody asks for it");
}

#[test]
fn a_message_that_is_too_old_is_tried_once_more() {
    let limits = Limits { retries: 100, max_age: Duration::from_secs(10) };
    let mut queue = Queue::default();
    queue.add(1, fresh(0));
    assert_eq!(queue.next(3_600_000), Next::Send(1));
    assert_eq!(queue.heard(1, Heard::Nothing, limits, 3_600_000, 0.5), Verdict::Dead);
}

#[test]
fn whoever_is_gone_is_asked_no_more() {
    let mut queue = Queue::default();
    (1..=3).for_each(|number| queue.add(number, fresh(0)));
    assert_eq!(queue.next(0), Next::Send(1));
    assert_eq!(queue.heard(1, status(410), Limits::default(), 0, 0.5), Verdict::Gone);
    assert_eq!(queue.take().into_keys().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(queue.next(0), Next::Rest);
}

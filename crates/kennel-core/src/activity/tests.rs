use std::cell::Cell;

use super::*;
use proptest::prelude::*;

const AFTER: Duration = Duration::from_secs(80);

fn rates(cpu: f64, log: f64, over: u64) -> Rates {
    Rates { over: Duration::from_secs(over), cpu_percent: Some(cpu), log, ..Rates::default() }
}

fn nobody() -> Posture {
    Posture::default()
}

fn after(watch: &mut Watch, times: u32, rates: &Rates, look: impl Fn() -> Posture) -> Option<Activity> {
    for _ in 0..times {
        watch.observe(rates, 0.0, &look);
    }
    watch.activity()
}

#[test]
fn silence_is_quiet_and_then_a_stall_until_it_writes() {
    let mut watch = Watch::new(AFTER);
    assert_eq!(watch.every(), Duration::from_secs(10));
    assert_eq!(after(&mut watch, 7, &rates(0.2, 0.0, 10), nobody), Some(Activity::Quiet));
    assert_eq!(watch.observe(&rates(0.2, 0.0, 10), 0.0, nobody), Some(Activity::Stalled));
    assert_eq!(watch.observe(&rates(0.2, 0.0, 10), 0.0, nobody), None);
    assert_eq!(watch.since_life(), Duration::from_secs(90));
    assert_eq!(watch.observe(&rates(0.2, 5.0, 10), 0.0, nobody), Some(Activity::Active));
    assert_eq!(watch.since_life(), Duration::ZERO);
}

#[test]
fn a_loop_that_never_sleeps_spins_and_one_that_sleeps_often_works() {
    let busy = rates(99.0, 0.0, 10);
    let mut watch = Watch::new(AFTER);
    assert_eq!(after(&mut watch, 7, &busy, nobody), Some(Activity::Active));
    assert_eq!(watch.observe(&busy, 0.0, nobody), Some(Activity::Spinning));

    let count = Cell::new(0);
    let serves = || {
        count.set(count.get() + 100_000);
        Posture { sleeps: vec![(7, count.get())], ..Posture::default() }
    };
    let mut watch = Watch::new(AFTER);
    assert_eq!(after(&mut watch, 50, &busy, serves), Some(Activity::Active));
}

/// Two loops on one processor have half of it each; one with a limit has what the limit leaves.
#[test]
fn who_is_held_back_spins_all_the_same() {
    let mut watch = Watch::new(AFTER);
    for _ in 0..8 {
        watch.observe(&rates(30.0, 0.0, 10), 65.0, nobody);
    }
    assert_eq!(watch.activity(), Some(Activity::Spinning));
}

/// A sleeper waits a little for its CPU whenever it wakes; who gets nothing of it at all is not idle.
#[test]
fn a_sleeper_on_a_busy_machine_is_idle_and_who_starves_is_not() {
    for (waiting, activity) in [(5.0, Activity::Stalled), (60.0, Activity::Active)] {
        let mut watch = Watch::new(AFTER);
        for _ in 0..8 {
            watch.observe(&rates(0.1, 0.0, 10), waiting, nobody);
        }
        assert_eq!(watch.activity(), Some(activity));
    }
}

#[test]
fn who_waits_for_somebody_does_not_hang() {
    let reads = || Posture { reads_input: true, ..Posture::default() };
    let mut watch = Watch::new(AFTER);
    assert_eq!(after(&mut watch, 2, &rates(0.0, 0.0, 10), reads), Some(Activity::WaitingForInput));
    assert_eq!(after(&mut watch, 100, &rates(0.0, 0.0, 10), reads), Some(Activity::WaitingForInput));
    // It was answered, and does nothing about it.
    assert_eq!(after(&mut watch, 200, &rates(0.0, 0.0, 10), nobody), Some(Activity::Stalled));
}

#[test]
fn without_cpu_time_nothing_is_said() {
    let mut watch = Watch::new(AFTER);
    let unknown = Rates { cpu_percent: None, ..rates(0.0, 0.0, 10) };
    assert_eq!(watch.observe(&unknown, 0.0, nobody), None);
    assert_eq!(watch.activity(), None);
}

/// A time between two samples, what was used in it, and whether somebody reads.
fn history() -> impl Strategy<Value = Vec<(u64, f64, bool, bool)>> {
    let cpu = prop_oneof![Just(0.0), Just(0.9), Just(20.0), Just(95.0), Just(180.0)];
    proptest::collection::vec((1u64..100_000, cpu, prop::bool::weighted(0.1), prop::bool::weighted(0.1)), 1..80)
}

proptest! {
    #[test]
    fn a_hang_takes_its_time_and_ends_with_the_first_sign_of_life(history in history(), after in 1u64..600) {
        let after = Duration::from_secs(after);
        let mut watch = Watch::new(after);
        let (mut idle, mut busy) = (Duration::ZERO, Duration::ZERO);
        for (over, cpu, writes, reads) in history {
            let over = Duration::from_millis(over);
            let before = watch.activity();
            let rates = Rates { over, cpu_percent: Some(cpu), log: f64::from(u8::from(writes)), ..Rates::default() };
            let changed = watch.observe(&rates, 0.0, || Posture { reads_input: reads, ..Posture::default() });
            let counted = over.min(2 * watch.every());
            idle = if writes || cpu >= 1.0 { Duration::ZERO } else { idle + counted };
            busy = if writes || cpu < 90.0 { Duration::ZERO } else { busy + counted };
            let now = watch.activity();
            prop_assert_eq!(changed.is_some(), now != before);
            prop_assert!(changed.is_none() || changed == now);
            match now {
                Some(Activity::Stalled) => prop_assert!(idle >= after),
                Some(Activity::Spinning) => prop_assert!(busy >= after),
                Some(Activity::Quiet) => prop_assert!(idle < after && !idle.is_zero()),
                Some(Activity::WaitingForInput) => prop_assert!(!idle.is_zero()),
                Some(Activity::Active) => prop_assert!(idle.is_zero()),
                None => prop_assert!(false, "it was seen"),
            }
        }
    }
}

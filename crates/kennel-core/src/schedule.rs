//! What the clock starts: which times are due, which were missed, and what a time does that finds a run under way.
//!
//! Times are [`Duration`]s since a zero of the clock that the schedule goes by: since 1970 where it follows the calendar,
//! since the boot where it follows an interval. Nothing here knows which.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Overlap, Schedule, ScheduledAction};
use crate::slot::{Rest, State, Then};

/// How late a time may be looked at and still counts as due. A driver that is busy is late by less; beyond it the machine
/// slept, the clock was set, or no daemon was there.
pub const LATE: Duration = Duration::from_secs(60);

/// A clock that was set back by less repeats nothing; one that was set back by more was wrong before, and nobody wants to wait
/// for the time at which it was set. As in Vixie's cron.
pub const SET_BACK: Duration = Duration::from_secs(3 * 3600);

/// At which times something is due.
pub trait Times {
    /// The first after `at`; none if there is none.
    fn after(&self, at: Duration) -> Option<Duration>;
}

/// Every so often, counted from an anchor: `anchor + every`, `anchor + 2 × every` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    /// Where it is counted from.
    pub anchor: Duration,
    /// More than zero.
    pub every: Duration,
}

impl Times for Every {
    fn after(&self, at: Duration) -> Option<Duration> {
        let every = self.every.as_nanos();
        if every == 0 {
            return None;
        }
        let passed = at.saturating_sub(self.anchor).as_nanos() / every;
        let nanos = self.anchor.as_nanos().checked_add((passed + 1).checked_mul(every)?)?;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        Some(Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).ok()?))
    }
}

/// Where a schedule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The next time; none: there is none any more.
    pub next: Option<Duration>,
    /// When a time was due last, whatever came of it.
    pub last: Option<Duration>,
    /// A run is to follow the one that goes on.
    #[serde(default)]
    pub queued: bool,
}

impl Plan {
    /// Begins at `now`.
    #[must_use]
    pub fn begin(times: &impl Times, now: Duration) -> Self {
        Self { next: times.after(now), last: None, queued: false }
    }
}

/// What a look at the clock finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Not yet.
    Nothing,
    /// This time has come.
    Due(Duration),
    /// This time, perhaps with others after it, has passed while nobody looked.
    Missed(Duration),
}

/// Looks at the clock: what is due, and what is next.
///
/// However many times have passed, one is due at most: nobody wants the backup of Monday, Tuesday and Wednesday on Thursday.
#[must_use]
pub fn look(plan: Plan, times: &impl Times, now: Duration) -> (Plan, Found) {
    let Some(next) = plan.next else { return (plan, Found::Nothing) };
    if next > now {
        // The clock may have been set back, so that another time comes before.
        let from = match plan.last {
            Some(last) if last > now && last - now <= SET_BACK => last,
            Some(_) | None => now,
        };
        return (Plan { next: times.after(from), ..plan }, Found::Nothing);
    }
    let recent = || times.after(now.saturating_sub(LATE)).filter(|at| *at <= now);
    let found = match next.saturating_add(LATE) >= now {
        true => Found::Due(next),
        // Others have passed since, one of them just now.
        false => recent().map_or(Found::Missed(next), Found::Due),
    };
    (Plan { next: times.after(now), last: Some(now), ..plan }, found)
}

/// What a time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fire {
    /// It starts a run.
    Start,
    /// It ends the run that goes on, and starts another when that is down.
    Restart,
    /// It starts one when the run that goes on is down.
    Queue,
    /// Nothing, for this reason.
    Skip(&'static str),
}

/// What a time does to a slot. At most one run goes on and one is queued, however often it is called.
#[must_use]
pub fn fire(schedule: &Schedule, state: &State, queued: bool) -> Fire {
    match state {
        // A pause before a retry is cut short: the run that was to come is the one that is due.
        State::Rest(Rest::Stopped | Rest::Completed) if schedule.action == ScheduledAction::Restart => {
            Fire::Skip("it does not run")
        }
        State::Rest(_) | State::Waiting => Fire::Start,
        State::Pending => Fire::Skip("it still waits for its dependencies"),
        State::Active { then: Then::Again } => Fire::Skip("it is being started again already"),
        State::Active { then: Then::Rest | Then::Lost } => Fire::Skip("it is being stopped"),
        State::Active { then: Then::Decide } => match (schedule.action, schedule.overlap) {
            (ScheduledAction::Restart, _) | (ScheduledAction::Run, Overlap::Replace) => Fire::Restart,
            (ScheduledAction::Run, Overlap::Skip) => Fire::Skip("the run before has not ended"),
            (ScheduledAction::Run, Overlap::Queue) if queued => {
                Fire::Skip("the run before has not ended, and one is queued already")
            }
            (ScheduledAction::Run, Overlap::Queue) => Fire::Queue,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use crate::model::{Missed, When};
    use crate::slot::Failure;
    use proptest::prelude::*;

    fn every(anchor: u64, every: u64) -> Every {
        Every { anchor: Duration::from_millis(anchor), every: Duration::from_millis(every) }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn schedule(overlap: Overlap, action: ScheduledAction) -> Schedule {
        let when = When::Every(ms(1000));
        Schedule { when, timezone: None, overlap, missed: Missed::Skip, action }
    }

    proptest! {
        /// Whenever the clock is looked at, in steps that a driver makes: each time is due once, none is forgotten
        /// while somebody looks often enough, and what was not looked at for long is missed.
        #[test]
        fn every_time_is_due_once(
            anchor in 0u64..100_000, interval in 100u64..300_000, steps in prop::collection::vec(1u64..200_000, 1..60),
        ) {
            let times = every(anchor, interval);
            let mut now = ms(anchor);
            let mut plan = Plan::begin(&times, now);
            for step in steps {
                let before = now;
                now += ms(step);
                let expected = times.after(before).filter(|at| *at <= now);
                let (after, found) = look(plan, &times, now);
                match (expected, found) {
                    (None, Found::Nothing) => {}
                    (Some(_), Found::Due(at)) => {
                        prop_assert!(at > before && at <= now);
                        prop_assert!(at + LATE >= now);
                    }
                    (Some(at), Found::Missed(first)) => {
                        prop_assert_eq!(first, at);
                        prop_assert!(times.after(now - LATE).is_none_or(|at| at > now));
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                prop_assert!(after.next.unwrap() > now);
                // Looking again changes nothing.
                prop_assert_eq!(look(after, &times, now), (after, Found::Nothing));
                plan = after;
            }
        }

        /// A clock that is set back a little repeats nothing; one that is set back far goes on at once.
        #[test]
        fn a_clock_that_is_set_back(interval in 1_000u64..3_600_000, back in 1u64..40_000_000) {
            let times = every(0, interval);
            let begin = ms(100_000_000);
            let plan = Plan::begin(&times, begin);
            let due = plan.next.unwrap();
            let (plan, found) = look(plan, &times, due);
            prop_assert_eq!(found, Found::Due(due));
            let now = due - ms(back);
            let (plan, found) = look(plan, &times, now);
            prop_assert_eq!(found, Found::Nothing);
            let next = plan.next.unwrap();
            if ms(back) <= SET_BACK {
                prop_assert!(next > due);
            } else {
                prop_assert!(next > now && next - now <= ms(interval));
            }
        }
    }

    #[test]
    fn overlaps_do_what_they_say() {
        let running = State::Active { then: Then::Decide };
        let run = |overlap, queued| fire(&schedule(overlap, ScheduledAction::Run), &running, queued);
        assert!(matches!(run(Overlap::Skip, false), Fire::Skip(_)));
        assert_eq!(run(Overlap::Queue, false), Fire::Queue);
        assert!(matches!(run(Overlap::Queue, true), Fire::Skip(_)));
        assert_eq!(run(Overlap::Replace, false), Fire::Restart);
        let restart = schedule(Overlap::Skip, ScheduledAction::Restart);
        assert_eq!(fire(&restart, &running, false), Fire::Restart);
        assert!(matches!(fire(&restart, &State::Rest(Rest::Completed), false), Fire::Skip(_)));
        let failed = State::Rest(Rest::Failed(Failure::MaxRuntime));
        assert_eq!(fire(&restart, &failed, false), Fire::Start);
        for busy in [State::Pending, State::Active { then: Then::Again }, State::Active { then: Then::Rest }] {
            assert!(matches!(fire(&restart, &busy, false), Fire::Skip(_)), "{busy:?}");
        }
    }
}

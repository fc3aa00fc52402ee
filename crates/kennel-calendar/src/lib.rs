//! Times by cron expression and time zone.
//!
//! Knows no services, no configuration and no clock: it is told what time it is, and says what comes next. The
//! configuration checks with it, the engine counts with it, so both always mean the same.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kennel_core::schedule::Times;

/// A cron expression in a time zone.
///
/// Five fields (minute, hour, day of month, month, day of week), six with seconds before them, seven with years after
/// them; names, `L`, `W`, `#`, `@daily` and the like. Where both days are restricted, either is enough, as in cron.
/// When clocks go forward, what would fall into the hour that is not there is due right after it, if its hour is fixed, and left out,
/// if it repeats within the hour; when they go back, what is fixed is due once.
#[derive(Debug, Clone)]
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

/// Why there is no such calendar.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// The expression means nothing.
    #[error("{0}")]
    Expression(String),
    /// No day matches it, as the 30th of February.
    #[error("no time ever matches it")]
    Never,
    /// This machine does not know the time zone.
    #[error("{0}")]
    Zone(String),
}

impl Calendar {
    /// Reads an expression; without a zone (`Europe/Berlin`), in that of the machine.
    ///
    /// # Errors
    /// See [`CalendarError`].
    pub fn new(expression: &str, zone: Option<&str>) -> Result<Self, CalendarError> {
        let cron = CronParser::new().parse(expression).map_err(|error| CalendarError::Expression(words(&error)))?;
        let calendar = Self { cron, zone: zone.map_or_else(|| Ok(TimeZone::system()), self::zone)? };
        match calendar.next(Timestamp::now()) {
            Some(_) => Ok(calendar),
            None => Err(CalendarError::Never),
        }
    }

    /// The first time after `at`; none within the next years if an expression with years is over.
    #[must_use]
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&at.to_zoned(self.zone.clone()), false).ok()?.timestamp();
        // A fraction of a second does not matter to the expression, and must not make the same time due twice.
        (found > at).then_some(found)
    }
}

impl Times for Calendar {
    fn after(&self, at: Duration) -> Option<Duration> {
        let at = Timestamp::from_duration(SignedDuration::try_from(at).ok()?).ok()?;
        Duration::try_from(self.next(at)?.as_duration()).ok()
    }
}

/// A time zone by its name in the database of the machine.
fn zone(name: &str) -> Result<TimeZone, CalendarError> {
    TimeZone::get(name).map_err(|_| CalendarError::Zone(format!("this machine knows no time zone `{name}`")))
}

/// The parser's text without its capitals, prefixes and full stop.
fn words(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError;
    let text = match error {
        CronError::EmptyPattern => "it is empty".to_owned(),
        CronError::InvalidPattern(text) | CronError::IllegalCharacters(text) | CronError::ComponentError(text) => {
            text.clone()
        }
        CronError::InvalidDate | CronError::InvalidTime | CronError::TimeSearchLimitExceeded => {
            "no time ever matches it".to_owned()
        }
    };
    let text = text.trim().trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn berlin(expression: &str) -> Calendar {
        Calendar::new(expression, Some("Europe/Berlin")).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The next times after `from`, in the zone's own words.
    fn next(calendar: &Calendar, from: &str, count: usize) -> Vec<String> {
        let mut at = at(from);
        let mut found = Vec::new();
        for _ in 0..count {
            at = calendar.next(at).unwrap();
            found.push(at.to_zoned(calendar.zone.clone()).strftime("%m-%d %H:%M%:z").to_string());
        }
        found
    }

    // covers: E7
    #[test]
    fn when_clocks_go_forward_a_fixed_time_is_due_right_after_the_gap() {
        let daily = berlin("30 2 * * *");
        let found = next(&daily, "2026-03-28T00:00:00Z", 3);
        assert_eq!(found, ["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"]);
        // What repeats goes on with the clock.
        let often = berlin("*/30 * * * *");
        let found = next(&often, "2026-03-29T00:20:00Z", 3);
        assert_eq!(found, ["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"]);
    }

    #[test]
    fn when_clocks_go_back_a_fixed_time_is_due_once() {
        let daily = berlin("30 2 * * *");
        let found = next(&daily, "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["10-25 02:30+02:00", "10-26 02:30+01:00"]);
        let often = berlin("*/30 2 * * *");
        let found = next(&often, "2026-10-24T22:00:00Z", 4);
        assert_eq!(found, ["10-25 02:00+02:00", "10-25 02:30+02:00", "10-25 02:00+01:00", "10-25 02:30+01:00"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |expression: &str, zone| Calendar::new(expression, zone).unwrap_err().to_string();
        assert_eq!(wrong("0 0 30 2 *", None), "no time ever matches it");
        assert_eq!(wrong("0 0 * * *", Some("Mars/Olympus")), "this machine knows no time zone `Mars/Olympus`");
        for expression in ["", "* * * *", "61 * * * *", "a b c d e", "* * * * * * * *"] {
            assert!(!wrong(expression, None).is_empty(), "{expression}");
        }
    }

    fn zones() -> impl Strategy<Value = &'static str> {
        // One with half an hour of summer time, one behind, one that never changes.
        prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"])
    }

    fn expressions() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "* * * * *",
            "*/7 * * * *",
            "30 2 * * *",
            "0 0 * * *",
            "15 1,2,3 * * *",
            "0 3 * * SUN",
            "*/20 * * * * *",
            "0 12 L * *",
            "@hourly",
        ])
    }

    proptest! {
        /// Over two years with all their gaps and folds: times come one after another, none is left out by looking from
        /// in between, and asking from the same moment gives the same time.
        #[test]
        fn times_come_in_order_and_looking_in_between_changes_nothing(
            zone in zones(), expression in expressions(), begin in 1_767_225_600i64..1_830_297_600, share in 0.0f64..1.0,
        ) {
            let calendar = Calendar::new(expression, Some(zone)).unwrap();
            let begin = Timestamp::from_second(begin).unwrap();
            let first = calendar.next(begin).unwrap();
            let second = calendar.next(first).unwrap();
            prop_assert!(begin < first && first < second);
            let gap = (first.as_second() - begin.as_second()) as f64;
            let between = Timestamp::from_second(begin.as_second() + (gap * share) as i64).unwrap();
            if between < first {
                prop_assert_eq!(calendar.next(between), Some(first));
            }
            // Never within the second that was due.
            let later = first + SignedDuration::from_millis(900);
            prop_assert_eq!(calendar.next(later), Some(second));
        }

        /// What is due once a day is due once on each of them, whatever the clocks do.
        #[test]
        fn a_daily_time_is_due_once_on_every_day(zone in zones(), hour in 0u8..24, minute in 0u8..60, begin in 0i64..700) {
            let calendar = Calendar::new(&format!("{minute} {hour} * * *"), Some(zone)).unwrap();
            let mut at = Timestamp::from_second(1_767_225_600 + begin * 86_400).unwrap();
            at = calendar.next(at).unwrap();
            for _ in 0..20 {
                let next = calendar.next(at).unwrap();
                let day = |at: Timestamp| at.to_zoned(calendar.zone.clone()).date();
                prop_assert_eq!(day(next), day(at).tomorrow().unwrap());
                at = next;
            }
        }

        #[test]
        fn never_panics(expression in "[0-9A-Za-z*/,#? @-]{0,30}") {
            let _ = Calendar::new(&expression, Some("UTC"));
        }
    }
}

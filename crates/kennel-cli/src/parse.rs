//! Values of options.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp, Zoned};

/// Begin of a span of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(Duration),
    /// At that moment.
    At(Timestamp),
}

impl Since {
    /// As a point in time.
    pub(crate) fn timestamp(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            // Longer ago than time goes back is: everything.
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }

    /// As the protocol has it, RFC 3339.
    pub(crate) fn rfc3339(self, now: Timestamp) -> String {
        self.timestamp(now).to_string()
    }
}

/// `10s`, `1m30s`, `500ms`, or a plain number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 500ms, 10s or 1m30s".to_owned();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

/// As [`duration`]; short ones would cost more than they show.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_millis(100) { Err("expected 100ms or more".to_owned()) } else { Ok(time) }
}

/// A process, perhaps with when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Began {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start_ticks: Option<u64>,
}

/// `812` or `812@73120`.
pub(crate) fn began(text: &str) -> Result<Began, String> {
    let (pid, start) = text.split_once('@').map_or((text, None), |(pid, start)| (pid, Some(start)));
    let wrong = || "expected a process id such as 812, or 812@73120 with when it began".to_owned();
    let pid = pid.parse().ok().filter(|pid| *pid != 0).ok_or_else(wrong)?;
    let start_ticks = start.map(|start| start.parse().map_err(|_| wrong())).transpose()?;
    Ok(Began { pid, start_ticks })
}

/// A time span before now, or a moment.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    moment(text, &Zoned::now()).ok_or_else(|| {
        "expected a time span such as 10m, or a time such as 2026-01-31T12:00:00Z, 2026-01-31 12:00, 12:00 or yesterday"
            .to_owned()
    })
}

/// What somebody means by a time, who writes it `now`: without a day it is today's, without a time its day's begin.
fn moment(text: &str, now: &Zoned) -> Option<Since> {
    if let Ok(ago) = duration(text) {
        return Some(Since::Ago(ago));
    }
    if let Ok(time) = text.parse() {
        return Some(Since::At(time));
    }
    let text = text.trim();
    let at = |day: Date, time: Time| day.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let time = |text: &str| text.trim().parse::<Time>().ok();
    let zoned = if text == "now" {
        Some(now.clone())
    } else if let Some(rest) = text.strip_prefix("today") {
        at(now.date(), if rest.is_empty() { Time::midnight() } else { time(rest)? })
    } else if let Some(rest) = text.strip_prefix("yesterday") {
        at(now.date().yesterday().ok()?, if rest.is_empty() { Time::midnight() } else { time(rest)? })
    } else if let Some(time) = time(text).filter(|_| !text.contains('-')) {
        at(now.date(), time)
    } else {
        text.parse::<DateTime>().ok()?.to_zoned(now.time_zone().clone()).ok()
    };
    zoned.map(|zoned| Since::At(zoned.timestamp()))
}

/// A signal's Linux number, from `TERM`, `SIGTERM` or `15`.
pub(crate) fn signal(text: &str) -> Result<i32, String> {
    kennel_sys::signal::parse(text).ok_or_else(|| "expected a signal such as TERM, SIGUSR1 or 9".to_owned())
}

/// Whole milliseconds for the protocol.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn a_process_is_a_number_perhaps_with_its_begin() {
        assert_eq!(began("812").unwrap(), Began { pid: 812, start_ticks: None });
        assert_eq!(began("812@73120").unwrap(), Began { pid: 812, start_ticks: Some(73120) });
        for wrong in ["", "0", "-1", "812@", "@5", "812@x", "812@5@6", "web"] {
            assert!(began(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_understood_as_people_write_them() {
        let now: Zoned = "2026-03-10T15:00:00+01:00[Europe/Berlin]".parse().unwrap();
        let at = |text: &str| moment(text, &now).map(|since| since.rfc3339(now.timestamp()));
        for (text, expected) in [
            ("10m", "2026-03-10T13:50:00Z"),
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31 12:00", "2026-01-31T11:00:00Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z"),
            ("08:30", "2026-03-10T07:30:00Z"),
            ("today", "2026-03-09T23:00:00Z"),
            ("yesterday", "2026-03-08T23:00:00Z"),
            ("yesterday 12:00", "2026-03-09T11:00:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "soon", "yesterdayish", "25:00", "2026-13-01"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(read("10"), Ok(10_000));
        assert_eq!(read("0.5"), Ok(500));
        assert_eq!(read("0s"), Ok(0));
        assert_eq!(read("500ms"), Ok(500));
        assert_eq!(read("1m30s"), Ok(90_000));
        assert_eq!(read("2h"), Ok(7_200_000));
        for wrong in ["", "-1", "-5s", "soon", "inf", "nan"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn since_is_a_span_or_a_moment() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(since("10m").unwrap().rfc3339(now), "2026-01-02T02:54:05Z");
        assert_eq!(since("2026-01-01T00:00:00+01:00").unwrap().rfc3339(now), "2025-12-31T23:00:00Z");
        assert!(since("some day").is_err());
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!((signal("TERM"), signal("sigint"), signal("9")), (Ok(15), Ok(2), Ok(9)));
        assert!(signal("0").is_err() && signal("NOPE").is_err());
    }
}

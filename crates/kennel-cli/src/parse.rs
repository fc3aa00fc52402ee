//! Values of options.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

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

/// A time span before now, or a moment.
pub(crate) fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = duration(text) {
        return Ok(Since::Ago(ago));
    }
    let wrong = |_| "expected a time span such as 10m, or a time such as 2026-01-31T12:00:00Z".to_owned();
    text.parse().map(Since::At).map_err(wrong)
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
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!((signal("TERM"), signal("sigint"), signal("9")), (Ok(15), Ok(2), Ok(9)));
        assert!(signal("0").is_err() && signal("NOPE").is_err());
    }
}

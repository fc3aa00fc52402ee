//! Monotonic time that means the same to every daemon of one boot.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Time since the boot, without what the machine slept: the clock of [`Instant`] as a number. Source: `clock_gettime(2)`.
pub(crate) fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// The instant that [`now`] gave as `at`, for timers; now, if the time is before what an [`Instant`] can say.
pub(crate) fn instant(at: Duration) -> Instant {
    let (now, here) = (now(), Instant::now());
    let then = if at >= now { here.checked_add(at - now) } else { here.checked_sub(now - at) };
    then.unwrap_or(here)
}

/// The same the other way round.
pub(crate) fn since_boot(at: Instant) -> Duration {
    let (now, here) = (now(), Instant::now());
    if at >= here { now.saturating_add(at - here) } else { now.saturating_sub(here - at) }
}

/// Waits for it; for ever, if there is none.
pub(crate) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_comes_back() {
        let at = now();
        for time in [at, at + Duration::from_secs(3600)] {
            let begun = Instant::now();
            let back = since_boot(instant(time));
            // Two clocks are read one after the other, as far apart as this has taken.
            assert!(back.abs_diff(time) <= begun.elapsed(), "{back:?} {time:?}");
        }
        assert!(instant(Duration::ZERO) <= Instant::now());
    }
}

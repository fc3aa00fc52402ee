//! An alarm by the wall clock: it goes off at a time of day, also after the machine slept, and whenever the clock is set.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One alarm. It costs nothing while no time is set, and wakes nobody before.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// Made for the first time that is set, closed with the last.
    timer: Option<AsyncFd<OwnedFd>>,
    at: Option<Duration>,
}

impl Alarm {
    /// Goes off at this time since 1970, or when the clock is set; none: never.
    pub(crate) fn set(&mut self, at: Option<Duration>) {
        if self.at == at {
            return;
        }
        self.at = at;
        let Some(at) = at else { return self.timer = None };
        if let Err(error) = self.arm(at) {
            tracing::error!(%error, "cannot set an alarm; what the calendar starts waits for the next one");
        }
    }

    /// Source: `timerfd_create(2)`. With `TFD_TIMER_CANCEL_ON_SET` a read fails with `ECANCELED` after the clock was set.
    fn arm(&mut self, at: Duration) -> io::Result<()> {
        let timer = match self.timer.take() {
            Some(timer) => timer,
            None => {
                let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
                let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
                #[expect(
                    deprecated,
                    reason = "an `OwnedFd` keeps its descriptor, which the successor wants promised unsafely"
                )]
                AsyncFd::with_interest(timer, Interest::READABLE)?
            }
        };
        // A time of zero would disarm it.
        let at = at.max(Duration::from_nanos(1));
        let value = Timespec::try_from(at).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(timer.get_ref(), flags, &once)?;
        self.timer = Some(timer);
        Ok(())
    }

    /// Waits until it goes off, for whichever reason; whoever set it looks at the clock and sets it again.
    pub(crate) async fn wait(&mut self) {
        let Some(timer) = &self.timer else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = timer.readable().await else { return std::future::pending().await };
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0u8; 8])?));
            match read {
                // It has not, after all.
                Err(_would_block) => {}
                Ok(_elapsed_or_set) => break,
            }
        }
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use std::time::SystemTime;

    fn now() -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
    }

    #[tokio::test]
    async fn goes_off_once_for_each_time_that_is_set() {
        let mut alarm = Alarm::default();
        for ahead in [30, 0] {
            let at = now() + Duration::from_millis(ahead);
            alarm.set(Some(at));
            alarm.wait().await;
            assert!(now() >= at);
        }
        alarm.set(Some(now() + Duration::from_secs(3600)));
        alarm.set(None);
        assert!(alarm.timer.is_none());
    }
}

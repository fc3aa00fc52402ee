//! What an instance is doing, from what its scope uses: whether it works, has nothing to do, waits for somebody, or hangs.
//!
//! Nobody can tell from outside whether a program that is silent is idle or stuck. So what is said here is what was seen, and
//! how long it has to be seen before it counts as a hang is the user's to say ([`crate::liveness::Hang::after`]).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sample::Rates;

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It writes, reads, starts processes or computes.
    Active,
    /// Nothing of that, and not for long.
    Quiet,
    /// Nothing of that, and one of its processes waits for somebody to type.
    WaitingForInput,
    /// Nothing of that for as long as may be.
    Stalled,
    /// Nothing but computing for as long as may be, without a pause.
    Spinning,
}

impl Activity {
    /// Whether that is a hang.
    #[must_use]
    pub fn is_hang(self) -> bool {
        match self {
            Self::Stalled | Self::Spinning => true,
            Self::Active | Self::Quiet | Self::WaitingForInput => false,
        }
    }
}

/// What only a closer look at the processes can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Posture {
    /// Whether one of them is in a read of a terminal, or the main process in one of its stdin.
    pub reads_input: bool,
    /// Process ids, each with how often its threads have gone to sleep by themselves.
    pub sleeps: Vec<(u32, u64)>,
}

/// Less of one CPU than this, percent, is what event loops and timers use that have nothing to do.
const IDLE_PERCENT: f64 = 1.0;
/// Who waits for a CPU for more of the time than this, percent, is not idle, however little it gets.
const STARVED_PERCENT: f64 = 50.0;
/// More than this, percent, is a loop that nothing holds up.
const BUSY_PERCENT: f64 = 90.0;
/// Who goes to sleep more often than this, times a second, answers somebody. A loop that spins never does, and who computes
/// does so for each page or file.
const WORKING_SLEEPS: f64 = 20.0;

/// Watches one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    after: Duration,
    /// So long in a row nothing was seen of it.
    idle: Duration,
    /// So long in a row nothing was seen of it but CPU time.
    busy: Duration,
    /// A closer look is taken when it has been idle for so long.
    look_at: Duration,
    /// What was seen when it began to be busy.
    before: Posture,
    activity: Option<Activity>,
}

impl Watch {
    /// One that has seen nothing yet; `after`: from when on silence is a hang.
    #[must_use]
    pub fn new(after: Duration) -> Self {
        let mut watch = Self {
            after,
            idle: Duration::ZERO,
            busy: Duration::ZERO,
            look_at: Duration::ZERO,
            before: Posture::default(),
            activity: None,
        };
        watch.awake();
        watch
    }

    /// How often it wants to be told: often enough to be right by an eighth of the time, at most every 250 ms, at least every 10 s.
    #[must_use]
    pub fn every(&self) -> Duration {
        (self.after / 8).clamp(Duration::from_millis(250), Duration::from_secs(10))
    }

    /// What it is doing; `None` until that was seen.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        self.activity
    }

    /// For how long nothing has been seen of it.
    #[must_use]
    pub fn since_life(&self) -> Duration {
        self.idle.max(self.busy)
    }

    /// Takes what was used since the sample before, and answers what it is doing if that has changed. `waiting_percent`: the share
    /// of the time in which it was held back by a limit or by others, percent: what it would have used. `look`: the closer
    /// look, which is taken rarely.
    ///
    /// A long time between two samples (the machine was asleep, the sampler was late) counts only as twice the time that was asked
    /// for, so that one sample alone never makes a hang.
    pub fn observe(&mut self, rates: &Rates, waiting_percent: f64, look: impl FnOnce() -> Posture) -> Option<Activity> {
        // Without its CPU time nothing can be said.
        let cpu_percent = rates.cpu_percent?;
        let grew = |rate: Option<f64>| rate.is_some_and(|rate| rate > 0.0);
        let lives = rates.log > 0.0 || rates.forks > 0.0 || grew(rates.read) || grew(rates.written);
        let over = rates.over.min(2 * self.every());
        let now = if lives {
            self.awake();
            Activity::Active
        } else if cpu_percent + waiting_percent >= BUSY_PERCENT {
            self.computes(over, look)
        } else if cpu_percent < IDLE_PERCENT && waiting_percent < STARVED_PERCENT {
            self.rests(over, look)
        } else {
            self.awake();
            Activity::Active
        };
        let changed = self.activity != Some(now);
        self.activity = Some(now);
        changed.then_some(now)
    }

    fn awake(&mut self) {
        self.idle = Duration::ZERO;
        self.busy = Duration::ZERO;
        self.look_at = 2 * self.every();
    }

    fn computes(&mut self, over: Duration, look: impl FnOnce() -> Posture) -> Activity {
        let begins = self.busy.is_zero();
        let busy = self.busy + over;
        self.awake();
        self.busy = busy;
        if begins {
            self.before = look();
        } else if self.activity == Some(Activity::Spinning) {
            return Activity::Spinning;
        } else if self.busy >= self.after {
            let now = look();
            if sleeps(&self.before, &now) <= WORKING_SLEEPS * self.busy.as_secs_f64() {
                return Activity::Spinning;
            }
            // It answers somebody: looked at again after the same time.
            self.busy = Duration::ZERO;
        }
        Activity::Active
    }

    fn rests(&mut self, over: Duration, look: impl FnOnce() -> Posture) -> Activity {
        let before = self.idle;
        self.busy = Duration::ZERO;
        self.idle += over;
        let crosses = before < self.after && self.idle >= self.after;
        if self.idle >= self.look_at || crosses {
            self.look_at = self.idle * 2;
            if look().reads_input {
                return Activity::WaitingForInput;
            }
        } else if self.activity == Some(Activity::WaitingForInput) {
            return Activity::WaitingForInput;
        }
        if self.idle >= self.after { Activity::Stalled } else { Activity::Quiet }
    }
}

/// How often those that are in both have gone to sleep in between.
#[expect(clippy::cast_precision_loss, reason = "compared with a rate")]
fn sleeps(before: &Posture, now: &Posture) -> f64 {
    let then = |pid: u32| before.sleeps.iter().find(|(one, _)| *one == pid).map(|(_, count)| *count);
    let grown = now.sleeps.iter().filter_map(|(pid, count)| Some(count.saturating_sub(then(*pid)?)));
    grown.sum::<u64>() as f64
}

#[cfg(test)]
#[path = "activity/tests.rs"]
mod tests;

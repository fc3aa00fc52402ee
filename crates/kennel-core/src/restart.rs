//! When an ended service is started again: sliding window, exponential backoff with jitter, a visible end.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{RestartMode, RestartPolicy};

/// What is remembered of a service's restarts. Times are monotonic, since a zero that stays for one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When each restart within the window was decided, oldest first.
    recent: VecDeque<Duration>,
    /// Restarts since the last stable run; sets the delay.
    streak: u32,
    /// All restarts since the history began.
    total: u32,
}

/// What to do after an end.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Stay down: the mode does not ask for another run.
    Stay,
    /// Start again after this pause.
    Again {
        /// The pause.
        delay: Duration,
        /// Restarts within the window, this one included.
        attempt: u32,
    },
    /// Too often in too short a time.
    GiveUp {
        /// Restarts within the window.
        restarts: u32,
    },
}

impl History {
    /// Restarts since the history began.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Decides after a run of length `ran` that ended at `now`.
    ///
    /// `random` is uniform in 0 to 1 and places the delay within its jitter. A stable run (`ran` at least
    /// `reset_after`) forgets all that was before it.
    pub fn decide(
        &mut self,
        mode: RestartMode,
        policy: &RestartPolicy,
        success: bool,
        ran: Duration,
        now: Duration,
        random: f64,
    ) -> Decision {
        let again = match mode {
            RestartMode::No => false,
            RestartMode::OnFailure => !success,
            RestartMode::Always | RestartMode::UnlessStopped => true,
        };
        if !again {
            return Decision::Stay;
        }
        if ran >= policy.reset_after {
            self.recent.clear();
            self.streak = 0;
        }
        let begin = now.saturating_sub(policy.window);
        while self.recent.front().is_some_and(|at| *at < begin) {
            self.recent.pop_front();
        }
        let restarts = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if restarts >= policy.max_restarts {
            return Decision::GiveUp { restarts };
        }
        let delay = delay(policy, self.streak, random);
        self.recent.push_back(now);
        self.streak = self.streak.saturating_add(1);
        self.total = self.total.saturating_add(1);
        Decision::Again { delay, attempt: restarts + 1 }
    }
}

/// The pause before restart number `streak` (from 0) of a streak: `delay × factor^streak`, at most `max_delay`,
/// varied by `jitter` up and down, and at most `max_delay` again.
fn delay(policy: &RestartPolicy, streak: u32, random: f64) -> Duration {
    // Zero times an overflowing factor would be no number at all.
    if policy.delay.is_zero() {
        return Duration::ZERO;
    }
    let max = policy.max_delay.as_secs_f64();
    let exponent = i32::try_from(streak).unwrap_or(i32::MAX);
    let base = (policy.delay.as_secs_f64() * policy.factor.max(1.0).powi(exponent)).min(max);
    let varied = base * (1.0 + policy.jitter.clamp(0.0, 1.0) * (2.0 * random.clamp(0.0, 1.0) - 1.0));
    Duration::try_from_secs_f64(varied.clamp(0.0, max)).unwrap_or(policy.max_delay)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;

    fn policies() -> impl Strategy<Value = RestartPolicy> {
        (0u64..5_000, 1.0f64..4.0, 0u64..60_000, 0.0f64..1.0, 1u64..120_000, 0u32..8, 1u64..120_000).prop_map(
            |(delay, factor, max, jitter, reset, max_restarts, window)| RestartPolicy {
                delay: Duration::from_millis(delay),
                factor,
                max_delay: Duration::from_millis(max),
                jitter,
                reset_after: Duration::from_millis(reset),
                max_restarts,
                window: Duration::from_millis(window),
            },
        )
    }

    /// Runs and pauses in milliseconds with a random number, as a service that keeps failing produces them.
    fn failures() -> impl Strategy<Value = Vec<(u64, f64)>> {
        proptest::collection::vec((0u64..150_000, 0.0f64..1.0), 1..40)
    }

    proptest! {
        #[test]
        fn never_more_restarts_than_allowed_within_any_window(policy in policies(), runs in failures()) {
            let (mut history, mut now, mut decided) = (History::default(), Duration::ZERO, Vec::new());
            for (ran, random) in runs {
                let ran = Duration::from_millis(ran);
                now += ran;
                if ran >= policy.reset_after {
                    decided.clear();
                }
                match history.decide(RestartMode::OnFailure, &policy, false, ran, now, random) {
                    Decision::Again { delay, attempt } => {
                        decided.push(now);
                        prop_assert!(delay <= policy.max_delay);
                        let within = decided.iter().filter(|at| **at >= now.saturating_sub(policy.window)).count();
                        prop_assert_eq!(u32::try_from(within).unwrap(), attempt);
                        prop_assert!(attempt <= policy.max_restarts);
                        now += delay;
                    }
                    Decision::GiveUp { restarts } => prop_assert!(restarts >= policy.max_restarts),
                    Decision::Stay => prop_assert!(false, "a failure is restarted or given up"),
                }
            }
        }

        #[test]
        fn without_jitter_delays_grow_by_the_factor_up_to_the_cap(policy in policies(), count in 1u32..20) {
            let policy = RestartPolicy { jitter: 0.0, max_restarts: u32::MAX, reset_after: Duration::MAX, ..policy };
            let mut history = History::default();
            let mut last = Duration::ZERO;
            for index in 0..count {
                let now = Duration::from_secs(u64::from(index));
                let decision = history.decide(RestartMode::Always, &policy, true, Duration::ZERO, now, 0.5);
                let Decision::Again { delay, .. } = decision else { panic!("{decision:?}") };
                prop_assert!(delay >= last);
                let exact = policy.delay.as_secs_f64() * policy.factor.powi(i32::try_from(index).unwrap());
                prop_assert!((delay.as_secs_f64() - exact.min(policy.max_delay.as_secs_f64())).abs() < 1e-6);
                last = delay;
            }
            prop_assert_eq!(history.total(), count);
        }

        #[test]
        fn jitter_stays_within_its_share(policy in policies(), random in 0.0f64..1.0) {
            let plain = delay(&RestartPolicy { jitter: 0.0, ..policy.clone() }, 3, random).as_secs_f64();
            let varied = delay(&policy, 3, random).as_secs_f64();
            prop_assert!((varied - plain).abs() <= plain * policy.jitter + 1e-6);
        }
    }

    #[test]
    fn modes_decide_what_is_restarted() {
        let policy = RestartPolicy::default();
        let decide = |mode, success| {
            let decision = History::default().decide(mode, &policy, success, Duration::ZERO, Duration::ZERO, 0.5);
            matches!(decision, Decision::Again { .. })
        };
        assert!(!decide(RestartMode::No, false));
        assert!(!decide(RestartMode::OnFailure, true));
        assert!(decide(RestartMode::OnFailure, false));
        assert!(decide(RestartMode::Always, true));
        assert!(decide(RestartMode::UnlessStopped, false));
    }

    #[test]
    fn a_stable_run_starts_the_count_anew() {
        let policy = RestartPolicy { max_restarts: 1, ..RestartPolicy::default() };
        let mut history = History::default();
        let mut fail = |ran, now| {
            let seconds = Duration::from_secs;
            history.decide(RestartMode::OnFailure, &policy, false, seconds(ran), seconds(now), 0.5)
        };
        assert!(matches!(fail(1, 1), Decision::Again { attempt: 1, .. }));
        assert_eq!(fail(1, 2), Decision::GiveUp { restarts: 1 });
        assert!(matches!(fail(60, 62), Decision::Again { attempt: 1, .. }));
    }

    #[test]
    fn zero_delay_stays_zero_through_a_long_streak() {
        let policy = RestartPolicy { delay: Duration::ZERO, ..RestartPolicy::default() };
        assert_eq!(delay(&policy, u32::MAX, 1.0), Duration::ZERO);
    }
}

//! The brake on storms: restarts of several services may not feed each other.
//!
//! The restart policy of a service bounds its own restarts. What it does not see are the others: a stack whose services
//! take each other down restarts as often as all of them may together, and each start costs more than what runs. So the
//! begins of all restarts share one sliding window. Once that is full, nobody gets more than an even share of it, so that
//! one that restarts all the time is held back and does not hold back the others. A service that is alone in it is the
//! business of its own policy.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many restarts a stack may have, and in what time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Restarts of all services within `window`; 0: no bound.
    pub restarts: u32,
    /// Length of the sliding window.
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { restarts: 60, window: Duration::from_secs(60) }
    }
}

/// What has been begun within the window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Brake {
    /// When, and whose; the oldest first.
    recent: VecDeque<(Duration, String)>,
    /// Whether something was held back, and it has not been calm since.
    is_on: bool,
}

/// Whether a restart may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Go,
    /// Not before this time has passed; then it is to be asked again.
    Hold {
        /// At least until the window has room.
        delay: Duration,
        /// What is in the window.
        restarts: u32,
        /// Whether it is the first to be held since it was calm: to be told of.
        is_news: bool,
    },
}

impl Brake {
    /// Decides on the restart of `service`, now. `random` is uniform in 0 to 1 and spreads those that are held.
    pub fn ask(&mut self, policy: &Policy, service: &str, now: Duration, random: f64) -> Verdict {
        let begin = now.saturating_sub(policy.window);
        while self.recent.front().is_some_and(|(at, _)| *at <= begin && now >= policy.window) {
            self.recent.pop_front();
        }
        let restarts = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if restarts == 0 {
            self.is_on = false;
        }
        let services: BTreeSet<&str> = self.recent.iter().map(|(_, of)| of.as_str()).chain([service]).collect();
        let own: Vec<Duration> = self.recent.iter().filter(|(_, of)| of == service).map(|(at, _)| *at).collect();
        let budget = usize::try_from(policy.restarts).unwrap_or(usize::MAX);
        let share = budget.div_ceil(services.len().max(1));
        if budget == 0 || services.len() < 2 || self.recent.len() < budget || own.len() < share {
            self.note(policy, service, now);
            return Verdict::Go;
        }
        // There is room once so many have left the window that it is not full, or the own ones so that the share is not.
        let leaves = |at: Option<Duration>| at.map_or(policy.window, |at| (at + policy.window).saturating_sub(now));
        let all = leaves(self.recent.get(self.recent.len() - budget).map(|(at, _)| *at));
        let room = all.min(leaves(own.get(own.len() - share).copied()));
        let spread = policy.window.mul_f64(random.clamp(0.0, 1.0) / 10.0);
        let is_news = !std::mem::replace(&mut self.is_on, true);
        Verdict::Hold { delay: room + spread, restarts, is_news }
    }

    /// Something else that a storm feeds on, for example a process that got away from `service`: it takes room like a restart.
    pub fn note(&mut self, policy: &Policy, service: &str, now: Duration) {
        // More is not needed to know that there is no room, and memory is bounded.
        let most = usize::try_from(policy.restarts).unwrap_or(usize::MAX).saturating_mul(4).max(1);
        if self.recent.len() >= most {
            self.recent.pop_front();
        }
        self.recent.push_back((now, service.to_owned()));
    }

    /// Whether something is held back, or was and it has not been calm since.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    proptest! {
        /// Services that fail at once whenever they may begin, each after a pause of its own.
        #[test]
        fn a_storm_is_bounded_and_everybody_gets_a_turn(
            budget in 1u32..20,
            pauses in proptest::collection::vec(1u64..3_000, 2..5),
            randoms in proptest::collection::vec(0.0f64..1.0, 400),
        ) {
            let policy = Policy { restarts: budget, window: Duration::from_secs(60) };
            let mut brake = Brake::default();
            let mut next: Vec<(Duration, usize)> =
                pauses.iter().enumerate().map(|(who, pause)| (Duration::from_millis(*pause), who)).collect();
            let (mut begun, mut held) = (Vec::new(), vec![0u32; next.len()]);
            for random in randoms {
                next.sort();
                let (now, who) = next[0];
                match brake.ask(&policy, NAMES[who], now, random) {
                    Verdict::Go => {
                        begun.push((now, who));
                        held[who] = 0;
                        next[0].0 = now + Duration::from_millis(pauses[who]);
                    }
                    Verdict::Hold { delay, restarts, .. } => {
                        prop_assert!(restarts >= budget, "{restarts} of {budget}");
                        prop_assert!(delay <= policy.window.mul_f64(1.11));
                        held[who] += 1;
                        // An even share of the window comes round within a few of its lengths.
                        prop_assert!(held[who] <= 20, "{} never gets a turn", NAMES[who]);
                        next[0].0 = now + delay.max(Duration::from_millis(1));
                    }
                }
            }
            for (at, _) in &begun {
                let window = || begun.iter().filter(|(other, _)| other <= at && *at - *other < policy.window);
                let count = |who: usize| window().filter(|(_, other)| *other == who).count();
                let most = (0..pauses.len()).map(count).max().unwrap_or(0);
                // Whoever was alone at first may have had more than the budget.
                let others = window().count() - most;
                prop_assert!(others < 2 * usize::try_from(budget).unwrap_or(0) + pauses.len(), "{others}");
            }
        }

        #[test]
        fn a_service_alone_is_never_held(times in proptest::collection::vec(0u64..100, 1..300)) {
            let (mut brake, mut now) = (Brake::default(), Duration::ZERO);
            for pause in times {
                now += Duration::from_millis(pause);
                prop_assert_eq!(brake.ask(&Policy { restarts: 3, ..Policy::default() }, "a", now, 0.5), Verdict::Go);
            }
        }
    }

    #[test]
    fn the_others_go_on_beside_one_that_restarts_all_the_time() {
        let policy = Policy { restarts: 10, window: Duration::from_secs(60) };
        let mut brake = Brake::default();
        for second in 0..20 {
            assert_eq!(brake.ask(&policy, "hog", Duration::from_secs(second), 0.0), Verdict::Go);
        }
        assert_eq!(brake.ask(&policy, "web", Duration::from_secs(20), 0.0), Verdict::Go);
        let held = brake.ask(&policy, "hog", Duration::from_secs(20), 0.0);
        assert!(matches!(held, Verdict::Hold { is_news: true, restarts: 21, .. }), "{held:?}");
        let again = brake.ask(&policy, "hog", Duration::from_secs(21), 0.0);
        assert!(matches!(again, Verdict::Hold { is_news: false, .. }), "{again:?}");
        assert!(brake.is_on());
        assert_eq!(brake.ask(&policy, "hog", Duration::from_secs(200), 0.0), Verdict::Go);
        assert!(!brake.is_on());
    }
}

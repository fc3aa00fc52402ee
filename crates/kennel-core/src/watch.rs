//! When files that changed make a service act: after a moment of quiet, and never in a circle.

use std::collections::VecDeque;
use std::time::Duration;

/// However long changes go on, they are acted upon after this many times the quiet that is waited for.
const AT_MOST: u32 = 10;

/// Times that changes may act within [`WINDOW`]: what is changed by the service itself, when it starts, would start it again and
/// again.
pub const MOST_TIMES: usize = 10;

/// Length of the window for [`MOST_TIMES`].
pub const WINDOW: Duration = Duration::from_secs(60);

/// Leaves directories and files out that no editor of a program means: version control, what package managers, compilers and interpreters
/// write, and the helper files of editors. As in `.gitignore`.
pub const USUAL: [&str; 19] = [
    ".git/",
    ".hg/",
    ".svn/",
    ".jj/",
    "node_modules/",
    "target/",
    "__pycache__/",
    ".venv/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".next/",
    ".DS_Store",
    "*.swp",
    "*.swx",
    "*.swo",
    "*~",
    ".#*",
    "#*#",
    // Vim asks with it whether it may write.
    "4913",
];

/// Changes that have not been acted upon. Times are monotonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    first: Duration,
    last: Duration,
}

impl Changes {
    /// The first of them, at `now`.
    #[must_use]
    pub fn begin(now: Duration) -> Self {
        Self { first: now, last: now }
    }

    /// Another one, at `now`.
    pub fn add(&mut self, now: Duration) {
        self.last = self.last.max(now);
    }

    /// When they are acted upon, if no other comes before.
    #[must_use]
    pub fn due(&self, quiet: Duration) -> Duration {
        let latest = self.first.saturating_add(quiet.saturating_mul(AT_MOST));
        self.last.saturating_add(quiet).min(latest)
    }
}

/// Keeps changes from acting in a circle.
#[derive(Debug, Clone, Default)]
pub struct Brake {
    recent: VecDeque<Duration>,
}

impl Brake {
    /// Whether changes may act at `now`, which then counts; else when they may.
    ///
    /// # Errors
    /// The time from which on they may.
    pub fn allow(&mut self, now: Duration) -> Result<(), Duration> {
        let begin = now.saturating_sub(WINDOW);
        while self.recent.front().is_some_and(|at| *at <= begin) {
            self.recent.pop_front();
        }
        match self.recent.front() {
            Some(first) if self.recent.len() >= MOST_TIMES => Err(first.saturating_add(WINDOW)),
            _ => {
                self.recent.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Not before it is quiet, unless that takes too long; never later than that.
        #[test]
        fn acts_when_it_is_quiet_and_at_the_latest_after_ten_times_that(
            quiet in 1u64..2_000, steps in prop::collection::vec(0u64..3_000, 0..50),
        ) {
            let quiet = Duration::from_millis(quiet);
            let mut now = Duration::from_secs(1);
            let mut changes = Changes::begin(now);
            for step in steps {
                now += Duration::from_millis(step);
                if changes.due(quiet) <= now {
                    break;
                }
                changes.add(now);
                let due = changes.due(quiet);
                prop_assert!(due >= now.min(changes.first + quiet * AT_MOST));
                prop_assert!(due <= now + quiet);
                prop_assert!(due <= changes.first + quiet * AT_MOST);
            }
        }

        /// Whatever changes when: within any window it acts at most ten times, and what was held back may act at the time that was given.
        #[test]
        fn never_in_a_circle(steps in prop::collection::vec(0u64..20_000, 1..80)) {
            let (mut brake, mut now, mut acted) = (Brake::default(), Duration::from_secs(100), Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                match brake.allow(now) {
                    Ok(()) => acted.push(now),
                    Err(at) => {
                        prop_assert!(at > now && at - now <= WINDOW);
                        now = at;
                        prop_assert_eq!(brake.allow(now), Ok(()));
                        acted.push(now);
                    }
                }
                let within = acted.iter().filter(|at| **at + WINDOW > now).count();
                prop_assert!(within <= MOST_TIMES);
            }
        }
    }
}

//! How much may be written at this moment, of so much a second: a token bucket that holds what two seconds allow.

use std::time::{Duration, Instant};

/// For how long a service may have been silent to make up for it in one go, seconds.
const BURST: f64 = 2.0;
/// What has to be there, in seconds of the rate, before something is taken again: who waits goes on in small steps, of what is
/// thrown away the next part that is kept is one that can be read.
/// With less than this it is empty, seconds of the rate: every instant brings a few bytes, which are not worth a read.
const EMPTY: f64 = 0.01;
const ENOUGH_FOR_ONE_WHO_WAITS: f64 = 0.1;
const ENOUGH_TO_READ: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes a second.
    rate: f64,
    /// Bytes.
    level: f64,
    at: Instant,
    /// It was emptied, and there is not enough in it yet.
    is_empty: bool,
    /// It was said that it is, and it was not full since.
    is_told: bool,
    /// When it was full last, and what came since, taken or not.
    full_at: Instant,
    came: f64,
}

/// What may be done with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// So many bytes may be taken.
    Take(usize),
    /// None, for so long.
    Enough(Duration),
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never below 0")]
impl Bucket {
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        let rate = rate.max(1) as f64;
        let level = rate * BURST;
        Self { rate, level, at: now, is_empty: false, is_told: false, full_at: now, came: 0.0 }
    }

    /// What may be done now with the output of one who `waits` for room, or whose output is thrown away without.
    pub(super) fn flow(&mut self, waits: bool, now: Instant) -> Flow {
        self.fill(now);
        let enough = self.rate * if waits { ENOUGH_FOR_ONE_WHO_WAITS } else { ENOUGH_TO_READ };
        self.is_empty &= self.level < enough;
        if self.is_empty {
            return Flow::Enough(Duration::from_secs_f64(((enough - self.level) / self.rate).clamp(0.001, BURST)));
        }
        Flow::Take(self.level as usize)
    }

    /// So much was taken.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) {
        self.fill(now);
        self.level -= bytes as f64;
        self.is_empty |= self.level < self.rate * EMPTY;
        self.came += bytes as f64;
    }

    /// So much came beyond what may be taken: how fast it comes, bytes a second since the bucket was full, once until it is again.
    pub(super) fn exceed(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        self.fill(now);
        self.came += bytes as f64;
        let passed = now.saturating_duration_since(self.full_at).as_secs_f64();
        (!std::mem::replace(&mut self.is_told, true)).then(|| (self.came / passed.max(1.0)) as u64)
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.level += passed * self.rate;
        if self.level >= self.rate * BURST {
            self.level = self.rate * BURST;
            (self.full_at, self.came, self.is_told) = (self.at, 0.0, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Who takes what there is room for never has more than the burst and what its time allows, nor much less while it wants
        /// more; and the rate that is told is above the bound.
        #[test]
        fn the_rate_and_a_burst(rate in 1000..100_000_u64, waits: bool, pauses in proptest::collection::vec(0..300_u64, 1..100)) {
            let begin = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::new(rate, begin), begin, 0);
            for pause in pauses {
                now += Duration::from_millis(pause);
                match bucket.flow(waits, now) {
                    Flow::Take(room) => {
                        bucket.take(room, now);
                        taken += room as u64;
                    }
                    Flow::Enough(wait) => {
                        if let Some(told) = bucket.exceed(1, now) {
                            prop_assert!(told > rate, "{told}");
                        }
                        prop_assert!(matches!(bucket.flow(waits, now + wait + Duration::from_millis(1)), Flow::Take(_)));
                        // The look ahead is a look into the future.
                        now += wait + Duration::from_millis(1);
                    }
                }
                let allowed = rate as f64 * (BURST + (now - begin).as_secs_f64());
                prop_assert!(taken as f64 <= allowed + 1.0);
                prop_assert!(taken as f64 >= allowed - rate as f64 * (BURST + 1.0) - 1.0);
            }
        }
    }

    #[test]
    fn an_excess_is_told_once_until_it_is_over() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(1000, begin);
        bucket.take(2000, begin);
        assert!(matches!(bucket.flow(false, begin), Flow::Enough(_)));
        assert_eq!(bucket.exceed(3000, begin), Some(5000));
        assert_eq!(bucket.exceed(1, begin), None);
        // Half of it is enough to go on with, and not its end.
        let later = begin + Duration::from_millis(1100);
        assert_eq!(bucket.flow(false, later), Flow::Take(1100));
        bucket.take(1100, later);
        assert_eq!(bucket.exceed(1, later), None);
        let over = later + Duration::from_secs(3);
        assert_eq!(bucket.flow(false, over), Flow::Take(2000));
        bucket.take(2000, over);
        assert_eq!(bucket.exceed(500, over), Some(2500));
    }
}

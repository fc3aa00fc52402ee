//! How much may be written at this moment, of so much a second: a token bucket that holds what two seconds allow.

use std::time::{Duration, Instant};

/// For how long a service may have been silent to make up for it in one go.
const BURST: f64 = 2.0;

#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes a second.
    rate: f64,
    /// Bytes; below zero after a read that took more than there was.
    level: f64,
    at: Instant,
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
impl Bucket {
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        let rate = rate.max(1) as f64;
        Self { rate, level: rate * BURST, at: now }
    }

    /// Bytes that may be taken now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the bucket's size")]
    pub(super) fn room(&mut self, now: Instant) -> usize {
        self.fill(now);
        self.level.max(0.0) as usize
    }

    /// Whether nothing was taken for a while.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= self.rate * BURST
    }

    pub(super) fn take(&mut self, bytes: usize, now: Instant) {
        self.fill(now);
        self.level -= bytes as f64;
    }

    /// How long until a tenth of a second's worth is there: less would be a wake-up for every few bytes.
    pub(super) fn until_room(&mut self, now: Instant) -> Duration {
        self.fill(now);
        Duration::from_secs_f64(((self.rate / 10.0 - self.level) / self.rate).clamp(0.001, 3600.0))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.level = (self.level + passed * self.rate).min(self.rate * BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Who takes what there is room for never has more than the burst and what its time allows.
        #[test]
        fn never_more_than_the_rate_and_a_burst(rate in 1..100_000_u64, waits in proptest::collection::vec(0..3000_u64, 1..50)) {
            let begin = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::new(rate, begin), begin, 0);
            for wait in waits {
                now += Duration::from_millis(wait);
                let room = bucket.room(now);
                bucket.take(room, now);
                taken += room as u64;
                let allowed = rate as f64 * (BURST + (now - begin).as_secs_f64());
                prop_assert!(taken as f64 <= allowed + 1.0);
            }
            let later = now + bucket.until_room(now);
            prop_assert!(bucket.room(later) > 0 || rate < 20);
        }
    }
}

//! The last samples of one run, as they were taken.

use std::collections::VecDeque;

use kennel_core::sample::{Rates, Sample};

/// Samples of all runs together that are kept at most.
const ALL: usize = 8192;
/// Samples of one run: 15 minutes at one a second.
const ONE: usize = 900;
/// Few, but enough to see a slope.
const LEAST: usize = 16;

/// How many samples are kept of each of so many runs.
pub(crate) fn capacity(runs: usize) -> usize {
    (ALL / runs.max(1)).clamp(LEAST, ONE)
}

/// The youngest last.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    samples: VecDeque<Sample>,
}

impl Ring {
    /// Takes one in and answers with what was used since the one before; none if that was of another run, or too long ago to be
    /// compared.
    pub(crate) fn push(&mut self, sample: Sample, capacity: usize) -> Option<Rates> {
        let rates = self.samples.back().and_then(|last| sample.since(last));
        while self.samples.len() >= capacity {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        rates
    }

    /// The youngest.
    pub(crate) fn last(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }

    /// CPU percent of the last `count` samples, the youngest last.
    pub(crate) fn cpu(&self, count: usize) -> Vec<f32> {
        let first = self.samples.len().saturating_sub(count + 1);
        let pairs = self.samples.iter().skip(first).zip(self.samples.iter().skip(first + 1));
        #[expect(clippy::cast_possible_truncation, reason = "for a sparkline")]
        let percent = pairs.filter_map(|(earlier, later)| Some(later.since(earlier)?.cpu_percent? as f32));
        percent.map(|percent| (percent * 10.0).round() / 10.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(seconds: u64, cpu_usec: u64) -> Sample {
        Sample { at: Duration::from_secs(seconds), cpu_usec: Some(cpu_usec), ..Sample::default() }
    }

    #[test]
    fn the_oldest_go() {
        let mut ring = Ring::default();
        assert_eq!(ring.push(sample(1, 0), 3), None);
        for second in 2..=5 {
            let rates = ring.push(sample(second, second * 500_000 - 500_000), 3);
            assert_eq!(rates.and_then(|rates| rates.cpu_percent), Some(50.0));
        }
        let seconds: Vec<u64> = ring.all().iter().map(|sample| sample.at.as_secs()).collect();
        assert_eq!(seconds, [3, 4, 5]);
        assert_eq!(ring.cpu(1), [50.0]);
        assert_eq!(ring.cpu(9), [50.0, 50.0]);
    }

    #[test]
    fn many_runs_share_what_there_is() {
        assert_eq!((capacity(0), capacity(1), capacity(64), capacity(100_000)), (900, 900, 128, 16));
    }
}

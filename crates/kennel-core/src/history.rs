//! What a service used over time: samples put together into steps, and steps into longer ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::{Rates, Sample};

/// Length of a step that is kept for a day, seconds.
pub const FINE: u64 = 10;
/// Length of a step that is kept for a month, seconds.
pub const COARSE: u64 = 300;
/// Two samples further apart than this say nothing about any step between them, milliseconds.
const GAP_MS: u64 = 90_000;

/// What one service used in one step of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Step {
    /// Begin, seconds since 1970, UTC.
    pub begin: u64,
    /// How much of it was sampled, milliseconds.
    pub over_ms: u64,
    /// CPU time used meanwhile, microseconds.
    pub cpu_usec: Option<u64>,
    /// The most between two samples, percent of one CPU.
    pub cpu_percent_max: Option<f64>,
    /// Mean, bytes.
    pub memory: Option<u64>,
    /// The most, bytes.
    pub memory_max: Option<u64>,
    /// The most.
    pub processes: u32,
    /// Read from disks, bytes.
    pub read_bytes: Option<u64>,
    /// Written to disks, bytes.
    pub written_bytes: Option<u64>,
    /// Output, bytes.
    pub log_bytes: u64,
}

impl Step {
    /// What happened between two samples, the later of which was taken at `unix_ms`; none if they cannot be compared.
    #[must_use]
    pub fn between(rates: &Rates, sample: &Sample, unix_ms: u64, length: u64) -> Option<Self> {
        let over_ms = u64::try_from(rates.over.as_millis()).unwrap_or(u64::MAX);
        if over_ms > GAP_MS {
            return None;
        }
        let seconds = rates.over.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates of totals are not negative")]
        let total = |rate: f64| (rate * seconds).round() as u64;
        Some(Self {
            begin: begin(unix_ms, length),
            over_ms,
            cpu_usec: rates.cpu_percent.map(|percent| total(percent * 10_000.0)),
            cpu_percent_max: rates.cpu_percent,
            memory: sample.memory,
            memory_max: sample.memory,
            processes: sample.processes,
            read_bytes: rates.read.map(total),
            written_bytes: rates.written.map(total),
            log_bytes: total(rates.log),
        })
    }

    /// Takes in another part of the same step, or one of the steps that it consists of.
    pub fn merge(&mut self, other: &Self) {
        let (ours, others) = (u128::from(self.over_ms), u128::from(other.over_ms));
        self.memory = match (self.memory, other.memory) {
            (Some(a), Some(b)) if ours + others > 0 => {
                let mean = (u128::from(a) * ours + u128::from(b) * others) / (ours + others);
                Some(u64::try_from(mean).unwrap_or(u64::MAX))
            }
            (a, b) => a.or(b),
        };
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.over_ms += other.over_ms;
        self.cpu_usec = sum(self.cpu_usec, other.cpu_usec);
        self.cpu_percent_max = match (self.cpu_percent_max, other.cpu_percent_max) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.memory_max = self.memory_max.max(other.memory_max);
        self.processes = self.processes.max(other.processes);
        self.read_bytes = sum(self.read_bytes, other.read_bytes);
        self.written_bytes = sum(self.written_bytes, other.written_bytes);
        self.log_bytes = self.log_bytes.saturating_add(other.log_bytes);
    }

    /// Percent of one CPU, mean over what was sampled.
    #[must_use]
    pub fn cpu_percent(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let percent = |usec: u64| usec as f64 / self.over_ms as f64 / 10.0;
        self.cpu_usec.filter(|_| self.over_ms > 0).map(percent)
    }
}

/// Begin of the step in which a time lies, seconds.
fn begin(unix_ms: u64, length: u64) -> u64 {
    let seconds = unix_ms / 1000;
    seconds - seconds % length.max(1)
}

/// Puts steps together into longer ones, the oldest first, whatever order they come in.
#[must_use]
pub fn regroup(steps: impl IntoIterator<Item = Step>, length: u64) -> Vec<Step> {
    let mut groups: BTreeMap<u64, Step> = BTreeMap::new();
    for step in steps {
        let begin = step.begin - step.begin % length.max(1);
        let group = groups.entry(begin).or_insert_with(|| Step { begin, ..Step::default() });
        group.merge(&step);
    }
    groups.into_values().collect()
}

/// Collects the fine steps of all services until they are recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collector {
    steps: BTreeMap<(String, u64), Step>,
}

impl Collector {
    /// Takes in what happened between two samples of a service.
    pub fn add(&mut self, name: &str, step: Step) {
        match self.steps.get_mut(&(name.to_owned(), step.begin)) {
            Some(known) => known.merge(&step),
            None => drop(self.steps.insert((name.to_owned(), step.begin), step)),
        }
    }

    /// Takes out what is to be recorded: steps that are over at `unix_ms`, or all of them.
    pub fn take(&mut self, unix_ms: Option<u64>) -> Vec<(String, Step)> {
        let is_over = |step: &Step| unix_ms.is_none_or(|now| (step.begin + FINE) * 1000 <= now);
        let (over, open) = std::mem::take(&mut self.steps).into_iter().partition(|(_, step)| is_over(step));
        self.steps = open;
        let over: BTreeMap<(String, u64), Step> = over;
        over.into_iter().map(|((name, _), step)| (name, step)).collect()
    }

    /// What is not recorded yet.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, &Step)> {
        self.steps.iter().map(|((name, _), step)| (name.as_str(), step))
    }

    /// Whether nothing is to be recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(begin: u64, over_ms: u64, memory: u64, cpu_usec: u64) -> Step {
        Step {
            begin,
            over_ms,
            memory: Some(memory),
            memory_max: Some(memory),
            cpu_usec: Some(cpu_usec),
            ..Step::default()
        }
    }

    #[test]
    fn two_samples_make_a_part_of_a_step() {
        let sample = |seconds, cpu_usec, written| Sample {
            at: Duration::from_secs(seconds),
            cpu_usec: Some(cpu_usec),
            memory: Some(100),
            written_bytes: Some(written),
            processes: 3,
            ..Sample::default()
        };
        let later = sample(12, 1_500_000, 900);
        let rates = later.since(&sample(10, 500_000, 100)).unwrap_or_default();
        let step = Step::between(&rates, &later, 1_000_012_345, FINE).unwrap_or_default();
        assert_eq!((step.begin, step.over_ms, step.cpu_usec), (1_000_010, 2000, Some(1_000_000)));
        assert_eq!((step.written_bytes, step.read_bytes, step.processes), (Some(800), None, 3));
        assert_eq!(step.cpu_percent(), Some(50.0));
        let far = Rates { over: Duration::from_secs(91), ..rates };
        assert_eq!(Step::between(&far, &later, 0, FINE), None);
    }

    #[test]
    fn steps_make_longer_ones() {
        let steps = [step(300, 10_000, 100, 5), step(310, 5_000, 400, 7), step(600, 1, 1, 1)];
        let longer = regroup(steps, COARSE);
        assert_eq!(longer.len(), 2);
        let first = longer[0];
        assert_eq!((first.begin, first.over_ms, first.memory, first.memory_max), (300, 15_000, Some(200), Some(400)));
        assert_eq!(first.cpu_usec, Some(12));
        assert_eq!(regroup(steps.into_iter().rev(), COARSE), longer);
    }

    #[test]
    fn only_what_is_over_is_recorded() {
        let mut collector = Collector::default();
        for begin in [100, 100, 110] {
            collector.add("web", step(begin, 1000, 5, 1));
        }
        assert_eq!(collector.take(Some(110_000)), [("web".to_owned(), step(100, 2000, 5, 2))]);
        assert_eq!(collector.waiting().count(), 1);
        assert_eq!(collector.take(None).len(), 1);
        assert!(collector.is_empty());
    }
}

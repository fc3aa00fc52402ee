//! What processes read and write between two looks, which the protocol tells as sums since their begin.

use std::collections::HashMap;

use jiff::Timestamp;
use kennel_wire::ProcessUsage;

use crate::Look;

/// A process, whatever gets its number later.
type Who = (u32, u64);

/// The last look and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    at: Option<Timestamp>,
    seen: HashMap<Who, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    read: Count,
    written: Count,
}

/// A sum in bytes, and how fast it grows.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    sum: Option<u64>,
    rate: Option<f64>,
}

impl Count {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn follow(before: Option<Self>, sum: Option<u64>, seconds: f64) -> Self {
        let before = before.and_then(|before| before.sum).filter(|_| seconds > 0.0);
        let rate = sum.zip(before).map(|(now, before)| now.saturating_sub(before) as f64 / seconds);
        Self { sum, rate }
    }
}

impl Traffic {
    /// Takes a look. One that shows the same moment again changes nothing.
    pub(crate) fn take(&mut self, look: &Look) {
        let now = look.usage.time;
        let seconds = self.at.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        if self.at.is_some() && seconds <= 0.0 {
            return;
        }
        let processes = look.usage.services.iter().flat_map(|one| &one.processes_detail);
        let seen = processes.map(|process| {
            let before = self.seen.get(&who(process)).copied();
            let read = Count::follow(before.map(|seen| seen.read), process.read_bytes, seconds);
            let written = Count::follow(before.map(|seen| seen.written), process.written_bytes, seconds);
            (who(process), Seen { read, written })
        });
        self.seen = seen.collect();
        self.at = Some(now);
    }

    /// Bytes a second, read and written; absent until it was seen twice.
    pub(crate) fn of(&self, process: &ProcessUsage) -> (Option<f64>, Option<f64>) {
        self.seen.get(&who(process)).map_or((None, None), |seen| (seen.read.rate, seen.written.rate))
    }
}

fn who(process: &ProcessUsage) -> Who {
    (process.pid, process.start_ticks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests")]

    use jiff::SignedDuration;

    use super::*;
    use crate::tests::samples::look;

    #[test]
    fn what_grows_between_two_looks() {
        let mut traffic = Traffic::default();
        let mut first = look();
        first.usage.services[0].processes_detail[0].read_bytes = Some(1000);
        traffic.take(&first);
        assert_eq!(traffic.of(&first.usage.services[0].processes_detail[0]), (None, None));

        let mut second = first.clone();
        second.usage.time += SignedDuration::from_millis(2000);
        second.usage.services[0].processes_detail[0].read_bytes = Some(5000);
        traffic.take(&second);
        let process = &second.usage.services[0].processes_detail[0];
        assert_eq!(traffic.of(process), (Some(2000.0), None));
        // The same sample once more is no second without traffic.
        traffic.take(&second);
        assert_eq!(traffic.of(process), (Some(2000.0), None));
        // Somebody else with its number.
        assert_eq!(traffic.of(&ProcessUsage { start_ticks: 1, ..process.clone() }), (None, None));
    }
}

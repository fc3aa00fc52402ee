//! The events in memory: numbered, then published, some of them not recorded yet.

use std::collections::VecDeque;

use jiff::Timestamp;
use kennel_wire::{Event, EventKind};

use crate::events::Row;

/// So many events wait in memory while the disk is full.
const WAITING: usize = 4096;
/// So many recent ones are answered from memory; they have the receipts of whole trees in them.
const RECENT: usize = 1024;

/// What [`crate::Store::after`] knows.
#[derive(Debug)]
pub enum Recent {
    /// All that was asked for, up to the limit.
    Events(Vec<Event>),
    /// Some of it is older than what is in memory: [`crate::History::page`] has it, with this as `before`.
    Older(u64),
}

#[derive(Debug)]
pub(crate) struct Stream {
    next: u64,
    /// Number of the newest event that is committed.
    recorded: u64,
    /// Numbered, not published yet.
    pending: Vec<Event>,
    /// Published, the newest last.
    recent: VecDeque<Event>,
    /// How many of `recent`, at its end, are not recorded, because that failed.
    unsaved: usize,
    /// First and last of the events that were too many to wait.
    lost: Option<(u64, u64)>,
}

impl Stream {
    /// One that goes on with number `next`; up to `recorded` there are events in the store.
    pub(crate) fn new(next: u64, recorded: u64) -> Self {
        Self { next, recorded, pending: Vec::new(), recent: VecDeque::new(), unsaved: 0, lost: None }
    }

    pub(crate) fn number(&mut self, service: Option<&str>, instance: Option<u64>, kind: EventKind) -> u64 {
        let seq = self.next;
        self.next += 1;
        let service = service.map(str::to_owned);
        self.pending.push(Event { seq, time: Timestamp::now(), service, instance, kind });
        seq
    }

    /// What is numbered is shown to readers from now on.
    pub(crate) fn publish(&mut self) {
        self.unsaved += self.pending.len();
        self.recent.extend(self.pending.drain(..));
    }

    /// Whether there is something to commit, once it is published.
    pub(crate) fn is_saved(&self) -> bool {
        self.unsaved == 0 && self.pending.is_empty()
    }

    /// How many events are to be committed.
    pub(crate) fn backlog(&self) -> usize {
        self.unsaved
    }

    /// What is to be committed, oldest first, `limit` at most.
    pub(crate) fn unsaved(&self, limit: usize) -> Vec<Row> {
        self.recent.iter().skip(self.recent.len() - self.unsaved).take(limit).map(Row::of).collect()
    }

    /// So many of them were committed, the newest of them with this number.
    pub(crate) fn saved(&mut self, count: usize, newest: u64) {
        self.unsaved -= count;
        self.recorded = newest;
    }

    /// First and last of the events that were lost since this was asked last.
    pub(crate) fn take_lost(&mut self) -> Option<(u64, u64)> {
        self.lost.take()
    }

    /// Keeps memory bounded.
    pub(crate) fn forget(&mut self) {
        let surplus = self.recent.len().saturating_sub(self.unsaved.clamp(RECENT, WAITING));
        let lost = self.unsaved.saturating_sub(WAITING);
        let gone = self.recent.drain(..surplus).map(|event| event.seq);
        let (last, first) = gone.rev().take(lost).fold((None, 0), |(last, _), seq| (last.or(Some(seq)), seq));
        self.unsaved -= lost;
        if let Some(last) = last {
            self.lost = Some((self.lost.map_or(first, |(from, _)| from), last));
        }
        // A burst must not be paid for in memory ever after.
        if self.recent.capacity() > 4 * RECENT && self.recent.len() <= RECENT {
            self.recent.shrink_to(RECENT);
        }
    }

    /// Number of the newest event that was published; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.next - 1 - u64::try_from(self.pending.len()).unwrap_or(0)
    }

    pub(crate) fn recorded(&self) -> u64 {
        self.recorded
    }

    /// How many events are in memory.
    pub(crate) fn held(&self) -> usize {
        self.recent.len()
    }

    pub(crate) fn after(&self, since: u64, limit: usize) -> Recent {
        let first = self.recent.front().map_or(self.newest() + 1, |event| event.seq);
        if since + 1 < first {
            return Recent::Older(first);
        }
        let begin = self.recent.partition_point(|event| event.seq <= since);
        Recent::Events(self.recent.iter().skip(begin).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Commits succeed or fail; each event is committed once, in order, or told as lost once.
        #[test]
        fn each_event_is_recorded_or_told(turns in proptest::collection::vec((0_u64..3000, any::<bool>()), 1..20)) {
            let mut stream = Stream::new(1, 0);
            let (mut recorded, mut lost) = (Vec::new(), 0);
            for (count, works) in turns.into_iter().chain([(1, true)]) {
                for _ in 0..count {
                    stream.number(None, None, EventKind::Stopped {});
                }
                stream.publish();
                if works {
                    while let Some(last) = stream.unsaved(1000).last().map(|row| row.seq) {
                        let rows = stream.unsaved(1000);
                        recorded.extend(rows.iter().map(|row| row.seq));
                        stream.saved(rows.len(), last);
                    }
                    if let Some((from, to)) = stream.take_lost() {
                        lost += to - from + 1;
                        prop_assert!(!recorded.contains(&from) && !recorded.contains(&to));
                    }
                }
                stream.forget();
                let most = if works { RECENT } else { WAITING };
                prop_assert!(stream.held() <= most);
            }
            prop_assert!(recorded.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(recorded.len() as u64 + lost, stream.newest());
            prop_assert_eq!(stream.recorded(), stream.newest());
        }
    }
}

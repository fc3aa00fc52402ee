//! One log with what is decided of it: how much is kept, what happens beyond that, and what is said of a loss.

use std::time::{Duration, Instant};

use kennel_core::model::{LogSink, OnFull};
use kennel_logs::{Appended, Bounds, HEADER, Header, Kind, Log, Loss, Lost, Room, Stream};

use super::bucket::{Bucket, Flow};

/// How the output of a service is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keep {
    /// How much.
    pub(crate) bounds: Bounds,
    /// Whether closed segments are compressed.
    pub(crate) compress: bool,
    /// What happens beyond.
    pub(crate) on_full: OnFull,
    /// Bytes a second that it may write.
    pub(crate) rate: Option<u64>,
    /// Where it goes as well.
    pub(crate) to: Vec<LogSink>,
}

impl Default for Keep {
    fn default() -> Self {
        Self { bounds: Bounds::default(), compress: true, on_full: OnFull::DropOldest, rate: None, to: Vec::new() }
    }
}

/// Something that others should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Output cannot be written; told once until it can be again.
    Lost {
        /// Of the chunk that was the first.
        bytes: u64,
        /// What the system says.
        reason: String,
    },
    /// It can be written again.
    Recovered {
        /// How much was lost.
        lost_bytes: u64,
    },
    /// As much is kept as may be, and the policy of that holds now.
    Full {
        /// What follows.
        policy: OnFull,
        /// How much is kept, bytes.
        bytes: u64,
    },
    /// It writes faster than it may; told once until it has been silent for long enough.
    TooFast {
        /// How fast it writes, bytes a second.
        rate: u64,
        /// How fast it may.
        bound: u64,
        /// It waits in its write; otherwise what is too much is thrown away.
        waits: bool,
    },
    /// Somebody whom it is passed on to does not take it; told once until they do.
    SinkFailed {
        /// Who.
        to: String,
        /// Why.
        reason: String,
    },
    /// They take it again.
    SinkRecovered {
        /// Who.
        to: String,
        /// How much they have missed for good; 0: nothing, or nobody knows.
        lost_bytes: u64,
    },
}

/// What is to be done with what a pipe has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// Record at most so many bytes of it.
    Record(usize),
    /// Throw it away.
    Drop,
    /// Leave it there, and look again by then, or when there is room.
    Wait(Option<Duration>),
}

#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) log: Log,
    /// Pipes that write to it.
    pub(super) users: usize,
    keep: Keep,
    /// Bytes that could not be written since the last that could.
    failing: u64,
    /// Bytes that were thrown away since the last that was not.
    dropped: u64,
    is_full: bool,
    /// It was said that it is full, and nothing changed since.
    is_told: bool,
    bucket: Option<Bucket>,
}

impl Shelf {
    pub(super) fn new(log: Log) -> Self {
        let keep = Keep::default();
        Self { log, users: 0, keep, failing: 0, dropped: 0, is_full: false, is_told: false, bucket: None }
    }

    /// What holds from now on.
    pub(super) fn set(&mut self, keep: Keep) {
        if keep.rate != self.keep.rate {
            self.bucket = keep.rate.map(|rate| Bucket::new(rate, Instant::now()));
        }
        self.log.set_bounds(keep.bounds);
        (self.keep, self.is_told) = (keep, false);
        self.is_full = false;
    }

    pub(super) fn compresses(&self) -> bool {
        self.keep.compress
    }

    /// What may be taken of a pipe now, and what is to be said of it.
    pub(super) fn may_take(&mut self, now: Instant) -> (Take, Option<Notice>) {
        if self.is_full && self.waits() {
            return (Take::Wait(self.keep.bounds.max_age.map(|age| age / 8)), None);
        }
        let waits = self.waits();
        let Some(bucket) = &mut self.bucket else { return (Take::Record(usize::MAX), None) };
        match bucket.flow(waits, now) {
            Flow::Take(room) => (Take::Record(room), None),
            Flow::Enough(wait) if waits => (Take::Wait(Some(wait)), self.exceed(1, now)),
            Flow::Enough(_) => (Take::Drop, None),
        }
    }

    /// So much was thrown away, since it came too fast.
    pub(super) fn drop_bytes(&mut self, count: usize, now: Instant) -> Option<Notice> {
        self.dropped += count as u64;
        self.exceed(count, now)
    }

    fn exceed(&mut self, count: usize, now: Instant) -> Option<Notice> {
        let rate = self.bucket.as_mut()?.exceed(count, now)?;
        Some(Notice::TooFast { rate, bound: self.keep.rate?, waits: self.waits() })
    }

    /// Whether its service waits where nothing more may be taken.
    fn waits(&self) -> bool {
        self.keep.on_full == OnFull::Block
    }

    /// Before something is written: says in the log what is missing there. A notice if the disk takes it again.
    pub(super) fn settle(&mut self, run: u32, stream: Stream) -> Option<Notice> {
        if self.dropped > 0 && self.tell_lost(self.dropped, Loss::Rate, run, stream) {
            self.dropped = 0;
        }
        if self.failing > 0 && self.tell_lost(self.failing, Loss::Disk, run, stream) {
            return Some(Notice::Recovered { lost_bytes: std::mem::take(&mut self.failing) });
        }
        None
    }

    fn tell_lost(&mut self, bytes: u64, why: Loss, run: u32, stream: Stream) -> bool {
        let payload = Lost { bytes: Some(bytes), why }.encode();
        let mut buffer = [0; HEADER + 9];
        buffer[HEADER..].copy_from_slice(&payload);
        let header = Header { length: 9, time: 0, run, stream, kind: Kind::Lost, is_fresh: false };
        self.log.append(&mut buffer, header).error.is_none()
    }

    /// After so many bytes of a pipe were taken: what of it is lost, and what is to be said.
    pub(super) fn took(&mut self, count: usize, appended: &Appended, now: Instant) -> (usize, Option<Notice>) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(count, now);
        }
        let Some(error) = &appended.error else { return (0, None) };
        let lost = count.saturating_sub(appended.kept);
        let is_first = self.failing == 0 && lost > 0;
        self.failing += lost as u64;
        (lost, is_first.then(|| Notice::Lost { bytes: lost as u64, reason: reason(error) }))
    }

    /// After a segment was closed, or something may have been removed: whether there is room.
    pub(super) fn look_for_room(&mut self) -> Option<Notice> {
        let trims = self.keep.on_full == OnFull::DropOldest || (self.is_told && self.keep.on_full == OnFull::Stop);
        match self.log.make_room(trims) {
            Ok(room) => self.is_full = room == Room::Full && !trims,
            Err(error) => {
                tracing::warn!(%error, dir = %self.log.dir().display(), "cannot remove the oldest part of a log")
            }
        }
        if !self.is_full {
            self.is_told = false;
            return None;
        }
        let full = Notice::Full { policy: self.keep.on_full, bytes: self.keep.bounds.max_size };
        (!std::mem::replace(&mut self.is_told, true)).then_some(full)
    }
}

/// In the words of the system.
pub(super) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn shelf(dir: &std::path::Path, on_full: OnFull, rate: Option<u64>) -> Shelf {
        let mut shelf = Shelf::new(Log::new(dir, "web", Bounds::default()));
        let bounds = Bounds { max_size: 3000, max_age: None, segment_size: 1000 };
        shelf.set(Keep { bounds, compress: true, on_full, rate, to: Vec::new() });
        shelf
    }

    /// Writes until a notice comes, at most a hundred times.
    fn fill(shelf: &mut Shelf) -> Option<Notice> {
        for _ in 0..100 {
            let mut buffer = [b'x'; HEADER + 100];
            let header =
                Header { length: 100, time: 0, run: 1, stream: Stream::Out, kind: Kind::Data, is_fresh: false };
            let appended = shelf.log.append(&mut buffer, header);
            assert_eq!(shelf.took(100, &appended, Instant::now()), (0, None));
            if appended.closed
                && let Some(notice) = shelf.look_for_room()
            {
                return Some(notice);
            }
        }
        None
    }

    #[test]
    fn what_is_full_gives_way_waits_or_stops() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(fill(&mut shelf(&dir.path().join("a"), OnFull::DropOldest, None)), None);
        for (policy, take) in [(OnFull::Block, Take::Wait(None)), (OnFull::Stop, Take::Record(usize::MAX))] {
            let mut shelf = shelf(&dir.path().join(format!("{policy:?}")), policy, None);
            assert_eq!(fill(&mut shelf), Some(Notice::Full { policy, bytes: 3000 }));
            assert_eq!(shelf.may_take(Instant::now()), (take, None));
            // Said once, and over when there is room.
            assert_eq!(shelf.look_for_room(), None);
            shelf.set(Keep { bounds: Bounds { max_size: 1 << 20, ..shelf.keep.bounds }, ..shelf.keep.clone() });
            assert_eq!(shelf.look_for_room(), None);
            assert_eq!(shelf.may_take(Instant::now()).0, Take::Record(usize::MAX));
        }
    }

    #[test]
    fn what_is_too_fast_waits_or_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        for policy in [OnFull::DropOldest, OnFull::Block, OnFull::Stop] {
            let mut shelf = shelf(dir.path(), policy, Some(1000));
            assert_eq!(shelf.may_take(now), (Take::Record(2000), None));
            shelf.took(2000, &Appended::default(), now);
            let too_fast = |rate, waits| Some(Notice::TooFast { rate, bound: 1000, waits });
            let (take, notice) = shelf.may_take(now);
            if policy == OnFull::Block {
                assert!(matches!(take, Take::Wait(Some(_))), "{take:?}");
                assert_eq!(notice, too_fast(2001, true));
            } else {
                // Told when there was something to be thrown away, not before.
                assert_eq!((take, notice), (Take::Drop, None));
                assert_eq!(shelf.drop_bytes(3000, now), too_fast(5000, false));
                assert_eq!(shelf.drop_bytes(3000, now), None, "said once");
            }
            assert_eq!(shelf.may_take(now).1, None, "said once");
            assert_eq!(shelf.may_take(now + Duration::from_secs(60)), (Take::Record(2000), None));
        }
    }

    #[test]
    fn what_was_lost_is_said_where_it_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let mut shelf = shelf(dir.path(), OnFull::DropOldest, None);
        let full = || Appended { error: Some(std::io::ErrorKind::StorageFull.into()), kept: 3, closed: false };
        let (lost, notice) = shelf.took(10, &full(), Instant::now());
        assert!(lost == 7 && matches!(notice, Some(Notice::Lost { bytes: 7, .. })), "{notice:?}");
        assert_eq!(shelf.took(5, &full(), Instant::now()), (2, None));
        assert_eq!(shelf.settle(1, Stream::Out), Some(Notice::Recovered { lost_bytes: 9 }));
        assert_eq!(shelf.settle(1, Stream::Out), None);
        let mut reader = kennel_logs::Reader::new(dir.path(), kennel_logs::Query::default());
        let lines = reader.batch(10).lines;
        assert_eq!(lines[0].1.lost, Some(Lost { bytes: Some(9), why: Loss::Disk }));
    }
}

//! Those who follow events: what has just happened is fetched and encoded once for all of them, and where they are many each is told
//! at intervals, so that all together cost no more than so many writes a second.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use kennel_engine::Handle;
use kennel_wire::Event;

/// So many events are kept encoded.
const KEPT: usize = 1024;
/// Followers who are told at once.
const FEW: usize = 16;
/// What each of many waits for each of the others: all of them together are written to 25,000 times a second.
const EACH: Duration = Duration::from_micros(40);

/// Marks requests of connections that are no longer few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Many;

/// An event, and what it is sent as, once somebody has asked for that.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) event: Event,
    encoded: [OnceLock<Bytes>; 4],
}

impl Told {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, encoded: Default::default() }
    }

    /// In one of four forms, made the first time.
    pub(crate) fn encoded(&self, form: usize, make: impl FnOnce(&Event) -> Bytes) -> Bytes {
        match self.encoded.get(form) {
            Some(encoded) => encoded.get_or_init(|| make(&self.event)).clone(),
            None => make(&self.event),
        }
    }
}

/// Shared by all who follow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Followers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    ring: Mutex<Ring>,
    all: AtomicUsize,
    many: AtomicUsize,
}

/// All events after number `from` and up to `to`.
#[derive(Debug, Default)]
struct Ring {
    from: u64,
    to: u64,
    told: VecDeque<Arc<Told>>,
}

impl Ring {
    /// What follows `seen`, `limit` at most; none if that is not here.
    fn after(&self, seen: u64, limit: usize) -> Option<Vec<Arc<Told>>> {
        if seen < self.from || seen > self.to {
            return None;
        }
        let begin = self.told.partition_point(|told| told.event.seq <= seen);
        Some(self.told.iter().skip(begin).take(limit).map(Arc::clone).collect())
    }

    /// Takes in what follows `after`, unless somebody else has.
    fn extend(&mut self, after: u64, events: Vec<Event>) {
        if self.to != after {
            return;
        }
        for event in events {
            self.to = event.seq;
            self.told.push_back(Arc::new(Told::new(event)));
        }
        while self.told.len() > KEPT {
            self.from = self.told.pop_front().map_or(self.from, |told| told.event.seq);
        }
    }
}

impl Followers {
    /// One more, until the guard is dropped.
    pub(crate) fn begin(&self, is_one_of_many: bool) -> Following {
        self.0.all.fetch_add(1, Ordering::Relaxed);
        if is_one_of_many {
            self.0.many.fetch_add(1, Ordering::Relaxed);
        }
        Following { followers: self.clone(), is_one_of_many }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who follows.
#[derive(Debug)]
pub(crate) struct Following {
    followers: Followers,
    is_one_of_many: bool,
}

impl Following {
    /// Events after number `seen`, oldest first, `limit` at most; none if there is nothing newer.
    pub(crate) async fn after(&self, engine: &Handle, seen: u64, limit: usize) -> Vec<Arc<Told>> {
        let newest = engine.events().newest();
        let to = {
            let mut ring = self.followers.ring();
            // Not for somebody who has a long way to go: the others are ahead.
            if (seen > ring.to || ring.told.is_empty()) && newest - seen.min(newest) < KEPT as u64 {
                *ring = Ring { from: seen, to: seen, told: VecDeque::new() };
            }
            match ring.after(seen, limit) {
                Some(told) if !told.is_empty() || ring.to >= newest => return told,
                Some(_) => Some(ring.to),
                None => None,
            }
        };
        let events = engine.events().after(to.unwrap_or(seen), limit).await;
        let Some(to) = to else { return alone(events) };
        let mut ring = self.followers.ring();
        ring.extend(to, events.clone());
        ring.after(seen, limit).unwrap_or_else(|| alone(events))
    }

    /// How long after the last time this one is told again.
    pub(crate) fn pace(&self) -> Duration {
        let many = self.followers.0.many.load(Ordering::Relaxed);
        if !self.is_one_of_many || many <= FEW {
            return Duration::ZERO;
        }
        EACH.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX))
    }
}

/// For one reader alone.
pub(crate) fn alone(events: Vec<Event>) -> Vec<Arc<Told>> {
    events.into_iter().map(|event| Arc::new(Told::new(event))).collect()
}

impl Drop for Following {
    fn drop(&mut self) {
        let shared = &self.followers.0;
        if self.is_one_of_many {
            shared.many.fetch_sub(1, Ordering::Relaxed);
        }
        if shared.all.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.followers.ring() = Ring::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use kennel_wire::EventKind;

    use super::*;

    fn events(numbers: std::ops::RangeInclusive<u64>) -> Vec<Event> {
        let time = jiff::Timestamp::UNIX_EPOCH;
        numbers.map(|seq| Event { seq, time, service: None, instance: None, kind: EventKind::Stopped {} }).collect()
    }

    fn numbers(ring: &Ring, seen: u64, limit: usize) -> Option<Vec<u64>> {
        ring.after(seen, limit).map(|told| told.iter().map(|told| told.event.seq).collect())
    }

    #[test]
    fn what_is_kept_has_no_gap_and_is_told_where_it_begins() {
        let mut ring = Ring { from: 10, to: 10, told: VecDeque::new() };
        ring.extend(10, events(11..=13));
        ring.extend(10, events(11..=14));
        assert_eq!(numbers(&ring, 10, 9), Some(vec![11, 12, 13]), "nothing twice");
        ring.extend(13, events(14..=14));
        assert_eq!(numbers(&ring, 12, 9), Some(vec![13, 14]));
        assert_eq!(numbers(&ring, 10, 2), Some(vec![11, 12]));
        assert_eq!((numbers(&ring, 14, 9), numbers(&ring, 9, 9), numbers(&ring, 15, 9)), (Some(vec![]), None, None));
        let last = 14 + KEPT as u64;
        ring.extend(14, events(15..=last));
        assert_eq!((ring.told.len(), ring.from), (KEPT, 14));
        assert_eq!(numbers(&ring, 13, 9), None, "what is gone is read elsewhere");
        assert_eq!(numbers(&ring, 14, 1), Some(vec![15]));
    }

    #[test]
    fn an_event_is_encoded_once_in_each_form() {
        let told = Told::new(events(1..=1).remove(0));
        let one = told.encoded(0, |_| Bytes::from_static(b"one"));
        let again = told.encoded(0, |_| unreachable!("it is there"));
        assert_eq!((one, again), (Bytes::from_static(b"one"), Bytes::from_static(b"one")));
        assert_eq!(told.encoded(1, |_| Bytes::from_static(b"two")), "two");
    }

    #[test]
    fn many_are_told_at_intervals_and_a_few_at_once() {
        let followers = Followers::default();
        let near = followers.begin(false);
        let few: Vec<_> = (0..FEW).map(|_| followers.begin(true)).collect();
        assert_eq!(few[0].pace(), Duration::ZERO);
        let many: Vec<_> = (0..1000 - FEW).map(|_| followers.begin(true)).collect();
        assert_eq!((many[0].pace(), near.pace()), (Duration::from_millis(40), Duration::ZERO));
        drop(many);
        assert_eq!(few[0].pace(), Duration::ZERO);
    }
}

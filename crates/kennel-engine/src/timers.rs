//! All timers of the driver in one queue: one sleep for the earliest, none when nothing waits.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Timers by key; arming a key again replaces its time.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_time: BTreeSet<(Instant, u64)>,
    by_key: HashMap<K, (Instant, u64)>,
    keys: HashMap<u64, K>,
    next: u64,
}

impl<K: Clone + Eq + Hash> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: HashMap::new(), keys: HashMap::new(), next: 0 }
    }

    /// Arms or re-arms.
    pub(crate) fn arm(&mut self, key: K, at: Instant) {
        self.disarm(&key);
        let entry = (at, self.next);
        self.next += 1;
        self.by_time.insert(entry);
        self.keys.insert(entry.1, key.clone());
        self.by_key.insert(key, entry);
    }

    /// Arms, or keeps the earlier time of the two.
    pub(crate) fn arm_earlier(&mut self, key: K, at: Instant) {
        if self.by_key.get(&key).is_none_or(|(armed, _)| at < *armed) {
            self.arm(key, at);
        }
    }

    /// Forgets a timer; one that is not armed is no error.
    pub(crate) fn disarm(&mut self, key: &K) {
        if let Some(entry) = self.by_key.remove(key) {
            self.by_time.remove(&entry);
            self.keys.remove(&entry.1);
        }
    }

    /// When the earliest elapses.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one that has elapsed by `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        let entry = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&entry);
        let key = self.keys.remove(&entry.1)?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn elapse_in_order_and_only_once() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let mut timers = Timers::new();
        timers.arm("b", at(20));
        timers.arm("a", at(10));
        timers.arm("c", at(10));
        timers.arm("b", at(5));
        timers.disarm(&"c");
        timers.arm_earlier("a", at(15));
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.pop(at(1)), None);
        assert_eq!(timers.pop(at(30)), Some("b"));
        assert_eq!(timers.pop(at(30)), Some("a"));
        assert_eq!((timers.pop(at(30)), timers.next()), (None, None));
    }
}

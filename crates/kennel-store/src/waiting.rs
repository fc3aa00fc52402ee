//! Changes that are not committed yet: one for each thing, and bounded while nothing can be committed.

use std::collections::VecDeque;

use indexmap::IndexMap;

use crate::change::Change;

/// Receipts and entries of the audit that wait at most; beyond it the oldest go. More than any one turn makes.
const MOST: usize = 4096;

/// What a change is about. A later one replaces an earlier one of the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Project,
    Service(String),
    Slot(String),
    Run(u64),
    Receipt(String, u64),
    Owner(String),
    Lease(String),
    Meta(String),
}

/// A change and when it was made, in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) time: i64,
    pub(crate) change: Change,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_key: IndexMap<Key, Entry>,
    receipts: usize,
    /// They have no key: each is of its own.
    audit: VecDeque<Entry>,
    /// Receipts and entries of the audit that were too many to wait.
    lost: u64,
}

impl Waiting {
    pub(crate) fn add(&mut self, time: i64, change: Change) {
        let entry = Entry { time, change };
        let Some(key) = key(&entry.change) else {
            self.audit.push_back(entry);
            if self.audit.len() > MOST {
                self.audit.pop_front();
                self.lost += 1;
            }
            return;
        };
        let is_receipt = matches!(key, Key::Receipt(..));
        if self.by_key.insert(key, entry).is_none() && is_receipt {
            self.receipts += 1;
            self.bound_receipts();
        }
    }

    /// The oldest goes, rather one that is not the last of its service.
    fn bound_receipts(&mut self) {
        if self.receipts <= MOST {
            return;
        }
        let mut last = std::collections::HashSet::new();
        let (mut oldest, mut replaced) = (None, None);
        for key in self.by_key.keys().rev() {
            if let Key::Receipt(service, _) = key {
                oldest = Some(key);
                replaced = if last.insert(service) { replaced } else { Some(key) };
            }
        }
        if let Some(key) = replaced.or(oldest).cloned() {
            self.by_key.shift_remove(&key);
            self.receipts -= 1;
            self.lost += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.audit.is_empty() && self.lost == 0
    }

    /// In the order in which they came, those of the audit last.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.by_key.values().chain(&self.audit)
    }

    /// How many receipts and entries of the audit were too many to wait since the last call of [`Waiting::clear`].
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// They are committed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets removals of what was never recorded: things come and go while nothing can be committed, without an end.
    pub(crate) fn forget_removals(&mut self, is_recorded: impl Fn(&Key) -> bool) {
        self.by_key.retain(|key, entry| !removes(&entry.change) || is_recorded(key));
    }
}

fn key(change: &Change) -> Option<Key> {
    Some(match change {
        Change::Project(_) => Key::Project,
        Change::Service { name, .. } => Key::Service(name.clone()),
        Change::Slot { name, .. } => Key::Slot(name.clone()),
        Change::Run { id, .. } => Key::Run(*id),
        Change::Receipt { service, instance, .. } => Key::Receipt(service.clone(), *instance),
        Change::Owner { name, .. } => Key::Owner(name.clone()),
        Change::Lease { id, .. } => Key::Lease(id.clone()),
        Change::Meta { key, .. } => Key::Meta(key.clone()),
        Change::Audit { .. } => return None,
    })
}

fn removes(change: &Change) -> bool {
    match change {
        Change::Project(body)
        | Change::Service { body, .. }
        | Change::Slot { body, .. }
        | Change::Run { body, .. }
        | Change::Owner { body, .. }
        | Change::Lease { body, .. }
        | Change::Meta { body, .. } => body.is_none(),
        Change::Receipt { .. } | Change::Audit { .. } => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use kennel_wire::{Exit, Receipt, StopReason};
    use serde_json::json;

    pub(crate) fn receipt(service: &str, instance: u64) -> Change {
        let receipt = Receipt {
            service: service.into(),
            instance,
            scope: String::new(),
            boot_id: String::new(),
            reason: StopReason::Requested,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: 0,
            exit: Exit::Unknown,
            stages: Vec::new(),
            processes: Vec::new(),
            left: 0,
            survivors: Vec::new(),
        };
        Change::Receipt { service: service.into(), instance, receipt: Box::new(receipt) }
    }

    fn slot(name: &str, body: Option<u64>) -> Change {
        Change::Slot { name: name.into(), body: body.map(|body| json!(body)) }
    }

    #[test]
    fn a_later_change_replaces_an_earlier_one_of_the_same_thing() {
        let mut waiting = Waiting::default();
        waiting.add(1, slot("a", Some(1)));
        waiting.add(2, slot("b", Some(2)));
        waiting.add(3, Change::Service { name: "a".into(), body: None });
        waiting.add(4, slot("a", Some(3)));
        let left: Vec<Change> = waiting.entries().map(|entry| entry.change.clone()).collect();
        assert_eq!(left, [slot("a", Some(3)), slot("b", Some(2)), Change::Service { name: "a".into(), body: None }]);
        waiting.forget_removals(|key| *key != Key::Service("a".into()));
        assert_eq!(waiting.entries().count(), 2);
        waiting.clear();
        assert!(waiting.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_the_last_receipt_of_a_service_goes_last() {
        let mut waiting = Waiting::default();
        waiting.add(0, receipt("rare", 1));
        for instance in 2..10_000 {
            waiting.add(0, receipt("often", instance));
            waiting.add(
                0,
                Change::Audit {
                    actor: "a".into(),
                    action: "b".into(),
                    subject: instance.to_string(),
                    outcome: "c".into(),
                },
            );
        }
        assert_eq!(waiting.entries().count(), 2 * MOST);
        assert_eq!(waiting.lost(), 2 * (9999 - MOST as u64) - 1);
        let has = |service: &str, instance| waiting.entries().any(|entry| entry.change == receipt(service, instance));
        assert!(has("rare", 1) && has("often", 9999) && !has("often", 2));
        let last = waiting.entries().last().unwrap();
        assert!(matches!(&last.change, Change::Audit { subject, .. } if subject == "9999"));
    }
}

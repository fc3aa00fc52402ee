//! Changes that are not committed yet: one for each thing, and bounded while nothing can be committed.

use std::collections::{BTreeMap, HashMap, VecDeque};

use indexmap::IndexMap;

use crate::change::Change;

/// Receipts that wait at most, and entries of the audit; beyond it the oldest go. More than any one turn makes.
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
    Webhook(String),
    Delivery(String),
    Payload(String),
}

/// A change and when it was made, in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) time: i64,
    pub(crate) change: Change,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    state: IndexMap<Key, Entry>,
    receipts: Receipts,
    audit: VecDeque<Entry>,
    /// Receipts and entries of the audit that were too many to wait.
    lost: u64,
}

/// How much of what waits is committed at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) state: bool,
    pub(crate) events: usize,
    pub(crate) receipts: usize,
    pub(crate) audit: usize,
}

impl Part {
    pub(crate) const ALL: Self = Self { state: true, events: usize::MAX, receipts: usize::MAX, audit: usize::MAX };
    pub(crate) const NONE: Self = Self { state: false, events: 0, receipts: 0, audit: 0 };
}

impl Waiting {
    pub(crate) fn add(&mut self, time: i64, change: Change) {
        let entry = Entry { time, change };
        match key(&entry.change) {
            Some(Key::Receipt(service, instance)) => self.lost += self.receipts.add(service, instance, entry),
            Some(key) => drop(self.state.insert(key, entry)),
            None => {
                self.audit.push_back(entry);
                if self.audit.len() > MOST {
                    self.audit.pop_front();
                    self.lost += 1;
                }
            }
        }
    }

    /// How many rows it is.
    pub(crate) fn count(&self) -> usize {
        self.state.len() + self.history()
    }

    /// How many of them are receipts and entries of the audit.
    pub(crate) fn history(&self) -> usize {
        self.receipts.entries.len() + self.audit.len()
    }

    /// In the order in which they came, those of the audit last.
    pub(crate) fn entries(&self, part: Part) -> impl Iterator<Item = &Entry> {
        let state = self.state.values().take(if part.state { usize::MAX } else { 0 });
        state.chain(self.receipts.entries.values().take(part.receipts)).chain(self.audit.iter().take(part.audit))
    }

    /// It is committed.
    pub(crate) fn committed(&mut self, part: Part) {
        if part.state {
            self.state.clear();
        }
        self.receipts.remove_first(part.receipts);
        self.audit.drain(..part.audit.min(self.audit.len()));
    }

    /// How many receipts and entries of the audit were lost since this was asked last.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Forgets removals of what was never recorded: things come and go while nothing can be committed, without an end.
    pub(crate) fn forget_removals(&mut self, is_recorded: impl Fn(&Key) -> bool) {
        self.state.retain(|key, entry| !removes(&entry.change) || is_recorded(key));
    }
}

/// Receipts in the order in which they came; one that comes again comes last, for the newest of a service is the one
/// that is recorded last.
#[derive(Debug, Default)]
struct Receipts {
    entries: BTreeMap<u64, Entry>,
    places: HashMap<(String, u64), u64>,
    /// The last of each service.
    last: HashMap<String, u64>,
    next: u64,
}

impl Receipts {
    /// How many went in exchange, because there are too many.
    fn add(&mut self, service: String, instance: u64, entry: Entry) -> u64 {
        let place = self.next;
        self.next += 1;
        self.last.insert(service.clone(), place);
        if let Some(replaced) = self.places.insert((service, instance), place) {
            self.entries.remove(&replaced);
        }
        self.entries.insert(place, entry);
        if self.entries.len() <= MOST {
            return 0;
        }
        // The oldest, but rather one that is not the last of its service.
        let is_last = |place: u64, entry: &Entry| match &entry.change {
            Change::Receipt { service, .. } => self.last.get(service) == Some(&place),
            _ => false,
        };
        let older = self.entries.iter().find(|(place, entry)| !is_last(**place, entry));
        if let Some(place) = older.or(self.entries.first_key_value()).map(|(place, _)| *place) {
            self.remove(place);
        }
        1
    }

    fn remove_first(&mut self, count: usize) {
        if count >= self.entries.len() {
            *self = Self::default();
            return;
        }
        let first: Vec<u64> = self.entries.keys().take(count).copied().collect();
        first.into_iter().for_each(|place| self.remove(place));
    }

    fn remove(&mut self, place: u64) {
        let Some(Entry { change: Change::Receipt { service, instance, .. }, .. }) = self.entries.remove(&place) else {
            return;
        };
        if self.last.get(&service) == Some(&place) {
            self.last.remove(&service);
        }
        self.places.remove(&(service, instance));
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
        Change::Webhook { name, .. } => Key::Webhook(name.clone()),
        Change::Delivery { id, .. } => Key::Delivery(id.clone()),
        Change::Payload { id, .. } => Key::Payload(id.clone()),
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
        | Change::Meta { body, .. }
        | Change::Webhook { body, .. }
        | Change::Delivery { body, .. }
        | Change::Payload { body, .. } => body.is_none(),
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
            out_of_memory: None,
            limit: None,
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
        let left: Vec<Change> = waiting.entries(Part::ALL).map(|entry| entry.change.clone()).collect();
        assert_eq!(left, [slot("a", Some(3)), slot("b", Some(2)), Change::Service { name: "a".into(), body: None }]);
        waiting.add(5, receipt("web", 1));
        waiting.add(6, receipt("web", 2));
        waiting.add(7, receipt("web", 1));
        let times = |waiting: &Waiting| waiting.entries(Part::ALL).map(|entry| entry.time).collect::<Vec<_>>();
        assert_eq!(times(&waiting), [4, 2, 3, 6, 7], "in place, or anew");
        waiting.forget_removals(|key| *key != Key::Service("a".into()));
        assert_eq!(times(&waiting), [4, 2, 6, 7]);
        waiting.committed(Part { state: true, receipts: 1, ..Part::NONE });
        assert_eq!((times(&waiting), waiting.count()), (vec![7], 1));
        waiting.committed(Part::ALL);
        assert_eq!(waiting.count(), 0);
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
        assert_eq!((waiting.count(), waiting.history()), (2 * MOST, 2 * MOST));
        assert_eq!(waiting.take_lost(), 2 * (9999 - MOST as u64) - 1);
        let entries: Vec<&Entry> = waiting.entries(Part::ALL).collect();
        let has = |service: &str, instance| entries.iter().any(|entry| entry.change == receipt(service, instance));
        assert!(has("rare", 1) && has("often", 9999) && !has("often", 2));
        let last = entries.last().unwrap();
        assert!(matches!(&last.change, Change::Audit { subject, .. } if subject == "9999"));
    }
}

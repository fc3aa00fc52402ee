//! What a kennel has recorded, for tests that wait for it.

use std::time::Duration;

use serde_json::Value;

use crate::{Scratch, wait_for};

/// Longer than anything that is waited for takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

impl Scratch {
    /// Recorded events of this kind, oldest first.
    #[must_use]
    pub fn events(&self, kind: &str) -> Vec<Value> {
        self.recorded().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// Those about one service.
    #[must_use]
    pub fn events_of(&self, service: &str, kind: &str) -> Vec<Value> {
        self.events(kind).into_iter().filter(|event| event["service"] == service).collect()
    }

    /// Waits for an event of this kind; gives the newest.
    ///
    /// # Panics
    /// If none comes within a minute.
    #[must_use]
    pub fn wait_event(&self, kind: &str) -> Value {
        wait_for(DEADLINE, kind, || self.events(kind).pop())
    }

    /// Waits until there are so many events of this kind about a service; gives them.
    ///
    /// # Panics
    /// If that takes more than a minute.
    pub fn wait_events(&self, service: &str, kind: &str, count: usize) -> Vec<Value> {
        wait_for(DEADLINE, &format!("{count} {kind} of `{service}`"), || {
            Some(self.events_of(service, kind)).filter(|events| events.len() >= count)
        })
    }
}

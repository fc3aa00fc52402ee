//! Who is told on a desktop.

use serde::{Deserialize, Serialize};

use super::webhook::{Webhook, takes};

/// Where people are told of events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notify {
    /// On the desktop of the user.
    #[serde(default)]
    pub desktop: Option<Chosen>,
}

/// Events that somebody wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Which, never empty: `service.failed`, or a beginning with a `*` behind it.
    pub events: Vec<String>,
    /// Services or replicas that they must be about; empty: whatever they are about.
    pub services: Vec<String>,
}

impl Chosen {
    /// Whether an event of this kind is meant, about this service or place if it is about one.
    #[must_use]
    pub fn takes(&self, kind: &str, service: Option<&str>) -> bool {
        takes(&self.events, &self.services, kind, service)
    }
}

impl Default for Chosen {
    /// What somebody may have to do something about.
    fn default() -> Self {
        Self { events: Webhook::USUAL.map(str::to_owned).to_vec(), services: Vec::new() }
    }
}

//! Where events are sent to.

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::delivery::Limits;

/// A receiver of events over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// `http://` or `https://`, without a user or a fragment. Its path and query may be a secret.
    pub url: String,
    /// Which events, never empty: `service.failed`, or a beginning with a `*` behind it.
    pub events: Vec<String>,
    /// Services or replicas that they must be about; empty: whatever they are about.
    pub services: Vec<String>,
    /// What messages are signed with.
    pub secret: Secret,
    /// Sent with each message, by name. Values may be secrets.
    pub headers: IndexMap<String, Text>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How often and for how long it is tried.
    pub limits: Limits,
    /// Certificates that are trusted in place of the machine's: an absolute path.
    pub ca_file: Option<PathBuf>,
}

/// Where a secret is. The secret itself is in no model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// Made and kept by kennel.
    Generated,
    /// In this variable of the environment that the configuration was loaded with.
    Env(String),
    /// In this file: an absolute path.
    File(PathBuf),
}

/// A text that may be somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Text {
    /// This one.
    Plain(String),
    /// As of a [`Secret`].
    Env(String),
    /// As of a [`Secret`], without the line break at its end.
    File(PathBuf),
}

/// Every kind of event, sorted. That it is all of them is held by a test of `kennel-server`, which knows the events.
pub const KINDS: &[&str] = &[
    "alert.cleared",
    "alert.escalated",
    "alert.raised",
    "config.reloaded",
    "daemon.handover_failed",
    "daemon.panicked",
    "daemon.recovered",
    "daemon.replaced",
    "daemon.started",
    "daemon.terminated",
    "event.unreadable",
    "instance.activity",
    "instance.adopted",
    "instance.down",
    "instance.escaped",
    "instance.exited",
    "instance.frozen",
    "instance.health",
    "instance.limit",
    "instance.oom",
    "instance.ready",
    "instance.started",
    "instance.stopping",
    "instance.stuck",
    "instance.thawed",
    "instance.unhealthy",
    "keeper.lost",
    "lease.lost",
    "lease.taken",
    "logs.bound",
    "logs.lost",
    "logs.recovered",
    "logs.sink_failed",
    "logs.sink_recovered",
    "orphan.found",
    "orphan.killed",
    "owner.ended",
    "owner.grace",
    "owner.held",
    "owner.opened",
    "restart.scheduled",
    "schedule.armed",
    "schedule.fired",
    "schedule.skipped",
    "service.completed",
    "service.failed",
    "service.given_up",
    "service.pending",
    "service.stopped",
    "shutdown.completed",
    "stop.stage",
    "store.recovered",
    "storm.brake",
    "watch.begun",
    "watch.blind",
    "watch.changed",
    "watch.failed",
    "watch.held",
    "webhook.dead",
    "webhook.disabled",
    "zombies.found",
];

impl Webhook {
    /// What a webhook hears of unless it says so: what somebody may have to do something about.
    pub const USUAL: [&str; 8] = [
        "service.failed",
        "service.given_up",
        "instance.stuck",
        "instance.oom",
        "instance.unhealthy",
        "alert.raised",
        "daemon.panicked",
        "keeper.lost",
    ];

    /// Whether an event of this kind is to be sent, about this service or place if it is about one.
    #[must_use]
    pub fn takes(&self, kind: &str, service: Option<&str>) -> bool {
        takes(&self.events, &self.services, kind, service)
    }
}

/// Whether one of these patterns means an event, and one of these services, if there are any, is what it is about.
pub(super) fn takes(events: &[String], services: &[String], kind: &str, service: Option<&str>) -> bool {
    events.iter().any(|pattern| matches(pattern, kind))
        && (services.is_empty() || service.is_some_and(|name| services.iter().any(|wanted| is_of(name, wanted))))
}

/// Whether a kind is one of those that a pattern means.
#[must_use]
pub fn matches(pattern: &str, kind: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == kind, |begin| kind.starts_with(begin))
}

/// A service is meant with all its replicas: its own name has no dot.
#[must_use]
pub fn is_of(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_chosen_by_kind_and_service() {
        let hook = |events: &[&str], services: &[&str]| Webhook {
            url: "http://localhost".to_owned(),
            events: events.iter().map(|&one| one.to_owned()).collect(),
            services: services.iter().map(|&one| one.to_owned()).collect(),
            secret: Secret::Generated,
            headers: IndexMap::new(),
            timeout: Duration::from_secs(1),
            limits: Limits::default(),
            ca_file: None,
        };
        assert!(hook(&["service.*"], &[]).takes("service.failed", Some("web")));
        assert!(hook(&["*"], &[]).takes("keeper.lost", None));
        assert!(!hook(&["service.fail"], &[]).takes("service.failed", None), "a name is a whole name");
        assert!(!hook(&["instance.*", "alert.raised"], &[]).takes("service.failed", None));
        let web = hook(&["*"], &["web"]);
        assert!(web.takes("service.failed", Some("web.2")) && !web.takes("service.failed", Some("web2")));
        assert!(!web.takes("keeper.lost", None), "one that is about no service");
    }
}

//! What the daemon has recorded: chosen events, and the audit.

use hyper::Method;
use kennel_wire::{AuditEntry, DashboardEvent, Event};

use crate::http::encode;
use crate::{CallError, Daemon, Lines};

/// Which events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventQuery {
    /// Only those after this number.
    pub since: u64,
    /// Of the past, only the last so many; none: all.
    pub tail: Option<u64>,
    /// Names of services or replicas; empty: whatever it concerns.
    pub services: Vec<String>,
    /// What names of events begin with; empty: all.
    pub kinds: Vec<String>,
    /// Go on with new events until the daemon ends.
    pub follow: bool,
}

impl EventQuery {
    fn target(&self, names: &str) -> String {
        let mut parts = vec![format!("since={}", self.since), format!("names={names}")];
        parts.extend(self.tail.map(|tail| format!("tail={tail}")));
        parts.extend(self.services.iter().map(|name| format!("service={}", encode(name))));
        parts.extend(self.kinds.iter().map(|kind| format!("kind={}", encode(kind))));
        parts.push(format!("follow={}", self.follow));
        format!("/v1/events?{}", parts.join("&"))
    }
}

/// Which entries of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// At most so many, the newest; none: the daemon's choice.
    pub limit: Option<u64>,
    /// Only those at or after this RFC 3339 time.
    pub since: Option<String>,
    /// Only those about this subject.
    pub subject: Option<String>,
}

impl AuditQuery {
    fn target(&self) -> String {
        let limit = self.limit.map(|limit| format!("limit={limit}"));
        let since = self.since.as_ref().map(|since| format!("since={}", encode(since)));
        let subject = self.subject.as_ref().map(|subject| format!("subject={}", encode(subject)));
        let parts: Vec<String> = [limit, since, subject].into_iter().flatten().collect();
        format!("/v1/audit?{}", parts.join("&"))
    }
}

impl Daemon {
    /// Events, chosen by the daemon.
    ///
    /// # Errors
    /// `bad_request` from a daemon that cannot choose.
    pub async fn chosen_events(&self, query: &EventQuery) -> Result<Lines<Event>, CallError> {
        let target = query.target("kennel");
        Ok(Lines::new(self.stream(Method::GET, &target, Vec::new()).await?))
    }

    /// The same under the names of the dashboard family.
    ///
    /// # Errors
    /// As for [`Daemon::chosen_events`].
    pub async fn dashboard_events(&self, query: &EventQuery) -> Result<Lines<DashboardEvent>, CallError> {
        let target = query.target("dashboard");
        Ok(Lines::new(self.stream(Method::GET, &target, Vec::new()).await?))
    }

    /// Who asked for what, the newest last.
    ///
    /// # Errors
    /// `bad_request`; `internal` if the store cannot be read.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, CallError> {
        self.call(Method::GET, &query.target(), Vec::new()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        let query = EventQuery {
            tail: Some(2),
            services: vec!["a&b".into()],
            kinds: vec!["x.".into()],
            ..EventQuery::default()
        };
        assert_eq!(query.target("kennel"), "/v1/events?since=0&names=kennel&tail=2&service=a%26b&kind=x.&follow=false");
        let query = AuditQuery { limit: Some(3), since: None, subject: Some("a b".into()) };
        assert_eq!(query.target(), "/v1/audit?limit=3&subject=a%20b");
    }
}

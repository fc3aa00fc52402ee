//! Which events a reader wants, and under which names.

use std::collections::VecDeque;

use axum::body::Bytes;
use kennel_engine::Events;
use kennel_wire::{DashboardEvent, Event};

use crate::query::{pairs, unknown};
use crate::reply::{Refusal, bad_request};
use crate::streams::{BATCH, to_lines};

/// Most events of the past that `tail` may ask for: as many as the store keeps.
const MOST: usize = 100_000;

/// The query of `GET /v1/events`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Number of the last event already known; beyond the newest means "from now".
    pub(crate) since: u64,
    pub(crate) follow: bool,
    /// Of the past, only so many; none: all.
    pub(crate) tail: Option<usize>,
    /// Services or replicas; empty: whatever it concerns.
    services: Vec<String>,
    /// What names begin with; empty: all.
    kinds: Vec<String>,
    /// Under the names of the dashboard family.
    dashboard: bool,
}

impl Choice {
    /// # Errors
    /// `bad_request`, with what is not understood.
    pub(crate) fn read(raw: Option<&str>) -> Result<Self, Refusal> {
        let mut choice = Self::default();
        for (key, value) in pairs(raw)? {
            match key {
                "since" => {
                    choice.since = value.parse().map_err(|_| bad_request("`since` is the number of an event"))?
                }
                "follow" => choice.follow = value.parse().map_err(|_| bad_request("`follow` is true or false"))?,
                "tail" => {
                    let tail: usize = value.parse().map_err(|_| bad_request("`tail` is a number"))?;
                    choice.tail = Some(tail.min(MOST));
                }
                "service" => choice.services.push(value),
                "kind" => choice.kinds.push(value),
                "names" => {
                    choice.dashboard = match value.as_str() {
                        "kennel" => false,
                        "dashboard" => true,
                        other => return Err(bad_request(format!("`names` is kennel or dashboard, not `{other}`"))),
                    }
                }
                other => return Err(unknown(other, &["since", "follow", "tail", "service", "kind", "names"])),
            }
        }
        Ok(choice)
    }

    /// Those that are wanted as lines of the answer; nothing where none is.
    pub(crate) fn lines(&self, events: &[Event]) -> Bytes {
        if self.dashboard {
            let lines: Vec<DashboardEvent> = events.iter().flat_map(|event| self.shown(event)).collect();
            to_lines(&lines)
        } else {
            let events: Vec<&Event> = events.iter().filter(|event| self.takes(event)).collect();
            to_lines(&events)
        }
    }

    /// The last events before `end` and itself that are wanted, oldest first, as many as `tail` says.
    pub(crate) async fn last(&self, events: &Events, end: u64, tail: usize) -> Vec<Event> {
        let mut found = VecDeque::new();
        let mut end = end;
        while end > self.since && found.len() < tail {
            let begin = end.saturating_sub(BATCH as u64).max(self.since);
            let mut page = events.after(begin, BATCH).await;
            page.retain(|event| event.seq <= end);
            if page.is_empty() {
                // All that is older was removed for its age.
                break;
            }
            let wanted = page.into_iter().rev().filter(|event| self.takes(event)).take(tail - found.len());
            wanted.for_each(|event| found.push_front(event));
            end = begin;
        }
        found.into()
    }

    fn takes(&self, event: &Event) -> bool {
        if self.dashboard {
            !self.shown(event).is_empty()
        } else {
            self.concerns(event) && self.names(event.kind.name())
        }
    }

    fn shown(&self, event: &Event) -> Vec<DashboardEvent> {
        if self.concerns(event) { DashboardEvent::chosen(event, |kind| self.names(kind.name())) } else { Vec::new() }
    }

    fn names(&self, name: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// A service is meant with all its replicas: its own name has no dot.
    fn concerns(&self, event: &Event) -> bool {
        let is_of = |name: &str, wanted: &str| {
            name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.services.is_empty()
            || event.service.as_deref().is_some_and(|name| self.services.iter().any(|wanted| is_of(name, wanted)))
    }
}

#[cfg(test)]
mod tests {
    use kennel_wire::EventKind;

    use super::*;

    fn read(raw: &str) -> Choice {
        Choice::read(Some(raw)).unwrap_or_else(|refusal| panic!("{raw}: {}", refusal.0))
    }

    fn event(service: Option<&str>, kind: EventKind) -> Event {
        let time = jiff::Timestamp::UNIX_EPOCH;
        Event { seq: 7, time, service: service.map(str::to_owned), instance: None, kind }
    }

    #[test]
    fn queries_are_read_or_refused() {
        let choice = read("since=5&follow=true&tail=3&service=web&service=a%2E2&kind=instance.&names=dashboard");
        let services = vec!["web".to_owned(), "a.2".to_owned()];
        let kinds = vec!["instance.".to_owned()];
        let all = Choice { since: 5, follow: true, tail: Some(3), services, kinds, dashboard: true };
        assert_eq!(choice, all);
        assert_eq!(read(""), Choice::default());
        assert_eq!(read("tail=999999999").tail, Some(MOST), "memory stays bounded");
        for bad in ["since=x", "since=-1", "follow=maybe", "tail=x", "names=theirs", "colour=red", "service=%f"] {
            assert!(Choice::read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_service_is_meant_with_its_replicas() {
        let choice = read("service=web");
        for (name, wanted) in [("web", true), ("web.2", true), ("web2", false), ("we", false), ("a.web", false)] {
            assert_eq!(choice.takes(&event(Some(name), EventKind::Stopped {})), wanted, "{name}");
        }
        assert!(!choice.takes(&event(None, EventKind::KeeperLost {})), "one that concerns no service");
        assert!(!read("service=web.2").takes(&event(Some("web.1"), EventKind::Stopped {})));
    }

    #[test]
    fn kinds_speak_of_the_names_that_are_shown() {
        let stopped = event(Some("web"), EventKind::Stopped {});
        assert!(read("kind=service.").takes(&stopped) && !read("kind=instance.").takes(&stopped));
        assert!(!read("kind=service.&names=dashboard").takes(&stopped));
        let lines = read("kind=serverS&names=dashboard").lines(std::slice::from_ref(&stopped));
        let text = String::from_utf8_lossy(&lines).into_owned();
        assert!(text.contains("\"serverStopped\"") && !text.contains("statusChange"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains("more"), "nothing that is shown follows: {text}");
        assert!(read("names=dashboard").lines(&[event(None, EventKind::KeeperLost {})]).is_empty());
    }
}

//! Which events a reader wants, and under which names.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use kennel_engine::Events;
use kennel_wire::{DashboardEvent, Event};

use crate::followers::Told;
use crate::query::{pairs, unknown};
use crate::reply::{Refusal, bad_request};
use crate::sse;
use crate::streams::{BATCH, to_lines};

/// Most events of the past that `tail` may ask for: as many as the store keeps.
const MOST: usize = 100_000;

/// The query of `GET /v1/events`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Number of the last event already known; beyond the newest means "from now".
    since: Option<u64>,
    pub(crate) follow: bool,
    /// Of the past, only so many; none: all.
    pub(crate) tail: Option<usize>,
    /// Services or replicas; empty: whatever it concerns.
    services: Vec<String>,
    /// What names begin with; empty: all.
    kinds: Vec<String>,
    /// Under the names of the dashboard family.
    dashboard: bool,
    /// As server-sent events instead of lines.
    pub(crate) sse: bool,
}

impl Choice {
    /// The choice of a query, which goes on from `newest` as server-sent events if the headers ask for these: after
    /// `Last-Event-ID`, else after `since`, else with what comes.
    ///
    /// # Errors
    /// `bad_request`, with what is not understood.
    pub(crate) fn of(raw: Option<&str>, headers: &HeaderMap, newest: u64) -> Result<Self, Refusal> {
        let mut choice = Self::read(raw)?;
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        choice.sse = accept.is_some_and(|accept| accept.contains("text/event-stream"));
        if !choice.sse {
            return Ok(choice);
        }
        choice.follow = true;
        match headers.get("last-event-id") {
            Some(id) => {
                let id = id.to_str().ok().and_then(|id| id.parse().ok());
                choice.since = Some(id.ok_or_else(|| bad_request("`Last-Event-ID` is the number of an event"))?);
                // What was asked for at the first time was given then.
                choice.tail = None;
            }
            None if choice.tail.is_none() => choice.since = choice.since.or(Some(newest)),
            None => {}
        }
        Ok(choice)
    }

    /// # Errors
    /// `bad_request`, with what is not understood.
    fn read(raw: Option<&str>) -> Result<Self, Refusal> {
        let mut choice = Self::default();
        for (key, value) in pairs(raw)? {
            match key {
                "since" => {
                    choice.since = Some(value.parse().map_err(|_| bad_request("`since` is the number of an event"))?);
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

    /// Number of the last event that is known already: none is unless it is said.
    pub(crate) fn since(&self) -> u64 {
        self.since.unwrap_or(0)
    }

    /// Those that are wanted, as they are answered; nothing where none is.
    pub(crate) fn encode(&self, events: &[Arc<Told>]) -> Bytes {
        let mut parts = events.iter().filter_map(|told| self.one(told)).filter(|one| !one.is_empty());
        let (Some(first), second) = (parts.next(), parts.next()) else { return Bytes::new() };
        let Some(second) = second else { return first };
        let mut out = Vec::from(first);
        out.extend_from_slice(&second);
        parts.for_each(|one| out.extend_from_slice(&one));
        out.into()
    }

    /// One as it is answered, the same bytes for all who want it like this.
    fn one(&self, told: &Told) -> Option<Bytes> {
        let event = &told.event;
        // What is shown of it under the names of others differs with the kinds that are wanted.
        let is_own_choice = self.dashboard && !self.kinds.is_empty();
        if !self.concerns(event) || !(self.dashboard || self.names(event.kind.name())) {
            return None;
        }
        let form = usize::from(self.sse) + 2 * usize::from(self.dashboard);
        Some(if is_own_choice { self.form(event) } else { told.encoded(form, |event| self.form(event)) })
    }

    /// The number stands behind all that is shown of an event: who resumes there misses nothing.
    fn form(&self, event: &Event) -> Bytes {
        let mut out = Vec::new();
        match (self.sse, self.dashboard) {
            (true, true) => {
                for one in self.shown(event) {
                    sse::push(&mut out, (!one.more).then_some(event.seq), one.kind.name(), &one);
                }
            }
            (true, false) => sse::push(&mut out, Some(event.seq), event.kind.name(), event),
            (false, true) => return to_lines(&self.shown(event)),
            (false, false) => return to_lines(std::slice::from_ref(event)),
        }
        out.into()
    }

    /// The last events before `end` and itself that are wanted, oldest first, as many as `tail` says.
    pub(crate) async fn last(&self, events: &Events, end: u64, tail: usize) -> Vec<Event> {
        let mut found = VecDeque::new();
        let mut end = end;
        while end > self.since() && found.len() < tail {
            let begin = end.saturating_sub(BATCH as u64).max(self.since());
            let page = between(events, begin, end).await;
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

/// All events after number `begin`, up to `end` and itself. One answer may end earlier: what was recorded before this daemon and what
/// it has in memory come one after the other.
async fn between(events: &Events, begin: u64, end: u64) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let seen = all.last().map_or(begin, |event| event.seq);
        if seen >= end {
            break;
        }
        let page = events.after(seen, BATCH).await;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    all.retain(|event| event.seq <= end);
    all
}

#[cfg(test)]
mod tests {
    use kennel_wire::EventKind;

    use super::*;
    use crate::followers::alone;

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
        let all = Choice {
            since: Some(5),
            follow: true,
            tail: Some(3),
            services,
            kinds,
            dashboard: true,
            ..Choice::default()
        };
        assert_eq!(choice, all);
        assert_eq!(read(""), Choice::default());
        assert_eq!(read("tail=999999999").tail, Some(MOST), "memory stays bounded");
        for bad in ["since=x", "since=-1", "follow=maybe", "tail=x", "names=theirs", "colour=red", "service=%f"] {
            assert!(Choice::read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_wants_server_sent_events_goes_on_where_it_was() {
        let of = |raw, accept: &'static str, last: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(accept));
            last.into_iter()
                .for_each(|last| drop(headers.insert("last-event-id", header::HeaderValue::from_static(last))));
            Choice::of(Some(raw), &headers, 100).map(|choice| (choice.sse, choice.follow, choice.since(), choice.tail))
        };
        let of = |raw, accept, last| of(raw, accept, last).map_err(|refusal| refusal.0.detail);
        assert_eq!(of("", "*/*", Some("7")), Ok((false, false, 0, None)));
        assert_eq!(of("", "text/event-stream", None), Ok((true, true, 100, None)));
        assert_eq!(of("since=5", "text/event-stream", None), Ok((true, true, 5, None)));
        assert_eq!(of("tail=3", "text/event-stream", None), Ok((true, true, 0, Some(3))));
        assert_eq!(of("tail=3&since=5", "text/event-stream", Some("7")), Ok((true, true, 7, None)));
        assert!(of("", "text/event-stream", Some("x")).is_err());
    }

    #[test]
    fn an_event_has_its_number_behind_all_of_it() {
        let stopped = event(Some("web"), EventKind::Stopped {});
        let text = |raw| {
            let choice = Choice { sse: true, ..read(raw) };
            String::from_utf8(choice.encode(&alone(vec![stopped.clone()])).to_vec()).unwrap_or_default()
        };
        let one = text("");
        assert!(one.starts_with("id: 7\nevent: service.stopped\ndata: {\"seq\":7,") && one.ends_with("}\n\n"), "{one}");
        let several = text("names=dashboard");
        assert_eq!(
            (several.matches("\ndata: ").count() > 1, several.matches("id: 7\n").count()),
            (true, 1),
            "{several}"
        );
        assert!(several.rfind("event: ") > several.find("id: 7"), "{several}");
        assert!(several.rfind("id: 7") > several.find("\n\n"), "{several}");
        assert_eq!(text("kind=instance."), "");
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
        let lines = read("kind=serverS&names=dashboard").encode(&alone(vec![stopped]));
        let text = String::from_utf8_lossy(&lines).into_owned();
        assert!(text.contains("\"serverStopped\"") && !text.contains("statusChange"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains("more"), "nothing that is shown follows: {text}");
        assert!(read("names=dashboard").encode(&alone(vec![event(None, EventKind::KeeperLost {})])).is_empty());
    }
}

//! Each run of a service as a trace: one span for all of it, with its start and its stop below.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use kennel_wire::{Event, EventKind, Exit, Receipt};
use serde_json::{Value, json};

use super::json::{Resource, nanos, number, scope, text};

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
/// `STATUS_CODE_OK` and `STATUS_CODE_ERROR`.
const OK: u8 = 1;
const ERROR: u8 = 2;

/// Runs that have begun and not ended.
#[derive(Debug)]
pub(super) struct Spans {
    /// Name of the kennel instance.
    instance: String,
    open: HashMap<u64, Run>,
}

#[derive(Debug)]
struct Run {
    began: Timestamp,
    pid: u32,
    ready: Option<Timestamp>,
    stopping: Option<Timestamp>,
    /// What happened meanwhile.
    events: Vec<Value>,
}

/// Events of one run that are kept; what comes after them is in `kennel events`.
const EVENTS: usize = 100;

impl Spans {
    pub(super) fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), open: HashMap::new() }
    }

    /// Takes an event; answers with the spans that it ended.
    pub(super) fn take(&mut self, event: &Event) -> Vec<Value> {
        let (Some(service), Some(number)) = (&event.service, event.instance) else { return Vec::new() };
        if let EventKind::Started { pid, .. } | EventKind::Adopted { pid } = event.kind {
            let fresh = Run { began: event.time, pid, ready: None, stopping: None, events: Vec::new() };
            self.open.entry(number).or_insert(fresh);
            return Vec::new();
        }
        if let EventKind::Down { receipt } = &event.kind {
            // One that began before anybody looked has no begin to tell of.
            let Some(run) = self.open.remove(&number) else { return Vec::new() };
            return self.ended(service, number, run, event.time, receipt);
        }
        let Some(run) = self.open.get_mut(&number) else { return Vec::new() };
        match &event.kind {
            EventKind::Ready { .. } => run.ready = run.ready.or(Some(event.time)),
            EventKind::Stopping { .. } => run.stopping = run.stopping.or(Some(event.time)),
            _ => {}
        }
        if run.events.len() < EVENTS {
            run.events.push(json!({ "timeUnixNano": nanos(event.time), "name": event.kind.name() }));
        }
        Vec::new()
    }

    fn ended(&self, service: &str, run_number: u64, run: Run, end: Timestamp, receipt: &Receipt) -> Vec<Value> {
        // Of this run and no other, also of one that has its number after the store was lost.
        let hash = |part: &str| self.hash(service, run_number, run.began, part);
        let trace = format!("{:016x}{:016x}", hash("trace"), hash(""));
        let id = |part: &str| format!("{:016x}", hash(part));
        let root = id("run");
        let attributes = |more: Vec<Value>| {
            let run = i64::try_from(run_number).unwrap_or(i64::MAX);
            let mut all = vec![text("kennel.service", service), number("kennel.run", run)];
            all.extend(more);
            all
        };
        let span = |part: &str, from: Timestamp, to: Timestamp, more: Vec<Value>| {
            json!({
                "traceId": trace, "spanId": id(part), "name": format!("{part} {service}"), "kind": INTERNAL,
                "startTimeUnixNano": nanos(from), "endTimeUnixNano": nanos(to), "attributes": attributes(more),
            })
        };
        let mut whole = span("run", run.began, end, of_the_end(&run, receipt));
        whole["events"] = run.events.into();
        whole["status"] = match receipt.exit {
            Exit::Code { code: 0 } => json!({ "code": OK }),
            // A stop that was asked for may end it in whatever way.
            _ if receipt.reason != kennel_wire::StopReason::MainExited => json!({ "code": OK }),
            exit => json!({ "code": ERROR, "message": exit.to_string() }),
        };
        let mut spans = vec![whole];
        let child = |part: &str, from, to| {
            let mut child = span(part, from, to, Vec::new());
            child["parentSpanId"] = root.clone().into();
            child
        };
        spans.extend(run.ready.map(|ready| child("start", run.began, ready)));
        spans.extend(run.stopping.map(|stopping| child("stop", stopping, end)));
        spans
    }

    /// Never 0, which is no id.
    fn hash(&self, service: &str, run: u64, began: Timestamp, part: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.instance, service, run, began, part).hash(&mut hasher);
        hasher.finish().max(1)
    }
}

fn of_the_end(run: &Run, receipt: &Receipt) -> Vec<Value> {
    let mut all = vec![
        number("process.pid", run.pid.into()),
        text("kennel.exit", &receipt.exit.to_string()),
        number("kennel.left", receipt.left.into()),
        number("kennel.processes", i64::try_from(receipt.processes.len()).unwrap_or(i64::MAX)),
    ];
    if let Exit::Code { code } = receipt.exit {
        all.push(number("process.exit.code", code.into()));
    }
    all
}

/// The body of one export.
pub(super) fn document(resource: &Resource, spans: Vec<Value>) -> Value {
    json!({ "resourceSpans": [{
        "resource": resource.json(),
        "scopeSpans": [{ "scope": scope(), "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use jiff::SignedDuration;

    use super::*;

    fn event(second: i64, kind: EventKind) -> Event {
        let time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        Event { seq: 1, time, service: Some("web".into()), instance: Some(7), kind }
    }

    fn down(exit: Exit, reason: kennel_wire::StopReason) -> EventKind {
        let receipt = json!({
            "service": "web", "instance": 7, "reason": reason, "started_at": "1970-01-01T00:00:08Z", "duration_ms": 100,
            "exit": exit, "stages": [], "processes": [], "left": 0,
        });
        EventKind::Down { receipt: Box::new(serde_json::from_value(receipt).unwrap()) }
    }

    #[test]
    fn a_run_is_a_trace() {
        let mut spans = Spans::new("shop");
        let reason = kennel_wire::StopReason::MainExited;
        let story = [
            event(1, EventKind::Started { pid: 42, identity: None }),
            event(3, EventKind::Ready { after_ms: 2000 }),
            event(5, EventKind::Unhealthy { reason: "503".into() }),
            event(8, EventKind::Stopping { reason }),
        ];
        assert!(story.iter().all(|one| spans.take(one).is_empty()));
        let ended = spans.take(&event(9, down(Exit::Code { code: 3 }, reason)));
        let told = |span: &Value| {
            let of = |key: &str| span[key].as_str().unwrap().trim_end_matches("000000000").to_owned();
            (of("name"), of("startTimeUnixNano"), of("endTimeUnixNano"))
        };
        let line = |name: &str, from: &str, to: &str| (name.to_owned(), from.to_owned(), to.to_owned());
        let expected = [line("run web", "1", "9"), line("start web", "1", "3"), line("stop web", "8", "9")];
        assert_eq!(ended.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!(ended[0]["status"], json!({ "code": ERROR, "message": "exit 3" }));
        let names: Vec<&Value> = ended[0]["events"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["instance.ready", "instance.unhealthy", "instance.stopping"]);
        assert!(ended.iter().all(|span| span["traceId"] == ended[0]["traceId"]));
        assert!(ended[1..].iter().all(|span| span["parentSpanId"] == ended[0]["spanId"]));
        assert_eq!((ended[0]["traceId"].as_str().unwrap().len(), ended[0]["spanId"].as_str().unwrap().len()), (32, 16));
        // Once.
        assert!(spans.take(&event(9, down(Exit::Code { code: 3 }, reason))).is_empty());
    }

    #[test]
    fn an_end_on_request_is_no_failure() {
        let mut spans = Spans::new("shop");
        let _none = spans.take(&event(1, EventKind::Started { pid: 42, identity: None }));
        let reason = kennel_wire::StopReason::Requested;
        let ended = spans.take(&event(9, down(Exit::Signal { signal: 15 }, reason)));
        assert_eq!((ended.len(), &ended[0]["status"]), (1, &json!({ "code": OK })));
    }
}

//! Events as browsers read them, and the document of the API.
//!
//! covers: A8, B8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::Scratch;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

fn up() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config("services: { web: { command: ['@badchild@', --cell, '1', sleep] } }");
    scratch.ok(&["up", "-d"]);
    scratch
}

/// What a browser makes of a stream: the newest id, and each event with its name.
struct Source {
    lines: std::io::Lines<BufReader<UnixStream>>,
    id: Option<u64>,
}

impl Source {
    fn open(scratch: &Scratch, query: &str, last: Option<u64>) -> Self {
        let last = last.map(|id| format!("last-event-id: {id}"));
        let head: Vec<&str> = ["accept: text/event-stream"].into_iter().chain(last.as_deref()).collect();
        let stream = scratch.open(&format!("/v1/events{query}"), &head);
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut lines = BufReader::new(stream).lines();
        let head: Vec<String> = lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        assert!(head[0].ends_with(" 200 OK"), "{head:?}");
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        Self { lines, id: None }
    }

    /// The next event; a block without data only moves the id, as in a browser.
    fn next(&mut self) -> (String, Value) {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let line = self.lines.next().expect("it goes on").unwrap();
            match line.split_once(": ") {
                Some(("id", id)) => self.id = Some(id.parse().unwrap()),
                Some(("event", event)) => name = event.to_owned(),
                Some(("data", json)) => data = json.to_owned(),
                // What chunks are parted by.
                _ if !data.is_empty() && line.is_empty() => return (name, serde_json::from_str(&data).unwrap()),
                _ => {}
            }
        }
    }

    /// Reads on to an event of this name.
    fn until(&mut self, name: &str) -> Value {
        loop {
            let (event, data) = self.next();
            if event == name {
                return data;
            }
        }
    }
}

#[test]
fn a_browser_goes_on_where_it_was() {
    let scratch = up();
    let newest = scratch.recorded().last().unwrap()["seq"].as_u64().unwrap();
    let mut source = Source::open(&scratch, "", None);
    scratch.ok(&["restart", "web"]);
    let (first, data) = source.next();
    assert_eq!(data["seq"], newest + 1, "only what comes: {first} {data}");
    let down = source.until("instance.down");
    assert_eq!((source.id, &down["service"]), (down["seq"].as_u64(), &"web".into()), "{down}");
    let seen = source.id;
    drop(source);

    // Whoever was away misses nothing and gets nothing twice.
    scratch.ok(&["stop", "web"]);
    let mut again = Source::open(&scratch, "?since=0", seen);
    let (_, data) = again.next();
    assert_eq!(data["seq"].as_u64(), seen.map(|seq| seq + 1), "{data}");
    assert_eq!(again.until("instance.down")["service"], "web");

    // Another daemon goes on with the same numbers.
    let seen = again.id;
    scratch.ok(&["daemon", "restart"]);
    scratch.ok(&["start", "web"]);
    let mut other = Source::open(&scratch, "", seen);
    other.until("instance.started");
    let recorded = scratch.recorded();
    let numbers = recorded.iter().filter_map(|event| event["seq"].as_u64());
    assert!(numbers.clone().zip(numbers.skip(1)).all(|(one, next)| next == one + 1));
    scratch.down();
}

#[test]
fn it_is_chosen_as_lines_are() {
    let scratch = up();
    let mut kinds = Source::open(&scratch, "?since=0&kind=instance.r", None);
    let (name, ready) = kinds.next();
    assert_eq!((name.as_str(), kinds.id), ("instance.ready", ready["seq"].as_u64()));
    let mut names = Source::open(&scratch, "?since=0&names=dashboard&service=web", None);
    assert_eq!(names.until("processStarted")["id"], "web");
    let (status, problem) = scratch.get("/v1/events?colour=red");
    assert!(status == 400 && problem.contains("unknown parameter"), "{problem}");
    let mut answer = String::new();
    let head = ["accept: text/event-stream", "last-event-id: x", "connection: close"];
    std::io::Read::read_to_string(&mut scratch.open("/v1/events", &head), &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("Last-Event-ID"), "{answer}");
    scratch.down();
}

#[test]
fn the_document_is_served() {
    let scratch = up();
    let (status, text) = scratch.get("/v1/openapi.json");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &document["openapi"]), (200, &"3.1.0".into()));
    assert!(document["paths"]["/v1/services"]["get"].is_object());
    scratch.down();
}

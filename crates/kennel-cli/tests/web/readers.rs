//! Many who follow events, and those of them who do not read: nobody waits for these, and they go on later where they were.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kennel_testkit::{Scratch, wait_until};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use crate::common::{DEADLINE, Door, open, outcomes, token, up};

/// Who follows beside the one who does not read.
const READERS: usize = 24;
/// What no client and no daemon holds of a stream that is not read.
const MUCH: u64 = 1 << 19;

/// Events as a browser reads them, for as long as the connection lasts.
struct Source {
    stream: TcpStream,
    text: String,
}

impl Source {
    fn open(door: &Door, right: &str, last: Option<u64>, small: bool) -> Self {
        let mut stream = door.connect().unwrap();
        if small {
            set_socket_recv_buffer_size(&stream, 4096).unwrap();
        }
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let head = format!("host: {}\r\naccept: text/event-stream\r\n{last}{right}\r\n\r\n", door.authority);
        stream.write_all(format!("GET /v1/events HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        Self { stream, text: String::new() }
    }

    /// Numbers of the events that came completely, until there are none or the one of that number.
    fn numbers(mut self, until: Option<u64>) -> Vec<u64> {
        let mut part = [0; 1 << 16];
        loop {
            let found = numbers(&self.text);
            if until.is_some_and(|until| found.last() >= Some(&until)) {
                return found;
            }
            match self.stream.read(&mut part) {
                Ok(0) | Err(_) => return found,
                Ok(count) => self.text.push_str(&String::from_utf8_lossy(&part[..count])),
            }
        }
    }
}

/// Of each event that has come to its empty line. What parts chunks never looks like one of an event.
fn numbers(text: &str) -> Vec<u64> {
    let complete = text.rsplit_once("\n\n").map_or("", |(complete, _)| complete);
    let ids = complete.split("\n\n").filter(|event| event.contains("\ndata: "));
    ids.filter_map(|event| event.lines().find_map(|line| line.strip_prefix("id: "))?.parse().ok()).collect()
}

fn is_without_gap(numbers: &[u64]) -> bool {
    numbers.iter().zip(numbers.iter().skip(1)).all(|(one, next)| one + 1 == *next)
}

/// Has things happen until there was so much of it that nobody holds it for a reader who does not read.
fn much_happens(scratch: &Scratch) {
    let begin = newest(scratch);
    wait_until(Duration::from_secs(120), "much happens", || {
        for what in ["/v1/freeze", "/v1/thaw"] {
            assert_eq!(scratch.post(what, &json!({ "services": ["web", "db"] })).0, 200);
        }
        // An event has more than 150 bytes.
        (newest(scratch) - begin) * 150 > MUCH
    });
}

fn newest(scratch: &Scratch) -> u64 {
    let (_, text) = scratch.get("/v1/events?tail=1");
    // What came meanwhile follows, and between chunks there are their lengths.
    let last = text.lines().rfind(|line| line.starts_with('{')).unwrap();
    serde_json::from_str::<serde_json::Value>(last).unwrap()["seq"].as_u64().unwrap()
}

#[test]
fn who_does_not_read_is_let_go_and_resumes_without_a_gap() {
    let scratch = up();
    let door = open(&scratch);
    let read = token(&scratch, "reader", &[]);
    let end = Arc::new(AtomicU64::new(u64::MAX));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let source = Source::open(&door, &read, None, false);
            let end = Arc::clone(&end);
            std::thread::spawn(move || read_on(source, &end))
        })
        .collect();
    let slow = Source::open(&door, &read, None, true);
    let port = slow.stream.local_addr().unwrap().port();
    much_happens(&scratch);
    wait_until(Duration::from_secs(90), "it is let go", || {
        outcomes(&scratch).iter().any(|told| told == "closed: does not read")
    });
    let audit = scratch.json(&["audit", "-n", "10000", "--json"]);
    let told = audit.as_array().unwrap().iter().find(|entry| entry["outcome"] == "closed: does not read").unwrap();
    assert_eq!(told["actor"], format!("tcp 127.0.0.1:{port}"));

    let seen = slow.numbers(None);
    assert!(is_without_gap(&seen) && !seen.is_empty(), "{seen:?}");
    let last = newest(&scratch);
    let rest = Source::open(&door, &read, seen.last().copied(), false).numbers(Some(last));
    assert_eq!(rest.first().copied(), seen.last().map(|seen| seen + 1));
    assert!(is_without_gap(&rest) && rest.last() >= Some(&last));

    end.store(last, Ordering::Relaxed);
    // So that each hears of something once more.
    scratch.ok(&["stop", "web"]);
    for reader in readers {
        let seen = reader.join().unwrap();
        assert!(is_without_gap(&seen) && seen.last() >= Some(&last), "{:?} of {last}", seen.last());
    }
    scratch.down();
}

/// All that comes, up to the number that is told later.
fn read_on(mut source: Source, end: &AtomicU64) -> Vec<u64> {
    let (mut seen, mut part) = (Vec::new(), [0; 1 << 16]);
    let begun = Instant::now();
    while seen.last().is_none_or(|last| *last < end.load(Ordering::Relaxed)) && begun.elapsed() < 10 * DEADLINE {
        let count = source.stream.read(&mut part).expect("it goes on");
        source.text.push_str(&String::from_utf8_lossy(&part[..count]));
        seen.extend(numbers(&source.text));
        let rest = source.text.rfind("\n\n").map(|end| source.text.split_off(end + 1));
        source.text = rest.unwrap_or(source.text);
    }
    seen
}

/// Quoted, with nothing in it that YAML does not take as it is.
fn in_yaml(text: &str) -> String {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
    let quoted = text.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) });
    format!("\"{}\"", quoted.collect::<String>())
}

/// Text of services and of those who ask is data: it ends no event, no line and no document, and is no markup.
#[test]
fn what_others_write_stays_data() {
    const NASTY: &str = "\u{1b}]52;c;eA==\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}<script>alert(1)</script>\n\nid: 999999\nevent: forged\ndata: {}\n\n";
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    let mut events = Source::open(&door, &admin, None, false);
    events.stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    scratch.config(&format!(
        "services:\n  web: {{ command: ['@badchild@', --cell, '1', sleep] }}\n  loud:\n    command: [printf, '%s', {}]\n",
        in_yaml(NASTY)
    ));
    scratch.ok(&["up", "-d"]);
    // As names, they are refused, or told as text.
    for (path, body) in [
        ("/v1/stop", json!({ "services": [NASTY] })),
        ("/v1/tokens", json!({ "name": NASTY, "role": "read" })),
        ("/v1/owners", json!({ "owner": NASTY, "name": NASTY })),
        ("/v1/web", json!({ "hosts": [NASTY] })),
    ] {
        let answer = door.ask("POST", path, &[&admin], Some(&body));
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    let bad = format!("services:\n  {}: {{ command: 'true' }}\n", json!("<script>alert(1)</script>"));
    scratch.config(&bad);
    assert_ne!(scratch.kennel(&["up", "-d"]).code(), 0, "no service is called like that");
    wait_until(DEADLINE, "it has written", || scratch.get("/v1/logs?service=loud").1.contains("forged"));
    let logs = door.ask("GET", "/v1/logs?service=loud&tail=10", &[&admin, "accept: text/html"], None);
    assert_eq!(logs.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(logs.header("x-content-type-options"), Some("nosniff"));
    let raw = door.ask("GET", "/v1/logs?service=loud&raw=true", &[&admin], None);
    assert_eq!(raw.header("content-type"), Some("application/octet-stream"));
    let text = logs.body.to_string();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text}");
    // To a terminal that is no one, and in the audit, nothing of it is a command to a terminal.
    for told in [scratch.ok(&["audit", "-n", "1000"]).stdout, scratch.ok(&["events"]).stdout] {
        assert!(!told.contains('\u{1b}') && !told.contains('\u{9b}') && !told.contains('\u{7}'), "{told:?}");
    }
    let mut part = [0; 1 << 16];
    while let Ok(count @ 1..) = events.stream.read(&mut part) {
        events.text.push_str(&String::from_utf8_lossy(&part[..count]));
    }
    assert!(events.text.contains("event: instance.started"), "{}", events.text);
    assert!(!events.text.contains("\nevent: forged") && !events.text.contains("\nid: 999999"), "{}", events.text);
    scratch.down();
}

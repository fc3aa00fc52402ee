//! What goes on for long goes on by a right: with that it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use kennel_testkit::Scratch;

use crate::common::{DEADLINE, Door, Session, link, open, secret, token, up};

/// All that goes on over TCP for who may look.
const TARGETS: [(&str, &str); 3] = [
    ("/v1/events", "accept: text/event-stream"),
    ("/v1/events?follow=true", "accept: */*"),
    ("/v1/logs?follow=true&service=web", "accept: */*"),
];

/// An answer that goes on.
pub(crate) fn begin(door: &Door, (target, accept): (&str, &str), right: &str) -> BufReader<TcpStream> {
    let mut stream = door.connect().unwrap();
    let ask = format!(
        "GET {target} HTTP/1.1\r\nhost: {}\r\n{accept}\r\n{right}\r\nconnection: close\r\n\r\n",
        door.authority
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{target}: {line}");
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0);
    }
    stream
}

fn begin_all(door: &Door, right: &str) -> Vec<BufReader<TcpStream>> {
    TARGETS.iter().map(|target| begin(door, *target, right)).collect()
}

/// What comes of it until its end, which is soon.
pub(crate) fn to_the_end(mut stream: BufReader<TcpStream>) -> String {
    let begun = Instant::now();
    let mut rest = String::new();
    // An end without a last chunk is one as well.
    let read = std::io::Read::read_to_string(&mut stream, &mut rest);
    let is_over = read.is_ok() || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
    assert!(is_over && begun.elapsed() < DEADLINE, "it goes on: {rest}");
    rest
}

/// It comes to its end, and nothing of what happens afterwards is in it.
fn ends(scratch: &Scratch, streams: Vec<BufReader<TcpStream>>) {
    for rest in streams.into_iter().map(to_the_end) {
        assert!(!rest.contains("\"event\":\"service.stopped\""), "{rest}");
    }
    scratch.ok(&["stop", "web"]);
    scratch.ok(&["start", "web"]);
}

#[test]
fn a_stream_ends_with_its_token() {
    let scratch = up();
    let door = open(&scratch);
    let (one, other) = (token(&scratch, "one", &[]), token(&scratch, "other", &[]));
    let (streams, mut stays) = (begin_all(&door, &one), begin(&door, TARGETS[0], &other));
    let of_session = begin_all(&door, &door.log_in(&secret(&one)).cookie);
    scratch.ok(&["token", "revoke", "one"]);
    ends(&scratch, streams);
    ends(&scratch, of_session);
    // Nobody else's does.
    let mut line = String::new();
    while !line.contains("service.stopped") {
        line.clear();
        assert!(stays.read_line(&mut line).unwrap() > 0);
    }
    scratch.down();
}

#[test]
fn a_stream_ends_when_its_token_does() {
    let scratch = up();
    let door = open(&scratch);
    let short = token(&scratch, "short", &["--expires", "10s"]);
    ends(&scratch, begin_all(&door, &short));
    scratch.down();
}

#[test]
fn a_stream_ends_when_its_browser_logs_out() {
    let scratch = up();
    let report = scratch.json(&["dashboard", "--no-open", "--json"]);
    let door = Door::of(report["url"].as_str().unwrap());
    let Session { cookie, csrf, .. } = door.log_in(&link(&report));
    let streams = begin_all(&door, &cookie);
    assert_eq!(door.ask("DELETE", "/v1/session", &[&cookie, &csrf], None).status, 204);
    ends(&scratch, streams);
    scratch.down();
}

/// Whoever opens one session after another ends only those of its own token.
#[test]
fn sessions_of_others_are_left_alone() {
    let scratch = up();
    let door = open(&scratch);
    let session = |right: &str| door.log_in(&secret(right)).cookie;
    let longest = "x".repeat(64);
    let (mine, theirs) = (token(&scratch, &longest, &[]), token(&scratch, "many", &[]));
    let own = session(&mine);
    let first = session(&theirs);
    for _ in 0..70 {
        session(&theirs);
    }
    assert_eq!(door.ask("GET", "/v1/info", &[&own], None).status, 200);
    assert_eq!(door.ask("GET", "/v1/info", &[&first], None).status, 401);
    scratch.down();
}

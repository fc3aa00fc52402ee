//! Just enough HTTP to ask the daemon without another process in between.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use kennel_testkit::Scratch;

/// The whole answer to one request.
pub(crate) fn call(scratch: &Scratch, method: &str, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(scratch.api_socket()).expect("the daemon listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: kennel\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// As [`call`], where nobody may answer.
pub(crate) fn try_call(scratch: &Scratch, method: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = UnixStream::connect(scratch.api_socket()).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: kennel\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// The event stream from now on.
pub(crate) struct Events(BufReader<UnixStream>);

impl Events {
    pub(crate) fn follow(scratch: &Scratch) -> Self {
        let mut stream = UnixStream::connect(scratch.api_socket()).expect("the daemon listens");
        let request = format!("GET /v1/events?since={}&follow=true HTTP/1.1\r\nhost: kennel\r\n\r\n", u64::MAX);
        stream.write_all(request.as_bytes()).expect("a request can be sent");
        let mut events = Self(BufReader::new(stream));
        // The head says that the subscription stands.
        while !events.line().trim().is_empty() {}
        events
    }

    /// Blocks until an event of this kind comes, and returns it.
    pub(crate) fn wait(&mut self, kind: &str) -> serde_json::Value {
        loop {
            let line = self.line();
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            if event["event"] == kind {
                return event;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the stream goes on");
        line
    }
}

//! The API as any program may ask it, byte by byte.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::Scratch;

impl Scratch {
    /// Where the daemon listens.
    ///
    /// # Panics
    /// If none or several kennel instances ran here.
    #[must_use]
    pub fn api_socket(&self) -> PathBuf {
        let instance = self.instance_dir();
        self.path("run/kennel").join(instance.file_name().expect("a name")).join("api.sock")
    }

    /// Sends a request without a body and with these lines of a head; the answer is what is read.
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    pub fn open(&self, target: &str, head: &[&str]) -> UnixStream {
        let mut stream = UnixStream::connect(self.api_socket()).expect("the daemon listens");
        let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        write!(stream, "GET {target} HTTP/1.1\r\nhost: kennel\r\n{head}\r\n").expect("it reads");
        stream
    }

    /// Status and body of `GET`.
    ///
    /// # Panics
    /// If nobody listens, or the answer is none.
    #[must_use]
    pub fn get(&self, target: &str) -> (u16, String) {
        answer(self.open(target, &["connection: close"]))
    }

    /// Status and body of `POST` of a document.
    ///
    /// # Panics
    /// If nobody listens, or the answer is none.
    #[must_use]
    pub fn post(&self, target: &str, body: &Value) -> (u16, Value) {
        let Reply { status, body, .. } = self.ask("POST", target, &[], body);
        (status, body)
    }

    /// The answer to a request with a document and these lines of a head.
    ///
    /// # Panics
    /// If nobody listens, or the answer is none.
    #[must_use]
    pub fn ask(&self, method: &str, target: &str, head: &[&str], body: &Value) -> Reply {
        let mut stream = UnixStream::connect(self.api_socket()).expect("the daemon listens");
        let body = body.to_string();
        let more: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        let head = "host: kennel\r\nconnection: close\r\ncontent-type: application/json";
        let length = body.len();
        let request = format!("{method} {target} HTTP/1.1\r\n{head}\r\n{more}content-length: {length}\r\n\r\n{body}");
        // It may be answered before all of it is read.
        let _answered = stream.write_all(request.as_bytes());
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let head = head.lines().skip(1).map(str::to_owned).collect();
        Reply { status, head, body: serde_json::from_str(body).unwrap_or_default() }
    }
}

/// An answer over the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Of the first line.
    pub status: u16,
    /// The other lines of the head.
    pub head: Vec<String>,
    /// Null if it is no JSON.
    pub body: Value,
}

impl Reply {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.iter().filter_map(|line| line.split_once(": "));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn answer(mut stream: UnixStream) -> (u16, String) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

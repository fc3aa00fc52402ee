//! Stands in for whoever is sent to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What it does with a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Does {
    /// Answers with this status and these lines of a head.
    Answer(u16, &'static str),
    /// Reads, and says nothing.
    Hang,
    /// Says something that is not HTTP.
    Garbage,
    /// Ends the connection.
    Close,
    /// Answers with a body without an end.
    Huge,
    /// Answers with a head without an end.
    Head,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    does: Arc<Mutex<Does>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub(crate) fn new(does: Does) -> Self {
        Self::of(TcpListener::bind("127.0.0.1:0").unwrap(), does)
    }

    /// One that was away until now.
    pub(crate) fn at(port: u16, does: Does) -> Self {
        Self::of(TcpListener::bind(("127.0.0.1", port)).unwrap(), does)
    }

    fn of(listener: TcpListener, does: Does) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (does, requests) = (Arc::new(Mutex::new(does)), Arc::new(Mutex::new(Vec::new())));
        let (now, seen) = (Arc::clone(&does), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
                std::thread::spawn(move || serve(stream.unwrap(), &now, &seen));
            }
        });
        Self { port, does, requests }
    }

    pub(crate) fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Whoever is sent to may be left at any moment, so nothing of this is an error.
fn serve(stream: TcpStream, does: &Mutex<Does>, seen: &Mutex<Vec<Request>>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).is_err() {
        return;
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).is_err() {
            return;
        }
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        assert!(headers.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is there twice");
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    let does = does.lock().unwrap().clone();
    seen.lock().unwrap().push(Request { target, headers, body: String::from_utf8(body).unwrap() });
    let out = stream.get_mut();
    let _left = match does {
        Does::Answer(status, head) => {
            let body = "words-of-the-receiver";
            write!(out, "HTTP/1.1 {status} Words\r\n{head}content-length: {}\r\n\r\n{body}", body.len())
        }
        Does::Garbage => out.write_all(b"\x00\x1b[31mSSH-2.0-what\r\n\r\n"),
        Does::Close => Ok(()),
        Does::Hang => stream.read_to_end(&mut Vec::new()).map(drop),
        Does::Huge => {
            let begun = out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            begun.and_then(|()| flood(out, b"10000\r\n", 0x10000, b"\r\n"))
        }
        Does::Head => {
            let begun = out.write_all(b"HTTP/1.1 200 OK\r\n");
            begun.and_then(|()| flood(out, b"x: ", 0x400, b"\r\n"))
        }
    };
}

/// Until nobody reads.
fn flood(out: &mut TcpStream, before: &[u8], length: usize, after: &[u8]) -> std::io::Result<()> {
    let part = [before, &vec![b'a'; length], after].concat();
    loop {
        out.write_all(&part)?;
    }
}

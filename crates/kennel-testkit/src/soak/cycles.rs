//! Starts and stops without end, by a thread of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::stack;
use crate::Scratch;

/// Storms go out by themselves after some time, and begin anew with the services that make them.
const STORMS: u64 = 400;
/// More than one failure tells no more.
const MOST_FAILURES: usize = 20;

/// The thread.
pub(super) struct Cycles {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    count: AtomicU64,
    ends: AtomicBool,
    failures: Mutex<Vec<String>>,
}

impl Cycles {
    pub(super) fn begin(scratch: &Scratch) -> Self {
        let socket = scratch.api_socket();
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || its.run(&socket));
        Self { shared, thread }
    }

    /// Starts, each with the stop before it.
    pub(super) fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Ends it: how many there were, and what went wrong.
    pub(super) fn end(self) -> (u64, Vec<String>) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let panicked = self.thread.join().is_err().then(|| "the thread that starts and stops panicked".to_owned());
        let mut failures = self.shared.failures.lock().map(|list| list.clone()).unwrap_or_default();
        failures.extend(panicked);
        (self.shared.count.load(Ordering::Relaxed), failures)
    }
}

impl Shared {
    fn run(&self, socket: &Path) {
        let mut round = 0_u64;
        while !self.ends.load(Ordering::Relaxed) {
            self.restart(socket, &stack::cycled());
            if round % STORMS == STORMS - 1 {
                self.restart(socket, &["forking".to_owned(), "leaving".to_owned()]);
            }
            round += 1;
        }
    }

    fn restart(&self, socket: &Path, services: &[String]) {
        match call(socket, "/v1/restart", &json!({ "services": services })) {
            Ok(report) if report["ok"] == true && report["left"] == 0 => {
                self.count.fetch_add(services.len() as u64, Ordering::Relaxed);
            }
            Ok(report) => self.failed(format!("a restart of {services:?} came to: {report}")),
            Err(error) => self.failed(format!("a restart of {services:?} failed: {error}")),
        }
    }

    fn failed(&self, why: String) {
        let mut failures = self.failures.lock().expect("not poisoned");
        if failures.len() < MOST_FAILURES {
            failures.push(why);
        }
        drop(failures);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One request; the answer's body.
fn call(socket: &Path, path: &str, body: &Value) -> std::io::Result<Value> {
    let body = body.to_string();
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let head = "host: kennel\r\nconnection: close\r\ncontent-type: application/json";
    write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|_| std::io::Error::other(answer))
}

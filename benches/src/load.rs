//! How long answers take that everybody asks for, with few and with many services: by the socket and by TCP, each beside a peer that
//! only sends as many bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::watch::cpu;
use crate::{Row, median, ms, rates, times};

/// Requests of each kind, one after another on one connection.
const ROUNDS: usize = 200;
const PATHS: [&str; 5] = ["/v1/services/s0", "/v1/services", "/v1/health", "/metrics", "/"];

/// One connection that stays.
struct Client<S> {
    stream: S,
    /// Of each request, behind its first line.
    head: String,
    answer: Vec<u8>,
}

impl<S: Read + Write> Client<S> {
    fn new(stream: S, head: String) -> Self {
        Self { stream, head, answer: vec![0; 4 << 20] }
    }

    /// Asks, and reads the whole answer; its length.
    fn get(&mut self, path: &str) -> usize {
        self.stream.write_all(format!("GET {path} HTTP/1.1\r\n{}\r\n\r\n", self.head).as_bytes()).expect("it is sent");
        let (mut have, mut need) = (0, None);
        while need.is_none_or(|need| have < need) {
            let count = self.stream.read(&mut self.answer[have..]).expect("it answers");
            assert!(count > 0, "closed");
            have += count;
            if need.is_none() {
                need = length(&self.answer[..have]);
            }
        }
        assert!(self.answer.starts_with(b"HTTP/1.1 200"), "{path}");
        have
    }
}

/// Of an answer with its head, once that is there.
fn length(answer: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(&answer[..answer.len().min(2048)]).unwrap_or_default();
    let head = text.find("\r\n\r\n")? + 4;
    let body = text[..head].lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    Some(head + body.parse::<usize>().expect("a number"))
}

/// The median of so many answers, their length, and the daemon's CPU for each.
fn asked<S: Read + Write>(client: &mut Client<S>, path: &str, daemon: u32) -> (Duration, usize, Duration) {
    for _ in 0..10 {
        client.get(path);
    }
    let before = cpu(daemon);
    let mut length = 0;
    let times = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        length = client.get(path);
        begin.elapsed()
    });
    let median = median(times.collect());
    let each = cpu(daemon).saturating_sub(before) / u32::try_from(ROUNDS).expect("few");
    (median, length, each)
}

/// As many bytes from a thread that does nothing else.
fn bare(length: usize) -> Duration {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
    let answer = vec![b'x'; length];
    let peer = std::thread::spawn(move || {
        let mut ask = [0; 1024];
        while theirs.read(&mut ask).is_ok_and(|count| count > 0) && theirs.write_all(&answer).is_ok() {}
    });
    let mut got = vec![0; length];
    let times = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        ours.write_all(&[b'x'; 200]).expect("it is sent");
        ours.read_exact(&mut got).expect("it answers");
        begin.elapsed()
    });
    let median = median(times.collect());
    drop(ours);
    peer.join().expect("it ends");
    median
}

/// With 100 and with 1,000 services that sleep.
pub(crate) fn load(kennel: &Path) -> Vec<Row> {
    [100, 1000].into_iter().flat_map(|count| with(kennel, count)).collect()
}

fn with(kennel: &Path, count: usize) -> Vec<Row> {
    let scratch = rates::sleepers(kennel, count);
    scratch.ok(&["up", "-d", "-q"]);
    let report = scratch.json(&["dashboard", "--no-open", "--json"]);
    let address =
        report["url"].as_str().expect("it is open").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let secret = scratch.ok(&["token", "create", "bench"]).stdout;
    let daemon = scratch.daemon().pid;
    let socket = UnixStream::connect(scratch.api_socket()).expect("it listens");
    let mut socket = Client::new(socket, "host: kennel".to_owned());
    // A connection that says nothing for a quarter of a minute is closed.
    let tcp = || {
        let tcp = TcpStream::connect(&address).expect("it listens");
        tcp.set_nodelay(true).expect("it can be");
        Client::new(tcp, format!("host: {address}\r\nauthorization: Bearer {}", secret.trim()))
    };
    let mut rows = Vec::new();
    for path in PATHS {
        let target = match (path, count) {
            ("/v1/services/s0", _) => "≤ 1 ms",
            ("/v1/services", 1000) => "≤ 20 ms",
            _ => "–",
        };
        let mut row = |by: &str, (time, length, spent): (Duration, usize, Duration)| {
            let bare = bare(length);
            let what = format!("`GET {path}` of {count} services {by}, {:.1} kB", length as f64 / 1e3);
            let ours = format!("{}, CPU {}", ms(time), ms(spent));
            rows.push(Row::new(what, ms(bare), ours, times(time, bare), target));
        };
        // The page is not at the socket.
        if path != "/" {
            row("by the socket", asked(&mut socket, path, daemon));
        }
        row("by TCP", asked(&mut tcp(), path, daemon));
    }
    drop(socket);
    scratch.down();
    rows
}

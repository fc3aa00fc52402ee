//! A thousand who follow events over TCP, a hundred events a second, and what the rest of the daemon notices of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kennel_sys::pidfd;
use kennel_sys::process::pause;
use kennel_testkit::{Scratch, User};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::Value;

use crate::watch::cpu;
use crate::{Row, api, bare, median, ms, times};

const READERS: usize = 1000;
/// Those of them who never read.
const DEAF: usize = 20;
/// Events a second; freeze and thaw are one each.
pub(crate) const RATE: u64 = 100;
const LASTS: Duration = Duration::from_secs(20);
const DEATHS: usize = 100;
const SIGKILL: i32 = 9;

pub(crate) const STACK: &str = "services:\n  still: { command: sleep 100000 }\n  s:\n    command: sleep 100000\n    restart: always\n    \
                     restart_policy: { delay: 0s, max_restarts: 1000000 }\n";

/// The stack, with the door open: its address, and the header of a right.
fn stack(kennel: &Path) -> (Scratch, String, String) {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    scratch.config(STACK);
    scratch.ok(&["up", "-d", "-q"]);
    let report = scratch.json(&["dashboard", "--no-open", "--json"]);
    let url = report["url"].as_str().expect("it is open").trim_end_matches('/');
    let address = url.trim_start_matches("http://").to_owned();
    let secret = scratch.ok(&["token", "create", "bench"]).stdout;
    (scratch, address, format!("authorization: Bearer {}", secret.trim()))
}

/// What one reader has got.
struct Reader {
    stream: TcpStream,
    /// Line feeds of events; those of chunks come after a carriage return.
    lines: u64,
    last: u8,
    bytes: u64,
    is_open: bool,
}

impl Reader {
    fn open(address: &str, right: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let ask = format!("GET /v1/events HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n{right}\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("it is sent");
        stream.set_nonblocking(true).expect("it can be");
        Self { stream, lines: 0, last: 0, bytes: 0, is_open: true }
    }

    fn read(&mut self, part: &mut [u8]) {
        loop {
            match self.stream.read(part) {
                Ok(0) => self.is_open = false,
                Ok(count) => {
                    for byte in &part[..count] {
                        self.lines += u64::from(*byte == b'\n' && self.last != b'\r');
                        self.last = *byte;
                    }
                    self.bytes += count as u64;
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.is_open = false,
            }
            return;
        }
    }

    /// Each has four lines; the first block has only a number.
    fn events(&self) -> u64 {
        self.lines.saturating_sub(2) / 4
    }
}

/// Reads for all of them until `stop`.
fn read_all(mut readers: Vec<Reader>, stop: &AtomicBool) -> Vec<Reader> {
    let set = epoll::create(CreateFlags::CLOEXEC).expect("a set");
    for (at, reader) in readers.iter().enumerate() {
        epoll::add(&set, reader.stream.as_fd(), EventData::new_u64(at as u64), EventFlags::IN).expect("it fits");
    }
    let (mut part, mut events) = (vec![0; 1 << 16], Vec::with_capacity(256));
    while !stop.load(Ordering::Relaxed) {
        let patience = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        events.clear();
        if epoll::wait(&set, spare_capacity(&mut events), Some(&patience)).is_err() {
            continue;
        }
        for event in &events {
            let event: &epoll::Event = event;
            let at = usize::try_from(event.data.u64()).expect("an index");
            readers[at].read(&mut part);
        }
    }
    readers
}

/// One event after another at [`RATE`], by one connection to the socket.
pub(crate) fn happen(scratch: &Scratch, stop: &AtomicBool, count: &AtomicU64) {
    let mut stream = UnixStream::connect(scratch.api_socket()).expect("it listens");
    let body = r#"{"services":["still"]}"#;
    let (begin, mut part) = (Instant::now(), [0; 4096]);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let at = begin + Duration::from_micros(1_000_000 * number / RATE);
        pause(at.saturating_duration_since(Instant::now()));
        let what = if number % 2 == 0 { "freeze" } else { "thaw" };
        let head = format!("host: k\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        write!(stream, "POST /v1/{what} HTTP/1.1\r\n{head}\r\n\r\n{body}").expect("it is sent");
        let got = stream.read(&mut part).expect("it answers");
        assert!(part[..got].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&part[..got]));
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Kills the service again and again; the time until the event is read at the socket.
pub(crate) fn deaths(scratch: &Scratch) -> Vec<Duration> {
    let mut events = api::Events::follow(scratch);
    let mut pid = scratch.ps("s")["pid"].as_u64().expect("it runs");
    let mut times = Vec::new();
    for _ in 0..DEATHS {
        pause(bare::LIFE);
        let handle = pidfd::open(u32::try_from(pid).expect("a pid")).expect("it lives");
        let begin = Instant::now();
        pidfd::send_signal(&handle, SIGKILL).expect("it is ours");
        events.wait("instance.exited");
        times.push(begin.elapsed());
        let next: Value = events.wait("instance.started");
        pid = next["pid"].as_u64().expect("a pid");
    }
    times
}

fn memory(pid: u32, what: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("it is there");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

/// Number of the newest event.
fn newest(scratch: &Scratch) -> u64 {
    let answer = api::call(scratch, "GET", "/v1/events?tail=1", "");
    let last = answer.lines().rfind(|line| line.starts_with('{')).expect("an event");
    serde_json::from_str::<Value>(last).expect("JSON")["seq"].as_u64().expect("a number")
}

/// A thousand readers of whom some never read, a hundred events a second: cost, memory, completeness, and a death meanwhile.
pub(crate) fn followers(kennel: &Path) -> Vec<Row> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("up to the hard limit");
    let (scratch, address, right) = stack(kennel);
    let daemon = scratch.daemon().pid;
    let bare_death = median((0..DEATHS).map(|_| bare::death_notice()).collect());
    let quiet = median(deaths(&scratch));
    let at_rest = memory(daemon, "VmRSS");

    let deaf: Vec<Reader> = (0..DEAF)
        .map(|_| {
            let reader = Reader::open(&address, &right);
            set_socket_recv_buffer_size(&reader.stream, 4096).expect("a small one");
            reader
        })
        .collect();
    let readers: Vec<Reader> = (DEAF..READERS).map(|_| Reader::open(&address, &right)).collect();
    pause(Duration::from_secs(1));
    let connected = memory(daemon, "VmRSS");

    let (stop, stop_reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let reading = std::thread::spawn({
        let stop = Arc::clone(&stop_reading);
        move || read_all(readers, &stop)
    });
    let first = newest(&scratch);
    let count = AtomicU64::new(0);
    let (spent, busy) = std::thread::scope(|scope| {
        scope.spawn(|| happen(&scratch, &stop, &count));
        pause(Duration::from_secs(2));
        let (begin, before) = (Instant::now(), cpu(daemon));
        pause(LASTS);
        let spent = cpu(daemon).saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
        let busy = deaths(&scratch);
        // What is not read fills the buffers, and then 30 s pass.
        pause(Duration::from_secs(60));
        stop.store(true, Ordering::Relaxed);
        (spent, busy)
    });
    let last = newest(&scratch);
    pause(Duration::from_secs(2));
    stop_reading.store(true, Ordering::Relaxed);
    let readers = reading.join().expect("they read");
    let complete = readers.iter().filter(|reader| reader.is_open && reader.events() == last - first).count();
    let open = std::fs::read_dir(format!("/proc/{daemon}/fd")).expect("it lives").count();
    let peak = memory(daemon, "VmHWM");
    let bytes = readers.iter().map(|reader| reader.bytes).sum::<u64>();
    assert_eq!(complete, readers.len(), "each of them has all {} events", last - first);
    drop((deaf, readers));
    scratch.down();
    let dash = || "–".to_owned();
    let what = format!("{READERS} SSE clients, {RATE} events a second");
    vec![
        Row::new(
            format!("{what}: share of a core, daemon"),
            dash(),
            format!("{:.0} %", 100.0 * spent),
            dash(),
            "≤ 100 %",
        ),
        Row::new(
            format!("{what}, and {DEATHS} deaths: events that each client got"),
            format!("{}", last - first),
            format!(
                "{} by {complete}, {:.0} MB in all, {open} descriptors at the end",
                last - first,
                bytes as f64 / 1e6
            ),
            dash(),
            "all",
        ),
        Row::new(
            format!("{what}: RSS of the daemon, before, connected, at most"),
            dash(),
            format!("{at_rest:.1}, {connected:.1}, {peak:.1} MiB"),
            dash(),
            "bounded",
        ),
        Row::new(
            "death → event at the socket, nobody else there",
            ms(bare_death),
            ms(quiet),
            times(quiet, bare_death),
            "≤ 1 ms",
        ),
        Row::new(
            format!("the same beside {what}; the slowest tenth above {}", ms(tenth(&busy))),
            ms(bare_death),
            ms(median(busy.clone())),
            times(median(busy), bare_death),
            "≤ 1 ms",
        ),
    ]
}

/// Only a tenth took longer.
pub(crate) fn tenth(values: &[Duration]) -> Duration {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() * 9 / 10]
}

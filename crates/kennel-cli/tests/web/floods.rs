//! More than anybody needs: gigabytes, ten thousand connections, floods of refusals. Memory and descriptors stay bounded, and whoever has
//! a right is served meanwhile.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use kennel_testkit::{Scratch, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::common::{DEADLINE, Door, open, outcomes, token, up};

const GIGABYTE: usize = 1 << 30;
const MIB: u64 = 1 << 20;

/// Most memory that the daemon ever had, bytes.
fn most_memory(scratch: &Scratch) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scratch.daemon().pid)).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

fn descriptors(scratch: &Scratch) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", scratch.daemon().pid)).expect("it lives").count()
}

/// Sends a request with a gigabyte, in one piece or in chunks, until that is refused; how much went, and the answer's first line.
fn gigabyte(mut stream: impl Read + Write, head: &str, is_chunked: bool) -> (usize, String) {
    const PART: usize = 1 << 20;
    let length =
        if is_chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {GIGABYTE}") };
    let head = format!("POST /v1/stop HTTP/1.1\r\ncontent-type: application/json\r\n{head}\r\n{length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("a head goes");
    let (part, mut sent) = (vec![b' '; PART], 0);
    let mut send = || -> io::Result<()> {
        while sent < GIGABYTE {
            if is_chunked {
                write!(stream, "{PART:x}\r\n")?;
            }
            stream.write_all(&part)?;
            if is_chunked {
                stream.write_all(b"\r\n")?;
            }
            sent += PART;
        }
        Ok(())
    };
    let _refused = send();
    let mut answer = Vec::new();
    // It may be reset behind the answer.
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (sent, answer.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn a_gigabyte_is_refused_early_at_both_doors() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    let before = most_memory(&scratch);
    let host = format!("host: {}", door.authority);
    let known = format!("{host}\r\n{admin}");
    for is_chunked in [false, true] {
        for (head, status) in [(&known, " 413 "), (&host, " 401 ")] {
            let (sent, answer) = gigabyte(door.connect().unwrap(), head, is_chunked);
            assert!(sent < 32 << 20, "{sent} bytes went, chunked: {is_chunked}");
            assert!(answer.is_empty() || answer.contains(status), "{answer}");
        }
        let socket = UnixStream::connect(scratch.api_socket()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let (sent, answer) = gigabyte(socket, "host: kennel", is_chunked);
        assert!(sent < 32 << 20, "{sent} bytes went, chunked: {is_chunked}");
        assert!(answer.is_empty() || answer.contains(" 413 "), "{answer}");
    }
    let grown = most_memory(&scratch) - before;
    assert!(grown < 40 * MIB, "{} MiB", grown / MIB);
    assert_eq!(scratch.ps("web")["state"], "ready");
    let told = outcomes(&scratch);
    // Two at the door, two at the socket, which tells of its requests before they are read.
    assert!(told.iter().filter(|told| *told == "413 bad_request").count() == 4, "{told:?}");
    assert!(told.iter().any(|told| told == "401 unauthorized"), "{told:?}");
    scratch.down();
}

/// As many as this process may have, ten thousand if it can be. `meanwhile` is done again and again.
fn slow_ones(door: &Door, mut meanwhile: impl FnMut()) -> Vec<TcpStream> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
    let count =
        usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).saturating_sub(300).min(10_000);
    assert!(count >= 2000, "{count} descriptors are too few to show anything");
    let mut slow = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = door.connect().expect("it listens");
        // Half a head, or nothing at all; who has had to go is reset.
        let _gone = if number % 2 == 0 { stream.write_all(b"GET /v1/info HTTP/1.1\r\nhost: ") } else { Ok(()) };
        slow.push(stream);
        if number % 500 == 0 {
            meanwhile();
        }
    }
    slow
}

#[test]
fn ten_thousand_slow_connections_keep_nobody_out() {
    let scratch = up();
    let door = open(&scratch);
    let read = token(&scratch, "reader", &[]);
    let mut page = door.connect().unwrap();
    let ask = format!("GET /v1/services HTTP/1.1\r\nhost: {}\r\n{read}\r\n\r\n", door.authority);
    let look = |page: &mut TcpStream| {
        page.write_all(ask.as_bytes()).unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"]") {
            let count = page.read(&mut part).unwrap();
            assert!(count > 0, "the page was closed");
            answer.extend_from_slice(&part[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    };
    look(&mut page);
    let (memory, before) = (most_memory(&scratch), descriptors(&scratch));
    // A page that is open asks now and then, or its own time would be over.
    let slow = slow_ones(&door, || look(&mut page));
    // Who was there before, who comes now, and whoever has the socket.
    look(&mut page);
    assert_eq!(door.ask("GET", "/v1/info", &[&read], None).status, 200);
    assert_eq!(door.ask("GET", "/", &[], None).status, 200);
    assert_eq!(scratch.ps("web")["state"], "ready");
    wait_until(DEADLINE, "those who are too many are gone", || {
        look(&mut page);
        descriptors(&scratch) <= before + 300
    });
    let grown = most_memory(&scratch) - memory;
    assert!(grown < 64 * MIB, "{} MiB", grown / MIB);
    drop(slow);
    wait_until(DEADLINE, "all are gone", || {
        look(&mut page);
        descriptors(&scratch) <= before + 8
    });
    wait_until(DEADLINE, "it is written down", || {
        let told = outcomes(&scratch);
        let is_told = told.iter().any(|told| told == "closed: too many at once");
        is_told && told.iter().any(|told| told.ends_with(" more refused"))
    });
    // A flood does not fill the audit.
    assert!(outcomes(&scratch).len() < 400, "{}", outcomes(&scratch).len());
    scratch.down();
}

/// What others did is not washed out of the audit by whoever asks for nonsense without end.
#[test]
fn a_flood_of_refusals_is_counted() {
    let scratch = up();
    let door = open(&scratch);
    scratch.ok(&["restart", "web"]);
    let mut stream = door.connect().unwrap();
    let ask = format!("GET /v1/info HTTP/1.1\r\nhost: {}\r\norigin: http://evil.example\r\n\r\n", door.authority);
    for _ in 0..2000 {
        stream.write_all(ask.as_bytes()).unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"}") {
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0);
            answer.extend_from_slice(&part[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 403"));
    }
    wait_until(DEADLINE, "the rest is counted", || {
        outcomes(&scratch)
            .iter()
            .filter_map(|told| told.strip_suffix(" more refused")?.parse::<u32>().ok())
            .sum::<u32>()
            > 1500
    });
    let audit = scratch.json(&["audit", "-n", "10000", "--json"]);
    let entries: &Vec<Value> = audit.as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["action"] == "POST /v1/restart"));
    assert!(entries.iter().filter(|entry| entry["outcome"] == "403 forbidden").count() < 400);
    scratch.down();
}

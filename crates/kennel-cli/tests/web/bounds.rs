//! Too much of everything: long bodies, long heads, slow and many connections, and a reader that never reads.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_until};

use crate::common::{DEADLINE, open, outcomes, token, up};

fn descriptors(scratch: &Scratch) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", scratch.daemon().pid)).expect("it lives").count()
}

#[test]
fn long_bodies_and_heads_are_refused() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    let host = format!("host: {}", door.authority);
    let json = "content-type: application/json";
    let gigabyte = format!("content-length: {}", 1_u64 << 30);
    let answer = door.raw("POST", "/v1/stop", &[&host, json, &admin, &gigabyte], &vec![b' '; 4 << 20]).unwrap();
    assert_eq!(answer.status, 413);
    let many: Vec<String> = (0..500).map(|at| format!("x-{at}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain([host.as_str(), &admin]).collect();
    assert_eq!(door.raw("GET", "/v1/info", &many, b"").map(|answer| answer.status), Some(431));
    let long = format!("x-long: {}", "y".repeat(200 << 10));
    let refused = door.raw("GET", "/v1/info", &[&host, &admin, &long], b"").map(|answer| answer.status);
    assert!(refused.is_none_or(|status| status == 431), "{refused:?}");
    let long = format!("/v1/services/{}", "y".repeat(200 << 10));
    let refused = door.raw("GET", &long, &[&host, &admin], b"").map(|answer| answer.status);
    assert!(refused.is_none_or(|status| status == 414 || status == 431), "{refused:?}");
    assert_eq!(door.ask("GET", "/v1/info", &[&admin], None).status, 200);
    scratch.down();
}

/// Those who are too many are let go, the others when their time is over; the socket is not touched by it.
#[test]
fn slow_connections_take_nothing_from_others_for_long() {
    let scratch = up();
    let door = open(&scratch);
    let before = descriptors(&scratch);
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..700 {
        let mut stream = door.connect().expect("it listens");
        // Half a head; who is too many is reset.
        let _closed = stream.write_all(b"GET /v1/info HTTP/1.1\r\nhost: ");
        slow.push(stream);
    }
    assert_eq!(scratch.ps("web")["state"], "ready", "the socket answers");
    wait_until(DEADLINE, "the oldest are let go", || descriptors(&scratch) <= before + 300);
    // To the others, and not because their time is over.
    wait_until(DEADLINE, "it is written down", || {
        outcomes(&scratch).iter().any(|told| told == "closed: too many at once")
    });
    wait_until(DEADLINE, "they are closed", || descriptors(&scratch) <= before + 8);
    let read = token(&scratch, "reader", &[]);
    assert_eq!(door.ask("GET", "/v1/info", &[&read], None).status, 200);
    for mut stream in slow {
        let mut rest = Vec::new();
        // An answer that it was too slow, or a reset.
        let _either = stream.read_to_end(&mut rest);
    }
    scratch.down();
}

#[test]
fn who_never_reads_is_let_go() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    scratch.config(
        "services:\n  web: { command: ['@badchild@', --cell, '1', sleep] }\n  loud: { command: 'yes 0123456789012345678901234567890123456789', shell: true, nice: 19, logs: { max_size: 8MiB } }\n",
    );
    scratch.ok(&["up", "-d"]);
    let mut deaf = door.connect().unwrap();
    let request =
        format!("GET /v1/logs?service=loud&follow=true HTTP/1.1\r\nhost: {}\r\n{admin}\r\n\r\n", door.authority);
    deaf.write_all(request.as_bytes()).unwrap();
    // Only what came first is looked at, and nothing taken.
    assert_eq!(deaf.peek(&mut [0]).expect("it is served"), 1);
    wait_until(Duration::from_secs(120), "it is let go", || is_closed(&deaf));
    assert_eq!(scratch.ps("web")["state"], "ready");
    scratch.down();
}

/// Whether the other end has given it up, as `/proc/net/tcp` tells; nothing is read from it.
fn is_closed(stream: &TcpStream) -> bool {
    let port = stream.local_addr().expect("it has one").port();
    let text = std::fs::read_to_string("/proc/net/tcp").expect("it is there");
    let ours = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let hex = format!(":{port:04X}");
    // Established from the other side as well: its line has our port as the remote one.
    !ours.into_iter().any(|words| words.len() > 3 && words[2].ends_with(&hex) && words[3] == "01")
}

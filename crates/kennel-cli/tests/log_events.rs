//! Events go to the log of the machine as well, each once and in order, also where that log comes later.
//!
//! covers: A8, D6

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_testkit::{Scratch, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn stack(to: &str) -> Scratch {
    let variable = format!("KENNEL_{}_SOCKET", if to == "journald" { "JOURNAL" } else { "SYSLOG" });
    let mut scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let path = scratch.path("machine.log");
    scratch.env(&variable, path.display().to_string());
    scratch.config(&format!("log_events: {to}\nservices: {{ web: {{ command: [sleep, '1000'] }} }}\n"));
    scratch
}

/// Stands in for the log of the machine.
fn log(scratch: &Scratch) -> UnixDatagram {
    let path = scratch.path("machine.log");
    let socket = UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    socket
}

/// Messages up to the one that has this in it.
fn until(socket: &UnixDatagram, part: &str) -> Vec<String> {
    let end = Instant::now() + kennel_testkit::patience(DEADLINE);
    let mut messages = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < end {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if messages.last().is_some_and(|last| last.contains(part)) {
            return messages;
        }
    }
    panic!("{part} does not come: {messages:#?}");
}

fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn the_journal_has_every_event_with_its_fields() {
    let scratch = stack("journald");
    let socket = log(&scratch);
    scratch.ok(&["up", "-d"]);
    let mut messages = until(&socket, "KENNEL_EVENT=instance.ready");
    // Another daemon goes on where this one ended.
    scratch.ok(&["daemon", "restart"]);
    scratch.ok(&["stop", "web"]);
    messages.extend(until(&socket, "KENNEL_EVENT=service.stopped"));
    scratch.down();
    messages.extend(until(&socket, "KENNEL_EVENT=shutdown.completed"));

    let numbers: Vec<u64> = messages.iter().map(|one| field(one, "KENNEL_SEQ").unwrap().parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    let started = messages.iter().find(|one| one.contains("KENNEL_EVENT=instance.started")).unwrap();
    assert_eq!((field(started, "KENNEL_SERVICE"), field(started, "PRIORITY")), (Some("web"), Some("6")), "{started}");
    assert!(field(started, "MESSAGE").unwrap().starts_with("web: instance.started pid="), "{started}");
    assert_eq!(field(started, "SYSLOG_IDENTIFIER"), Some("kennel"));
    let recorded = scratch.recorded();
    assert_eq!(numbers.last().copied(), recorded.last().and_then(|event| event["seq"].as_u64()));
}

#[test]
fn a_log_that_comes_later_gets_what_it_missed() {
    let scratch = stack("syslog");
    // Nobody waits for it.
    scratch.ok(&["up", "-d"]);
    scratch.ok(&["restart", "web"]);
    let socket = log(&scratch);
    let messages = until(&socket, "instance.stopping");
    let first = messages.iter().position(|one| one.contains("web: instance.started pid=")).unwrap();
    assert!(messages[first].starts_with("<30>") && messages[first].contains(" kennel["), "{messages:#?}");
    scratch.down();
}

#[test]
fn a_log_that_never_comes_is_not_waited_for() {
    let scratch = stack("journald");
    scratch.ok(&["up", "-d"]);
    scratch.ok(&["stop", "web"]);
    scratch.down();
    wait_until(DEADLINE, "the end of the daemon", || scratch.in_cells().is_empty());
}

//! Output goes to a file and to the journal as well, and whoever takes it there may be slow or gone.
//!
//! covers: B9, E1

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_testkit::{Scratch, Signal, try_send, wait_until};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);
/// Both ways that output takes.
const WAYS: [&str; 2] = ["stop", "keep"];

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// Stands in for the journal.
fn journal(scratch: &mut Scratch) -> (UnixDatagram, PathBuf) {
    let path = scratch.path("journal");
    scratch.env("KENNEL_JOURNAL_SOCKET", path.display().to_string());
    (bound(&path), path)
}

fn bound(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    socket
}

/// Messages up to the one that has this in it.
fn until(socket: &UnixDatagram, part: &str) -> Vec<String> {
    let end = Instant::now() + kennel_testkit::patience(DEADLINE);
    let (mut messages, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while Instant::now() < end {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let is_it = message.contains(part);
        messages.push(message);
        if is_it {
            return messages;
        }
    }
    panic!("{part} does not come: {messages:#?}");
}

fn told(scratch: &Scratch, kind: &str) -> Vec<Value> {
    scratch.recorded().into_iter().filter(|event| event["event"] == kind).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The numbers from 1 on, as `seq -f %099.0f` writes them.
fn numbers(count: u64) -> String {
    (1..=count).map(|number| format!("{number:0>99}\n")).collect()
}

#[test]
fn both_have_every_line_of_both_streams() {
    for way in WAYS {
        let mut scratch = scratch();
        let (socket, _) = journal(&mut scratch);
        let script = r"printf 'one\n\n'; printf 'bad \377\n' >&2; until [ -e go ]; do sleep 0.02; done; printf 'last'";
        scratch.config(&format!(
            "services:\n  web:\n    command: {script:?}\n    shell: true\n    restart: 'no'\n    on_daemon_loss: {way}
    logs: {{ path: out/web.log, to: [journald] }}\n"
        ));
        scratch.kennel(&["up", "-d"]);
        let file = scratch.project().join("out/web.log");
        wait_until(DEADLINE, "the first lines", || fs::read(&file).is_ok_and(|bytes| bytes.len() == 11));
        // Another daemon goes on where this one stops.
        scratch.ok(&["daemon", "restart"]);
        scratch.file("go", "");
        let messages = until(&socket, "MESSAGE=last");
        let bytes = || fs::read(&file).unwrap();
        wait_until(DEADLINE, "the last line", || bytes().ends_with(b"last"));
        let lines: Vec<&[u8]> = bytes().leak().split(|byte| *byte == b'\n').collect();
        let out: Vec<&[u8]> = lines.iter().copied().filter(|line| !line.starts_with(b"bad")).collect();
        assert_eq!(out, [&b"one"[..], b"", b"last"], "{way}");
        assert!(lines.contains(&&b"bad \xff"[..]));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let of = |stream: &str| {
            let stream = format!("KENNEL_STREAM={stream}\n");
            messages.iter().filter(move |message| message.contains(&stream)).collect::<Vec<_>>()
        };
        assert_eq!((of("stdout").len(), of("stderr").len()), (3, 1), "{way}: {messages:#?}");
        assert!(of("stdout")[0].starts_with("MESSAGE=one\nPRIORITY=6\nSYSLOG_IDENTIFIER=web\nKENNEL_INSTANCE="));
        assert!(of("stdout")[0].contains("KENNEL_SERVICE=web\n"));
        assert!(of("stderr")[0].starts_with("MESSAGE\n\u{5}"), "{:?}", of("stderr"));
        assert_eq!(told(&scratch, "logs.sink_failed"), [Value::Null; 0]);
        scratch.down();
    }
}

/// The daemon is killed in the middle: what it had not passed on yet the next one does. One batch may come twice.
#[test]
fn a_killed_daemon_costs_a_file_nothing() {
    const LINES: u64 = 30_000;
    let scratch = scratch();
    let script = "for part in $$(seq 30); do seq -f %099.0f $$((part * 1000 - 999)) $$((part * 1000)); sleep 0.1; done";
    scratch.config(&format!(
        "services:\n  web: {{ command: {script:?}, shell: true, restart: 'no', on_daemon_loss: keep, logs: {{ path: web.log }} }}\n"
    ));
    scratch.ok(&["up", "-d"]);
    let file = scratch.project().join("web.log");
    wait_until(DEADLINE, "some of it", || text(&file).len() > 300_000);
    try_send(&scratch.daemon(), Signal::KILL);
    scratch.wait_state("web", "completed", DEADLINE);
    wait_until(DEADLINE, "the end of it", || text(&file).ends_with(&format!("{LINES}\n")));
    let seen = text(&file);
    let mut last = 0;
    for line in seen.lines() {
        let number: u64 = line.trim_start_matches('0').parse().unwrap();
        // What comes twice begins again somewhere before.
        assert!(number <= last + 1, "{last} is followed by {number}");
        last = number;
    }
    assert!(last == LINES && seen.lines().count() <= LINES as usize + 2 * 1000, "{}", seen.lines().count());
    scratch.down();
}

#[test]
fn a_file_that_is_moved_away_is_begun_anew() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', ticks], logs: { path: web.log } } }");
    scratch.ok(&["up", "-d"]);
    let (file, old) = (scratch.project().join("web.log"), scratch.project().join("web.log.1"));
    wait_until(DEADLINE, "a line", || text(&file).lines().count() > 1);
    fs::rename(&file, &old).unwrap();
    wait_until(DEADLINE, "another file", || text(&file).lines().count() > 1);
    scratch.down();
    // Nothing is missing between both.
    let ticks: Vec<u64> = (text(&old) + &text(&file)).lines().map(|line| line[5..].parse().unwrap()).collect();
    assert!(ticks.iter().zip(0..).all(|(tick, number)| *tick == number), "{ticks:?}");
    assert_eq!(told(&scratch, "logs.sink_failed"), [Value::Null; 0]);
}

/// A file that cannot be had: said once, and made up for when it can.
#[test]
fn a_place_that_is_gone_is_told_once_and_made_up_for() {
    for way in WAYS {
        let scratch = scratch();
        let flood = "seq -f %099.0f 1 20000; sleep 1000";
        scratch.config(&format!(
            "services:\n  web: {{ command: {flood:?}, shell: true, on_daemon_loss: {way}, logs: {{ path: out/web.log }} }}\n"
        ));
        // In the place of the directory.
        let dir = scratch.file("out", "");
        scratch.ok(&["up", "-d"]);
        wait_until(DEADLINE, "word of it", || told(&scratch, "logs.sink_failed").len() == 1);
        let failed = &told(&scratch, "logs.sink_failed")[0];
        assert_eq!(failed["to"], dir.join("web.log").display().to_string(), "{failed}");
        assert_eq!(failed["reason"], "not a directory", "{failed}");
        // The log has all of it meanwhile.
        wait_until(DEADLINE, "all of it in the log", || {
            scratch.ok(&["logs", "web", "-n", "1", "--raw"]).stdout.ends_with("020000\n")
        });
        fs::remove_file(&dir).unwrap();
        // Kennel may be quicker: it makes what is missing.
        let _made_already = fs::create_dir(&dir);
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        wait_until(DEADLINE, "word of its end", || told(&scratch, "logs.sink_recovered").len() == 1);
        assert_eq!(told(&scratch, "logs.sink_recovered")[0]["lost_bytes"], 0);
        assert!(text(&dir.join("web.log")) == numbers(20_000), "{way}: {} bytes", text(&dir.join("web.log")).len());
        assert_eq!(told(&scratch, "logs.sink_failed").len(), 1);
        scratch.down();
    }
}

/// Somebody reads nothing of it, until more was written than the log keeps: the service and the log do not notice, and what is lost is
/// counted to the byte.
#[test]
fn a_reader_that_stands_still_costs_only_itself() {
    for way in WAYS {
        const LINES: u64 = 50_000;
        let scratch = scratch();
        let pipe = scratch.project().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        fs::set_permissions(&pipe, Permissions::from_mode(0o666)).unwrap();
        let mut reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let script = format!("seq -f %099.0f 1 {LINES}; until [ -e go ]; do sleep 0.02; done; echo end; sleep 1000");
        scratch.config(&format!(
            "services:\n  web: {{ command: {script:?}, shell: true, on_daemon_loss: {way},
      logs: {{ path: pipe, max_size: 1MiB, compress: false }} }}\n"
        ));
        scratch.ok(&["up", "-d"]);
        // All of it was taken from the service although nobody reads.
        wait_until(DEADLINE, "all of it recorded", || scratch.ps("web")["log_bytes"] == LINES * 100);
        assert!(scratch.ps("web")["log_lost_bytes"].is_null());
        wait_until(DEADLINE, "word of it", || told(&scratch, "logs.sink_failed").len() == 1);
        scratch.file("go", "");
        let mut seen = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while !seen.ends_with(b"\nend\n") {
            let count = reader.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..count]);
        }
        wait_until(DEADLINE, "word of its end", || told(&scratch, "logs.sink_recovered").len() == 1);
        let lost = told(&scratch, "logs.sink_recovered")[0]["lost_bytes"].as_u64().unwrap();
        assert_eq!(seen.len() as u64 + lost, LINES * 100 + 4, "{way}");
        assert!(lost > 1 << 20, "{lost}");
        assert_eq!(told(&scratch, "logs.sink_failed").len(), 1);
        scratch.down();
    }
}

#[test]
fn a_journal_that_comes_later_gets_what_it_missed() {
    let mut scratch = scratch();
    let (socket, path) = journal(&mut scratch);
    drop(socket);
    fs::remove_file(&path).unwrap();
    scratch.config(
        "services: { web: { command: 'echo one; echo two; sleep 1000', shell: true, logs: { to: journald } } }",
    );
    scratch.ok(&["up", "-d"]);
    wait_until(DEADLINE, "word of it", || told(&scratch, "logs.sink_failed").len() == 1);
    assert_eq!(told(&scratch, "logs.sink_failed")[0]["to"], "journald");
    let socket = bound(&path);
    let messages = until(&socket, "MESSAGE=two");
    assert!(messages.len() == 2 && messages[0].starts_with("MESSAGE=one\n"), "{messages:#?}");
    wait_until(DEADLINE, "word of its end", || told(&scratch, "logs.sink_recovered").len() == 1);
    // One that never reads holds up no end.
    scratch.down();
}

/// What is said of where output goes holds at once after a reload, from then on.
#[test]
fn a_reload_changes_where_it_goes() {
    let scratch = scratch();
    let config = |logs: &str| format!("services: {{ web: {{ command: ['@badchild@', ticks], logs: {{ {logs} }} }} }}");
    scratch.config(&config(""));
    scratch.ok(&["up", "-d"]);
    wait_until(DEADLINE, "some lines", || scratch.ok(&["logs", "web"]).stdout.lines().count() > 3);
    scratch.config(&config("path: web.log"));
    scratch.ok(&["reload"]);
    let file = scratch.project().join("web.log");
    wait_until(DEADLINE, "lines of it", || text(&file).lines().count() > 2);
    assert!(!text(&file).contains("tick 0\n"), "{}", text(&file));
    scratch.config(&config(""));
    scratch.ok(&["reload"]);
    let last = |text: &str| text.lines().last().unwrap().trim_start_matches("tick ").parse::<u64>().unwrap();
    let newest = || last(&scratch.ok(&["logs", "web", "-n", "1", "--no-prefix"]).stdout);
    // What was on its way to the file when that was said may still get there.
    let then = newest();
    wait_until(DEADLINE, "more lines", || newest() > then + 6);
    assert!(last(&text(&file)) <= then, "{then} and then {}", text(&file));
    scratch.down();
}

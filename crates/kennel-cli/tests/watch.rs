//! Files that change: a restart with nothing left of the run before, a signal, a command; what is ignored, and what would go in a circle.
//!
//! covers: B9, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, send, state_of, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

fn stack(yaml: &str) -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(yaml);
    scratch
}

/// Writes a file of the project, and the directories above it.
fn write(scratch: &Scratch, path: &str, text: &str) {
    let file = scratch.project().join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

/// Does something while the daemon stands still, which sees all of it at once then.
fn at_once(scratch: &Scratch, change: impl FnOnce()) {
    let daemon = scratch.daemon();
    send(&daemon, Signal::STOP);
    wait_until(DEADLINE, "it stands still", || state_of(daemon.pid) == Some('T'));
    change();
    send(&daemon, Signal::CONT);
}

/// Starts it and waits until changes are seen.
fn up(scratch: &Scratch, services: &[&str]) {
    scratch.ok(&["up", "-d"]);
    for service in services {
        scratch.wait_events(service, "watch.begun", 1);
    }
}

#[test]
fn a_change_starts_it_anew_when_nothing_is_left_of_the_run_before() {
    let scratch = stack(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', daemon]
    readiness: { log_line: up }
    watch: { paths: [src, 'conf/*.toml', single.txt], ignore: ['*.md', /src/made/], debounce: 300ms }
  other: { command: ['@badchild@', sleep] }
",
    );
    write(&scratch, "src/deep/a.rs", "1");
    write(&scratch, "single.txt", "1");
    write(&scratch, "beside.txt", "1");
    up(&scratch, &["web"]);
    let other = scratch.ps("other")["pid"].clone();
    let mut restarts = 0;
    let mut expect = |what: &str, path: &str| {
        restarts += 1;
        let changed = scratch.wait_events("web", "watch.changed", restarts);
        let last = changed.last().unwrap();
        assert_eq!((changed.len(), &last["action"]), (restarts, &"restart".into()), "{what}: {changed:?}");
        assert!(last["paths"].as_array().unwrap().iter().any(|told| told == path), "{what}: {last}");
        scratch.wait_events("web", "instance.ready", restarts + 1);
    };
    write(&scratch, "src/deep/a.rs", "2");
    expect("a file is written", "src/deep/a.rs");
    at_once(&scratch, || write(&scratch, "src/new/b.rs", "1"));
    expect("a directory is made, with a file in it", "src/new/b.rs");
    std::fs::rename(scratch.project().join("src/new"), scratch.project().join("src/moved")).unwrap();
    expect("a directory is moved", "src/moved/b.rs");
    write(&scratch, "src/moved/b.rs", "2");
    expect("a file in it is written", "src/moved/b.rs");
    std::fs::remove_file(scratch.project().join("src/deep/a.rs")).unwrap();
    expect("a file is removed", "src/deep/a.rs");
    // As an editor writes it: another file takes its place.
    write(&scratch, "other-name", "2");
    std::fs::rename(scratch.project().join("other-name"), scratch.project().join("single.txt")).unwrap();
    expect("a single file is replaced", "single.txt");
    // What was not there when it began.
    at_once(&scratch, || write(&scratch, "conf/a.toml", "1"));
    expect("a directory that was missing comes", "conf/a.toml");

    // All this does not count; what does, after it, is the next one that is told.
    for path in [
        "src/a.md",
        "src/made/x.rs",
        "src/node_modules/x.js",
        "src/.git/index",
        "src/a.rs~",
        "conf/a.json",
        "beside.txt",
    ] {
        write(&scratch, path, "1");
    }
    std::fs::read(scratch.project().join("src/moved/b.rs")).unwrap();
    at_once(&scratch, || write(&scratch, "src/last.rs", "1"));
    restarts += 1;
    let changed = scratch.wait_events("web", "watch.changed", restarts);
    assert_eq!(changed[restarts - 1]["paths"], serde_json::json!(["src/last.rs"]), "{changed:?}");
    scratch.wait_events("web", "instance.ready", restarts + 1);

    // Each run was proved empty before the next one began.
    let events = scratch.recorded();
    let mut running = 0;
    for event in events.iter().filter(|event| event["service"] == "web") {
        match event["event"].as_str().unwrap() {
            "instance.started" => running += 1,
            "instance.down" => {
                assert_eq!((&event["receipt"]["left"], &event["receipt"]["reason"]), (&0.into(), &"restart".into()));
                running -= 1;
            }
            _ => {}
        }
        assert!(running <= 1, "two runs at once: {event}");
    }
    assert_eq!(scratch.ps("other")["pid"], other, "nobody else is touched");
    // Stopped by hand, changes have no say.
    scratch.ok(&["stop", "web"]);
    write(&scratch, "src/last.rs", "2");
    scratch.ok(&["start", "web"]);
    scratch.wait_events("web", "watch.begun", 2);
    write(&scratch, "src/last.rs", "3");
    let changed = scratch.wait_events("web", "watch.changed", restarts + 1);
    assert_eq!(changed.len(), restarts + 1);
    scratch.down();
}

#[test]
fn a_change_sends_a_signal_or_runs_a_command() {
    let scratch = stack(
        "
services:
  hup:
    command: [sh, -c, 'trap \"echo again\" HUP; echo up; while :; do sleep 0.1; done']
    readiness: { log_line: up }
    watch: { paths: a, signal: HUP, debounce: 20ms }
  made:
    command: ['@badchild@', sleep]
    watch: { paths: [b], command: [sh, -c, 'echo $$MAINPID >> made.txt; exit 3'], debounce: 20ms }
",
    );
    write(&scratch, "a/x", "1");
    write(&scratch, "b/x", "1");
    up(&scratch, &["hup", "made"]);
    let pids = ["hup", "made"].map(|name| scratch.ps(name)["pid"].clone());
    write(&scratch, "a/x", "2");
    wait_until(DEADLINE, "the signal", || scratch.ok(&["logs", "hup"]).stdout.contains("again"));
    write(&scratch, "b/x", "2");
    let failed = scratch.wait_events("made", "watch.failed", 1);
    assert_eq!(failed[0]["reason"], "exit 3");
    // One write is two changes, and twice the command where they are told one after the other.
    let main = std::fs::read_to_string(scratch.project().join("made.txt")).unwrap();
    let pid = pids[1].to_string();
    assert!(main.lines().count() > 0 && main.lines().all(|line| line == pid), "{main}");
    assert_eq!(["hup", "made"].map(|name| scratch.ps(name)["pid"].clone()), pids, "both run on");
    scratch.down();
}

#[test]
fn what_changes_its_own_files_does_not_go_in_a_circle() {
    let scratch = stack(
        "
services:
  writes:
    command: [sh, -c, 'echo x >> out/log; exec sleep 1000']
    watch: { paths: [out], debounce: 10ms }
    stop: []
",
    );
    std::fs::create_dir(scratch.project().join("out")).unwrap();
    up(&scratch, &["writes"]);
    // Its first run may have written before anybody looked.
    write(&scratch, "out/first", "1");
    let held = scratch.wait_events("writes", "watch.held", 1);
    assert!(held[0]["for_ms"].as_u64().unwrap() <= 60_000);
    assert_eq!(scratch.events_of("writes", "watch.changed").len(), 10);
    scratch.down();
}

#[test]
fn changes_are_seen_after_a_hand_over() {
    let scratch =
        stack("services: { web: { command: ['@badchild@', sleep], watch: { paths: [src], debounce: 20ms } } }");
    write(&scratch, "src/a", "1");
    up(&scratch, &["web"]);
    scratch.ok(&["daemon", "restart"]);
    scratch.wait_events("web", "watch.begun", 2);
    write(&scratch, "src/a", "2");
    scratch.wait_events("web", "instance.started", 2);
    // Without a watch nothing is looked at any more.
    scratch.config("services: { web: { command: ['@badchild@', sleep] } }");
    scratch.ok(&["reload"]);
    wait_until(DEADLINE, "the thread ends", || scratch.daemon_threads("kennel-watch") == 0);
    scratch.down();
}

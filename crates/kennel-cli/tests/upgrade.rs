//! One daemon after another while everything runs and everybody asks: nothing is stopped, lost or left unanswered. And a
//! daemon that cannot come up changes nothing.
//!
//! `KENNEL_TEST_ROUNDS` says how often the daemon is replaced.
//!
//! covers: A6

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);
const LINES: usize = 15_000;

const STACK: &str = r#"services:
  talker:
    command: ['sh', '-c', 'i=0; while [ $$i -lt LINES ]; do i=$$((i+1)); echo "line $$i"; [ $$((i % 50)) -ne 0 ] || sleep 0.01; done; exec sleep 1000']
    restart: 'no'
  tree:
    command: ['@badchild@', --cell, '2', daemon]
    readiness: { log_line: up }
  probed:
    command: ['@badchild@', --cell, '3', plain]
    readiness: { exec: { command: 'true' }, interval: 50ms, ready_interval: 50ms }
  kept:
    command: ['sleep', '1000']
    on_daemon_loss: keep
"#;

const NAMES: [&str; 4] = ["talker", "tree", "probed", "kept"];

fn rounds() -> usize {
    std::env::var("KENNEL_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

fn scratch(user: User) -> Option<Scratch> {
    let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    scratch.config(&STACK.replace("LINES", &LINES.to_string()));
    scratch.ok(&["up", "-d"]);
    Some(scratch)
}

fn pids(scratch: &Scratch) -> Vec<u64> {
    NAMES
        .iter()
        .map(|name| scratch.ps(name)["pid"].as_u64().unwrap_or_else(|| panic!("{}", scratch.ps(name))))
        .collect()
}

fn daemon(scratch: &Scratch) -> u32 {
    wait_for(DEADLINE, "a daemon", || scratch.running_daemon()).pid
}

/// Every line of the talker once and in order; one may have been cut in two by a hand-over.
fn expect_every_line(scratch: &Scratch) {
    let last = format!("line {LINES}");
    let written = |options: &[&str]| {
        let lines = scratch.ok(&[&["logs", "talker", "--json"], options].concat()).stdout;
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        lines.lines().map(line).fold(String::new(), |text, line| {
            text + line["line"].as_str().unwrap() + if line["complete"] == true { "\n" } else { "" }
        })
    };
    wait_until(DEADLINE, "the last line", || written(&["-n", "1"]).trim_end() == last);
    let written = written(&[]);
    let mut lines = written.lines();
    for number in 1..=LINES {
        assert_eq!(lines.next(), Some(format!("line {number}").as_str()));
    }
    assert_eq!(lines.next(), None);
}

fn expect_numbers_without_gap(numbers: &[u64]) {
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
}

/// Asks and asks until told to end; no question may be refused.
fn ask(scratch: &Scratch, over: &AtomicBool, asked: &AtomicUsize) {
    while !over.load(Ordering::Relaxed) {
        for arguments in [&["ps", "--json"][..], &["status", "kept", "--json"], &["start", "kept", "--json"]] {
            scratch.ok(arguments);
            asked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn replaced_under_load(scratch: &Scratch) {
    let before = pids(scratch);
    let mut follower = scratch.spawn(&["events", "-f", "--json"]);
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| ask(scratch, &over, &asked));
        for round in 0..rounds() {
            let (old, asked_before) = (daemon(scratch), asked.load(Ordering::Relaxed));
            let arguments: &[&str] =
                if round % 2 == 0 { &["daemon", "restart", "--json"] } else { &["upgrade", "--json"] };
            let report = scratch.json(arguments);
            assert_eq!(report["before"]["pid"], old);
            assert_ne!(report["after"]["pid"], old, "{report}");
            assert_eq!(report["before"]["keeper_pid"], report["after"]["keeper_pid"]);
            assert_eq!(report["keeper"], round % 2 == 1, "{report}");
            wait_until(DEADLINE, "the old one to go", || !Path::new(&format!("/proc/{old}")).exists());
            assert_eq!(pids(scratch), before, "round {round}");
            // One may have been answered by the old one, the rest is not.
            wait_until(DEADLINE, "questions in this round", || asked.load(Ordering::Relaxed) > asked_before + 3);
        }
        over.store(true, Ordering::Relaxed);
    });
    expect_every_line(scratch);
    for name in NAMES {
        assert_eq!(
            (scratch.ps(name)["state"].as_str(), scratch.ps(name)["restarts"].as_u64()),
            (Some("ready"), Some(0))
        );
    }
    let recorded: Vec<u64> = scratch.recorded().iter().filter_map(|event| event["seq"].as_u64()).collect();
    expect_numbers_without_gap(&recorded);
    scratch.ok(&["down"]);
    let said = follower.wait(DEADLINE);
    assert_eq!(said.code(), 0, "{}", said.all());
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let followed: Vec<serde_json::Value> = said.stdout.lines().map(event).collect();
    assert_eq!(followed.last().unwrap()["event"], "shutdown.completed");
    expect_numbers_without_gap(&followed.iter().filter_map(|event| event["seq"].as_u64()).collect::<Vec<u64>>());
    assert_eq!(followed.iter().filter(|event| event["event"] == "daemon.replaced").count(), rounds());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn stack_runs_on_while_daemons_are_replaced_cgroup() {
    scratch(User::Root).inspect(replaced_under_load);
}

#[test]
fn stack_runs_on_while_daemons_are_replaced_reaper() {
    scratch(User::Plain).inspect(replaced_under_load);
}

fn program(scratch: &Scratch, name: &str, content: &str, mode: u32) -> String {
    let path = scratch.file(name, content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

#[test]
fn a_new_binary_that_is_broken_changes_nothing() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = scratch(user) else { continue };
        let (before, old) = (pids(&scratch), daemon(&scratch));
        let broken = [
            (program(&scratch, "ends", "#!/bin/sh\nexit 3\n", 0o700), 5),
            (program(&scratch, "no-program", "nonsense", 0o700), 5),
            (program(&scratch, "not-executable", "#!/bin/sh\n", 0o600), 1),
            (scratch.path("nowhere").display().to_string(), 1),
        ];
        for (path, code) in &broken {
            let output = scratch.kennel(&["upgrade", "--to", path]);
            assert_eq!(output.code(), *code, "{path}: {}", output.all());
            assert!(output.stderr.starts_with("error: "), "{}", output.all());
            assert_eq!((pids(&scratch), daemon(&scratch)), (before.clone(), old));
        }
        let failed = scratch.recorded().iter().filter(|event| event["event"] == "daemon.handover_failed").count();
        assert_eq!(failed, 2);
        // And afterwards it works.
        scratch.ok(&["daemon", "restart"]);
        assert_eq!(pids(&scratch), before);
        scratch.down();
    }
}

#[test]
fn a_stack_in_the_foreground_is_held_by_its_client_from_daemon_to_daemon() {
    let Some(scratch) = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    scratch.config(&STACK.replace("LINES", &LINES.to_string()));
    let mut up = scratch.spawn(&["up"]);
    NAMES.iter().for_each(|name| scratch.wait_up(name, DEADLINE));
    let before = pids(&scratch);
    for _ in 0..3 {
        scratch.ok(&["daemon", "restart"]);
        assert_eq!(pids(&scratch), before);
        assert!(!up.has_ended());
    }
    expect_every_line(&scratch);
    wait_until(DEADLINE, "the client to be told everything", || up.stdout().contains(&format!("line {LINES}\n")));
    let said = up.stdout();
    for number in 1..=LINES {
        assert_eq!(said.matches(&format!("| line {number}\n")).count(), 1, "line {number}");
    }
    // Its end is the end of the stack, also in the eyes of the last daemon.
    up.signal(Signal::INT);
    assert_eq!(up.wait(DEADLINE).code(), 0);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_client_that_is_lost_during_a_hand_over_takes_the_stack_with_it() {
    let Some(scratch) = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    scratch.config(&STACK.replace("LINES", "10"));
    let mut up = scratch.spawn(&["up"]);
    scratch.wait_up("kept", DEADLINE);
    // Stopped, it does not come back to the new daemon.
    up.signal(Signal::STOP);
    scratch.ok(&["daemon", "restart"]);
    up.signal(Signal::KILL);
    let _killed = up.wait(DEADLINE);
    wait_until(DEADLINE, "the end of everything", || scratch.running_daemon().is_none());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_command_that_is_waited_for_runs_on_and_its_client_gets_its_code() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = scratch(user) else { continue };
        let script = "i=0; while [ ! -e go ]; do sleep 0.02; done; echo heard; exit 7";
        let mut waiting = scratch.spawn(&["run", "--", "sh", "-c", script]);
        let mut limited = scratch.spawn(&["run", "--timeout", "4s", "--", "sleep", "3000"]);
        let mut dropped = scratch.spawn(&["run", "--", "sleep", "2000"]);
        let running = |what: &str| {
            scratch.survivors().iter().any(|seen| seen.command.contains(what) && !seen.command.contains("run --"))
        };
        // Of the one with a limit the time runs.
        wait_until(DEADLINE, "the limited command", || running("sleep 3000") || limited.has_ended());
        wait_until(DEADLINE, "the other one", || running("sleep 2000"));
        for _ in 0..3 {
            scratch.ok(&["daemon", "restart"]);
            assert!(!waiting.has_ended() && !dropped.has_ended());
        }
        // One whose client is lost later ends with it, as always.
        dropped.signal(Signal::KILL);
        let _killed = dropped.wait(DEADLINE);
        wait_until(DEADLINE, "the end of the command without a client", || !running("sleep 2000"));
        scratch.file("go", "");
        let output = waiting.wait(DEADLINE);
        assert_eq!((output.code(), output.stdout.as_str()), (7, "heard\n"), "{}", output.all());
        // The time it may run is that of its beginning.
        let output = limited.wait(DEADLINE);
        assert!([124, 143].contains(&output.code()), "{} {}", output.code(), output.all());
        assert!(!running("sleep 3000"));
        scratch.down();
    }
}

//! Services that are kept: daemon, keeper or both are killed under load, and nothing is stopped, started twice, lost or counted wrong.
//!
//! `KENNEL_TEST_ROUNDS` says how often the daemon is killed.
//!
//! covers: B3, B7, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Seen, Signal, User, try_send, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// Lines that the talker writes, some thousand a second.
const LINES: usize = 20_000;
/// As the keeper has it, and a little more.
const GROWN_UP: Duration = Duration::from_millis(1200);

const STACK: &str = r#"services:
  talker:
    command: ['sh', '-c', 'i=0; while [ $$i -lt LINES ]; do i=$$((i+1)); echo "line $$i"; [ $$((i % 50)) -ne 0 ] || sleep 0.01; done; exec sleep 1000']
    on_daemon_loss: keep
    restart: 'no'
  tree:
    command: ['@badchild@', --cell, '2', daemon]
    on_daemon_loss: keep
    readiness: { log_line: up }
  flaky:
    command: ['sh', '-c', 'echo $$$$ >> runs; sleep 0.3; [ ! -e halt ] || exec sleep 2000; exit 3']
    on_daemon_loss: keep
    restart: always
    restart_policy: { delay: 50ms, factor: 1, max_restarts: 100000 }
  plain:
    command: ['@badchild@', --cell, '3', plain]
    readiness: { log_line: up }
"#;

fn rounds() -> usize {
    std::env::var("KENNEL_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

fn scratch(user: User) -> Option<Scratch> {
    let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    scratch.config(&STACK.replace("LINES", &LINES.to_string()));
    scratch.ok(&["up", "-d"]);
    Some(scratch)
}

/// Kills a part of kennel, and waits until another one has come in its place, if one is to come by itself.
fn kill(scratch: &Scratch, part: fn(&Scratch) -> Option<Seen>) {
    let lost = wait_for(DEADLINE, "a part to kill", || part(scratch));
    // One that is lost younger than this counts as one that cannot live, and is followed ever more slowly.
    wait_until(DEADLINE, "a part that has lived", || lost.age() > GROWN_UP);
    try_send(&lost, Signal::KILL);
    wait_until(DEADLINE, "its end", || {
        part(scratch).is_none_or(|now| now.pid != lost.pid || now.start_ticks != lost.start_ticks)
    });
}

fn pid(scratch: &Scratch, name: &str) -> u64 {
    scratch.ps(name)["pid"].as_u64().unwrap_or_else(|| panic!("{}", scratch.ps(name)))
}

fn log(scratch: &Scratch) -> String {
    let log = std::fs::read_to_string(scratch.instance_dir().join("kennel.log")).unwrap_or_default();
    let events = scratch.recorded();
    let events = events.iter().map(|event| format!("{event}\n")).collect::<String>();
    format!("{log}\n{events}")
}

/// Every line of the talker once, in order.
fn expect_every_line(scratch: &Scratch) {
    let last = format!("line {LINES}");
    wait_until(DEADLINE, "the last line", || {
        scratch.ok(&["logs", "talker", "-n", "1", "--no-prefix"]).stdout.trim() == last
    });
    let written = scratch.ok(&["logs", "talker", "--no-prefix"]).stdout;
    let mut lines = written.lines();
    for number in 1..=LINES {
        let line = lines.next();
        assert_eq!(line, Some(format!("line {number}").as_str()), "{}", log(scratch));
    }
    assert_eq!(lines.next(), None);
}

/// As many runs as were started, and as many restarts as `ps` says.
fn expect_every_run(scratch: &Scratch) {
    let flaky = |event: &&serde_json::Value| event["service"] == "flaky";
    // Not one that has yet to write its line.
    scratch.file("halt", "");
    wait_until(DEADLINE, "one that stays", || scratch.survivors().iter().any(|seen| seen.command == "sleep 2000"));
    scratch.ok(&["stop", "flaky"]);
    let events = scratch.recorded();
    let of = |kind: &str| events.iter().filter(flaky).filter(|event| event["event"] == kind).count();
    let runs = std::fs::read_to_string(scratch.project().join("runs")).unwrap().lines().count();
    assert_eq!((of("instance.started"), of("instance.exited"), of("instance.down")), (runs, runs, runs));
    assert_eq!(scratch.ps("flaky")["restarts"].as_u64(), Some(of("restart.scheduled") as u64));
    assert_eq!(of("restart.scheduled"), runs - 1);
    let codes: Vec<&serde_json::Value> = events
        .iter()
        .filter(flaky)
        .filter(|event| event["event"] == "instance.exited")
        .map(|event| &event["exit"])
        .collect();
    let (last, others) = codes.split_last().unwrap();
    assert!(others.iter().all(|exit| exit["code"] == 3), "{codes:?}");
    assert_eq!(last["signal"], 15, "{last}");
}

fn expect_numbers_without_gap(scratch: &Scratch) {
    let numbers: Vec<u64> = scratch.recorded().iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
}

fn daemon_killed_again_and_again(scratch: &Scratch) {
    let before = [pid(scratch, "talker"), pid(scratch, "tree")];
    let tree = scratch.in_cells().iter().filter(|seen| seen.cell == Some(2) && seen.living).count();
    for round in 0..rounds() {
        kill(scratch, Scratch::running_daemon);
        let now = [pid(scratch, "talker"), pid(scratch, "tree")];
        assert_eq!(now, before, "round {round}");
        scratch.wait_state("plain", "failed", DEADLINE);
    }
    assert_eq!(scratch.in_cells().iter().filter(|seen| seen.cell == Some(2) && seen.living).count(), tree);
    assert!(!scratch.in_cells().iter().any(|seen| seen.cell == Some(3)), "what is not kept has ended");
    expect_every_line(scratch);
    expect_every_run(scratch);
    expect_numbers_without_gap(scratch);
    scratch.down();
}

#[test]
fn a_stack_is_kept_over_lost_daemons_cgroup() {
    scratch(User::Root).inspect(daemon_killed_again_and_again);
}

#[test]
fn a_stack_is_kept_over_lost_daemons_reaper() {
    scratch(User::Plain).inspect(daemon_killed_again_and_again);
}

#[test]
fn a_stack_is_kept_over_lost_daemons_delegated() {
    scratch(User::Delegated).inspect(daemon_killed_again_and_again);
}

fn keeper_lost(scratch: &Scratch, both: bool) {
    let before = [pid(scratch, "talker"), pid(scratch, "tree")];
    for round in 0..3 {
        if both {
            let daemon = wait_for(DEADLINE, "a daemon", || scratch.running_daemon());
            kill(scratch, Scratch::running_keeper);
            try_send(&daemon, Signal::KILL);
        } else {
            kill(scratch, Scratch::running_keeper);
        }
        let now = [pid(scratch, "talker"), pid(scratch, "tree")];
        assert_eq!(now, before, "round {round}");
    }
    expect_every_line(scratch);
    expect_numbers_without_gap(scratch);
    // What it wrote before is there, and it is still heard, stopped and proved down as any other.
    let stopped = scratch.json(&["stop", "tree", "--json"]);
    assert_eq!(stopped["left"], 0);
    assert!(!scratch.in_cells().iter().any(|seen| seen.cell == Some(2)));
    scratch.down();
}

#[test]
fn a_stack_is_kept_over_a_lost_keeper_cgroup() {
    scratch(User::Root).inspect(|scratch| keeper_lost(scratch, false));
}

#[test]
fn a_stack_is_kept_over_a_lost_keeper_delegated() {
    scratch(User::Delegated).inspect(|scratch| keeper_lost(scratch, false));
}

#[test]
fn a_stack_is_kept_over_the_loss_of_both_cgroup() {
    scratch(User::Root).inspect(|scratch| keeper_lost(scratch, true));
}

/// Without a cgroup nobody could find it again: it ends with the keeper, and is started again as its restart policy says.
#[test]
fn a_stack_ends_with_its_keeper_without_cgroups() {
    scratch(User::Plain).inspect(|scratch| {
        let tree = pid(scratch, "tree");
        kill(scratch, Scratch::running_keeper);
        wait_until(DEADLINE, "the end of the tree", || !Path::new(&format!("/proc/{tree}")).exists());
        scratch.kennel(&["down"]);
        scratch.expect_nothing(DEADLINE);
    });
}

//! Daemon or keeper are killed at any moment of a start or a stop, again and again: nothing is left, and the next
//! command works.
//!
//! covers: C2, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Background, Scratch, Seen, Signal, User, try_send, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);
const SERVICES: usize = 24;
/// Each at another moment.
const ROUNDS: usize = 12;

fn scratch(user: User) -> Option<Scratch> {
    let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    let mut yaml = "services:\n".to_owned();
    for index in 0..SERVICES {
        let shape = ["daemon", "plain", "ignores-term", "own-group"][index % 4];
        writeln!(yaml, "  s{index}: {{ command: ['@badchild@', --cell, '{}', {shape}], restart: always,", index + 1)
            .unwrap();
        writeln!(yaml, "    readiness: {{ log_line: up }}, stop_grace_period: 200ms }}").unwrap();
    }
    scratch.config(&yaml);
    Some(scratch)
}

/// A part of kennel, if it runs.
type Part = fn(&Scratch) -> Option<Seen>;

/// Kills a part of kennel as soon as it is there, unless the command is faster.
fn kill(scratch: &Scratch, part: Part, command: &Background) {
    let found = wait_for(DEADLINE, "a part to kill", || {
        let found = part(scratch);
        (found.is_some() || command.has_ended()).then_some(found)
    });
    if let Some(seen) = found {
        try_send(&seen, Signal::KILL);
    }
}

fn show(left: &[Seen]) -> String {
    left.iter().map(|seen| format!("\n  {seen}")).collect()
}

/// Waits until no service has a process; who is there without having been asked for again is an orphan.
fn nobody(scratch: &Scratch, what: &str) {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        let left = scratch.in_cells();
        if left.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < end, "{what}: left:{}", show(&left));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn during_start(scratch: &Scratch, part: Part) {
    for round in 0..ROUNDS {
        let mut up = scratch.spawn(&["up", "-d"]);
        let enough = round * SERVICES * 2 / ROUNDS;
        wait_until(DEADLINE, "so many processes", || scratch.in_cells().len() >= enough);
        kill(scratch, part, &up);
        let output = up.wait(DEADLINE);
        assert!(matches!(output.code(), 0 | 1 | 5), "round {round}: {} {}", output.code(), output.all());
        if output.code() == 0 {
            // Everything was ready before the kill, or the loss came so early that the next daemon did it all.
            // That daemon may be on its way out as this asks.
            let output = scratch.kennel(&["down"]);
            assert!(matches!(output.code(), 0 | 5), "round {round}: {} {}", output.code(), output.all());
        }
        nobody(scratch, &format!("killed during start, round {round}"));
    }
    scratch.ok(&["up", "-d"]);
    assert_eq!(scratch.in_cells().iter().filter(|seen| seen.living).count(), 2 * SERVICES);
    scratch.down();
}

fn during_stop(scratch: &Scratch, part: Part) {
    for round in 0..ROUNDS {
        scratch.ok(&["up", "-d"]);
        let mut down = scratch.spawn(&["down"]);
        let few = 2 * SERVICES - round * SERVICES * 2 / ROUNDS;
        wait_until(DEADLINE, "so few processes", || {
            scratch.in_cells().iter().filter(|seen| seen.living).count() <= few
        });
        kill(scratch, part, &down);
        let output = down.wait(DEADLINE);
        assert!(matches!(output.code(), 0 | 5), "round {round}: {} {}", output.code(), output.all());
        nobody(scratch, &format!("killed during down, round {round}"));
    }
    scratch.ok(&["up", "-d"]);
    scratch.down();
}

#[test]
fn stack_starts_while_the_daemon_is_killed_cgroup() {
    scratch(User::Root).inspect(|scratch| during_start(scratch, Scratch::running_daemon));
}

#[test]
fn stack_starts_while_the_daemon_is_killed_reaper() {
    scratch(User::Plain).inspect(|scratch| during_start(scratch, Scratch::running_daemon));
}

#[test]
fn stack_starts_while_the_keeper_is_killed_cgroup() {
    scratch(User::Root).inspect(|scratch| during_start(scratch, Scratch::running_keeper));
}

#[test]
fn stack_starts_while_the_keeper_is_killed_reaper() {
    scratch(User::Plain).inspect(|scratch| during_start(scratch, Scratch::running_keeper));
}

#[test]
fn stack_stops_while_the_daemon_is_killed_cgroup() {
    scratch(User::Root).inspect(|scratch| during_stop(scratch, Scratch::running_daemon));
}

#[test]
fn stack_stops_while_the_daemon_is_killed_reaper() {
    scratch(User::Plain).inspect(|scratch| during_stop(scratch, Scratch::running_daemon));
}

#[test]
fn stack_stops_while_the_keeper_is_killed_cgroup() {
    scratch(User::Root).inspect(|scratch| during_stop(scratch, Scratch::running_keeper));
}

#[test]
fn stack_stops_while_the_keeper_is_killed_reaper() {
    scratch(User::Plain).inspect(|scratch| during_stop(scratch, Scratch::running_keeper));
}

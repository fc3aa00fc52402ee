//! Keeper, daemon and the reapers of all scopes are killed in one instant: the next command finds what is left.
//!
//! covers: C2, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Seen, Signal, User, send, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

/// Two of them would use up the whole of the default stop sequence, 15 s.
const YAML: &str = "
services:
  daemon: { command: ['@badchild@', --cell, '1', daemon], readiness: { log_line: up } }
  bare: { command: ['@badchild@', --cell, '2', empty-env], readiness: { log_line: up } }
  deaf: { command: ['@badchild@', --cell, '3', ignores-term], readiness: { log_line: up }, stop: [{ signal: SIGTERM, wait: 500ms }] }
  forks: { command: ['@badchild@', --cell, '4', forks], readiness: { log_line: up }, stop: [{ signal: SIGTERM, wait: 500ms }] }
";

fn scratch() -> Option<Scratch> {
    let scratch = Scratch::new(User::Plain, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    scratch.config(YAML);
    scratch.ok(&["up", "-d"]);
    Some(scratch)
}

/// Nobody is left who could do anything; only services.
fn lose(scratch: &Scratch, daemon_too: bool) {
    let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
    let reapers: Vec<Seen> =
        scratch.survivors().into_iter().filter(|seen| seen.verb() == "__keeper" && seen.ppid == keeper.pid).collect();
    assert_eq!(reapers.len(), 4);
    send(&keeper, Signal::STOP);
    send(&daemon, Signal::STOP);
    reapers.iter().for_each(|reaper| send(reaper, Signal::KILL));
    send(&keeper, Signal::KILL);
    send(&daemon, if daemon_too { Signal::KILL } else { Signal::CONT });
    if daemon_too {
        wait_until(DEADLINE, "everybody gone", || {
            scratch.survivors().iter().all(|seen| !seen.verb().starts_with("__"))
        });
        assert!(scratch.in_cells().len() >= 7);
    }
}

/// The daemon that a command has started for this may still be there; no service is.
fn nothing_is_left(scratch: &Scratch) {
    wait_until(DEADLINE, "services gone", || scratch.in_cells().is_empty());
}

#[test]
fn stack_is_found_by_ps() {
    scratch().inspect(|scratch| {
        lose(scratch, true);
        let listed = scratch.json(&["ps", "--json"]);
        assert!(listed.as_array().is_some_and(|all| all.len() == 4), "{listed}");
        for name in ["daemon", "bare", "deaf", "forks"] {
            scratch.wait_state(name, "failed", DEADLINE);
        }
        nothing_is_left(scratch);
        scratch.down();
    });
}

#[test]
fn stack_is_found_by_down() {
    scratch().inspect(|scratch| {
        lose(scratch, true);
        scratch.down();
    });
}

#[test]
fn stack_is_found_by_clean() {
    scratch().inspect(|scratch| {
        lose(scratch, true);
        let told = scratch.json(&["clean", "--all", "--json"]);
        assert_eq!(told["left"], 0, "{told}");
        scratch.expect_nothing(DEADLINE);
    });
}

#[test]
fn stack_is_found_by_up() {
    scratch().inspect(|scratch| {
        lose(scratch, true);
        let before = scratch.in_cells();
        scratch.ok(&["up", "-d"]);
        let after = scratch.in_cells();
        assert!(
            after
                .iter()
                .all(|seen| !before.iter().any(|old| (old.pid, old.start_ticks) == (seen.pid, seen.start_ticks))),
            "{before:?} {after:?}"
        );
        scratch.down();
    });
}

/// The daemon lives, and cannot know that a reaper did not end as it should.
#[test]
fn stack_is_found_by_its_daemon() {
    scratch().inspect(|scratch| {
        lose(scratch, false);
        scratch.expect_nothing(DEADLINE);
    });
}

//! Daemon, keeper or both are killed at random moments while services that are kept are started, stopped and restarted: what was
//! acknowledged stands, nothing runs twice, and what is recorded is a history that can have been.
//!
//! `KENNEL_TEST_ROUNDS` says how often, `KENNEL_TEST_SEED` from where.
//!
//! covers: B3, B7, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "the seed, for the reader of a failure")]

mod crashing;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crashing::{expect_history, never_twice};
use kennel_testkit::{Scratch, Signal, User, try_send, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["one", "two", "three"];

const STACK: &str = "services:
  one: { command: ['@badchild@', --cell, '1', plain], on_daemon_loss: keep, restart: always, readiness: { log_line: up } }
  two: { command: ['@badchild@', --cell, '2', plain], on_daemon_loss: keep, restart: always, readiness: { log_line: up } }
  three: { command: ['@badchild@', --cell, '3', ignores-term], on_daemon_loss: keep, restart: 'no', stop_grace_period: 50ms }
  flaky: { command: ['sh', '-c', 'sleep 0.4; exit 3'], on_daemon_loss: keep, restart: always,
    restart_policy: { delay: 20ms, factor: 1, max_restarts: 100000 } }
";

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The same numbers for the same seed. Source: Marsaglia, "Xorshift RNGs".
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn states(scratch: &Scratch) -> BTreeMap<String, String> {
    let listed = scratch.json(&["ps", "--all", "--json"]);
    let of = |one: &Value| (one["name"].as_str().unwrap().to_owned(), one["state"].as_str().unwrap().to_owned());
    listed.as_array().unwrap().iter().map(of).collect()
}

fn killed_at_random(scratch: &Scratch) {
    let seed = number("KENNEL_TEST_SEED", u64::from(std::process::id()) << 16 | 1);
    eprintln!("KENNEL_TEST_SEED={seed}");
    let mut random = Random(seed);
    scratch.ok(&["up", "-d"]);
    // What the last acknowledged request wanted of each; none: the last one was not acknowledged.
    let mut wanted: BTreeMap<&str, Option<bool>> = NAMES.iter().map(|name| (*name, Some(true))).collect();
    for round in 0..number("KENNEL_TEST_ROUNDS", 6) {
        let name = NAMES[usize::try_from(random.below(3)).unwrap()];
        let verb = ["start", "stop", "restart", "daemon"][usize::try_from(random.below(4)).unwrap()];
        let mut command = match verb {
            "daemon" => scratch.spawn(&["daemon", "restart"]),
            verb => scratch.spawn(&[verb, name]),
        };
        let pause = Duration::from_micros(random.below(60_000));
        std::thread::sleep(pause);
        let (daemon, keeper) = (scratch.running_daemon(), scratch.running_keeper());
        let who = random.below(if scratch.user() == User::Plain { 4 } else { 6 });
        let victims = match who {
            4 => vec![keeper],
            5 => vec![keeper, daemon],
            _ => vec![daemon],
        };
        let acknowledged = command.has_ended();
        for victim in victims.into_iter().flatten() {
            try_send(&victim, Signal::KILL);
        }
        let code = command.wait(DEADLINE).code();
        if verb != "daemon" {
            let stands = (acknowledged || code == 0).then_some(verb != "stop");
            wanted.insert(name, if code == 0 { stands } else { None });
        }
        let what = format!("round {round}: `{verb} {name}`, {pause:?}, victim {who}, seed {seed}");
        wait_for(DEADLINE, &what, || (scratch.kennel(&["ps"]).code() == 0).then_some(()));
        never_twice(scratch);
        wait_until(DEADLINE, &format!("what was acknowledged, {what}: {wanted:?}"), || {
            let states = states(scratch);
            wanted.iter().all(|(name, wanted)| match wanted {
                Some(true) => states[*name] == "ready",
                Some(false) => states[*name] == "stopped",
                None => true,
            })
        });
        assert_ne!(states(scratch)["flaky"], "failed", "{what}");
    }
    scratch.ok(&["up", "-d"]);
    never_twice(scratch);
    scratch.down();
    expect_history(scratch);
}

#[test]
fn stack_is_kept_over_kills_at_random_cgroup() {
    let scratch = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.inspect(|scratch| drop(scratch.config(STACK))).inspect(killed_at_random);
}

#[test]
fn stack_is_kept_over_kills_at_random_reaper() {
    let scratch = Scratch::new(User::Plain, Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.inspect(|scratch| drop(scratch.config(STACK))).inspect(killed_at_random);
}

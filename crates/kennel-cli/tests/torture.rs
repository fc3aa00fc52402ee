//! Daemon, keeper or both are killed at random instants: nothing is left. 500 rounds of the same by hand:
//! `cargo xtask torture --rounds 500`.
//!
//! covers: C2, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "the seed, for the reader of a failure")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use kennel_testkit::torture::{Mode, Torture, Victim};

/// The same in each run …
const KNOWN: u64 = 13;
/// … and others each time.
const NEW: u64 = 12;

fn torture(mode: Mode, victims: &[Victim]) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut failures = String::new();
    for (seed, rounds) in [(1, KNOWN), (time, NEW)] {
        let kennel = PathBuf::from(env!("CARGO_BIN_EXE_kennel"));
        let torture = Torture { kennel, mode, victims: victims.to_vec(), seed, rounds, limit: None };
        let Some(report) = torture.run(|seed, result| {
            if let Ok(figures) = result {
                eprintln!("{} {seed}: {figures}", mode.name());
            }
        }) else {
            return;
        };
        for failure in report.failures {
            write!(failures, "\n{failure}").unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn stack_torture_cgroup() {
    torture(Mode::Cgroup, &Victim::ALL);
}

#[test]
fn stack_torture_reaper() {
    torture(Mode::Reaper, &Victim::ALL);
}

/// Also of both at once nothing is left, without another command.
#[test]
fn stack_torture_pidns() {
    torture(Mode::Pidns, &Victim::ALL);
}

#[test]
fn stack_torture_pidns_user() {
    torture(Mode::PidnsUser, &Victim::ALL);
}

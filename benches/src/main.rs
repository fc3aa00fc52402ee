//! Measures kennel beside bare loops of the same system calls, in the same minute, and prints a table.
//!
//! `kennel-bench [KENNEL]`: the program to measure, by default the one beside this. Runs as root, with cgroups.
//! The figures that are kept are in `docs/benchmarks.md`.

#![allow(clippy::print_stdout, reason = "its output is the table")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a measurement that fails has nothing to recover")]

mod api;
mod bare;
mod cost;
mod latency;
mod rates;

use std::path::PathBuf;
use std::time::Duration;

/// One line of the table.
pub(crate) struct Row {
    what: &'static str,
    bare: String,
    kennel: String,
    ratio: String,
    target: &'static str,
}

impl Row {
    pub(crate) fn new(what: &'static str, bare: String, kennel: String, ratio: String, target: &'static str) -> Self {
        Self { what, bare, kennel, ratio, target }
    }
}

fn main() {
    let beside = || std::env::current_exe().expect("own path").with_file_name("kennel");
    let kennel = std::env::args_os().nth(1).map_or_else(beside, PathBuf::from);
    println!("| what | bare | kennel | ratio | target |\n|---|---|---|---|---|");
    let measures: [fn(&std::path::Path) -> Vec<Row>; 8] = [
        latency::death_to_event,
        latency::death_to_new_pid,
        rates::start_500,
        rates::stop_1000_in_one_scope,
        rates::daemon_lost,
        cost::memory,
        cost::idle,
        cost::status,
    ];
    for measure in measures {
        for Row { what, bare, kennel, ratio, target } in measure(&kennel) {
            println!("| {what} | {bare} | {kennel} | {ratio} | {target} |");
        }
    }
}

/// The middle one of the sorted values.
pub(crate) fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Milliseconds with two digits.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// How many times as long.
pub(crate) fn times(kennel: Duration, bare: Duration) -> String {
    format!("{:.2}×", kennel.as_secs_f64() / bare.as_secs_f64())
}

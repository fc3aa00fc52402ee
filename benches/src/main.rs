//! Measures kennel beside bare loops of the same system calls, in the same minute, and prints a table.
//!
//! `kennel-bench [KENNEL [MEASURE…]]`: the program to measure, by default (or if empty) the one beside this, and which of
//! keeper, bomb, event, restart, start, stop, lost, recovery, memory, idle, status, services, processes, storm, load, followers, hooks, capture, search. Runs as root, with cgroups.
//! The figures that are kept are in `docs/benchmarks.md`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is the table")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a measurement that fails has nothing to recover")]

mod api;
mod bare;
mod cost;
mod followers;
mod hooks;
mod keeper;
mod latency;
mod load;
mod logs;
mod rates;
mod recovery;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// One line of the table.
pub(crate) struct Row {
    what: String,
    bare: String,
    kennel: String,
    ratio: String,
    target: &'static str,
}

impl Row {
    pub(crate) fn new(
        what: impl Into<String>,
        bare: String,
        kennel: String,
        ratio: String,
        target: &'static str,
    ) -> Self {
        Self { what: what.into(), bare, kennel, ratio, target }
    }
}

/// Measures the `kennel` program at a path.
type Measure = fn(&std::path::Path) -> Vec<Row>;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let first = args.next();
    // The keeper that is measured alone is this program, and so is its daemon.
    match first.as_ref().and_then(|first| first.to_str()) {
        Some("__keeper") => return kennel_keeper::main(args),
        Some("__daemon") => return keeper::daemon(&args.collect::<Vec<_>>()),
        _ => {}
    }
    let beside = || std::env::current_exe().expect("own path").with_file_name("kennel");
    let kennel = first.filter(|first| !first.is_empty()).map_or_else(beside, PathBuf::from);
    let only: Vec<String> = args.filter_map(|arg| arg.into_string().ok()).collect();
    // Before anything is begun that a measurement without its program would leave.
    if !kennel.is_file() {
        eprintln!("kennel-bench [PROGRAM [MEASURE…]]: {} is no program", kennel.display());
        return ExitCode::from(2);
    }
    println!("| what | bare | kennel | ratio | target |\n|---|---|---|---|---|");
    let measures: [(&str, Measure); 19] = [
        ("keeper", keeper::starts),
        ("bomb", keeper::bomb),
        ("event", latency::death_to_event),
        ("restart", latency::death_to_new_pid),
        ("start", rates::start_500),
        ("stop", rates::stop_in_one_scope),
        ("lost", rates::daemon_lost),
        ("recovery", recovery::recovery),
        ("memory", cost::memory),
        ("idle", cost::idle),
        ("status", cost::status),
        ("services", watch::services),
        ("processes", watch::processes),
        ("storm", watch::storm),
        ("load", load::load),
        ("followers", followers::followers),
        ("hooks", hooks::hooks),
        ("capture", logs::capture),
        ("search", logs::search),
    ];
    for (name, measure) in measures {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        for Row { what, bare, kennel, ratio, target } in measure(&kennel) {
            println!("| {what} | {bare} | {kennel} | {ratio} | {target} |");
        }
    }
    ExitCode::SUCCESS
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

/// How much of the bare rate is reached.
pub(crate) fn share(kennel: Duration, bare: Duration) -> String {
    format!("{:.0} % of the rate", 100.0 * bare.as_secs_f64() / kennel.as_secs_f64())
}

/// How many times as long.
pub(crate) fn times(kennel: Duration, bare: Duration) -> String {
    format!("{:.2}×", kennel.as_secs_f64() / bare.as_secs_f64())
}

//! How soon another daemon answers truthfully.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_sys::pidfd;
use kennel_testkit::{Scratch, User};

use crate::{Row, api, median, ms};

const RUNS: usize = 5;
const CHANGES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// A stack of so many services that are kept, up and running.
fn kept(kennel: &Path, count: usize) -> Scratch {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    let mut config = String::from("services:\n");
    for index in 0..count {
        writeln!(config, "  s{index}: {{ command: sleep 100000, on_daemon_loss: keep }}").expect("a string");
    }
    scratch.config(&config);
    scratch.ok(&["up", "-d", "-q"]);
    scratch
}

fn kill(pid: u32) {
    let it = pidfd::open(pid).expect("it lives");
    pidfd::send_signal(&it, SIGKILL).expect("it is ours");
}

/// Waits until every service is told to be ready.
fn all_ready(scratch: &Scratch, count: usize) {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = api::try_call(scratch, "GET", "/v1/services", "").unwrap_or_default();
        if answer.matches("\"state\":\"ready\"").count() == count {
            return;
        }
        assert!(Instant::now() < end, "not all are ready: {answer:.300}");
    }
}

/// SIGKILL of the daemon with 1,000 services → the API tells of all of them; of both with 100; and 20 changes of daemons.
pub(crate) fn recovery(kennel: &Path) -> Vec<Row> {
    let none = || "–".to_owned();
    let count = 1000;
    let scratch = kept(kennel, count);
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let begin = Instant::now();
        kill(scratch.daemon().pid);
        all_ready(&scratch, count);
        times.push(begin.elapsed());
        // Long enough that the next loss is not that of a daemon that cannot live.
        kennel_sys::process::pause(Duration::from_millis(1200));
    }
    scratch.down();
    let what = "daemon SIGKILLed → API tells of 1,000 services that run on";
    let mut rows = vec![Row::new(what, none(), ms(median(times)), none(), "≤ 1 s")];

    let scratch = kept(kennel, 100);
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let daemon = scratch.daemon().pid;
        let keeper = scratch.running_keeper().expect("a keeper").pid;
        let begin = Instant::now();
        kill(keeper);
        kill(daemon);
        scratch.ok(&["ps", "-q"]);
        all_ready(&scratch, 100);
        times.push(begin.elapsed());
    }
    let what = "keeper and daemon SIGKILLed → `kennel ps`, all 100 services adopted";
    rows.push(Row::new(what, none(), ms(median(times)), none(), "–"));

    let mut pauses = Vec::new();
    for _ in 0..CHANGES {
        let report = scratch.json(&["daemon", "restart", "--json"]);
        pauses.push(Duration::from_millis(report["pause_ms"].as_u64().expect("a number")));
    }
    scratch.down();
    let longest = pauses.iter().max().copied().unwrap_or_default();
    let kennel = format!("{}, longest of {CHANGES} {}", ms(median(pauses)), ms(longest));
    rows.push(Row::new(
        "pause of the API as another daemon takes over, 100 services",
        none(),
        kennel,
        none(),
        "≤ 100 ms",
    ));
    rows
}

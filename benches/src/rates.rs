//! How fast many are started and ended.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_sys::pidfd;
use kennel_testkit::{Scratch, User, wait_until};

use crate::{Row, api, bare, median, ms, share, times};

const RUNS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// A scratch with this many services that sleep.
pub(crate) fn sleepers(kennel: &Path, count: usize) -> Scratch {
    let scratch = Scratch::new(User::Root, kennel).expect("root");
    let mut config = String::from("services:\n");
    for index in 0..count {
        writeln!(config, "  s{index}:\n    command: sleep 100000").expect("a string");
    }
    scratch.config(&config);
    scratch
}

/// `kennel up -d` with 500 services against as many starts in a loop, and `down` against as many kills.
pub(crate) fn start_500(kennel: &Path) -> Vec<Row> {
    const COUNT: usize = 500;
    let (mut bare_starts, mut starts, mut warm_starts) = (vec![], vec![], vec![]);
    let (mut bare_stops, mut stops) = (vec![], vec![]);
    for run in 0..2 * RUNS {
        let begin = Instant::now();
        let children = bare::sleepers(COUNT);
        bare_starts.push(begin.elapsed());
        bare_stops.push(bare::kill_and_reap(children));
        let scratch = sleepers(kennel, COUNT);
        let warm = run % 2 == 1;
        if warm {
            scratch.ok(&["run", "--", "true"]);
        }
        let begin = Instant::now();
        scratch.ok(&["up", "-d", "-q"]);
        if warm { &mut warm_starts } else { &mut starts }.push(begin.elapsed());
        let begin = Instant::now();
        scratch.ok(&["down", "-q"]);
        stops.push(begin.elapsed());
        scratch.expect_nothing(PATIENCE);
    }
    let (bare, kennel, warm) = (median(bare_starts), median(starts), median(warm_starts));
    let (bare_stop, stop) = (median(bare_stops), median(stops));
    let target = "≥ 50 % of the rate";
    vec![
        Row::new("`up -d` of 500 services, daemon running", ms(bare), ms(warm), share(warm, bare), target),
        Row::new("`up -d` of 500 services, daemon start included", ms(bare), ms(kennel), share(kennel, bare), target),
        Row::new(
            "`down` of 500 services, to the exit of the keeper",
            ms(bare_stop),
            ms(stop),
            times(stop, bare_stop),
            "–",
        ),
    ]
}

/// Stop of one scope with 1,000 and with 5,000 sleepers, until it is proved empty.
pub(crate) fn stop_in_one_scope(kennel: &Path) -> Vec<Row> {
    [(1000, 2 * RUNS), (5000, RUNS)].into_iter().flat_map(|(count, runs)| stop(kennel, count, runs)).collect()
}

fn stop(kennel: &Path, count: usize, runs: usize) -> Vec<Row> {
    let (mut bares, mut terms, mut kills) = (vec![], vec![], vec![]);
    for _ in 0..runs {
        for (what, times) in [("/v1/stop", &mut terms), ("/v1/kill", &mut kills)] {
            let scratch = Scratch::new(User::Root, kennel).expect("root");
            scratch.config(&format!(
                "services:\n  s:\n    command: [kennel-badchild, many, '{count}']\n    readiness: {{ log_line: '^up' }}\n"
            ));
            scratch.ok(&["up", "-d", "-q"]);
            let begin = Instant::now();
            let answer = api::call(&scratch, "POST", what, r#"{"services":["s"]}"#);
            times.push(begin.elapsed());
            assert!(answer.contains("\"left\":0"), "{answer}");
            scratch.down();
        }
        bares.push(bare::kill_and_reap(bare::sleepers(count)));
    }
    let (bare, term, kill) = (median(bares), median(terms), median(kills));
    let row = |what: &str, time: Duration| {
        Row::new(format!("{what} of {count} sleepers in one scope"), ms(bare), ms(time), times(time, bare), "≤ 1.2×")
    };
    vec![row("kill", kill), row("stop (TERM)", term)]
}

/// SIGKILL of the daemon → all scopes empty, with 10 and 500 processes.
pub(crate) fn daemon_lost(kennel: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for (count, what, target) in [
        (10, "daemon SIGKILLed → 10 scopes empty", "≤ 20 ms"),
        (500, "daemon SIGKILLed → 500 scopes empty", "≤ 100 ms"),
    ] {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let scratch = sleepers(kennel, count);
            scratch.ok(&["up", "-d", "-q"]);
            let leaves = scratch.cgroups().into_iter().find(|dir| dir.ends_with("svc")).expect("scopes have a cgroup");
            let events = leaves.join("cgroup.events");
            let empty = || !std::fs::read_to_string(&events).is_ok_and(|text| text.contains("populated 1"));
            assert!(!empty());
            let daemon = pidfd::open(scratch.daemon().pid).expect("it lives");
            let begin = Instant::now();
            pidfd::send_signal(&daemon, SIGKILL).expect("it is ours");
            wait_until(PATIENCE, "the scopes to be empty", empty);
            times.push(begin.elapsed());
            scratch.down();
        }
        rows.push(Row::new(what, "–".into(), ms(median(times)), "–".into(), target));
    }
    rows
}

//! Who writes faster than it may: what becomes of the bytes, what is told, and what follows.
//!
//! covers: C4, E7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn stack(keys: &str, script: &str) -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(&format!("services: {{ web: {{ command: {script:?}, shell: true, {keys} }} }}"));
    scratch.kennel(&["up", "-d"]);
    scratch
}

fn exceeded(scratch: &Scratch) -> Vec<Value> {
    let of_limit = |event: &Value| event["event"] == "instance.limit" && event["limit"] == "log_rate";
    scratch.recorded().into_iter().filter(of_limit).collect()
}

/// The first word of it. There is another one only after a pause in which there was room for all again, more than a second: on a
/// machine under load a reader may stand still that long.
fn told_once(scratch: &Scratch) -> Value {
    let told = exceeded(scratch);
    let time = |event: &Value| event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let pauses = told.iter().zip(told.iter().skip(1)).map(|(one, next)| time(next).duration_since(time(one)));
    assert!(pauses.into_iter().all(|pause| pause.as_secs_f64() > 1.0), "{told:?}");
    told.into_iter().next().unwrap()
}

/// Lines of the log, as JSON.
fn lines(scratch: &Scratch) -> Vec<Value> {
    let shown = scratch.ok(&["logs", "web", "--json"]).stdout;
    shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_too_much_is_dropped_and_counted() {
    /// Bytes of the flood.
    const ALL: u64 = 40_000 * 47;
    let flood =
        "i=0; while [ $$i -lt 40000 ]; do i=$$((i + 1)); echo 'one more line of a service that talks too much'; done";
    for keep in ["", ", on_daemon_loss: keep"] {
        let keys = format!("restart: 'no', limits: {{ log_rate: 20KiB/s, action: warn }}{keep}");
        let scratch = stack(&keys, flood);
        scratch.wait_state("web", "completed", DEADLINE);
        let told = told_once(&scratch);
        assert_eq!((&told["bound"], &told["action"]), (&20_480.into(), &"warn".into()), "{told}");
        assert!(told["value"].as_u64() > Some(20_480), "{told}");
        let lines = lines(&scratch);
        let bytes = |line: &Value| line["line"].as_str().unwrap().len() as u64 + u64::from(line["complete"] == true);
        let kept: u64 = lines.iter().filter(|line| line["lost"].is_null()).map(bytes).sum();
        let said: u64 = lines.iter().filter_map(|line| line["lost"].as_u64()).sum();
        // Also what was lost last, with nothing behind it.
        assert!(kept > 0 && said > 0, "{kept} and {said}");
        assert_eq!(kept + said, ALL, "{keep}");
        scratch.down();
    }
}

#[test]
fn who_may_wait_loses_nothing() {
    for keep in ["", ", on_daemon_loss: keep"] {
        let keys = format!("restart: 'no', logs: {{ on_full: block }}, limits: {{ log_rate: 200KiB/s }}{keep}");
        let scratch = stack(&keys, "seq -f %099.0f 1 10000; sleep 600");
        wait_until(DEADLINE, "the last line", || {
            scratch.ok(&["logs", "web", "-n", "1", "--no-prefix"]).stdout.trim_end().ends_with("010000")
        });
        wait_until(DEADLINE, "all of it counted", || scratch.ps("web")["log_bytes"] == 1_000_000);
        let web = scratch.ps("web");
        assert_eq!(web["state"], "ready", "{web}");
        assert!(web["log_lost_bytes"].is_null(), "{web}");
        assert_eq!(told_once(&scratch)["action"], "block");
        let numbers = lines(&scratch);
        let in_order = |(line, number): (&Value, u64)| {
            line["line"].as_str().unwrap().trim_start_matches('0').parse() == Ok(number)
        };
        assert!(numbers.len() == 10_000 && numbers.iter().zip(1..).all(in_order));
        scratch.down();
    }
}

#[test]
fn the_action_of_the_limits_follows() {
    for (action, state) in [("kill", "failed"), ("stop", "stopped")] {
        let keys = format!("restart: 'no', limits: {{ log_rate: 20KiB/s, action: {action} }}");
        let scratch = stack(&keys, "while :; do head -c 100000 /dev/zero; done");
        let web = scratch.wait_state("web", state, DEADLINE);
        assert_eq!(web["reason"], "went beyond its limit of `log_rate`", "{web}");
        assert_eq!(exceeded(&scratch)[0]["action"], action);
        scratch.down();
    }
}

//! Runaways are caught by rules, shown, and ended on request; the rest of the stack is untouched.
//!
//! covers: C5, C10, E7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

fn events(scratch: &Scratch, name: &str) -> Vec<Value> {
    let lines = scratch.ok(&["events", "--json"]).stdout;
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == name).collect()
}

fn wait_event(scratch: &Scratch, name: &str) -> Value {
    wait_for(DEADLINE, name, || events(scratch, name).pop())
}

/// A pool as a test runner makes it: a parent whose workers come one after the other, 100 at most.
const POOL: &str =
    "[sh, -c, 'i=0; while [ $$i -lt 100 ]; do @badchild@ --cell 1 sleep & i=$$((i+1)); sleep 0.05; done; wait']";

#[test]
fn a_pool_is_frozen_shown_and_ended_on_request() {
    let scratch = scratch();
    scratch.config(&format!(
        "
services:
  web: {{ command: ['@badchild@', --cell, '2', sleep] }}
  test:
    command: {POOL}
    stop_grace_period: 200ms
    rules: {{ pool: {{ processes: 20, action: freeze }} }}
"
    ));
    scratch.ok(&["up", "-d"]);
    wait_until(DEADLINE, "the pool to be frozen", || scratch.ps("test")["frozen"] == true);
    let test = scratch.ps("test");
    assert_eq!((&test["reason"], &test["alerts"][0]), (&"frozen by rule pool".into(), &"pool".into()), "{test}");
    assert!(test["processes"].as_u64().unwrap() < 100, "it does not grow any more: {test}");

    let raised = wait_event(&scratch, "alert.raised");
    assert_eq!(
        (&raised["service"], &raised["rule"], &raised["action"]),
        (&"test".into(), &"pool".into(), &"freeze".into())
    );
    assert!(raised["value"].as_f64().unwrap() > 20.0, "{raised}");
    let culprit = &raised["culprits"][0];
    assert!(culprit["descendants"].as_u64().unwrap() > 15, "the parent of the pool: {culprit}");
    assert_eq!(culprit["pid"], test["pid"], "{culprit}");
    let worker = &raised["culprits"][1];
    assert_eq!(worker["ancestry"][0]["pid"], culprit["pid"], "{worker}");
    let shown = scratch.ok(&["alerts"]).stdout;
    assert!(shown.contains("pool  open") && shown.contains("frozen"), "{shown}");
    assert_eq!(scratch.json(&["alerts", "--json"])["alerts"][0]["rule"], "pool");

    // The rest of the stack has noticed nothing, and what is frozen can be ended.
    let web = scratch.ps("web");
    assert_eq!((&web["state"], &web["restarts"]), (&"ready".into(), &0.into()), "{web}");
    assert!(web["frozen"].is_null(), "{web}");
    scratch.ok(&["stop", "test"]);
    let cleared = wait_event(&scratch, "alert.cleared");
    assert_eq!((&cleared["rule"], &cleared["value"]), (&"pool".into(), &Value::Null), "{cleared}");
    assert_eq!(scratch.ps("web")["pid"], web["pid"]);
    scratch.down();
}

#[test]
fn every_stack_is_warned_of_a_hundred_processes() {
    let scratch = scratch();
    let pool = POOL.replace("-lt 100", "-lt 110").replace("sleep 0.05", ":");
    scratch.config(&format!(
        "
services:
  web: {{ command: ['@badchild@', --cell, '2', sleep] }}
  test: {{ command: {pool}, stop_grace_period: 200ms }}
"
    ));
    scratch.ok(&["up", "-d"]);
    let raised = wait_event(&scratch, "alert.raised");
    assert_eq!((&raised["rule"], &raised["threshold"]), (&"stack-processes".into(), &100.0.into()), "{raised}");
    assert_eq!(raised["service"], "test", "that the growth came from: {raised}");
    wait_until(DEADLINE, "it to be shown", || scratch.ps("test")["alerts"][0] == "stack-processes");
    let test = scratch.ps("test");
    assert!(test["state"] == "ready" && test["frozen"].is_null(), "only warned: {test}");
    scratch.down();
}

#[test]
fn a_ladder_goes_on_to_the_kill_and_it_stays_down() {
    let scratch = scratch();
    scratch.config(
        "
services:
  hog:
    command: [sh, -c, 'for i in 1 2 3 4 5 6; do @badchild@ --cell 1 sleep & done; wait']
    rules: { many: { processes: 3, ladder: [event, { action: kill, after: 500ms }] } }
",
    );
    scratch.ok(&["up", "-d"]);
    let hog = scratch.wait_state("hog", "stopped", DEADLINE);
    assert_eq!(hog["restarts"], 0, "{hog}");
    let down = wait_event(&scratch, "instance.down");
    assert_eq!(down["receipt"]["reason"], "rule", "{down}");
    let (raised, escalated) = (wait_event(&scratch, "alert.raised"), wait_event(&scratch, "alert.escalated"));
    assert_eq!((&raised["action"], &escalated["action"]), (&"event".into(), &"kill".into()));
    assert!(raised["seq"].as_u64() < escalated["seq"].as_u64() && !raised["culprits"].as_array().unwrap().is_empty());
    scratch.down();
}

//! Runaways are caught by rules, shown, and ended on request; the rest of the stack is untouched.
//!
//! covers: C5, C10, E7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// A pool as a test runner makes it: a parent whose workers come one after the other, for many seconds.
const POOL: &str =
    "[sh, -c, 'i=0; while [ $$i -lt 1000 ]; do @badchild@ --cell 1 sleep & i=$$((i+1)); sleep 0.05; done; wait']";

#[test]
fn a_pool_is_frozen_shown_and_ended_on_request() {
    let scratch = scratch();
    scratch.config(&format!(
        "
rules: {{ stack-processes: off }}
services:
  web: {{ command: ['@badchild@', --cell, '2', sleep] }}
  test:
    command: {POOL}
    stop_grace_period: 200ms
    rules: {{ pool: {{ processes: 20, action: freeze }} }}
"
    ));
    scratch.ok(&["up", "-d"]);
    let raised = scratch.wait_event("alert.raised");
    wait_until(DEADLINE, "the pool to be frozen", || scratch.ps("test")["frozen"] == true);
    let test = scratch.ps("test");
    assert_eq!((&test["reason"], &test["alerts"][0]), (&"frozen by rule pool".into(), &"pool".into()), "{test}");
    assert!(test["processes"].as_u64().unwrap() < 1000, "it does not grow any more: {test}");

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
    let cleared = scratch.wait_event("alert.cleared");
    assert_eq!((&cleared["rule"], &cleared["value"]), (&"pool".into(), &Value::Null), "{cleared}");
    assert_eq!(scratch.ps("web")["pid"], web["pid"]);
    scratch.down();
}

#[test]
fn every_stack_is_warned_of_a_hundred_processes() {
    let scratch = scratch();
    let pool = POOL.replace("-lt 1000", "-lt 110").replace("sleep 0.05", ":");
    scratch.config(&format!(
        "
services:
  web: {{ command: ['@badchild@', --cell, '2', sleep] }}
  test: {{ command: {pool}, stop_grace_period: 200ms }}
"
    ));
    scratch.ok(&["up", "-d"]);
    let raised = scratch.wait_event("alert.raised");
    assert_eq!((&raised["rule"], &raised["threshold"]), (&"stack-processes".into(), &100.0.into()), "{raised}");
    assert_eq!(raised["service"], "test", "that the growth came from: {raised}");
    wait_until(DEADLINE, "it to be shown", || scratch.ps("test")["alerts"][0] == "stack-processes");
    let test = scratch.ps("test");
    assert!(test["state"] == "ready" && test["frozen"].is_null(), "only warned: {test}");
    scratch.down();
}

/// Nobody looks at a stack of which nothing runs; and one that has settled is looked at again when something of it ends.
#[test]
fn an_alert_of_the_stack_is_over_with_what_it_was_about() {
    for others in ["", "  other: { command: ['@badchild@', --cell, '2', sleep] }\n"] {
        let scratch = scratch();
        scratch.config(&format!(
            "
rules:
  crowd: {{ scope: stack, processes: 10, action: warn, cooldown: 500ms }}
services:
  crowd: {{ command: ['@badchild@', --cell, '1', many, '20'] }}
{others}"
        ));
        scratch.ok(&["up", "-d"]);
        let raised = scratch.wait_event("alert.raised");
        assert_eq!(raised["rule"], "crowd", "{raised}");
        scratch.ok(&["stop", "crowd"]);
        let cleared = scratch.wait_event("alert.cleared");
        assert_eq!(cleared["rule"], "crowd", "{cleared}");
        assert!(!scratch.json(&["alerts", "--json"])["alerts"][0]["cleared_at"].is_null());
        scratch.down();
    }
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
    let down = scratch.wait_event("instance.down");
    assert_eq!(down["receipt"]["reason"], "rule", "{down}");
    let (raised, escalated) = (scratch.wait_event("alert.raised"), scratch.wait_event("alert.escalated"));
    assert_eq!((&raised["action"], &escalated["action"]), (&"event".into(), &"kill".into()));
    assert!(raised["seq"].as_u64() < escalated["seq"].as_u64() && !raised["culprits"].as_array().unwrap().is_empty());
    scratch.down();
}

/// Whoever thaws it is respected, but not while it grows.
#[test]
fn what_is_thawed_and_grows_is_frozen_again() {
    let scratch = scratch();
    scratch.config(&format!(
        "
rules: {{ stack-processes: off }}
services:
  test:
    command: {POOL}
    stop_grace_period: 200ms
    rules: {{ pool: {{ processes: 20, action: freeze, cooldown: 1h }} }}
"
    ));
    scratch.ok(&["up", "-d"]);
    scratch.wait_events("test", "instance.frozen", 1);
    // What is done before it is told is told with it.
    let _raised = scratch.wait_event("alert.raised");
    let before = scratch.ps("test")["processes"].as_u64().unwrap();
    scratch.ok(&["thaw", "test"]);
    let frozen = scratch.wait_events("test", "instance.frozen", 2);
    assert_eq!(frozen[1]["by"], "rule pool", "{frozen:?}");
    let test = scratch.ps("test");
    // It had to grow by a tenth of the threshold, and did not get to its end.
    let now = test["processes"].as_u64().unwrap();
    assert!(now >= before + 2 && now < 1000, "{before} processes, then {now}");
    let again = scratch.wait_event("alert.escalated");
    assert_eq!(
        (&again["action"], scratch.events("alert.raised").len()),
        (&"freeze".into(), 1),
        "the same alert: {again}"
    );
    scratch.down();
}

#[test]
fn what_is_thawed_and_stays_has_the_cool_down() {
    let scratch = scratch();
    scratch.config(
        "
services:
  test:
    command: ['@badchild@', --cell, '1', many, '30']
    # By then all of them are there.
    rules: { pool: { processes: 20, for: 2s, action: freeze, cooldown: 3s } }
",
    );
    scratch.ok(&["up", "-d"]);
    scratch.wait_events("test", "instance.frozen", 1);
    scratch.ok(&["thaw", "test"]);
    let (thawed, frozen) = (scratch.wait_event("instance.thawed"), scratch.wait_events("test", "instance.frozen", 2));
    let time = |event: &Value| event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let pause = time(&frozen[1]).duration_since(time(&thawed));
    assert!(pause.as_secs_f64() >= 2.9, "{pause}");
    assert_eq!(thawed["by"], "request");
    scratch.down();
}

/// One that grows while another one stands still is frozen as well, and nobody else.
#[test]
fn a_second_one_that_grows_is_frozen_too() {
    let scratch = scratch();
    let later = POOL.replace("'i=0;", "'while [ ! -e go ]; do sleep 0.1; done; i=0;");
    scratch.config(&format!(
        "
rules: {{ stack-processes: {{ processes: 20, action: freeze }} }}
services:
  first: {{ command: {POOL}, stop_grace_period: 200ms }}
  second: {{ command: {later}, stop_grace_period: 200ms }}
  web: {{ command: ['@badchild@', --cell, '2', many, '8'] }}
"
    ));
    scratch.ok(&["up", "-d"]);
    scratch.wait_events("first", "instance.frozen", 1);
    assert!(scratch.ps("second")["frozen"].is_null());
    scratch.file("go", "");
    scratch.wait_events("second", "instance.frozen", 1);
    scratch.wait_events("second", "alert.raised", 1);
    let open = scratch.json(&["alerts", "--json"]);
    let open: Vec<(&Value, &Value)> =
        open["alerts"].as_array().unwrap().iter().map(|one| (&one["service"], &one["action"])).collect();
    assert_eq!(open, [(&"first".into(), &"freeze".into()), (&"second".into(), &"freeze".into())]);
    let (second, web) = (scratch.ps("second"), scratch.ps("web"));
    assert!(second["processes"].as_u64().unwrap() < 1000, "it did not get to its end: {second}");
    assert!(web["frozen"].is_null() && web["state"] == "ready", "{web}");
    scratch.down();
}

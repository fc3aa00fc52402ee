//! What the clock starts: by interval and by calendar, over each other, after a hand-over and after a loss.
//!
//! covers: B9, E7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, send, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn stack(yaml: &str) -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(yaml);
    scratch
}

#[test]
fn a_task_runs_when_its_time_comes_and_not_before() {
    let scratch = stack(
        "
services:
  web: { command: ['@badchild@', sleep] }
  often: { command: ['true'], schedule: { every: 1s } }
  nightly: { command: ['true'], schedule: { cron: '0 3 1 1 *', timezone: Europe/Berlin } }
  each: { command: ['true'], schedule: '* * * * * *' }
",
    );
    let report = scratch.json(&["up", "-d", "--json"]);
    let outcome = |name: &str| {
        let services = report["services"].as_array().unwrap();
        services.iter().find(|one| one["service"] == name).unwrap()["outcome"].clone()
    };
    assert_eq!((outcome("web"), outcome("nightly")), ("ready".into(), "scheduled".into()));
    for name in ["often", "each"] {
        scratch.wait_events(name, "schedule.fired", 3);
        scratch.wait_events(name, "service.completed", 2);
    }
    let nightly = scratch.ps("nightly");
    assert_eq!((&nightly["state"], &nightly["instance"]), (&"scheduled".into(), &Value::Null));
    let next = nightly["next_at"].as_str().unwrap();
    assert!(next.ends_with("-01-01T02:00:00Z"), "three in Berlin: {next}");
    assert!(nightly["next_in_ms"].as_u64().unwrap() > 1000);
    // By name it runs at once, and its time stays.
    scratch.ok(&["start", "nightly"]);
    let completed = scratch.wait_events("nightly", "service.completed", 1);
    assert_eq!(completed.len(), 1);
    assert_eq!(scratch.ps("nightly")["next_at"], next);
    // Stopped by hand, the clock has no say.
    scratch.ok(&["stop", "often"]);
    let fired = scratch.events_of("often", "schedule.fired").len();
    let since = scratch.events_of("each", "schedule.fired").len();
    scratch.wait_events("each", "schedule.fired", since + 3);
    assert_eq!(scratch.events_of("often", "schedule.fired").len(), fired);
    assert!(scratch.ps("often").get("next_at").is_none());
    scratch.down();
}

#[test]
fn a_time_that_finds_the_run_before_does_what_overlap_says() {
    let scratch = stack(
        "
services:
  skips: { command: ['@badchild@', sleep], schedule: { every: 1s } }
  queues: { command: ['@badchild@', sleep], schedule: { every: 1s, overlap: queue } }
  replaces: { command: ['@badchild@', --cell, '1', sleep], schedule: { every: 1s, overlap: replace }, stop: [] }
  restarts: { command: ['@badchild@', sleep], schedule: { every: 1s, action: restart }, stop: [] }
",
    );
    scratch.ok(&["up", "-d"]);
    let skipped = scratch.wait_events("skips", "schedule.skipped", 2);
    assert_eq!(skipped[0]["why"], "the run before has not ended");
    assert_eq!(scratch.events_of("skips", "instance.started").len(), 1);
    // One is queued, and the others are left out until it runs.
    scratch.wait_events("queues", "schedule.skipped", 1);
    assert_eq!(scratch.events_of("queues", "instance.started").len(), 1);
    scratch.ok(&["kill", "--signal", "TERM", "queues"]);
    scratch.wait_events("queues", "instance.started", 2);
    for name in ["replaces", "restarts"] {
        scratch.wait_events(name, "instance.started", 3);
        let mut running = 0;
        for event in scratch.recorded().into_iter().filter(|event| event["service"] == name) {
            match event["event"].as_str().unwrap() {
                "instance.started" => running += 1,
                "instance.down" => {
                    assert_eq!(event["receipt"]["left"], 0);
                    running -= 1;
                }
                _ => {}
            }
            assert!((0..=1).contains(&running), "{name} has {running} runs");
        }
    }
    scratch.down();
}

#[test]
fn the_clock_goes_on_after_a_hand_over_and_after_a_loss() {
    let scratch = stack(
        "
services:
  often: { command: ['true'], schedule: { every: 2s } }
  yearly: { command: ['true'], schedule: '0 0 1 1 *' }
",
    );
    scratch.ok(&["up", "-d"]);
    scratch.wait_events("often", "service.completed", 1);
    let next = scratch.ps("yearly")["next_at"].clone();
    scratch.ok(&["daemon", "restart"]);
    assert_eq!(scratch.ps("yearly")["next_at"], next);
    let fired = scratch.events_of("often", "schedule.fired").len();
    scratch.wait_events("often", "schedule.fired", fired + 1);
    assert_eq!(scratch.events_of("often", "schedule.armed").len(), 1, "it counts on and does not begin anew");

    let daemon = wait_for(DEADLINE, "a daemon", || scratch.running_daemon());
    send(&daemon, Signal::KILL);
    wait_until(DEADLINE, "another daemon", || scratch.running_daemon().is_some_and(|other| other.pid != daemon.pid));
    assert_eq!(scratch.ps("yearly")["next_at"], next);
    let fired = scratch.events_of("often", "schedule.fired").len();
    scratch.wait_events("often", "schedule.fired", fired + 1);
    scratch.down();
}

#[test]
fn a_reload_changes_the_time_and_starts_nothing() {
    let scratch = stack("services: { a: { command: ['true'], schedule: '0 0 1 1 *' } }");
    scratch.ok(&["up", "-d"]);
    let before = scratch.ps("a")["next_at"].clone();
    scratch.config(
        "
services:
  a: { command: ['true'], schedule: '0 0 2 1 *', environment: { A: b } }
  b: { command: ['true'], schedule: '0 0 3 1 *' }
",
    );
    scratch.ok(&["reload"]);
    assert_ne!(scratch.ps("a")["next_at"], before);
    for name in ["a", "b"] {
        assert_eq!(scratch.ps(name)["state"], "scheduled");
        assert!(scratch.events_of(name, "instance.started").is_empty());
    }
    scratch.down();
}

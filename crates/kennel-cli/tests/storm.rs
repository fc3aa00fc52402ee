//! Restarts of several services do not feed each other.
//!
//! covers: C5, B9

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_storm_is_braked_and_what_runs_is_untouched() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let looper =
        "{ command: ['@badchild@', --cell, '1', exit, '300', '3'], restart_policy: { delay: 0s, max_restarts: 1000 } }";
    scratch.config(&format!(
        "
storm_brake: {{ restarts: 6, window: 1h }}
services:
  steady: {{ command: ['@badchild@', --cell, '2', sleep] }}
  a: {looper}
  b: {looper}
  c: {looper}
"
    ));
    let _whatever_it_says = scratch.kennel(&["up", "-d"]);
    let braked = |name: &str| {
        let service = scratch.ps(name);
        service["state"] == "waiting" && service["reason"].as_str().is_some_and(|why| why.contains("storm brake"))
    };
    wait_until(DEADLINE, "all three to be held back", || ["a", "b", "c"].into_iter().all(braked));
    let steady = scratch.ps("steady");
    assert_eq!((&steady["state"], &steady["restarts"]), (&"ready".into(), &0.into()), "{steady}");

    let events = scratch.recorded();
    let brakes: Vec<&Value> = events.iter().filter(|event| event["event"] == "storm.brake").collect();
    let [brake] = brakes[..] else { panic!("one storm: {brakes:?}") };
    assert_eq!(brake["window_ms"], 3_600_000, "{brake}");
    assert!(brake["restarts"].as_u64().unwrap() >= 6 && brake["held_ms"].as_u64().unwrap() > 0, "{brake}");
    let started = events.iter().filter(|event| event["event"] == "instance.started").count();
    // Four first starts; the six of the window, and an even share of it for who had less.
    assert!(started <= 4 + 6 + 6, "{started}");

    // Asked for by somebody, it starts: the brake is on what restarts by itself.
    let before = scratch.ps("a")["instance"].as_u64();
    let _given_up_or_not = scratch.kennel(&["start", "a"]);
    assert!(scratch.ps("a")["instance"].as_u64() > before);
    scratch.down();
}

/// Whoever is never ready because of the brake is not waited for, nor is who waits for it.
#[test]
fn up_does_not_wait_for_the_brake() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let looper = "{ command: ['@badchild@', --cell, '1', exit, '50', '3'], readiness: { file: never }, \
                  restart_policy: { delay: 1ms, max_delay: 2ms, max_restarts: 1000 } }";
    scratch.config(&format!(
        "
storm_brake: {{ restarts: 6, window: 1h }}
services:
  steady: {{ command: ['@badchild@', --cell, '2', sleep] }}
  a: {looper}
  b: {looper}
  behind: {{ command: ['@badchild@', --cell, '2', sleep], depends_on: {{ a: healthy }} }}
  far: {{ command: ['@badchild@', --cell, '2', sleep], depends_on: {{ behind: healthy }} }}
"
    ));
    let up = scratch.kennel(&["up", "-d"]);
    assert_eq!(up.code(), 1, "{}", up.all());
    for words in [
        "a       failed: held back by the storm brake, after ",
        "behind  failed: waits for `a`, which is held back by the storm brake",
        "far     failed: waits for `behind`, which is held back by the storm brake",
        "steady  ready",
    ] {
        assert!(up.stdout.contains(words), "{words} in\n{}", up.all());
    }
    // They go on by themselves later.
    assert_eq!((&scratch.ps("a")["state"], &scratch.ps("behind")["state"]), (&"waiting".into(), &"pending".into()));
    scratch.down();
}

#[test]
fn a_service_alone_restarts_as_its_policy_says() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "
storm_brake: { restarts: 2, window: 1h }
services:
  looper:
    command: ['@badchild@', --cell, '1', exit, '1', '3']
    restart_policy: { delay: 1ms, max_delay: 2ms, max_restarts: 8 }
",
    );
    let _fails = scratch.kennel(&["up", "-d"]);
    let looper = scratch.wait_state("looper", "given_up", DEADLINE);
    assert_eq!(looper["restarts"], 8, "{looper}");
    assert!(scratch.events("storm.brake").is_empty());
    scratch.down();
}

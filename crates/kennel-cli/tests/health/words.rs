//! The words for how a service is.

use kennel_testkit::{Scratch, Signal, both, send, wait_for, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, wait_health};

both!(each_word, a_zombie_is_told, one_answer);

fn each_word(scratch: &Scratch) {
    scratch.config(
        "
services:
  plain: { command: sleep 600 }
  done: { command: 'true', restart: no }
  broken: { command: 'false', restart: no }
  slow: { command: sleep 600, readiness: { file: slow }, start_timeout: 10m }
  well: { command: sleep 600, liveness: { file: kennel.yaml } }
",
    );
    scratch.kennel(&["up", "-d", "--timeout", "1s"]);
    for (service, health) in
        [("plain", "none"), ("done", "completed"), ("broken", "failed"), ("slow", "starting"), ("well", "healthy")]
    {
        let entry = wait_health(scratch, service, health);
        assert_eq!(entry["health_since"].is_string(), health != "none", "{entry}");
    }
    assert_eq!(wait_health(scratch, "broken", "failed")["health_reason"], "exited with code 1");
    scratch.file("slow", "");
    wait_health(scratch, "slow", "healthy");
    for service in ["plain", "done", "broken", "slow", "well"] {
        // Other events tell all of that.
        assert_eq!(scratch.events_of(service, "instance.health"), Vec::<serde_json::Value>::new());
    }
    scratch.down();
}

/// One answer for scripts, by the exit code, and the totals.
fn one_answer(scratch: &Scratch) {
    assert_eq!(scratch.kennel(&["health"]).code(), 5, "no daemon, no health");
    scratch.config(
        "
services:
  one: { command: sleep 600, liveness: { file: kennel.yaml, action: warn, interval: 50ms } }
  two: { command: sleep 600 }
  never: { command: sleep 600, profiles: [extra] }
",
    );
    scratch.ok(&["up", "-d"]);
    wait_health(scratch, "one", "healthy");
    assert_eq!(scratch.ok(&["health"]).stdout, "all 2 services are well\n");
    let report = scratch.json(&["health", "one", "--json"]);
    assert_eq!((&report["ok"], &report["services"][0]["health"]), (&json!(true), &json!("healthy")), "{report}");
    assert_eq!(scratch.kennel(&["health", "never"]).code(), 1, "it was asked for, and does not run");
    assert_eq!(scratch.kennel(&["health", "nobody"]).code(), 4);
    let summary = scratch.json(&["summary", "--json"]);
    assert_eq!((&summary["ok"], &summary["by_state"]["ready"]), (&json!(true), &json!(2)), "{summary}");
    assert_eq!((&summary["processes"], &summary["by_health"]["healthy"]), (&json!(2), &json!(1)), "{summary}");
    assert!(summary["memory_bytes"].as_u64().unwrap() > 0, "{summary}");

    let config = scratch.project().join("kennel.yaml");
    std::fs::rename(&config, config.with_extension("away")).unwrap();
    wait_health(scratch, "one", "unhealthy");
    std::fs::rename(config.with_extension("away"), &config).unwrap();
    let answer = scratch.kennel(&["health"]);
    // It may be well again by now.
    if answer.code() != 0 {
        assert_eq!(answer.code(), 1);
        assert!(answer.stdout.starts_with("one  unhealthy  "), "{}", answer.stdout);
    }
    scratch.ok(&["freeze", "two"]);
    let frozen = scratch.kennel(&["health", "two"]);
    assert_eq!((frozen.code(), frozen.stdout.as_str()), (1, "two  frozen\n"));
    scratch.ok(&["thaw", "two"]);
    scratch.down();
}

/// A main process that a tracer holds at its end is nobody's to reap until the tracer goes.
fn a_zombie_is_told(scratch: &Scratch) {
    scratch.config("services: { web: { command: ['@badchild@', --cell, '1', traced], restart: no } }");
    scratch.ok(&["up", "-d"]);
    let pid = scratch.ps("web")["pid"].as_u64().unwrap();
    let main = wait_for(DEADLINE, "both processes", || {
        let seen = scratch.in_cells();
        seen.into_iter().find(|one| u64::from(one.pid) == pid)
    });
    // As the test's own user, who may trace anybody.
    let mut tracer = scratch.spawn_outsider(&scratch.badchild(), &["trace", &pid.to_string()]);
    wait_until(DEADLINE, "the tracer", || tracer.stdout().contains("up"));
    send(&main, Signal::KILL);
    let zombie = wait_health(scratch, "web", "zombie");
    assert!(zombie["health_reason"].as_str().unwrap().contains("a tracer holds it"), "{zombie}");
    let told = scratch.wait_events("web", "instance.health", 1);
    assert_eq!(told[0]["health"], json!("zombie"), "{told:?}");
    tracer.signal(Signal::KILL);
    tracer.wait(DEADLINE);
    wait_health(scratch, "web", "failed");
    scratch.down();
}

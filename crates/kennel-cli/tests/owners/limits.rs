//! How long something may run and be silent, with services that ignore SIGTERM.

use std::time::Duration;

use kennel_testkit::{Scratch, both, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, between, living};

both!(of_services, of_runs);

fn of_services(scratch: &Scratch) {
    // The configuration's own `$` is written twice.
    let loud = "i=0; while [ $$i -lt 28 ]; do echo $$i; i=$$((i+1)); sleep 0.25; done; trap \"\" TERM; sleep 600";
    scratch.config(&format!(
        "
services:
  long:
    command: ['@badchild@', --cell, '1', ignores-term]
    max_runtime: 5s
    restart: no
    stop_grace_period: 200ms
  again:
    command: ['@badchild@', --cell, '2', plain]
    max_runtime: 500ms
    restart: always
  silent:
    command: ['@badchild@', --cell, '3', exec, --, sh, -c, '{loud}']
    idle_timeout: 6s
    restart: always
    stop_grace_period: 200ms
"
    ));
    scratch.ok(&["up", "-d"]);
    let long = scratch.wait_state("long", "failed", DEADLINE);
    assert!(long["reason"].as_str().unwrap().contains("max_runtime"), "{long}");
    assert_eq!(living(scratch, 1), 0);
    scratch.wait_state("silent", "stopped", DEADLINE);
    assert_eq!(living(scratch, 3), 0);
    let of = |service: &str, kind: &str| -> Vec<serde_json::Value> { scratch.events_of(service, kind) };
    let down = &of("long", "instance.down")[0]["receipt"];
    assert_eq!((&down["reason"], &down["left"]), (&json!("max_runtime"), &json!(0)), "{down}");
    let last = down["stages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["name"], "KILL", "{down}");
    assert_eq!(of("long", "instance.stopping")[0]["reason"], "max_runtime");
    let (started, stopping) = (&of("silent", "instance.started")[0], &of("silent", "instance.stopping")[0]);
    assert_eq!(stopping["reason"], "idle");
    // It wrote for seven seconds, longer than the limit, and was let run.
    assert!(between(started, stopping) >= Duration::from_millis(12_500), "{started} {stopping}");
    assert_eq!(of("silent", "instance.started").len(), 1, "it stays stopped");
    wait_until(DEADLINE, "another run", || of("again", "instance.started").len() > 1);
    scratch.down();
}

fn of_runs(scratch: &Scratch) {
    let script = "trap \"\" TERM; echo up; while :; do sleep 600; done";
    let run = |options: &[&str]| {
        scratch.ok(&[&["run", "-d"], options, &["--", "/bin/sh", "-c", script]].concat()).stdout.trim().to_owned()
    };
    let (long, silent) = (run(&["--max-runtime", "500ms"]), run(&["--idle-timeout", "500ms"]));
    // Ignores SIGTERM, so the default stop would take 15 s: hastened once its reason is told.
    for (name, reason) in [(&long, "max_runtime"), (&silent, "idle")] {
        wait_until(DEADLINE, "the stop", || {
            scratch.events("instance.stopping").iter().any(|it| it["service"] == *name && it["reason"] == reason)
        });
        scratch.ok(&["kill", name]);
        let receipts = scratch.events("instance.down");
        let down = receipts.iter().find(|it| it["service"] == *name).unwrap();
        assert_eq!((&down["receipt"]["reason"], &down["receipt"]["left"]), (&json!(reason), &json!(0)));
    }
    let badchild = scratch.badchild().display().to_string();
    let call = scratch.kennel(&["run", "--max-runtime", "300ms", "--", &badchild, "--cell", "1", "plain"]);
    assert_eq!((call.code(), living(scratch, 1)), (128 + 15, 0), "{}", call.all());
    scratch.down();
}

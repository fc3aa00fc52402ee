//! The configuration is loaded again: by command and by signal, and only what differs is touched.
//!
//! covers: A2, D1

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, send, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

const BEFORE: &str = "
services:
  same: { command: ['@badchild@', sleep] }
  edited: { command: ['@badchild@', sleep] }
  by-hand: { command: ['@badchild@', sleep] }
  broken: { command: [/nonexistent/program], restart: 'no' }
  gone: { command: ['@badchild@', --cell, '1', daemon], readiness: { log_line: up } }
";
const AFTER: &str = "
services:
  new: { command: ['@badchild@', sleep], depends_on: [same] }
  same: { command: ['@badchild@', sleep] }
  edited: { command: ['@badchild@', sleep], environment: { PORT: '${PORT}' } }
  by-hand: { command: ['@badchild@', sleep], environment: { A: b } }
  broken: { command: ['@badchild@', sleep], restart: 'no' }
  debug: { command: ['@badchild@', sleep], profiles: [debug] }
";

fn up() -> Scratch {
    let mut scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.env("PORT", "1000");
    scratch.config(BEFORE);
    assert_eq!(scratch.kennel(&["up", "-d"]).code(), 1, "one is broken");
    scratch.ok(&["stop", "by-hand"]);
    scratch
}

fn pid(scratch: &Scratch, name: &str) -> Option<u64> {
    scratch.ps(name)["pid"].as_u64()
}

/// Each service with what differs and what is done.
fn plan(report: &Value) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let services = report["services"].as_array().unwrap().iter();
    services.map(|one| (word(&one["service"]), word(&one["change"]), word(&one["will"]))).collect()
}

fn expected() -> Vec<(String, String, String)> {
    [
        ("new", "added", "start"),
        ("same", "unchanged", "nothing"),
        ("edited", "changed", "restart"),
        ("by-hand", "changed", "nothing"),
        ("broken", "changed", "start"),
        ("debug", "added", "nothing"),
        ("gone", "removed", "stop"),
    ]
    .map(|(service, change, will)| (service.to_owned(), change.to_owned(), will.to_owned()))
    .to_vec()
}

fn names(scratch: &Scratch) -> Vec<String> {
    let listed = scratch.json(&["ps", "--all", "--json"]);
    listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// A variable as a service's process has it.
fn variable(scratch: &Scratch, name: &str, key: &str) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{}/environ", pid(scratch, name)?)).unwrap();
    let prefix = format!("{key}=");
    let found = environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()));
    found.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn reloads(scratch: &Scratch) -> usize {
    scratch.events("config.reloaded").len()
}

#[test]
fn only_what_differs_is_touched() {
    let mut scratch = up();
    let (same, edited) = (pid(&scratch, "same"), pid(&scratch, "edited"));
    scratch.config(AFTER);

    let told = scratch.json(&["reload", "--dry-run", "--json"]);
    assert_eq!((plan(&told), &told["dry_run"]), (expected(), &true.into()));
    assert_eq!(told["services"][2]["keys"], serde_json::json!(["environment.PORT"]));
    assert_eq!((names(&scratch).len(), pid(&scratch, "edited"), reloads(&scratch)), (5, edited, 0));

    // The caller's environment is the one that counts.
    scratch.env("PORT", "2000");
    let report = scratch.json(&["reload", "--json"]);
    assert_eq!(plan(&report), expected());
    let outcomes = report["started"].as_array().unwrap().iter();
    let outcomes: Vec<_> = outcomes.map(|one| (one["service"].as_str().unwrap(), &one["outcome"])).collect();
    let ready = Value::from("ready");
    assert_eq!(outcomes, [("new", &ready), ("edited", &ready), ("broken", &ready)]);
    let receipts = report["receipts"].as_array().unwrap().iter();
    let receipts: Vec<_> = receipts.map(|one| (one["service"].as_str().unwrap(), one["left"].as_u64())).collect();
    assert_eq!(receipts, [("edited", Some(0)), ("gone", Some(0))]);

    assert_eq!(pid(&scratch, "same"), same, "what is the same runs on");
    assert_ne!(pid(&scratch, "edited"), edited);
    assert_eq!(variable(&scratch, "edited", "PORT").as_deref(), Some("2000"));
    assert_eq!(scratch.ps("by-hand")["state"], "stopped");
    assert_eq!(names(&scratch), ["new", "same", "edited", "by-hand", "broken", "debug"]);
    assert!(scratch.in_cells().is_empty(), "what is gone left nothing");
    // What was redefined is what starts later.
    scratch.ok(&["start", "by-hand"]);
    assert_eq!(variable(&scratch, "by-hand", "A").as_deref(), Some("b"));

    let pids: Vec<_> = names(&scratch).iter().map(|name| pid(&scratch, name)).collect();
    let again = scratch.json(&["reload", "--json"]);
    assert!(plan(&again).iter().all(|(_, change, will)| change == "unchanged" && will == "nothing"), "{again}");
    assert_eq!(names(&scratch).iter().map(|name| pid(&scratch, name)).collect::<Vec<_>>(), pids);
    scratch.down();
}

#[test]
fn a_hangup_reloads_with_the_environment_of_the_last_request() {
    let scratch = up();
    let same = pid(&scratch, "same");
    scratch.config(AFTER);
    // The keeper passes it on: that is the process a service manager knows.
    send(&scratch.keeper(), Signal::HUP);
    wait_until(DEADLINE, "a reload", || reloads(&scratch) == 1);
    scratch.wait_state("new", "ready", DEADLINE);
    scratch.wait_state("edited", "ready", DEADLINE);
    wait_until(DEADLINE, "the old environment", || variable(&scratch, "edited", "PORT").as_deref() == Some("1000"));
    wait_until(DEADLINE, "the end of what is gone", || !names(&scratch).iter().any(|name| name == "gone"));
    assert_eq!(pid(&scratch, "same"), same);

    // A file with errors changes nothing, and the log says where they are.
    scratch.config("services:\n  same: { comand: ['x'] }\n");
    send(&scratch.daemon(), Signal::HUP);
    let log = || std::fs::read_to_string(scratch.instance_dir().join("kennel.log")).unwrap();
    wait_until(DEADLINE, "an error", || log().contains("cannot reload the configuration; nothing has changed"));
    wait_until(DEADLINE, "its place", || log().contains("kennel.yaml:2:11"));
    assert_eq!((names(&scratch).len(), reloads(&scratch), pid(&scratch, "same")), (6, 1, same));
    scratch.down();
}

/// What was asked for, and with which environment, is not forgotten with a daemon.
#[test]
fn a_reload_after_the_loss_of_the_daemon_goes_on_from_what_was_loaded() {
    let mut scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.env("PORT", "1000");
    let web = "web: { command: ['@badchild@', sleep], on_daemon_loss: keep }";
    scratch.config(&format!("services: {{ {web} }}"));
    scratch.ok(&["up", "-d"]);
    let before = pid(&scratch, "web");
    let daemon = scratch.daemon();
    send(&daemon, Signal::KILL);
    wait_until(DEADLINE, "another daemon", || scratch.running_daemon().is_some_and(|other| other.pid != daemon.pid));
    wait_until(DEADLINE, "its answer", || scratch.kennel(&["ps"]).code() == 0);
    let new = "new: { command: ['@badchild@', sleep], environment: { PORT: '${PORT}' } }";
    scratch.config(&format!("services: {{ {web}, {new} }}"));
    send(&scratch.daemon(), Signal::HUP);
    wait_until(DEADLINE, "a reload", || reloads(&scratch) == 1);
    scratch.wait_state("new", "ready", DEADLINE);
    assert_eq!(variable(&scratch, "new", "PORT").as_deref(), Some("1000"));
    assert_eq!(pid(&scratch, "web"), before);
    scratch.down();
}

#[test]
fn a_file_with_errors_is_refused_with_its_place() {
    let scratch = up();
    let before = pid(&scratch, "same");
    scratch.config("services:\n  same: { command: ['x'], depends_on: [nobody] }\n");
    let output = scratch.kennel(&["reload"]);
    assert_eq!(output.code(), 3, "{}", output.all());
    assert!(output.stderr.contains("kennel.yaml:2:"), "{}", output.all());
    assert_eq!((pid(&scratch, "same"), reloads(&scratch), names(&scratch).len()), (before, 0, 5));
    scratch.down();
}

#[test]
fn a_start_that_fails_is_a_failure_of_the_reload() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    assert_eq!(scratch.kennel(&["reload"]).code(), 5, "nothing runs");
    scratch.config("services: { web: { command: ['@badchild@', sleep], restart: 'no' } }");
    assert_eq!(scratch.kennel(&["reload"]).code(), 5, "nothing runs");
    scratch.ok(&["up", "-d"]);
    scratch.config("services: { web: { command: [/nonexistent/program], restart: 'no' } }");
    let output = scratch.kennel(&["reload"]);
    assert_eq!(output.code(), 1, "{}", output.all());
    assert!(output.stdout.contains("changed (command), is restarted"), "{}", output.all());
    assert!(output.stdout.contains("failed: ") && output.stdout.contains("/nonexistent/program"), "{}", output.all());
    scratch.down();
}

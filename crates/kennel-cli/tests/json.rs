//! The JSON that programs read has one stable shape. A change here is a change of the interface: add, never rename.
//!
//! covers: B1, E5

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, free_port, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

fn stack() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let port = free_port();
    scratch.config(&format!(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', plain]
    readiness: {{ log_line: '^up$' }}
    ports: {{ http: {port} }}
    color: cyan
"
    ));
    scratch.ok(&["up", "-d"]);
    scratch
}

/// What differs from run to run or from machine to machine.
const VARIES: [&str; 31] = [
    "health_since",
    "activity_since",
    "probe_ms",
    "timestamp",
    "pid",
    "ppid",
    "keeper_pid",
    "time",
    "started_at",
    "uptime_ms",
    "ready_after_ms",
    "after_ms",
    "duration_ms",
    "cpu_percent",
    "memory_bytes",
    "log_bytes",
    "command",
    "state_dir",
    "directory",
    "config",
    "version",
    "backend",
    "promise",
    "http",
    "boot_id",
    "start_ticks",
    "containment",
    "cgroups",
    "kernel",
    "runtime_dir",
    "working_dir",
];

/// Replaces what differs by its kind, so that names, nesting and everything stable are left.
fn shape(value: Value, parent: &str) -> Value {
    let field = |(key, value): (String, Value)| {
        let varies =
            VARIES.contains(&&*key) || (parent, &*key) == ("tree", "state") || key == "instance" && value.is_string();
        let value = match value {
            Value::Number(_) if varies => Value::from("[number]"),
            Value::String(_) if varies => Value::from("[text]"),
            Value::Array(_) if matches!(&*key, "limits" | "command") => Value::from("[texts]"),
            value => shape(value, &key),
        };
        // Only there where a stronger back end is not, and where the kernel numbers pidfds.
        let absent = key == "inode" || parent == "containment" && matches!(&*key, "because" | "reason" | "advice");
        (!absent).then_some((key, value))
    };
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().filter_map(field).collect()),
        Value::Array(values) => values.into_iter().map(|value| shape(value, parent)).collect(),
        other => other,
    }
}

/// What is on the machine beside this test is none of its business.
fn of_this_kennel(mut doctor: Value) -> Value {
    for list in ["zombies", "leftovers"] {
        doctor[list] = Value::from(if doctor[list].is_array() { "[list]" } else { "no list" });
    }
    let features = doctor["features"].as_array().unwrap();
    assert!(features.iter().all(|one| one["name"].is_string() && one["works"].is_string()), "{doctor}");
    let counted = ["yes", "no", "unknown"].map(|word| doctor["feature_counts"][word].as_u64().unwrap());
    let listed = ["yes", "no", "unknown"].map(|word| features.iter().filter(|one| one["works"] == word).count() as u64);
    assert_eq!(counted, listed, "{doctor}");
    // Whether somebody shows notifications depends on the machine.
    assert!(doctor["desktop"]["works"].is_boolean() && doctor["desktop"]["note"].is_string(), "{doctor}");
    doctor["desktop"] = Value::from("[desktop]");
    doctor["features"] = Value::from("[features]");
    doctor["feature_counts"] = Value::from("[counts]");
    doctor
}

fn text(value: Value) -> String {
    serde_json::to_string_pretty(&shape(value, "")).unwrap()
}

#[test]
fn ps() {
    let scratch = stack();
    insta::assert_snapshot!(text(scratch.json(&["ps", "--json"])), @r#"
    [
      {
        "name": "web",
        "service": "web",
        "wanted": true,
        "state": "ready",
        "health": "healthy",
        "health_since": "[text]",
        "reason": null,
        "log_bytes": "[number]",
        "instance": 1,
        "pid": "[number]",
        "identity": {
          "boot_id": "[text]",
          "pid": "[number]",
          "start_ticks": "[number]",
          "scope": "web.1"
        },
        "containment": "[text]",
        "processes": 2,
        "cpu_percent": "[number]",
        "memory_bytes": "[number]",
        "started_at": "[text]",
        "uptime_ms": "[number]",
        "ready_after_ms": "[number]",
        "restarts": 0,
        "retry_in_ms": null,
        "last_exit": null,
        "ports": {
          "http": "[number]"
        },
        "command": "[texts]",
        "working_dir": "[text]",
        "color": "cyan"
      }
    ]
    "#);
    scratch.down();
}

#[test]
fn status() {
    let scratch = stack();
    wait_until(DEADLINE, "both processes", || scratch.in_cells().len() == 2);
    insta::assert_snapshot!(text(scratch.json(&["status", "web", "--json"])), @r#"
    [
      {
        "name": "web",
        "service": "web",
        "wanted": true,
        "state": "ready",
        "health": "healthy",
        "health_since": "[text]",
        "reason": null,
        "log_bytes": "[number]",
        "instance": 1,
        "pid": "[number]",
        "identity": {
          "boot_id": "[text]",
          "pid": "[number]",
          "start_ticks": "[number]",
          "scope": "web.1"
        },
        "containment": "[text]",
        "processes": 2,
        "cpu_percent": "[number]",
        "memory_bytes": "[number]",
        "started_at": "[text]",
        "uptime_ms": "[number]",
        "ready_after_ms": "[number]",
        "restarts": 0,
        "retry_in_ms": null,
        "last_exit": null,
        "ports": {
          "http": "[number]"
        },
        "command": "[texts]",
        "working_dir": "[text]",
        "color": "cyan",
        "tree": [
          {
            "pid": "[number]",
            "ppid": "[number]",
            "start_ticks": "[number]",
            "state": "[text]",
            "memory_bytes": "[number]",
            "command": "[text]"
          },
          {
            "pid": "[number]",
            "ppid": "[number]",
            "start_ticks": "[number]",
            "state": "[text]",
            "memory_bytes": "[number]",
            "command": "[text]"
          }
        ]
      }
    ]
    "#);
    scratch.down();
}

#[test]
fn stop_and_start() {
    let scratch = stack();
    insta::assert_snapshot!(text(scratch.json(&["stop", "web", "--json"])), @r#"
    {
      "ok": true,
      "left": 0,
      "receipts": [
        {
          "service": "web",
          "instance": 1,
          "scope": "web.1",
          "boot_id": "[text]",
          "reason": "requested",
          "started_at": "[text]",
          "duration_ms": "[number]",
          "exit": {
            "kind": "signal",
            "signal": 15
          },
          "stages": [
            {
              "name": "TERM",
              "duration_ms": "[number]",
              "ended": 2
            }
          ],
          "processes": [
            {
              "pid": "[number]",
              "start_ticks": "[number]",
              "command": "[text]",
              "exit": {
                "kind": "signal",
                "signal": 15
              },
              "stage": "TERM",
              "main": true
            },
            {
              "pid": "[number]",
              "start_ticks": "[number]",
              "command": "[text]",
              "exit": {
                "kind": "signal",
                "signal": 15
              },
              "stage": "TERM",
              "main": false
            }
          ],
          "left": 0
        }
      ]
    }
    "#);
    insta::assert_snapshot!(text(scratch.json(&["start", "web", "--json"])), @r#"
    {
      "ok": true,
      "services": [
        {
          "service": "web",
          "outcome": "ready",
          "after_ms": "[number]"
        }
      ]
    }
    "#);
    scratch.down();
}

#[test]
fn down() {
    let scratch = stack();
    insta::assert_snapshot!(text(scratch.json(&["down", "--json"])), @r#"
    {
      "ok": true,
      "left": 0,
      "receipts": [
        {
          "service": "web",
          "instance": 1,
          "scope": "web.1",
          "boot_id": "[text]",
          "reason": "down",
          "started_at": "[text]",
          "duration_ms": "[number]",
          "exit": {
            "kind": "signal",
            "signal": 15
          },
          "stages": [
            {
              "name": "TERM",
              "duration_ms": "[number]",
              "ended": 2
            }
          ],
          "processes": [
            {
              "pid": "[number]",
              "start_ticks": "[number]",
              "command": "[text]",
              "exit": {
                "kind": "signal",
                "signal": 15
              },
              "stage": "TERM",
              "main": true
            },
            {
              "pid": "[number]",
              "start_ticks": "[number]",
              "command": "[text]",
              "exit": {
                "kind": "signal",
                "signal": 15
              },
              "stage": "TERM",
              "main": false
            }
          ],
          "left": 0
        }
      ],
      "duration_ms": "[number]",
      "shutdown": {
        "timestamp": "[text]",
        "reason": "requested",
        "ok": true,
        "left": 0,
        "duration_ms": "[number]",
        "cleanups": [
          {
            "name": "state",
            "phase": "persist",
            "outcome": "ok",
            "duration_ms": "[number]"
          },
          {
            "name": "services",
            "phase": "cleanup",
            "outcome": "ok",
            "duration_ms": "[number]"
          },
          {
            "name": "logs",
            "phase": "drain",
            "outcome": "ok",
            "duration_ms": "[number]"
          },
          {
            "name": "keeper",
            "phase": "end",
            "outcome": "ok",
            "duration_ms": "[number]"
          }
        ]
      }
    }
    "#);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn logs() {
    let scratch = stack();
    let line = scratch.ok(&["logs", "web", "--json"]).stdout;
    insta::assert_snapshot!(text(serde_json::from_str(line.trim()).unwrap()), @r#"
    {
      "time": "[text]",
      "service": "web",
      "stream": "stdout",
      "line": "up",
      "complete": true
    }
    "#);
    scratch.down();
}

#[test]
fn doctor() {
    let scratch = stack();
    insta::assert_snapshot!(text(of_this_kennel(scratch.json(&["doctor", "--json"]))), @r#"
    {
      "ok": true,
      "findings": [],
      "containment": {
        "backend": "[text]",
        "promise": "[text]",
        "limits": "[texts]"
      },
      "cgroups": "[text]",
      "kernel": "[text]",
      "features": "[features]",
      "feature_counts": "[counts]",
      "limits": "[texts]",
      "desktop": "[desktop]",
      "zombies": "[list]",
      "leftovers": "[list]",
      "instance": "[text]",
      "state_dir": "[text]",
      "runtime_dir": "[text]",
      "version": "[text]",
      "daemon": {
        "version": "[text]",
        "pid": "[number]",
        "keeper_pid": "[number]",
        "instance": "[text]",
        "directory": "[text]",
        "config": "[text]",
        "state_dir": "[text]",
        "started_at": "[text]",
        "containment": {
          "backend": "[text]",
          "promise": "[text]",
          "limits": "[texts]"
        }
      }
    }
    "#);
    scratch.down();
}

#[test]
fn events() {
    let scratch = stack();
    let lines = scratch.ok(&["events", "--json"]).stdout;
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    insta::assert_snapshot!(text(Value::from(events)), @r#"
    [
      {
        "seq": 1,
        "time": "[text]",
        "event": "daemon.started",
        "pid": "[number]"
      },
      {
        "seq": 2,
        "time": "[text]",
        "service": "web",
        "instance": 1,
        "event": "instance.started",
        "pid": "[number]",
        "identity": {
          "boot_id": "[text]",
          "pid": "[number]",
          "start_ticks": "[number]",
          "scope": "web.1"
        }
      },
      {
        "seq": 3,
        "time": "[text]",
        "service": "web",
        "instance": 1,
        "event": "instance.ready",
        "after_ms": "[number]"
      }
    ]
    "#);
    scratch.down();
}

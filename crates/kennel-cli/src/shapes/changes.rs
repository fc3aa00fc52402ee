//! What became of a start or a stop.

use kennel_wire::{ActionReport, DownReport, Outcome, OutcomeKind, UpReport};

use super::pretty;
use crate::render::samples;

#[test]
fn up() {
    let outcome = |service: &str, kind| Outcome { service: service.into(), kind };
    let failed = OutcomeKind::Failed { reason: "exit 1".into(), logs: vec![samples::log("web", "boom")] };
    let services = vec![
        outcome("db", OutcomeKind::Ready { after_ms: Some(1234) }),
        outcome("web", failed),
        outcome("migrate", OutcomeKind::Completed),
        outcome("cache", OutcomeKind::Stopped),
    ];
    insta::assert_snapshot!(pretty(&UpReport { ok: false, services }), @r#"
    {
      "ok": false,
      "services": [
        {
          "service": "db",
          "outcome": "ready",
          "after_ms": 1234
        },
        {
          "service": "web",
          "outcome": "failed",
          "reason": "exit 1",
          "logs": [
            {
              "time": "2026-01-02T03:04:05.678Z",
              "service": "web",
              "stream": "stdout",
              "line": "boom",
              "complete": true
            }
          ]
        },
        {
          "service": "migrate",
          "outcome": "completed"
        },
        {
          "service": "cache",
          "outcome": "stopped"
        }
      ]
    }
    "#);
}

#[test]
fn stop_and_down() {
    let receipts = vec![samples::stuck("db")];
    let action = ActionReport { ok: false, left: 1, receipts: receipts.clone(), started: Vec::new() };
    let down = DownReport { ok: false, left: 1, receipts, leftovers: Vec::new(), duration_ms: 20_000, shutdown: None };
    insta::assert_snapshot!(pretty(&action), @r#"
    {
      "ok": false,
      "left": 1,
      "receipts": [
        {
          "service": "db",
          "instance": 1,
          "scope": "db.1",
          "boot_id": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
          "reason": "requested",
          "started_at": "2026-01-02T03:04:05.678Z",
          "duration_ms": 20000,
          "exit": {
            "kind": "code",
            "code": 0
          },
          "stages": [
            {
              "name": "TERM",
              "duration_ms": 10000,
              "ended": 0
            },
            {
              "name": "KILL",
              "duration_ms": 10000,
              "ended": 0
            },
            {
              "name": "KILL sweep",
              "duration_ms": 10000,
              "ended": 0
            },
            {
              "name": "stuck",
              "duration_ms": 10000,
              "ended": 0
            }
          ],
          "processes": [
            {
              "pid": 4711,
              "start_ticks": 123456,
              "command": "dd of=/mnt/x",
              "main": true
            }
          ],
          "left": 1,
          "survivors": [
            {
              "pid": 4711,
              "command": "dd of=/mnt/x",
              "state": "D",
              "wchan": "nfs_wait_bit_killable",
              "stack": [
                "nfs_wait_bit_killable",
                "nfs_file_fsync",
                "do_exit"
              ],
              "tracer": 99,
              "tracer_command": "gdb -p 4711"
            }
          ]
        }
      ]
    }
    "#);
    insta::assert_snapshot!(pretty(&DownReport { receipts: vec![], ..down }), @r#"
    {
      "ok": false,
      "left": 1,
      "receipts": [],
      "duration_ms": 20000
    }
    "#);
}

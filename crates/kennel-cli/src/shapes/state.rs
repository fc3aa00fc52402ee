//! What runs.

use super::pretty;
use crate::render::samples;

#[test]
fn ps() {
    insta::assert_snapshot!(pretty(&[samples::ready("web"), samples::waiting("worker.2")]), @r###"
    [
      {
        "name": "web",
        "service": "web",
        "wanted": true,
        "state": "ready",
        "health": "healthy",
        "health_since": "2026-01-02T03:04:05.678Z",
        "probe_ms": 0.31,
        "reason": null,
        "instance": 1,
        "pid": 4242,
        "identity": {
          "boot_id": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
          "pid": 4242,
          "start_ticks": 123456,
          "inode": 5004242,
          "scope": "web.1"
        },
        "containment": "cgroup",
        "processes": 3,
        "cpu_percent": 3.12,
        "memory_bytes": 12897484,
        "started_at": "2026-01-02T03:04:05.678Z",
        "uptime_ms": 185000,
        "ready_after_ms": 1234,
        "restarts": 0,
        "retry_in_ms": null,
        "last_exit": null,
        "ports": {
          "http": 8080
        },
        "command": [
          "npm",
          "run",
          "dev"
        ],
        "working_dir": "/srv/shop",
        "color": null
      },
      {
        "name": "worker.2",
        "service": "worker",
        "wanted": true,
        "state": "waiting",
        "health": "none",
        "health_since": "2026-01-02T03:04:05.678Z",
        "probe_ms": 0.31,
        "reason": null,
        "instance": 1,
        "pid": null,
        "containment": "cgroup",
        "processes": null,
        "cpu_percent": null,
        "memory_bytes": null,
        "started_at": "2026-01-02T03:04:05.678Z",
        "uptime_ms": null,
        "ready_after_ms": 1234,
        "restarts": 3,
        "retry_in_ms": 3000,
        "last_exit": {
          "kind": "code",
          "code": 1
        },
        "ports": {
          "a": 1,
          "b": 2
        },
        "command": [
          "npm",
          "run",
          "dev"
        ],
        "working_dir": "/srv/shop",
        "color": null
      }
    ]
    "###);
}

#[test]
fn status() {
    insta::assert_snapshot!(pretty(&[samples::detailed("web")]), @r###"
    [
      {
        "name": "web",
        "service": "web",
        "wanted": true,
        "state": "ready",
        "health": "healthy",
        "health_since": "2026-01-02T03:04:05.678Z",
        "probe_ms": 0.31,
        "reason": null,
        "instance": 1,
        "pid": 4242,
        "identity": {
          "boot_id": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
          "pid": 4242,
          "start_ticks": 123456,
          "inode": 5004242,
          "scope": "web.1"
        },
        "containment": "cgroup",
        "processes": 3,
        "cpu_percent": 3.12,
        "memory_bytes": 12897484,
        "started_at": "2026-01-02T03:04:05.678Z",
        "uptime_ms": 185000,
        "ready_after_ms": 1234,
        "restarts": 0,
        "retry_in_ms": null,
        "last_exit": null,
        "ports": {
          "http": 8080
        },
        "command": [
          "npm",
          "run",
          "dev"
        ],
        "working_dir": "/srv/shop",
        "color": null,
        "limits": [
          {
            "name": "memory",
            "value": 536870912,
            "enforced_by": "cgroup"
          },
          {
            "name": "cpus",
            "value": 1500,
            "enforced_by": "nobody",
            "note": "no `cpu` controller can be used here"
          }
        ],
        "tree": [
          {
            "pid": 100,
            "ppid": 1,
            "start_ticks": 123456,
            "inode": 5000100,
            "state": "S",
            "memory_bytes": 4194304,
            "command": "npm run dev"
          },
          {
            "pid": 101,
            "ppid": 100,
            "start_ticks": 123456,
            "inode": 5000101,
            "state": "S",
            "memory_bytes": 4194304,
            "command": "sh -c vite"
          },
          {
            "pid": 102,
            "ppid": 101,
            "start_ticks": 123456,
            "inode": 5000102,
            "state": "S",
            "memory_bytes": 4194304,
            "command": "node vite"
          },
          {
            "pid": 103,
            "ppid": 1,
            "start_ticks": 123456,
            "inode": 5000103,
            "state": "S",
            "memory_bytes": 4194304,
            "command": "escaped --daemon"
          }
        ],
        "last_receipt": {
          "service": "web",
          "instance": 1,
          "scope": "web.1",
          "boot_id": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
          "reason": "requested",
          "started_at": "2026-01-02T03:04:05.678Z",
          "duration_ms": 312,
          "exit": {
            "kind": "code",
            "code": 0
          },
          "stages": [
            {
              "name": "TERM",
              "duration_ms": 312,
              "ended": 3
            }
          ],
          "processes": [
            {
              "pid": 100,
              "start_ticks": 123456,
              "inode": 5000100,
              "command": "npm run dev",
              "exit": {
                "kind": "code",
                "code": 0
              },
              "stage": "TERM",
              "main": true
            },
            {
              "pid": 101,
              "start_ticks": 123456,
              "inode": 5000101,
              "command": "node server.js",
              "exit": {
                "kind": "signal",
                "signal": 15
              },
              "stage": "TERM",
              "main": false
            },
            {
              "pid": 102,
              "exit": {
                "kind": "signal",
                "signal": 9
              },
              "stage": "KILL",
              "main": false
            }
          ],
          "left": 0
        }
      }
    ]
    "###);
}

//! What the machine allows.

use super::pretty;
use crate::render::samples;

#[test]
fn doctor() {
    insta::assert_snapshot!(pretty(&samples::doctor()), @r#"
    {
      "ok": false,
      "findings": [
        {
          "code": "leftovers",
          "text": "2 processes of the lost kennel `blog-99` still run",
          "advice": {
            "text": "ends them",
            "command": "kennel --instance blog-99 down"
          }
        }
      ],
      "containment": {
        "backend": "reaper",
        "promise": "every descendant is found and ended while its scope's reaper lives",
        "limits": [
          "setuid-root children",
          "uninterruptible sleep"
        ],
        "because": "no writable cgroup v2 directory",
        "reason": "not_delegated",
        "advice": {
          "text": "starts kennel in a group that alice may divide",
          "command": "systemd-run --user --scope -p Delegate=yes kennel up"
        }
      },
      "cgroups": "version 2 at /sys/fs/cgroup (memory, pids, cpu)",
      "kernel": "6.18.44",
      "features": [
        {
          "name": "clone3",
          "works": "yes"
        },
        {
          "name": "pidfd_inodes",
          "works": "yes"
        },
        {
          "name": "cgroup_kill",
          "works": "unknown",
          "note": "no cgroup to try it in"
        }
      ],
      "feature_counts": {
        "yes": 2,
        "no": 0,
        "unknown": 1
      },
      "limits": [
        {
          "name": "memory",
          "enforced_by": "sampling",
          "note": "no cgroup can be used"
        },
        {
          "name": "cpus",
          "enforced_by": "nobody",
          "note": "no cgroup can be used"
        }
      ],
      "limits_advice": {
        "text": "starts kennel in a group that alice may divide",
        "command": "systemd-run --user --scope -p Delegate=yes kennel up"
      },
      "desktop": {
        "works": false,
        "note": "no notification can be shown: there is no session bus"
      },
      "zombies": [
        {
          "pid": 812,
          "command": "node server.js",
          "count": 12,
          "oldest_began_s": 11000,
          "instance": "shop-1234abcd"
        },
        {
          "pid": 1,
          "command": "/sbin/init",
          "count": 1,
          "oldest_began_s": 3
        }
      ],
      "leftovers": [
        {
          "kind": "scope",
          "instance": "blog-99",
          "here": true,
          "path": "/sys/fs/cgroup/kennel/blog-99",
          "processes": [
            4711,
            4712
          ],
          "command": "kennel --instance blog-99 down"
        },
        {
          "kind": "instance",
          "instance": "shop-0",
          "here": true,
          "path": "/sys/fs/cgroup/kennel/shop-0",
          "processes": [],
          "command": "kennel --instance shop-0 down"
        }
      ],
      "instance": "shop-1234abcd",
      "state_dir": "/var/state/kennel/shop-1234abcd",
      "runtime_dir": "/run/user/1000/kennel/shop-1234abcd",
      "version": "0.1.0",
      "daemon": null
    }
    "#);
}

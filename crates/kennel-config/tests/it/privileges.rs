//! Rights, limits and priorities: what files say, and what is said of them.
//!
//! covers: E3

use insta::assert_snapshot;
use kennel_core::capability::{ALL, bit};
use kennel_core::model::{IoPriority, Privileges, ResourceLimit};

use crate::{service, wrong_service};

fn privileges(keys: &str) -> Privileges {
    service(keys).privileges
}

fn set(names: &[&str]) -> u64 {
    names.iter().map(|name| bit(name).unwrap()).sum()
}

#[test]
fn nothing_is_changed_unless_it_is_said() {
    assert_eq!(privileges(""), Privileges::default());
    assert_eq!(
        privileges("cap_drop: []\ncap_add:\nulimits:\nsecurity_opt: []\ncpu_affinity: []"),
        Privileges::default()
    );
    assert_eq!(privileges("no_new_privileges: no\nsecurity_opt: ['no-new-privileges:false']"), Privileges::default());
}

#[test]
fn new_privileges() {
    for keys in [
        "no_new_privileges: true",
        "no_new_privileges: ${NO:-yes}",
        "security_opt: [no-new-privileges]",
        "security_opt: ['no-new-privileges:true']",
        "security_opt: [no-new-privileges=true]",
    ] {
        assert!(privileges(keys).no_new_privileges, "{keys}");
    }
}

#[test]
fn capabilities() {
    let of = |keys: &str| {
        let found = privileges(keys);
        (found.capabilities, found.added_capabilities)
    };
    let bind = set(&["NET_BIND_SERVICE"]);
    assert_eq!(of("cap_drop: [ALL]"), (Some(0), 0));
    assert_eq!(of("cap_drop: all\ncap_add: cap_net_bind_service"), (Some(bind), bind));
    assert_eq!(of("cap_drop: [NET_RAW, CAP_SYS_ADMIN]"), (Some(!set(&["NET_RAW", "SYS_ADMIN"])), 0));
    // Adding wins, in whichever order they stand.
    assert_eq!(of("cap_add: [NET_RAW]\ncap_drop: [NET_RAW, KILL]"), (Some(!set(&["KILL"])), set(&["NET_RAW"])));
    assert_eq!(of("cap_add: [NET_RAW]\ncap_drop: [NET_RAW]"), (None, set(&["NET_RAW"])));
    assert_eq!(of("cap_add: [ALL]"), (None, ALL));
}

#[test]
fn limits() {
    let both = |soft, hard| ResourceLimit { soft, hard };
    let found = privileges(
        "ulimits:\n  nofile: { soft: 1024, hard: unlimited }\n  core: 0\n  memlock: -1\n  nproc: ${NO:-50}\n  stack: ${NO:-unlimited}",
    );
    let limits: Vec<_> = found.limits.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
    assert_eq!(
        limits,
        [
            ("nofile", both(Some(1024), None)),
            ("core", both(Some(0), Some(0))),
            ("memlock", both(None, None)),
            ("nproc", both(Some(50), Some(50))),
            ("stack", both(None, None)),
        ]
    );
    for name in kennel_core::model::RESOURCE_LIMITS {
        assert_eq!(privileges(&format!("ulimits: {{ {name}: 7 }}")).limits[name], both(Some(7), Some(7)));
    }
}

#[test]
fn priorities() {
    for nice in [-20, 0, 19] {
        assert_eq!(privileges(&format!("nice: {nice}")).nice, Some(nice));
    }
    for key in ["oom_score_adj", "oom_score_adjust"] {
        assert_eq!(privileges(&format!("{key}: -1000")).oom_score_adj, Some(-1000));
    }
    let io = |value: &str| privileges(&format!("io_priority: {value}")).io;
    assert_eq!(io("idle"), Some(IoPriority::Idle));
    assert_eq!(io("best-effort"), Some(IoPriority::BestEffort(4)));
    assert_eq!(io("'best_effort: 7'"), Some(IoPriority::BestEffort(7)));
    assert_eq!(io("realtime:0"), Some(IoPriority::Realtime(0)));
}

#[test]
fn cpus() {
    for value in ["0-2,6", "'6,0-2'", "[0, 1, 2, 6]", "[6, '0-2']", "${NO:-0-2,6}"] {
        for key in ["cpu_affinity", "cpuset"] {
            assert_eq!(privileges(&format!("{key}: {value}")).cpus, [0, 1, 2, 6], "{value}");
        }
    }
    assert_eq!(privileges("cpuset: 3").cpus, [3]);
}

#[test]
fn wrong_rights() {
    assert_snapshot!(wrong_service("no_new_privileges: 1\nsecurity_opt: ['seccomp:unconfined', 3]\ncap_drop: [NET_BIND, ALL]\ncap_add: { NET_RAW: true }"), @r###"
error[wrong_type]: `no_new_privileges` must be `true` or `false`, not the integer `1`
  --> [dir]/kennel.yaml:4:24
   |
 4 |     no_new_privileges: 1
   |                        ^

error[not_supported]: `security_opt` has no `seccomp:unconfined` in kennel
  --> [dir]/kennel.yaml:5:20
   |
 5 |     security_opt: ['seccomp:unconfined', 3]
   |                    ^^^^^^^^^^^^^^^^^^^^
  = help: `no-new-privileges:true` is what it may say

error[wrong_type]: an entry of `security_opt` must be a string, not the integer `3`
  --> [dir]/kennel.yaml:5:42
   |
 5 |     security_opt: ['seccomp:unconfined', 3]
   |                                          ^

error[unknown_capability]: there is no capability `NET_BIND`
  --> [dir]/kennel.yaml:6:16
   |
 6 |     cap_drop: [NET_BIND, ALL]
   |                ^^^^^^^^
  = help: did you mean `NET_BIND_SERVICE`?

error[wrong_type]: `cap_add` must be a list, not a mapping
  --> [dir]/kennel.yaml:7:14
   |
 7 |     cap_add: { NET_RAW: true }
   |              ^^^^^^^^^^^^^^^^^
"###);
    assert_snapshot!(wrong_service("no_new_privileges: true\nsecurity_opt: ['no-new-privileges:true']\ncap_add: [CAP_SYS_NISE, ROOT]"), @r###"
error[conflict]: `no_new_privileges` and `security_opt` say the same thing twice
  --> [dir]/kennel.yaml:4:5
   |
 4 |     no_new_privileges: true
   |     ^^^^^^^^^^^^^^^^^
  = help: keep one of them

error[unknown_capability]: there is no capability `CAP_SYS_NISE`
  --> [dir]/kennel.yaml:6:15
   |
 6 |     cap_add: [CAP_SYS_NISE, ROOT]
   |               ^^^^^^^^^^^^
  = help: did you mean `SYS_NICE`?

error[unknown_capability]: there is no capability `ROOT`
  --> [dir]/kennel.yaml:6:29
   |
 6 |     cap_add: [CAP_SYS_NISE, ROOT]
   |                             ^^^^
  = help: for example `NET_BIND_SERVICE`; `ALL` is every one, and capabilities(7) lists them
"###);
}

#[test]
fn wrong_limits() {
    assert_snapshot!(wrong_service("ulimits:\n  nofiles: 3\n  RLIMIT_CORE: 0\n  core: -2\n  as: 64M\n  data: 1.5\n  cpu: '5'\n  nofile: { soft: 2, hard: 1 }\n  nproc: { soft: 2 }\n  stack: { soft: unlimited, hard: 5, max: 3 }"), @r###"
error[unknown_key]: there is no limit `nofiles`
  --> [dir]/kennel.yaml:5:7
   |
 5 |       nofiles: 3
   |       ^^^^^^^
  = help: did you mean `nofile`?

error[unknown_key]: there is no limit `RLIMIT_CORE`
  --> [dir]/kennel.yaml:6:7
   |
 6 |       RLIMIT_CORE: 0
   |       ^^^^^^^^^^^
  = help: did you mean `core`?

error[wrong_type]: the limit `core` must be a whole number from 0, or `unlimited`, not the integer `-2`
  --> [dir]/kennel.yaml:7:13
   |
 7 |       core: -2
   |             ^^
  = help: a size is given in bytes, a time in seconds (`cpu`) or microseconds (`rttime`)

error[wrong_type]: the limit `as` must be a whole number from 0, or `unlimited`, not the string "64M"
  --> [dir]/kennel.yaml:8:11
   |
 8 |       as: 64M
   |           ^^^
  = help: a size is given in bytes, a time in seconds (`cpu`) or microseconds (`rttime`)

error[wrong_type]: the limit `data` must be a whole number from 0, or `unlimited`, not the number `1.5`
  --> [dir]/kennel.yaml:9:13
   |
 9 |       data: 1.5
   |             ^^^
  = help: a size is given in bytes, a time in seconds (`cpu`) or microseconds (`rttime`)

error[wrong_type]: the limit `cpu` must be a whole number from 0, or `unlimited`, not the string "5"
  --> [dir]/kennel.yaml:10:12
    |
 10 |       cpu: '5'
    |            ^^^
  = help: a size is given in bytes, a time in seconds (`cpu`) or microseconds (`rttime`)

error[conflict]: `soft` of the limit `nofile` is above its `hard`
  --> [dir]/kennel.yaml:11:23
    |
 11 |       nofile: { soft: 2, hard: 1 }
    |                       ^
  = help: the soft limit is what holds; the hard one is how far it can be raised

error[missing_key]: the limit `nproc` has no `hard`
  --> [dir]/kennel.yaml:12:14
    |
 12 |       nproc: { soft: 2 }
    |              ^^^^^^^^^^^
  = help: give `soft` and `hard`, or one number for both

error[conflict]: `soft` of the limit `stack` is above its `hard`
  --> [dir]/kennel.yaml:13:22
    |
 13 |       stack: { soft: unlimited, hard: 5, max: 3 }
    |                      ^^^^^^^^^
  = help: the soft limit is what holds; the hard one is how far it can be raised

error[unknown_key]: unknown key `max` in the limit `stack`
  --> [dir]/kennel.yaml:13:42
    |
 13 |       stack: { soft: unlimited, hard: 5, max: 3 }
    |                                          ^^^
  = help: expected one of `soft`, `hard`
"###);
    assert_snapshot!(wrong_service("ulimits: [nofile]\nrlimits: {}"), @r###"
error[wrong_type]: `ulimits` must be a mapping, not a list
  --> [dir]/kennel.yaml:4:14
   |
 4 |     ulimits: [nofile]
   |              ^^^^^^^^

error[unknown_key]: `rlimits` has another name in kennel
  --> [dir]/kennel.yaml:5:5
   |
 5 |     rlimits: {}
   |     ^^^^^^^
  = help: use `ulimits`
"###);
}

#[test]
fn wrong_priorities() {
    assert_snapshot!(wrong_service("nice: 20\noom_score_adj: -1001\nio_priority: best-effort:8\ncpu_affinity: 3-1\ncpus: 0.5\nionice: idle"), @r"
    error[out_of_range]: `nice` must be between -20 and 19, not 20
      --> [dir]/kennel.yaml:4:11
       |
     4 |     nice: 20
       |           ^^

    error[out_of_range]: `oom_score_adj` must be between -1000 and 1000, not -1001
      --> [dir]/kennel.yaml:5:20
       |
     5 |     oom_score_adj: -1001
       |                    ^^^^^

    error[out_of_range]: the level of `best-effort` must be between 0 (first) and 7 (last)
      --> [dir]/kennel.yaml:6:18
       |
     6 |     io_priority: best-effort:8
       |                  ^^^^^^^^^^^^^

    error[bad_value]: `cpu_affinity`: `3-1` runs backwards
      --> [dir]/kennel.yaml:7:19
       |
     7 |     cpu_affinity: 3-1
       |                   ^^^
      = help: for example `0-3,6`

    error[unknown_key]: `ionice` has another name in kennel
      --> [dir]/kennel.yaml:9:5
       |
     9 |     ionice: idle
       |     ^^^^^^
      = help: use `io_priority`
    ");
    assert_snapshot!(wrong_service("nice: low\noom_score_adj: never\nio_priority: idel\ncpu_affinity: [0, 1-, { a: b }, 9999]\ncpuset: 1"), @r###"
error[wrong_type]: `nice` must be a whole number, not the string "low"
  --> [dir]/kennel.yaml:4:11
   |
 4 |     nice: low
   |           ^^^

error[wrong_type]: `oom_score_adj` must be a whole number, not the string "never"
  --> [dir]/kennel.yaml:5:20
   |
 5 |     oom_score_adj: never
   |                    ^^^^^

error[unknown_value]: `io_priority` has no value `idel`
  --> [dir]/kennel.yaml:6:18
   |
 6 |     io_priority: idel
   |                  ^^^^
  = help: did you mean `idle`?

error[bad_value]: `cpu_affinity`: `1-` is neither the number of a CPU nor a range of them
  --> [dir]/kennel.yaml:7:23
   |
 7 |     cpu_affinity: [0, 1-, { a: b }, 9999]
   |                       ^^
  = help: for example `0-3,6`

error[wrong_type]: `cpu_affinity` must be numbers of CPUs, such as `0-3,6`, not a mapping
  --> [dir]/kennel.yaml:7:27
   |
 7 |     cpu_affinity: [0, 1-, { a: b }, 9999]
   |                           ^^^^^^^^

error[bad_value]: `cpu_affinity`: no CPU has the number 9999; the highest possible is 8191
  --> [dir]/kennel.yaml:7:37
   |
 7 |     cpu_affinity: [0, 1-, { a: b }, 9999]
   |                                     ^^^^
  = help: for example `0-3,6`

error[duplicate_key]: `cpuset` and `cpu_affinity` on line 7 are two spellings of one key
  --> [dir]/kennel.yaml:8:5
   |
 8 |     cpuset: 1
   |     ^^^^^^
  = help: keep one; `cpu_affinity` is the usual one
"###);
    assert_snapshot!(wrong_service("io_priority: idle:3\ncpu_affinity: 0.5"), @r###"
error[bad_value]: `idle` has no level
  --> [dir]/kennel.yaml:4:18
   |
 4 |     io_priority: idle:3
   |                  ^^^^^^
  = help: write `io_priority: idle`

error[wrong_type]: `cpu_affinity` must be numbers of CPUs, such as `0-3,6`, not the number `0.5`
  --> [dir]/kennel.yaml:5:19
   |
 5 |     cpu_affinity: 0.5
   |                   ^^^
"###);
}

//! What is said of probes and stop sequences that are wrong.

use insta::assert_snapshot;

use crate::{wrong, wrong_service};

#[test]
fn probes() {
    assert_snapshot!(wrong("services:\n  a: { command: x, readiness: { log_line: 'foo(' } }\n  b: { command: x, readiness: { interval: 1s } }\n  c: { command: x, readiness: { tcp: 1, notify: true } }\n  d: { command: x, ports: { http: 1 }, readiness: { tcp: htpp } }\n  e: { command: x, readiness: { http_get: 'https://x' } }\n  f: { command: x, readiness: { http_get: 'localhost:1' } }\n  g: { command: x, readiness: { http_get: { path: a b } } }\n  h: { command: x, readiness: { exec: 'a | b' } }\n  i: { command: x, readiness: { notify: false } }\n  j: { command: x, readiness: { tcp: 'a b:1' } }\n  k: { command: x, readiness: { tcp: 'a:99999' } }\n"), @r###"
error[bad_regex]: `log_line` is not a regular expression: unclosed group
  --> [dir]/kennel.yaml:2:43
   |
 2 |   a: { command: x, readiness: { log_line: 'foo(' } }
   |                                           ^^^^^^
  = help: regex parse error:
        foo(
           ^
    error: unclosed group

error[missing_key]: `readiness` does not say what to ask
  --> [dir]/kennel.yaml:3:31
   |
 3 |   b: { command: x, readiness: { interval: 1s } }
   |                               ^^^^^^^^^^^^^^^^
  = help: give one of `exec`, `http_get`, `tcp`, `log_line`, `notify`, `file`

error[conflict]: `readiness` asks one thing, but has both `tcp` and `notify`
  --> [dir]/kennel.yaml:4:41
   |
 4 |   c: { command: x, readiness: { tcp: 1, notify: true } }
   |                                         ^^^^^^
  = help: keep one; `exec` can combine several checks

error[unknown_port]: `htpp` is not in `ports`
  --> [dir]/kennel.yaml:5:58
   |
 5 |   d: { command: x, ports: { http: 1 }, readiness: { tcp: htpp } }
   |                                                          ^^^^
  = help: did you mean `http`?

error[not_supported]: a probe over https is not supported yet
  --> [dir]/kennel.yaml:6:43
   |
 6 |   e: { command: x, readiness: { http_get: 'https://x' } }
   |                                           ^^^^^^^^^^^
  = help: probe plain HTTP, `tcp`, or use `exec` with a program that speaks TLS

error[wrong_type]: `http_get` must be a URL that begins with `http://`, not the string "localhost:1"
  --> [dir]/kennel.yaml:7:43
   |
 7 |   f: { command: x, readiness: { http_get: 'localhost:1' } }
   |                                           ^^^^^^^^^^^^^
  = help: for example `http://127.0.0.1:8080/health`, or `{ port: 8080, path: /health }`

error[missing_key]: `http_get` needs a `port`
  --> [dir]/kennel.yaml:8:43
   |
 8 |   g: { command: x, readiness: { http_get: { path: a b } } }
   |                                           ^^^^^^^^^^^^^

error[bad_value]: `path` must begin with `/` and contain no spaces
  --> [dir]/kennel.yaml:8:51
   |
 8 |   g: { command: x, readiness: { http_get: { path: a b } } }
   |                                                   ^^^

error[needs_shell]: `exec` contains `|`, which only a shell understands
  --> [dir]/kennel.yaml:9:39
   |
 9 |   h: { command: x, readiness: { exec: 'a | b' } }
   |                                       ^^^^^^^
  = help: set `shell: true`, or quote it if the program itself should get it

error[missing_key]: `readiness` does not say what to ask
  --> [dir]/kennel.yaml:10:31
    |
 10 |   i: { command: x, readiness: { notify: false } }
    |                               ^^^^^^^^^^^^^^^^^
  = help: give one of `exec`, `http_get`, `tcp`, `log_line`, `notify`, `file`

error[bad_value]: `a b` is not a host
  --> [dir]/kennel.yaml:11:38
    |
 11 |   j: { command: x, readiness: { tcp: 'a b:1' } }
    |                                      ^^^^^^^

error[out_of_range]: the port must be between 1 and 65535, not 99999
  --> [dir]/kennel.yaml:12:38
    |
 12 |   k: { command: x, readiness: { tcp: 'a:99999' } }
    |                                      ^^^^^^^^^
"###);
}

#[test]
fn liveness() {
    assert_snapshot!(wrong("services:\n  a: { command: x, liveness: { interval: 1s } }\n  b: { command: x, liveness: { tcp: 1, watchdog: 3s } }\n  c: { command: x, liveness: { heartbeat: { max_age: 3s } } }\n  d: { command: x, liveness: { watchdog: true } }\n  e: { command: x, liveness: { tcp: 1, action: kill } }\n  f: { command: x, hang: { action: warn } }\n  g: { command: x, hang: 10ms }\n  h: { command: x, hang: 10 }\n  i: { command: x, liveness: { log_line: x } }\n"), @r"
error[missing_key]: `liveness` does not say what to look at
  --> [dir]/kennel.yaml:2:30
   |
 2 |   a: { command: x, liveness: { interval: 1s } }
   |                              ^^^^^^^^^^^^^^^^
  = help: give one of `exec`, `http_get`, `tcp`, `file`, `heartbeat`, `watchdog`, `log_silence`

error[conflict]: `liveness` looks at one thing, but has both `tcp` and `watchdog`
  --> [dir]/kennel.yaml:3:40
   |
 3 |   b: { command: x, liveness: { tcp: 1, watchdog: 3s } }
   |                                        ^^^^^^^^
  = help: keep one; `exec` can combine several checks

error[missing_key]: `heartbeat` has no `file`
  --> [dir]/kennel.yaml:4:43
   |
 4 |   c: { command: x, liveness: { heartbeat: { max_age: 3s } } }
   |                                           ^^^^^^^^^^^^^^^
  = help: for example `heartbeat: { file: run/alive, max_age: 30s }`

error[wrong_type]: `watchdog` must be a duration, not the boolean `true`
  --> [dir]/kennel.yaml:5:42
   |
 5 |   d: { command: x, liveness: { watchdog: true } }
   |                                          ^^^^
  = help: say how long it may say nothing, for example `30s`

error[unknown_value]: `action` has no value `kill`
  --> [dir]/kennel.yaml:6:48
   |
 6 |   e: { command: x, liveness: { tcp: 1, action: kill } }
   |                                                ^^^^
  = help: expected one of `warn`, `restart`, `stop`

error[missing_key]: `hang` has no `after`
  --> [dir]/kennel.yaml:7:26
   |
 7 |   f: { command: x, hang: { action: warn } }
   |                          ^^^^^^^^^^^^^^^^
  = help: say how long silence may last, for example `hang: { after: 2m }`

error[out_of_range]: `hang` must be at least 1s
  --> [dir]/kennel.yaml:8:26
   |
 8 |   g: { command: x, hang: 10ms }
   |                          ^^^^

error[wrong_type]: `hang` must be a duration with its unit, not the integer `10`
  --> [dir]/kennel.yaml:9:26
   |
 9 |   h: { command: x, hang: 10 }
   |                          ^^
  = help: say what it counts: `10s` or `10ms`

error[missing_key]: `liveness` does not say what to look at
  --> [dir]/kennel.yaml:10:30
    |
 10 |   i: { command: x, liveness: { log_line: x } }
    |                              ^^^^^^^^^^^^^^^
  = help: give one of `exec`, `http_get`, `tcp`, `file`, `heartbeat`, `watchdog`, `log_silence`

error[unknown_key]: unknown key `log_line` in `liveness`
  --> [dir]/kennel.yaml:10:32
    |
 10 |   i: { command: x, liveness: { log_line: x } }
    |                                ^^^^^^^^
  = help: expected one of `exec`, `http_get`, `tcp`, `file`, `heartbeat`, `watchdog`, `log_silence`, `interval`, `timeout`, `initial_delay`, `success_threshold`, `failure_threshold`, `action`
");
}

#[test]
fn healthchecks() {
    assert_snapshot!(wrong("services:\n  a: { command: x, healthcheck: { interval: 1s } }\n  b: { command: x, healthcheck: { test: [curl, x] } }\n  c: { command: x, healthcheck: { test: x }, readiness: { tcp: 1 } }\n"), @r###"
error[missing_key]: `healthcheck` needs a `test`
  --> [dir]/kennel.yaml:2:33
   |
 2 |   a: { command: x, healthcheck: { interval: 1s } }
   |                                 ^^^^^^^^^^^^^^^^

error[bad_value]: a list under `test` begins with `CMD`, `CMD-SHELL` or `NONE`
  --> [dir]/kennel.yaml:3:41
   |
 3 |   b: { command: x, healthcheck: { test: [curl, x] } }
   |                                         ^^^^^^^^^
  = help: for example `[CMD, curl, -f, "http://localhost"]`

error[conflict]: `readiness` and `healthcheck` are two ways to say one thing
  --> [dir]/kennel.yaml:4:20
   |
 4 |   c: { command: x, healthcheck: { test: x }, readiness: { tcp: 1 } }
   |                    ^^^^^^^^^^^
  = help: keep `readiness`
"###);
}

#[test]
fn stops() {
    assert_snapshot!(wrong_service("stop_signal: SIGTREM\nstop_grace_period: 1s\nkill_mode: process\nstop:\n  - { signal: INT, command: x }\n  - { wait: 1s }\n  - { command: x, target: main }\n  - { signal: INT, target: all, shell: true }\n  - 99\n"), @r###"
error[conflict]: `stop_signal` and `stop` both say how to stop
  --> [dir]/kennel.yaml:4:5
   |
 4 |     stop_signal: SIGTREM
   |     ^^^^^^^^^^^
  = help: put it into a stage of `stop`

error[unknown_signal]: there is no signal `SIGTREM`
  --> [dir]/kennel.yaml:4:18
   |
 4 |     stop_signal: SIGTREM
   |                  ^^^^^^^
  = help: did you mean `SIGTERM`?

error[conflict]: `stop_grace_period` and `stop` both say how to stop
  --> [dir]/kennel.yaml:5:5
   |
 5 |     stop_grace_period: 1s
   |     ^^^^^^^^^^^^^^^^^
  = help: put it into a stage of `stop`

error[not_supported]: `kill_mode: process` would leave processes behind, so there is none
  --> [dir]/kennel.yaml:6:16
   |
 6 |     kill_mode: process
   |                ^^^^^^^
  = help: `mixed` signals the main process alone, and kills what is left in the end

error[conflict]: a stage has a `signal` or a `command`, not both
  --> [dir]/kennel.yaml:8:24
   |
 8 |       - { signal: INT, command: x }
   |                        ^^^^^^^
  = help: make two stages of it

error[missing_key]: a stage of `stop` needs a `signal` or a `command`
  --> [dir]/kennel.yaml:9:9
   |
 9 |       - { wait: 1s }
   |         ^^^^^^^^^^^^

error[conflict]: `target` belongs to a stage with a `signal`
  --> [dir]/kennel.yaml:10:23
    |
 10 |       - { command: x, target: main }
    |                       ^^^^^^

error[unknown_value]: `target` has no value `all`
  --> [dir]/kennel.yaml:11:32
    |
 11 |       - { signal: INT, target: all, shell: true }
    |                                ^^^
  = help: expected one of `scope`, `main`

error[conflict]: `shell` belongs to a stage with a `command`
  --> [dir]/kennel.yaml:11:37
    |
 11 |       - { signal: INT, target: all, shell: true }
    |                                     ^^^^^

error[unknown_signal]: there is no signal `99`
  --> [dir]/kennel.yaml:12:9
    |
 12 |       - 99
    |         ^^
  = help: did you mean `SIGIO`?
"###);
}

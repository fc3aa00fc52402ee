//! What is said of values that are wrong.

use insta::assert_snapshot;

use crate::{wrong, wrong_service};

#[test]
fn types_say_what_was_found() {
    assert_snapshot!(wrong_service("working_dir: [a]\nuser: { a: b }\nlabels: 3\nprofiles: 1\nenvironment: { A: [1] }\nsuccess_exit_codes: [1, x]\nshell: 1\n"), @r###"
error[wrong_type]: `working_dir` must be a string, not a list
  --> [dir]/kennel.yaml:4:18
   |
 4 |     working_dir: [a]
   |                  ^^^

error[wrong_type]: `user` must be a string, not a mapping
  --> [dir]/kennel.yaml:5:11
   |
 5 |     user: { a: b }
   |           ^^^^^^^^

error[wrong_type]: `labels` must be a mapping or a list of `NAME=value`, not the integer `3`
  --> [dir]/kennel.yaml:6:13
   |
 6 |     labels: 3
   |             ^

error[wrong_type]: `profiles` must be a list, not the integer `1`
  --> [dir]/kennel.yaml:7:15
   |
 7 |     profiles: 1
   |               ^

error[wrong_type]: `A` must be a string, not a list
  --> [dir]/kennel.yaml:8:23
   |
 8 |     environment: { A: [1] }
   |                       ^^^

error[wrong_type]: an exit code must be a whole number, not the string "x"
  --> [dir]/kennel.yaml:9:29
   |
 9 |     success_exit_codes: [1, x]
   |                             ^

error[wrong_type]: `shell` must be `true`, or a shell such as `bash`, not the integer `1`
  --> [dir]/kennel.yaml:10:12
    |
 10 |     shell: 1
    |            ^
"###);
}

#[test]
fn numbers() {
    assert_snapshot!(wrong_service("replicas: \"3\"\nports: { a: 0, b: auto, c: \"8080:80\", d: 1.5 }\nsuccess_exit_codes: [256]\n"), @r###"
error[wrong_type]: `replicas` must be a whole number, not the string "3"
  --> [dir]/kennel.yaml:4:15
   |
 4 |     replicas: "3"
   |               ^^^
  = help: write it without quotes

error[out_of_range]: the port `a` must be between 1 and 65535, not 0
  --> [dir]/kennel.yaml:5:17
   |
 5 |     ports: { a: 0, b: auto, c: "8080:80", d: 1.5 }
   |                 ^

error[wrong_type]: the port `c` must be a number, not the string "8080:80"
  --> [dir]/kennel.yaml:5:32
   |
 5 |     ports: { a: 0, b: auto, c: "8080:80", d: 1.5 }
   |                                ^^^^^^^^^
  = help: the service listens on the port itself, so there is nothing to map: give one number

error[wrong_type]: the port `d` must be a whole number, not the number `1.5`
  --> [dir]/kennel.yaml:5:46
   |
 5 |     ports: { a: 0, b: auto, c: "8080:80", d: 1.5 }
   |                                              ^^^

error[out_of_range]: an exit code must be between 0 and 255, not 256
  --> [dir]/kennel.yaml:6:26
   |
 6 |     success_exit_codes: [256]
   |                          ^^^
"###);
    assert_snapshot!(wrong_service("scale: 0\n"), @r###"
error[out_of_range]: `scale` must be at least 1
  --> [dir]/kennel.yaml:4:12
   |
 4 |     scale: 0
   |            ^
  = help: a service that usually does not run is what `profiles` are for
"###);
    assert_snapshot!(wrong_service("replicas: ${HOME}\n"), @r###"
error[wrong_type]: `replicas` must be a whole number, not the string "/home/ada"
  --> [dir]/kennel.yaml:4:15
   |
 4 |     replicas: ${HOME}
   |               ^^^^^^^
"###);
}

#[test]
fn durations() {
    assert_snapshot!(wrong_service("start_timeout: 10\nstop_grace_period: 10 seconds\nrestart_policy: { delay: 0, window: 0s, max_delay: 99999h, backoff_seconds: 1 }\nreadiness: { tcp: 1, interval: 0s, timeout: 1, initial_delay: -1s }\n"), @r###"
error[wrong_type]: `start_timeout` must be a duration with its unit, not the integer `10`
  --> [dir]/kennel.yaml:4:20
   |
 4 |     start_timeout: 10
   |                    ^^
  = help: say what it counts: `10s` or `10ms`

error[wrong_type]: `stop_grace_period` must be a duration, not the string "10 seconds"
  --> [dir]/kennel.yaml:5:24
   |
 5 |     stop_grace_period: 10 seconds
   |                        ^^^^^^^^^^
  = help: durations are written `500ms`, `10s`, `1m30s` or `4h`

error[wrong_type]: `delay` must be a duration, not the integer `0`
  --> [dir]/kennel.yaml:6:30
   |
 6 |     restart_policy: { delay: 0, window: 0s, max_delay: 99999h, backoff_seconds: 1 }
   |                              ^
  = help: zero is written `0s`

error[out_of_range]: `window` must be at least 1ms
  --> [dir]/kennel.yaml:6:41
   |
 6 |     restart_policy: { delay: 0, window: 0s, max_delay: 99999h, backoff_seconds: 1 }
   |                                         ^^

error[out_of_range]: `max_delay` is longer than ten years
  --> [dir]/kennel.yaml:6:56
   |
 6 |     restart_policy: { delay: 0, window: 0s, max_delay: 99999h, backoff_seconds: 1 }
   |                                                        ^^^^^^

error[duplicate_key]: `backoff_seconds` and `delay` on line 6 are two spellings of one key
  --> [dir]/kennel.yaml:6:64
   |
 6 |     restart_policy: { delay: 0, window: 0s, max_delay: 99999h, backoff_seconds: 1 }
   |                                                                ^^^^^^^^^^^^^^^
  = help: keep one; `delay` is the usual one

error[out_of_range]: `interval` must be at least 1ms
  --> [dir]/kennel.yaml:7:36
   |
 7 |     readiness: { tcp: 1, interval: 0s, timeout: 1, initial_delay: -1s }
   |                                    ^^

error[wrong_type]: `timeout` must be a duration with its unit, not the integer `1`
  --> [dir]/kennel.yaml:7:49
   |
 7 |     readiness: { tcp: 1, interval: 0s, timeout: 1, initial_delay: -1s }
   |                                                 ^
  = help: say what it counts: `1s` or `1ms`

error[wrong_type]: `initial_delay` must be a duration, not the string "-1s"
  --> [dir]/kennel.yaml:7:67
   |
 7 |     readiness: { tcp: 1, interval: 0s, timeout: 1, initial_delay: -1s }
   |                                                                   ^^^
  = help: durations are written `500ms`, `10s`, `1m30s` or `4h`
"###);
}

#[test]
fn commands() {
    assert_snapshot!(wrong("services:\n  a: { command: \"x && y\" }\n  b: { command: \"\" }\n  c: { command: [] }\n  d: { command: \"say 'hi\" }\n  e: { command: A=1 x }\n  f: { command: [x], shell: true }\n  g: { command: echo `date` }\n  h: { command: 3 }\n  i: { command: '\"\" x' }\n"), @r###"
error[needs_shell]: `command` contains `&&`, which only a shell understands
  --> [dir]/kennel.yaml:2:17
   |
 2 |   a: { command: "x && y" }
   |                 ^^^^^^^^
  = help: set `shell: true`, or quote it if the program itself should get it

error[bad_value]: `command` must not be empty
  --> [dir]/kennel.yaml:3:17
   |
 3 |   b: { command: "" }
   |                 ^^

error[bad_value]: `command` names no program
  --> [dir]/kennel.yaml:4:17
   |
 4 |   c: { command: [] }
   |                 ^^

error[bad_value]: `command` has a quote that is never closed
  --> [dir]/kennel.yaml:5:17
   |
 5 |   d: { command: "say 'hi" }
   |                 ^^^^^^^^^

error[needs_shell]: `command` begins with `A=1`, which only a shell understands
  --> [dir]/kennel.yaml:6:17
   |
 6 |   e: { command: A=1 x }
   |                 ^^^^^
  = help: put it under `environment`, or set `shell: true`

error[wrong_type]: `command` must be a string for the shell, not a list
  --> [dir]/kennel.yaml:7:17
   |
 7 |   f: { command: [x], shell: true }
   |                 ^^^
  = help: a list is run exactly as it is; write a string, or leave out `shell`

error[needs_shell]: `command` contains a backquote, which only a shell understands
  --> [dir]/kennel.yaml:8:17
   |
 8 |   g: { command: echo `date` }
   |                 ^^^^^^^^^^^
  = help: set `shell: true`, or quote it if the program itself should get it

error[wrong_type]: `command` must be a string or a list of strings, not the integer `3`
  --> [dir]/kennel.yaml:9:17
   |
 9 |   h: { command: 3 }
   |                 ^

error[bad_value]: `command` names no program
  --> [dir]/kennel.yaml:10:17
    |
 10 |   i: { command: '"" x' }
    |                 ^^^^^^
"###);
}

#[test]
fn restarts() {
    assert_snapshot!(wrong_service("restart: true\nrestart_policy: { factor: 0.5, jitter: 2, max_restarts: -1, delay: 2s, max_delay: 1s }\n"), @r###"
error[wrong_type]: `restart` must be one of `no`, `on-failure`, `always`, `unless-stopped`, not the boolean `true`
  --> [dir]/kennel.yaml:4:14
   |
 4 |     restart: true
   |              ^^^^
  = help: `always` may be meant

error[out_of_range]: `factor` must be between 1 and 1000, not 0.5
  --> [dir]/kennel.yaml:5:31
   |
 5 |     restart_policy: { factor: 0.5, jitter: 2, max_restarts: -1, delay: 2s, max_delay: 1s }
   |                               ^^^

error[out_of_range]: `jitter` must be between 0 and 1, not 2
  --> [dir]/kennel.yaml:5:44
   |
 5 |     restart_policy: { factor: 0.5, jitter: 2, max_restarts: -1, delay: 2s, max_delay: 1s }
   |                                            ^

error[out_of_range]: `max_restarts` must be between 0 and 1000000, not -1
  --> [dir]/kennel.yaml:5:61
   |
 5 |     restart_policy: { factor: 0.5, jitter: 2, max_restarts: -1, delay: 2s, max_delay: 1s }
   |                                                             ^^

error[conflict]: `delay` is longer than `max_delay`
  --> [dir]/kennel.yaml:5:72
   |
 5 |     restart_policy: { factor: 0.5, jitter: 2, max_restarts: -1, delay: 2s, max_delay: 1s }
   |                                                                        ^^
"###);
    assert_snapshot!(wrong_service("restart: on-failure:x\n"), @r###"
error[bad_value]: `x` is not a number of restarts
  --> [dir]/kennel.yaml:4:14
   |
 4 |     restart: on-failure:x
   |              ^^^^^^^^^^^^
  = help: for example `on-failure:5`
"###);
    assert_snapshot!(wrong_service("restart: always:3\n"), @r###"
error[bad_value]: only `on-failure` takes a number, not `always`
  --> [dir]/kennel.yaml:4:14
   |
 4 |     restart: always:3
   |              ^^^^^^^^
  = help: set `max_restarts` under `restart_policy`
"###);
    assert_snapshot!(wrong_service("restart: on-failure:3\nrestart_policy: { max_attempts: 4 }\n"), @r###"
error[conflict]: `max_attempts` and the number in `restart` say the same thing twice
  --> [dir]/kennel.yaml:5:23
   |
 5 |     restart_policy: { max_attempts: 4 }
   |                       ^^^^^^^^^^^^
  = help: keep one of them
"###);
}

#[test]
fn small_keys() {
    assert_snapshot!(wrong_service("umask: 22\ncolor: cyam\non_daemon_loss: keep\nuser: \"a:b\"\ngroup: c\nkill_mode: mixd\n"), @r###"
error[wrong_type]: `umask` must be octal digits in quotes, not the integer `22`
  --> [dir]/kennel.yaml:4:12
   |
 4 |     umask: 22
   |            ^^
  = help: quote it: `"22"`; a bare number is not octal everywhere

error[unknown_value]: there is no colour `cyam`
  --> [dir]/kennel.yaml:5:12
   |
 5 |     color: cyam
   |            ^^^^
  = help: did you mean `cyan`?

error[conflict]: `user` names a group already
  --> [dir]/kennel.yaml:8:5
   |
 8 |     group: c
   |     ^^^^^
  = help: keep one of them

error[unknown_value]: `kill_mode` has no value `mixd`
  --> [dir]/kennel.yaml:9:16
   |
 9 |     kill_mode: mixd
   |                ^^^^
  = help: did you mean `mixed`?
"###);
    assert_snapshot!(wrong_service("umask: \"888\"\ncolor: \"#12345\"\non_daemon_loss: stopp\nuser: a b\nworking_dir: ~/x\n"), @r###"
error[out_of_range]: `umask` must be between "000" and "777", not "888"
  --> [dir]/kennel.yaml:4:12
   |
 4 |     umask: "888"
   |            ^^^^^

error[unknown_value]: there is no colour `#12345`
  --> [dir]/kennel.yaml:5:12
   |
 5 |     color: "#12345"
   |            ^^^^^^^^
  = help: a name such as `cyan` or `bright-red`, or `#rrggbb` in quotes

error[unknown_value]: `on_daemon_loss` has no value `stopp`
  --> [dir]/kennel.yaml:6:21
   |
 6 |     on_daemon_loss: stopp
   |                     ^^^^^
  = help: did you mean `stop`?

error[bad_value]: `user` must be a name or a number, not "a b"
  --> [dir]/kennel.yaml:7:11
   |
 7 |     user: a b
   |           ^^^

error[bad_value]: `~` has no meaning here, only in a shell
  --> [dir]/kennel.yaml:8:18
   |
 8 |     working_dir: ~/x
   |                  ^^^
  = help: write `${HOME}`
"###);
}

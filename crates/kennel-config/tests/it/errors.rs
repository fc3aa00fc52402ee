//! What is said of files whose shape is wrong: keys, duplicates, names, dependencies.

use insta::assert_snapshot;

use crate::{load_text, wrong, wrong_file, wrong_service};

#[test]
fn unknown_keys_have_a_suggestion() {
    assert_snapshot!(wrong("naem: x\nservices:\n  web:\n    comand: run\n    workingDir: .\n    readiness: { tcp: 1, intervall: 1s, zzz: 1 }\n"), @r###"
error[unknown_key]: unknown key `naem` in the configuration
  --> [dir]/kennel.yaml:1:1
   |
 1 | naem: x
   | ^^^^
  = help: did you mean `name`?

error[unknown_key]: unknown key `comand` in the service `web`
  --> [dir]/kennel.yaml:4:5
   |
 4 |     comand: run
   |     ^^^^^^
  = help: did you mean `command`?

error[unknown_key]: unknown key `workingDir` in the service `web`
  --> [dir]/kennel.yaml:5:5
   |
 5 |     workingDir: .
   |     ^^^^^^^^^^
  = help: did you mean `working_dir`?

error[unknown_key]: unknown key `intervall` in `readiness`
  --> [dir]/kennel.yaml:6:26
   |
 6 |     readiness: { tcp: 1, intervall: 1s, zzz: 1 }
   |                          ^^^^^^^^^
  = help: did you mean `interval`?

error[unknown_key]: unknown key `zzz` in `readiness`
  --> [dir]/kennel.yaml:6:41
   |
 6 |     readiness: { tcp: 1, intervall: 1s, zzz: 1 }
   |                                         ^^^
  = help: expected one of `exec`, `http_get`, `tcp`, `log_line`, `notify`, `file`, `interval`, `ready_interval`, `timeout`, `initial_delay`, `success_threshold`, `failure_threshold`
"###);
}

#[test]
fn keys_from_elsewhere_are_explained() {
    assert_snapshot!(wrong("volumes: {}\nservices:\n  web:\n    command: run\n    image: nginx\n    limits: { memory: 1GiB }\n    availability: { restart: always }\n    stop: [{ signal: INT, timeout: 1s }]\n"), @r"
    error[not_supported]: `volumes` belongs to containers
      --> [dir]/kennel.yaml:1:1
       |
     1 | volumes: {}
       | ^^^^^^^
      = help: kennel runs programs of this machine

    error[not_supported]: `image` belongs to containers
      --> [dir]/kennel.yaml:5:5
       |
     5 |     image: nginx
       |     ^^^^^
      = help: kennel runs programs of this machine; say what to run with `command`

    error[unknown_key]: `availability` has another name in kennel
      --> [dir]/kennel.yaml:7:5
       |
     7 |     availability: { restart: always }
       |     ^^^^^^^^^^^^
      = help: use `restart` and `restart_policy`

    error[unknown_key]: `timeout` is no key of a stage of `stop`
      --> [dir]/kennel.yaml:8:27
       |
     8 |     stop: [{ signal: INT, timeout: 1s }]
       |                           ^^^^^^^
      = help: did you mean `wait`?
    ");
}

#[test]
fn duplicates_name_both_places() {
    assert_snapshot!(wrong("services:\n  web:\n    command: a\n    cwd: x\n    command: b\n    working_dir: y\n    environment: { A: 1, A: 2 }\n  web:\n    command: c\n"), @r###"
error[duplicate_key]: `command` is given twice; first given on line 3
  --> [dir]/kennel.yaml:5:5
   |
 5 |     command: b
   |     ^^^^^^^

error[duplicate_key]: `working_dir` and `cwd` on line 4 are two spellings of one key
  --> [dir]/kennel.yaml:6:5
   |
 6 |     working_dir: y
   |     ^^^^^^^^^^^
  = help: keep one; `working_dir` is the usual one

error[duplicate_key]: `A` is given twice; first given on line 7
  --> [dir]/kennel.yaml:7:26
   |
 7 |     environment: { A: 1, A: 2 }
   |                          ^

error[duplicate_key]: `web` is given twice; first given on line 2
  --> [dir]/kennel.yaml:8:3
   |
 8 |   web:
   |   ^^^
"###);
}

#[test]
fn duplicates_in_toml() {
    assert_snapshot!(wrong_file("kennel.toml", "[services.a]\ncommand = \"a\"\nuser = \"x\"\ncommand = \"b\"\n[services.b]\ncommand = \"b\"\n[services.a]\nusr = \"x\"\n"), @r###"
error[duplicate_key]: `command` is given twice; first given on line 2
  --> [dir]/kennel.toml:4:1
   |
 4 | command = "b"
   | ^^^^^^^

error[duplicate_key]: `a` is given twice; first given on line 1
  --> [dir]/kennel.toml:7:11
   |
 7 | [services.a]
   |           ^

error[unknown_key]: unknown key `usr` in the service `a`
  --> [dir]/kennel.toml:8:1
   |
 8 | usr = "x"
   | ^^^
  = help: did you mean `user`?
"###);
}

#[test]
fn syntax_errors() {
    assert_snapshot!(wrong("services:\n  web:\n    command: \"run\n"), @r###"
error[syntax]: not valid YAML: invalid indentation in multiline quoted scalar
  --> [dir]/kennel.yaml:4:1
   |
 4 | 
   | ^
  = help: is a quote above never closed?
"###);
    assert_snapshot!(wrong("services:\n  web: [a, b\n"), @r###"
error[syntax]: not valid YAML: unclosed bracket '['
  --> [dir]/kennel.yaml:2:8
   |
 2 |   web: [a, b
   |        ^
"###);
    assert_snapshot!(wrong("services:\n\tweb: x\n"), @r###"
error[syntax]: not valid YAML: tabs disallowed within this context (block indentation)
  --> [dir]/kennel.yaml:2:2
   |
 2 | 	web: x
   | 	^
"###);
    assert_snapshot!(wrong("services: { a: { command: x, user: ${HOME} } }\n"), @r###"
error[syntax]: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
  --> [dir]/kennel.yaml:1:37
   |
 1 | services: { a: { command: x, user: ${HOME} } }
   |                                     ^
  = help: between brackets and braces `${…}` must be quoted
"###);
    assert_snapshot!(wrong("a: 1\n---\nb: 2\n"), @r###"
error[syntax]: a second document begins here, but a configuration is one document
  --> [dir]/kennel.yaml:3:1
   |
 3 | b: 2
   | ^
"###);
    assert_snapshot!(wrong("services: *nothing\n"), @r###"
error[syntax]: not valid YAML: while parsing node, found unknown anchor
  --> [dir]/kennel.yaml:1:11
   |
 1 | services: *nothing
   |           ^
"###);
    assert_snapshot!(wrong("services: &a\n  web: *a\n"), @r###"
error[syntax]: this alias refers to the node it stands in
  --> [dir]/kennel.yaml:2:8
   |
 2 |   web: *a
   |        ^^
"###);
    assert_snapshot!(wrong("services: !custom {}\n"), @r###"
error[syntax]: unknown tag `!custom`
  --> [dir]/kennel.yaml:1:19
   |
 1 | services: !custom {}
   |                   ^
  = help: kennel knows no tags of its own
"###);
    assert_snapshot!(wrong_file("kennel.toml", "[services.web]\ncommand = \nuser = 3 4\n"), @r###"
error[syntax]: not valid TOML: string values must be quoted, expected literal string
  --> [dir]/kennel.toml:2:11
   |
 2 | command = 
   |           ^
"###);
}

#[test]
fn nothing_to_run() {
    assert_snapshot!(wrong(""), @r###"
error[missing_key]: the configuration has no `services`
  --> [dir]/kennel.yaml:1:1
   |
 1 | 
   | ^
  = help: `kennel init` writes an example
"###);
    assert_snapshot!(wrong("- a\n"), @r###"
error[wrong_type]: the configuration must be a mapping, not a list
  --> [dir]/kennel.yaml:1:1
   |
 1 | - a
   | ^^^
"###);
    assert_snapshot!(wrong("services: [a]\n"), @r###"
error[wrong_type]: `services` must be a mapping, not a list
  --> [dir]/kennel.yaml:1:11
   |
 1 | services: [a]
   |           ^^^
"###);
    assert_snapshot!(wrong("services:\n"), @r###"
error[missing_key]: `services` declares no service
  --> [dir]/kennel.yaml:1:1
   |
 1 | services:
   | ^^^^^^^^
  = help: `kennel init` writes an example
"###);
    assert_snapshot!(wrong("services:\n  web:\n  api: run\n"), @r###"
error[missing_key]: the service `web` has no `command`
  --> [dir]/kennel.yaml:2:3
   |
 2 |   web:
   |   ^^^
  = help: say what to run, for example `command: npm run dev`

error[wrong_type]: the service `api` must be a mapping, not the string "run"
  --> [dir]/kennel.yaml:3:8
   |
 3 |   api: run
   |        ^^^
"###);
}

#[test]
fn not_a_text_file() {
    let invalid = load_text("kennel.yaml", b"name: a\nservices: \xff\n").unwrap_err();
    let message = &invalid.diagnostics[0].message;
    assert!(message.ends_with("is not UTF-8 text; line 2 has the first bad byte"), "{message}");
    assert_eq!(invalid.diagnostics[0].line, 0);
    let file = std::env::temp_dir().join("no-such-directory/kennel.yaml");
    let invalid = crate::load_file(&file).unwrap_err();
    assert_eq!(invalid.diagnostics[0].code, "io");
    assert_eq!(invalid.diagnostics[0].help.as_deref(), Some("`kennel init` writes one"));
}

#[test]
fn messages_are_safe_for_a_terminal() {
    let invalid = load_text("kennel.yaml", br#"services: { a: { command: x, "a\n\e[31m": 1 } }"#).unwrap_err();
    assert_eq!(invalid.diagnostics[0].message, r"unknown key `a\n\u{1b}[31m` in the service `a`");
    let text = format!("services: {{ a: {{ command: x, restart: {} }} }}", "x".repeat(5000));
    let invalid = load_text("kennel.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(invalid.diagnostics[0].message.chars().count(), 2001);
}

#[test]
fn names() {
    assert_snapshot!(wrong("name: \"\"\nservices:\n  a.b: { command: x }\n  -c: { command: x }\n  ok: { command: x, ports: { a b: 1 }, profiles: [\"x y\"], environment: [\"=v\"] }\n"), @r###"
error[bad_value]: `name` must not be empty
  --> [dir]/kennel.yaml:1:7
   |
 1 | name: ""
   |       ^^

error[bad_name]: `a.b` cannot be the name of a service
  --> [dir]/kennel.yaml:3:3
   |
 3 |   a.b: { command: x }
   |   ^^^
  = help: at most 63 letters, digits, `_` and `-`, beginning with a letter or digit

error[bad_name]: `-c` cannot be the name of a service
  --> [dir]/kennel.yaml:4:3
   |
 4 |   -c: { command: x }
   |   ^^
  = help: at most 63 letters, digits, `_` and `-`, beginning with a letter or digit

error[bad_name]: `a b` cannot be the name of a port
  --> [dir]/kennel.yaml:5:30
   |
 5 |   ok: { command: x, ports: { a b: 1 }, profiles: ["x y"], environment: ["=v"] }
   |                              ^^^
  = help: letters, digits, `_` and `-`

error[bad_name]: `x y` cannot be the name of a profile
  --> [dir]/kennel.yaml:5:51
   |
 5 |   ok: { command: x, ports: { a b: 1 }, profiles: ["x y"], environment: ["=v"] }
   |                                                   ^^^^^
  = help: letters, digits, `_`, `-` and `.`

error[bad_name]: `` cannot be the name of a variable
  --> [dir]/kennel.yaml:5:73
   |
 5 |   ok: { command: x, ports: { a b: 1 }, profiles: ["x y"], environment: ["=v"] }
   |                                                                         ^^^^
"###);
}

#[test]
fn dependencies() {
    assert_snapshot!(wrong("services:\n  web: { command: x, depends_on: [dbb, web, api] }\n  db: { command: x, depends_on: { web: healthy, api: { condition: service_helthy, required: maybe, restart: true } } }\n  api: { command: x, depends_on: { db: { condition: log_ready }, x-y: { required: false }, web: { required: false } } }\n"), @r###"
error[unknown_service]: `web` depends on `dbb`, which is not declared
  --> [dir]/kennel.yaml:2:35
   |
 2 |   web: { command: x, depends_on: [dbb, web, api] }
   |                                   ^^^
  = help: did you mean `db`?

error[dependency_cycle]: `web` depends on itself
  --> [dir]/kennel.yaml:2:40
   |
 2 |   web: { command: x, depends_on: [dbb, web, api] }
   |                                        ^^^

error[dependency_cycle]: services wait for each other: web -> api -> db -> web
  --> [dir]/kennel.yaml:3:35
   |
 3 |   db: { command: x, depends_on: { web: healthy, api: { condition: service_helthy, required: maybe, restart: true } } }
   |                                   ^^^

error[dependency_cycle]: services wait for each other: api -> db -> api
  --> [dir]/kennel.yaml:3:49
   |
 3 |   db: { command: x, depends_on: { web: healthy, api: { condition: service_helthy, required: maybe, restart: true } } }
   |                                                 ^^^

error[unknown_value]: `condition` has no value `helthy`
  --> [dir]/kennel.yaml:3:67
   |
 3 |   db: { command: x, depends_on: { web: healthy, api: { condition: service_helthy, required: maybe, restart: true } } }
   |                                                                   ^^^^^^^^^^^^^^
  = help: did you mean `healthy`?

error[wrong_type]: `required` must be `true` or `false`, not the string "maybe"
  --> [dir]/kennel.yaml:3:93
   |
 3 |   db: { command: x, depends_on: { web: healthy, api: { condition: service_helthy, required: maybe, restart: true } } }
   |                                                                                             ^^^^^

error[conflict]: `db` has no `log_line` under `readiness`
  --> [dir]/kennel.yaml:4:36
   |
 4 |   api: { command: x, depends_on: { db: { condition: log_ready }, x-y: { required: false }, web: { required: false } } }
   |                                    ^^
  = help: give it one, or use the condition `healthy`

error[not_supported]: `required: false` for a service that is declared is not supported yet
  --> [dir]/kennel.yaml:4:92
   |
 4 |   api: { command: x, depends_on: { db: { condition: log_ready }, x-y: { required: false }, web: { required: false } } }
   |                                                                                            ^^^
  = help: leave it out, or leave out the dependency

error[dependency_cycle]: services wait for each other: web -> api -> web
  --> [dir]/kennel.yaml:4:92
   |
 4 |   api: { command: x, depends_on: { db: { condition: log_ready }, x-y: { required: false }, web: { required: false } } }
   |                                                                                            ^^^
"###);
}

#[test]
fn cycles_are_named_once_with_their_path() {
    assert_snapshot!(wrong("services:\n  a: { command: x, depends_on: [b] }\n  b: { command: x, depends_on: [c] }\n  c:\n    command: x\n    depends_on:\n      - a\n  d: { command: x, depends_on: [a, e] }\n  e: { command: x, depends_on: [d] }\n"), @r###"
error[dependency_cycle]: services wait for each other: a -> b -> c -> a
  --> [dir]/kennel.yaml:7:9
   |
 7 |       - a
   |         ^

error[dependency_cycle]: services wait for each other: d -> e -> d
  --> [dir]/kennel.yaml:9:33
   |
 9 |   e: { command: x, depends_on: [d] }
   |                                 ^
"###);
}

#[test]
fn two_services_on_one_port() {
    assert_snapshot!(wrong("services:\n  a: { command: x, ports: { http: 80, again: 80 } }\n  b: { command: x, ports: [80] }\n  c: { command: x, ports: [90], profiles: [dev] }\n  d: { command: x, ports: [90], profiles: [test] }\n"), @r###"
error[port_conflict]: `a` has the port 80 twice
  --> [dir]/kennel.yaml:2:46
   |
 2 |   a: { command: x, ports: { http: 80, again: 80 } }
   |                                              ^^

error[port_conflict]: both `a` and `b` have the port 80
  --> [dir]/kennel.yaml:3:28
   |
 3 |   b: { command: x, ports: [80] }
   |                            ^^
"###);
}

#[test]
fn profiles_may_keep_services_apart() {
    let both = |first: &str, second: &str| {
        wrong(&format!(
            "services:\n  a: {{ command: x, ports: [90]{first} }}\n  b: {{ command: x, ports: [90]{second} }}\n  c: 1\n"
        ))
        .contains("port_conflict")
    };
    assert!(both("", ""));
    assert!(both(", profiles: [p]", ""));
    assert!(both("", ", profiles: [p]"));
    assert!(both(", profiles: [p, q]", ", profiles: [q, r]"));
    assert!(!both(", profiles: [p]", ", profiles: [q]"));
}

#[test]
fn everything_at_once() {
    let text = wrong_service(
        "restart: allways\nreplicas: many\numask: 022\nstart_timeout: 10\nstop_signal: TREM\nnope: 1\nenvironment: { A: \"${NOPE}\" }\nenv_file: missing.env\n",
    );
    assert_eq!(text.matches("error[").count(), 8, "{text}");
}

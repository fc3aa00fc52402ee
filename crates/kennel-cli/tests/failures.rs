//! What goes wrong is said in one clear line, and leaves nothing running.
//!
//! covers: C1, B8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Output, Scratch, Signal, User, free_port};

const DEADLINE: Duration = Duration::from_secs(30);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// The one line that has all of these words.
fn line_with<'a>(output: &'a str, words: &[&str]) -> &'a str {
    let mut lines = output.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    lines.next().unwrap_or_else(|| panic!("no line says {words:?}:\n{output}"))
}

/// `up -d` fails with this code and a line with these words; no bad child runs then.
fn fails(scratch: &Scratch, code: i32, words: &[&str]) -> Output {
    let output = scratch.kennel(&["up", "-d"]);
    assert_eq!(output.code(), code, "{}", output.all());
    line_with(&output.all(), words);
    assert!(scratch.in_cells().is_empty(), "{:?}", scratch.in_cells());
    output
}

#[test]
fn a_crash_loop_backs_off_and_is_given_up() {
    let scratch = scratch();
    scratch.config(
        "
services:
  looper:
    command: ['@badchild@', --cell, '1', exit, '10', '3']
    readiness: { log_line: never }
    restart_policy: { delay: 20ms, factor: 2, jitter: 0, max_restarts: 3, window: 60s }
",
    );
    let output = scratch.kennel(&["up", "-d"]);
    assert_eq!(output.code(), 1, "{}", output.all());
    line_with(&output.all(), &["looper", "given up"]);

    let service = scratch.ps("looper");
    assert_eq!(service["state"], "given_up", "{service}");
    assert_eq!(service["restarts"], 3, "{service}");
    assert_eq!(service["last_exit"]["code"], 3, "{service}");
    assert!(service["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{service}");

    let events = scratch.recorded();
    let pauses: Vec<u64> = events.iter().filter_map(|event| event["in_ms"].as_u64()).collect();
    assert_eq!(pauses, [20, 40, 80]);
    assert!(events.iter().any(|event| event["event"] == "service.given_up"));

    // Asking again is trying again.
    let output = scratch.kennel(&["start", "looper"]);
    assert_eq!(output.code(), 1, "{}", output.all());
    assert_eq!(scratch.ps("looper")["state"], "given_up");
    scratch.down();
}

#[test]
fn foreground_up_fails_when_a_service_was_given_up() {
    const LOOPER: &str = "services:
  looper:
    command: 'until [ -e fail ]; do sleep 0.05; done; sleep 0.3; exit 3'
    shell: true
    restart_policy: { delay: 10ms, max_restarts: 1 }
";
    let scratch = scratch();
    // Nothing else runs: nothing to wait for.
    scratch.config(LOOPER);
    let fail = scratch.file("fail", "");
    let output = scratch.kennel(&["up"]);
    assert_eq!(output.code(), 1, "{}", output.all());
    line_with(&output.all(), &["looper", "given up"]);
    scratch.expect_nothing(DEADLINE);

    // Past the start, the other one runs until somebody ends it, and then the failure is not forgotten.
    std::fs::remove_file(fail).unwrap();
    scratch.config(&format!("{LOOPER}  good: {{ command: ['@badchild@', --cell, '2', sleep] }}\n"));
    let mut up = scratch.spawn(&["up"]);
    scratch.wait_up("good", DEADLINE);
    scratch.wait_up("looper", DEADLINE);
    scratch.file("fail", "");
    scratch.wait_state("looper", "given_up", DEADLINE);
    assert_eq!(scratch.ps("good")["state"], "ready");
    up.signal(Signal::INT);
    let output = up.wait(DEADLINE);
    assert_eq!(output.code(), 1, "{}", output.all());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_dependency_that_never_gets_ready_fails_its_dependants() {
    let scratch = scratch();
    scratch.config(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', sleep]
    depends_on: { api: healthy }
  api:
    command: ['@badchild@', --cell, '2', sleep]
    depends_on: { db: healthy }
  db:
    command: ['@badchild@', --cell, '3', ignores-term]
    readiness: { file: never-there }
    start_timeout: 300ms
    stop_grace_period: 200ms
    restart: 'no'
",
    );
    let output = fails(&scratch, 1, &["db", "ready"]);
    line_with(&output.all(), &["api", "db"]);
    line_with(&output.all(), &["web", "api"]);
    for name in ["web", "api", "db"] {
        let service = scratch.ps(name);
        assert_eq!(service["state"], "failed", "{service}");
        assert!(service["reason"].is_string(), "{service}");
    }
    assert!(scratch.ps("web")["reason"].as_str().unwrap().contains("api"));
    scratch.down();
}

#[test]
fn a_typo_is_shown_with_its_line_and_a_suggestion() {
    let scratch = scratch();
    scratch.config(
        "services:
  web:
    command: ['@badchild@', --cell, '1', sleep]
    workin_dir: .
    depends_on: [dbb]
  db:
    command: ['@badchild@', --cell, '2', sleep]
",
    );
    let output = fails(&scratch, 3, &["workin_dir"]);
    // Every mistake at once, each with its place.
    line_with(&output.stderr, &["kennel.yaml:4"]);
    line_with(&output.stderr, &["kennel.yaml:5"]);
    line_with(&output.stderr, &["did you mean", "working_dir"]);
    line_with(&output.stderr, &["dbb"]);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn no_configuration_is_said() {
    let scratch = scratch();
    let output = scratch.kennel(&["up", "-d"]);
    assert_eq!(output.code(), 3, "{}", output.all());
    line_with(&output.stderr, &["kennel.yaml"]);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn two_configurations_at_once_are_refused() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', sleep] } }");
    scratch.file("kennel.toml", "[services.web]\ncommand = \"sleep 1\"\n");
    let output = scratch.kennel(&["up", "-d"]);
    assert_eq!(output.code(), 3, "{}", output.all());
    line_with(&output.stderr, &["kennel.yaml", "kennel.toml"]);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_busy_port_names_its_holder() {
    let scratch = scratch();
    let port = free_port();
    let holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let number = port.to_string();
    scratch.config(&format!(
        "services: {{ web: {{ command: ['@badchild@', --cell, '1', listen, '{number}'], ports: {{ http: {number} }}, \
         restart: 'no', readiness: {{ log_line: up }} }} }}"
    ));
    // Number, command and user of this test.
    let user = if rustix::process::geteuid().is_root() { "user root" } else { "user " };
    fails(&scratch, 1, &["web", &number, &std::process::id().to_string(), "failures-", user]);
    drop(holder);
    scratch.ok(&["start", "web"]);
    scratch.down();
}

/// What it listens with may not be read, but whose it is may.
#[test]
fn a_port_of_another_user_names_that_user() {
    let Some(scratch) = Scratch::new(User::Plain, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let port = free_port();
    let holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
    scratch.config(&format!(
        "services: {{ web: {{ command: ['@badchild@', --cell, '1', listen, '{port}'], ports: {{ http: {port} }}, \
         restart: 'no', readiness: {{ log_line: up }} }} }}"
    ));
    fails(&scratch, 1, &["web", &port.to_string(), "a process of user root"]);
    drop(holder);
    scratch.down();
}

#[test]
fn a_program_that_cannot_be_started_is_one_line() {
    let scratch = scratch();
    scratch.file("not-executable", "#!/bin/sh\n");
    let script = scratch.file("bad-interpreter", "#!/no/such/interpreter\n");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (service, words) in [
        ("command: no-such-program", &["web", "no-such-program"][..]),
        ("command: ./not-executable", &["web", "not-executable"]),
        ("command: ./bad-interpreter", &["web", "/no/such/interpreter"]),
        ("command: ['@badchild@', --cell, '1', sleep]\n    working_dir: no/such/dir", &["no/such/dir"]),
    ] {
        scratch.config(&format!("services:\n  web:\n    {service}\n    restart: 'no'\n"));
        let output = scratch.kennel(&["up", "-d"]);
        assert!(matches!(output.code(), 1 | 3), "{service}: {}\n{}", output.code(), output.all());
        line_with(&output.all(), words);
        assert!(scratch.in_cells().is_empty(), "{:?}", scratch.in_cells());
    }
    // What was tried may have started a daemon; a mistake in the file need not.
    scratch.kennel(&["down"]);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_program_that_cannot_be_started_is_not_tried_again_and_again() {
    let scratch = scratch();
    scratch.config("services:\n  web:\n    command: no-such-program\n    restart: always\n");
    fails(&scratch, 1, &["web", "no-such-program"]);
    let service = scratch.ps("web");
    assert!(matches!(service["state"].as_str(), Some("failed" | "given_up")), "{service}");
    scratch.down();
}

#[test]
fn an_env_file_that_cannot_be_read_is_one_line() {
    let scratch = scratch();
    scratch.config("services:\n  web:\n    command: ['@badchild@', --cell, '1', sleep]\n    env_file: no-such.env\n");
    fails(&scratch, 3, &["no-such.env"]);
    scratch.expect_nothing(DEADLINE);

    // Root can read everything, somebody else cannot.
    let Some(scratch) = Scratch::new(User::Plain, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    let file = scratch.file("secret.env", "A=1\n");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o000)).unwrap();
    scratch.config("services:\n  web:\n    command: ['@badchild@', --cell, '1', sleep]\n    env_file: secret.env\n");
    fails(&scratch, 3, &["secret.env"]);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_service_that_fails_does_not_take_the_others_along() {
    let scratch = scratch();
    scratch.config(
        "
services:
  good: { command: ['@badchild@', --cell, '1', sleep], readiness: { log_line: up } }
  bad: { command: ['@badchild@', --cell, '2', crash, '0', 'these were my last words'], restart: 'no', readiness: { log_line: up } }
",
    );
    let output = scratch.kennel(&["up", "-d"]);
    assert_eq!(output.code(), 1, "{}", output.all());
    line_with(&output.all(), &["these were my last words"]);
    assert_eq!(scratch.ps("good")["state"], "ready");
    assert_eq!(scratch.ps("bad")["state"], "failed");
    scratch.down();
}

#[test]
fn an_unknown_service_has_a_code_of_its_own() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', sleep] } }");
    scratch.ok(&["up", "-d"]);
    for verb in ["stop", "start", "restart", "kill", "status", "logs"] {
        let output = scratch.kennel(&[verb, "wbe"]);
        assert_eq!(output.code(), 4, "{verb}: {}", output.all());
        line_with(&output.stderr, &["wbe"]);
    }
    scratch.down();
}

#[test]
fn without_a_daemon_nothing_is_started_to_say_so() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', sleep] } }");
    for arguments in [&["stop", "web"][..], &["logs"], &["events"]] {
        let output = scratch.kennel(arguments);
        assert!(matches!(output.code(), 0 | 5), "{arguments:?}: {} {}", output.code(), output.all());
    }
    let output = scratch.kennel(&["down"]);
    assert_eq!(output.code(), 0, "{}", output.all());
    scratch.expect_nothing(DEADLINE);
}

//! A day with kennel: start in order, restart, scale, stop one thing and not the other.
//!
//! covers: C1, C2, B1, E3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, free_port, port_is_free, send, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(30);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

#[test]
fn the_stack_starts_in_order() {
    let scratch = scratch();
    scratch.config(
        "
services:
  web: { command: ['@badchild@', sleep], readiness: { log_line: up }, depends_on: { api: healthy, migrate: completed_successfully } }
  migrate: { command: ['@badchild@', exit, '100', '0'], depends_on: { db: healthy } }
  api: { command: ['@badchild@', sleep], readiness: { log_line: up }, depends_on: { db: healthy } }
  db: { command: ['@badchild@', sleep], readiness: { log_line: up } }
",
    );
    scratch.ok(&["up", "-d"]);
    let events = scratch.recorded();
    let at = |service: &str, event: &str| {
        let found = events.iter().position(|e| e["service"] == service && e["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} of {service}"))
    };
    assert!(at("db", "instance.ready") < at("api", "instance.started"));
    assert!(at("db", "instance.ready") < at("migrate", "instance.started"));
    assert!(at("api", "instance.ready") < at("web", "instance.started"));
    assert!(at("migrate", "instance.down") < at("web", "instance.started"));
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(scratch.ps("migrate")["state"], "completed");

    // Ends in the reverse order, and `up` of what is up changes nothing.
    let before = scratch.ps("web")["pid"].clone();
    scratch.ok(&["up", "-d"]);
    assert_eq!(scratch.ps("web")["pid"], before);
    scratch.ok(&["down"]);
    let recorded = scratch.recorded();
    let at = |service: &str, event: &str| {
        let found = recorded.iter().rposition(|e| e["service"] == service && e["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} of {service}"))
    };
    assert!(at("web", "instance.down") < at("api", "instance.stopping"));
    assert!(at("api", "instance.down") < at("db", "instance.stopping"));
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn only_what_was_asked_for_and_what_it_needs_is_started() {
    let scratch = scratch();
    scratch.config(
        "
services:
  web: { command: ['@badchild@', sleep], depends_on: [db] }
  db: { command: ['@badchild@', sleep] }
  other: { command: ['@badchild@', sleep] }
  debug: { command: ['@badchild@', sleep], profiles: [debug] }
",
    );
    let running = |scratch: &Scratch| -> Vec<String> {
        let listed = scratch.json(&["ps", "--json"]);
        listed
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["pid"].is_u64())
            .map(|s| s["name"].as_str().unwrap().to_owned())
            .collect()
    };
    scratch.ok(&["up", "-d", "web"]);
    assert_eq!(running(&scratch), ["web", "db"]);
    scratch.ok(&["up", "-d"]);
    assert_eq!(running(&scratch), ["web", "db", "other"]);
    scratch.ok(&["up", "-d", "--profile", "debug"]);
    assert_eq!(running(&scratch), ["web", "db", "other", "debug"]);
    scratch.down();
}

#[test]
fn restart_replaces_everything_of_the_service() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', --cell, '1', daemon], readiness: { log_line: up } } }");
    scratch.ok(&["up", "-d"]);
    let before: Vec<u32> = scratch.in_cells().iter().map(|seen| seen.pid).collect();
    assert_eq!(before.len(), 2);
    let first = scratch.ps("web");
    scratch.ok(&["restart", "web"]);
    let second = scratch.ps("web");
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(second["restarts"], 0, "one that was asked for does not count: {second}");
    assert!(scratch.in_cells().iter().all(|seen| !before.contains(&seen.pid)));
    scratch.down();
}

/// The child of the first run holds the port, so the second can only be ready if the child was gone before.
#[test]
fn leftovers_are_gone_before_the_next_instance() {
    let scratch = scratch();
    let port = free_port();
    scratch.config(&format!(
        "services: {{ web: {{ command: ['@badchild@', --cell, '1', port, '{port}'], readiness: {{ log_line: up }}, \
         restart: always, restart_policy: {{ delay: 0s, max_restarts: 100 }} }} }}"
    ));
    scratch.ok(&["up", "-d"]);
    for _ in 0..5 {
        let pid = scratch.ps("web")["pid"].as_u64().unwrap();
        let main = scratch.in_cells().into_iter().find(|seen| u64::from(seen.pid) == pid).unwrap();
        send(&main, Signal::KILL);
        wait_for(DEADLINE, "the next one is ready", || {
            let service = scratch.ps("web");
            (service["state"] == "ready" && service["pid"] != pid).then_some(())
        });
    }
    assert_eq!(scratch.ps("web")["restarts"], 5);
    let tried = scratch.events("instance.started");
    assert_eq!(tried.len(), 6, "each was ready at the first try: {tried:?}");
    scratch.down();
    assert!(port_is_free(port));
}

#[test]
fn replicas_have_names_of_their_own() {
    let scratch = scratch();
    scratch.config("services: { worker: { command: ['@badchild@', --cell, '1', sleep], replicas: 3, readiness: { log_line: up } } }");
    scratch.ok(&["up", "-d"]);
    let names: Vec<_> =
        ["worker.1", "worker.2", "worker.3"].map(|name| scratch.ps(name)["pid"].as_u64().unwrap()).to_vec();
    assert_eq!(names.len(), 3);
    scratch.ok(&["stop", "worker.2"]);
    assert_eq!(scratch.ps("worker.2")["state"], "stopped");
    assert_eq!(scratch.in_cells().len(), 2);
    scratch.ok(&["start", "worker"]);
    assert_eq!(scratch.in_cells().len(), 3);
    scratch.ok(&["stop", "worker"]);
    wait_until(DEADLINE, "none", || scratch.in_cells().is_empty());
    scratch.down();
}

#[test]
fn stop_and_start_one_while_the_other_stays() {
    let scratch = scratch();
    scratch.config(
        "services: { a: { command: ['@badchild@', --cell, '1', plain] }, b: { command: ['@badchild@', --cell, '2', plain] } }",
    );
    scratch.ok(&["up", "-d"]);
    let b = scratch.ps("b")["pid"].clone();
    let output = scratch.ok(&["stop", "a"]);
    assert!(output.all().contains("left 0"), "{}", output.all());
    assert_eq!(scratch.ps("a")["state"], "stopped");
    assert_eq!(scratch.ps("a")["wanted"], false);
    assert_eq!(scratch.ps("b")["pid"], b);
    scratch.ok(&["start", "a"]);
    assert_eq!(scratch.ps("a")["state"], "ready");
    scratch.ok(&["kill", "a"]);
    wait_until(DEADLINE, "a is killed", || !scratch.in_cells().iter().any(|seen| seen.cell == Some(1)));
    scratch.down();
}

#[test]
fn a_stop_command_and_a_main_process_that_needs_its_own_signal() {
    let scratch = scratch();
    scratch.config(
        "
services:
  web:
    command: ['@badchild@', --cell, '1', ignores-term]
    readiness: { log_line: up }
    environment: { WHO: world }
    stop:
      - { command: 'echo goodbye $$WHO > goodbye', shell: true, wait: 4s }
      - { signal: SIGUSR1, target: main, wait: 4s }
",
    );
    scratch.ok(&["up", "-d"]);
    let answer = scratch.json(&["stop", "web", "--json"]);
    assert_eq!(answer["left"], 0);
    let receipt = &answer["receipts"][0];
    assert_eq!(receipt["exit"]["code"], 0, "main exits on USR1: {receipt}");
    let stages: Vec<&str> =
        receipt["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(stages.last(), Some(&"KILL"), "{stages:?}");
    assert_eq!(std::fs::read_to_string(scratch.project().join("goodbye")).unwrap(), "goodbye world\n");
    scratch.down();
}

/// A grace of ten minutes: only the second and third Ctrl-C can end this within the deadline.
#[test]
fn each_ctrl_c_is_less_patient() {
    let scratch = scratch();
    scratch.config(
        "services: { web: { command: ['@badchild@', --cell, '1', ignores-term], readiness: { log_line: up }, stop_grace_period: 10m } }",
    );
    for presses in [2, 3] {
        let mut terminal = scratch.terminal(&["up"]);
        scratch.wait_up("web", DEADLINE);
        for press in 0..presses {
            terminal.send("\x03");
            if press == 0 {
                scratch.wait_state("web", "stopping", DEADLINE);
            }
        }
        let status = terminal.wait(DEADLINE);
        assert_eq!(status.code(), Some(0), "{presses} presses: {}", terminal.text());
        terminal.expect(DEADLINE, "left 0");
        scratch.expect_nothing(DEADLINE);
    }
}

#[test]
fn foreground_up_shows_progress_and_logs() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', ticks], readiness: { log_line: 'tick 2' } } }");
    let mut terminal = scratch.terminal(&["up"]);
    terminal.expect(DEADLINE, "ready in");
    terminal.expect(DEADLINE, "tick 3");
    terminal.send("\x03");
    assert_eq!(terminal.wait(DEADLINE).code(), Some(0));
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn foreground_up_ends_like_a_good_program() {
    let scratch = scratch();
    scratch.config("services: { web: { command: ['@badchild@', --cell, '1', plain], readiness: { log_line: up } } }");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut up = scratch.spawn(&["up"]);
        scratch.wait_up("web", DEADLINE);
        up.signal(signal);
        let output = up.wait(DEADLINE);
        assert_eq!(output.code(), 0, "{signal:?}: {}", output.all());
        scratch.expect_nothing(DEADLINE);
    }
}

#[test]
fn every_kind_of_readiness() {
    let scratch = scratch();
    let port = free_port();
    scratch.config(&format!(
        "
services:
  by-tcp: {{ command: ['@badchild@', listen, '{port}'], readiness: {{ tcp: {port} }} }}
  by-file: {{ command: 'touch it-is-ready; exec @badchild@ sleep', shell: true, readiness: {{ file: it-is-ready }} }}
  by-exec: {{ command: ['@badchild@', sleep], readiness: {{ exec: test -e it-is-ready }} }}
  by-line: {{ command: ['@badchild@', sleep], readiness: {{ log_line: '^up$' }} }}
"
    ));
    scratch.ok(&["up", "-d"]);
    for name in ["by-tcp", "by-file", "by-exec", "by-line"] {
        let service = scratch.ps(name);
        assert_eq!(
            (service["state"].as_str(), service["health"].as_str()),
            (Some("ready"), Some("healthy")),
            "{service}"
        );
    }
    scratch.down();
}

/// What a service waits for and how it is configured, and nothing of what its environment says.
#[test]
fn what_is_declared_is_told_without_the_environment() {
    let scratch = scratch();
    scratch.file("secrets.env", "FROM_FILE=s3cr3t-of-the-file\n");
    scratch.config(
        "
services:
  web:
    command: ['@badchild@', sleep]
    depends_on: { db: healthy, migrate: completed_successfully }
    environment: { TOKEN: s3cr3t-of-the-environment }
    env_file: secrets.env
    limits: { memory: 512MiB, action: restart }
    replicas: 2
  migrate: { command: ['@badchild@', exit, '1', '0'] }
  db: { command: ['@badchild@', sleep] }
",
    );
    scratch.ok(&["up", "-d"]);
    let edges = serde_json::json!([
        { "service": "db", "condition": "healthy" },
        { "service": "migrate", "condition": "completed_successfully" },
    ]);
    assert_eq!(scratch.ps("web.2")["depends_on"], edges);
    assert!(scratch.ps("db").get("depends_on").is_none());
    for name in ["web", "web.2"] {
        let (status, text) = scratch.get(&format!("/v1/services/{name}/config"));
        assert_eq!(status, 200, "{text}");
        assert!(!text.contains("s3cr3t"), "{text}");
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let settings = &config["settings"];
        assert_eq!((&config["name"], &settings["replicas"]), (&name.into(), &2.into()));
        assert_eq!(settings["environment"], serde_json::json!(["FROM_FILE", "TOKEN"]));
        assert_eq!(settings["limits"]["action"], "restart");
    }
    let (status, text) = scratch.get("/v1/services/nobody/config");
    assert!(status == 404 && text.contains("unknown_service"), "{text}");
    scratch.down();
}

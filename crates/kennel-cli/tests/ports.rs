//! Ports that kennel chooses: the same over restarts, kept from everybody else, filled in; and who listens where.
//!
//! covers: B8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, free_port, send, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

const STACK: &str = "
services:
  web:
    command: ['@badchild@', listen, '${ports.http}']
    environment: { ADDRESS: 'localhost:${ports.http}', OTHER: '${ports.idle.a}' }
    ports: { http: auto }
    readiness: { tcp: http }
  worker:
    command: [sh, -c, 'echo port ${ports.p}; exec sleep 1000']
    ports: { p: auto }
    replicas: 2
  idle: { command: ['@badchild@', sleep], ports: { a: auto, fixed: FIXED }, profiles: [never] }
";

fn port(scratch: &Scratch, service: &str, name: &str) -> u16 {
    u16::try_from(scratch.ps(service)["ports"][name].as_u64().expect("a port")).unwrap()
}

fn listed(scratch: &Scratch, service: &str, name: &str) -> Value {
    let ports = scratch.json(&["ports", service, "--json"]);
    let found = ports.as_array().unwrap().iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("{ports}")).clone()
}

fn is_held(port: u16) -> bool {
    ["127.0.0.1", "0.0.0.0"].iter().all(|address| TcpListener::bind((*address, port)).is_err())
}

#[test]
fn a_chosen_port_is_kept_for_its_service() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let fixed = free_port();
    scratch.config(&STACK.replace("FIXED", &fixed.to_string()));
    scratch.ok(&["up", "-d"]);
    let http = port(&scratch, "web", "http");
    let others = [port(&scratch, "worker.1", "p"), port(&scratch, "worker.2", "p"), port(&scratch, "idle", "a")];
    let mut all = vec![http, fixed];
    all.extend(others);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5, "each has its own");

    // Filled in, also those of another service.
    let pid = scratch.ps("web")["pid"].as_u64().unwrap();
    let environ = String::from_utf8(std::fs::read(format!("/proc/{pid}/environ")).unwrap()).unwrap();
    assert!(environ.contains(&format!("ADDRESS=localhost:{http}\0")), "{environ}");
    assert!(environ.contains(&format!("OTHER={}\0", others[2])), "{environ}");
    assert_eq!(scratch.ps("web")["command"][2], http.to_string());
    wait_until(DEADLINE, "its word", || {
        scratch.ok(&["logs", "worker.2"]).stdout.contains(&format!("port {}", others[1]))
    });

    let seen = listed(&scratch, "web", "http");
    assert_eq!(
        (&seen["state"], &seen["chosen"], &seen["protocol"]),
        (&"listening".into(), &true.into(), &"tcp".into())
    );
    assert_eq!((&seen["addresses"][0], &seen["holders"][0]["pid"]), (&"127.0.0.1".into(), &pid.into()));
    assert_eq!(seen["holders"][0]["service"], "web");
    assert_eq!(listed(&scratch, "idle", "a")["state"], "held");
    assert_eq!(listed(&scratch, "idle", "fixed")["state"], "free");
    assert!(is_held(others[2]));

    // Kept while it does not run, and the same when it does again.
    scratch.ok(&["restart", "web"]);
    assert_eq!(port(&scratch, "web", "http"), http);
    scratch.ok(&["stop", "web"]);
    wait_until(DEADLINE, "it is held", || listed(&scratch, "web", "http")["state"] == "held");
    assert!(is_held(http));
    scratch.ok(&["start", "web"]);
    assert_eq!(listed(&scratch, "web", "http")["state"], "listening");

    // Another daemon keeps the same.
    scratch.ok(&["stop", "web"]);
    scratch.ok(&["daemon", "restart"]);
    wait_until(DEADLINE, "the new one holds it", || listed(&scratch, "web", "http")["state"] == "held");
    assert_eq!((port(&scratch, "web", "http"), port(&scratch, "worker.1", "p")), (http, others[0]));
    let daemon = wait_for(DEADLINE, "a daemon", || scratch.running_daemon());
    send(&daemon, Signal::KILL);
    wait_until(DEADLINE, "another daemon", || scratch.running_daemon().is_some_and(|other| other.pid != daemon.pid));
    wait_until(DEADLINE, "that holds it", || listed(&scratch, "web", "http")["state"] == "held");
    assert_eq!(port(&scratch, "web", "http"), http);
    scratch.ok(&["up", "-d"]);
    assert_eq!(port(&scratch, "web", "http"), http);
    // And after everything was forgotten.
    scratch.down();
    assert!(!is_held(http));
    scratch.ok(&["up", "-d"]);
    assert_eq!(port(&scratch, "web", "http"), http);
    scratch.down();
}

#[test]
fn a_stranger_on_a_port_is_named() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let fixed = free_port();
    scratch.config(&format!(
        "services: {{ web: {{ command: ['@badchild@', listen, '{fixed}'], ports: {{ http: {fixed} }}, restart: 'no' }} }}"
    ));
    // On every address, by IPv6.
    let taken = TcpListener::bind(("::", fixed)).or_else(|_| TcpListener::bind(("0.0.0.0", fixed))).unwrap();
    let output = scratch.kennel(&["up", "-d"]);
    let me = std::process::id();
    assert!(output.all().contains(&format!("port {fixed} (`http`) is taken by pid {me}")), "{}", output.all());
    let seen = listed(&scratch, "web", "http");
    assert_eq!((&seen["state"], &seen["addresses"][0]), (&"taken".into(), &"*".into()));
    assert_eq!((&seen["holders"][0]["pid"], seen["holders"][0].get("service")), (&me.into(), None));
    drop(taken);
    scratch.ok(&["up", "-d"]);
    scratch.wait_state("web", "ready", DEADLINE);
    scratch.down();
}

//! The zoo under kennel, as the README runs it: it comes up, the escape artist is found, and nothing is left.
//!
//! On both back ends. Survivors are looked for without asking kennel.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, port_is_free, send, wait_until};
use serde_json::Value;

/// Far beyond what anything here takes; reached only when something is broken.
const DEADLINE: Duration = Duration::from_secs(30);
/// As `kennel.yaml` says.
const PORTS: [u16; 2] = [17100, 17101];

/// A kennel of this user with the zoo as its project.
fn zoo(user: User) -> Option<Scratch> {
    let mut scratch = Scratch::new(user, &kennel())?;
    let program = scratch.path("bin/kennel-zoo");
    std::fs::copy(env!("CARGO_BIN_EXE_kennel-zoo"), &program).expect("a copy of the zoo");
    scratch.env("ZOO", program.display().to_string());
    scratch.config(include_str!("../kennel.yaml"));
    Some(scratch)
}

/// The program under test, built beside this test's own.
fn kennel() -> PathBuf {
    let here = std::env::current_exe().expect("our own path");
    here.ancestors().nth(2).expect("a target directory").join("kennel")
}

/// The only replica of a service.
fn status(zoo: &Scratch, service: &str) -> Value {
    zoo.json(&["status", service, "--json"])[0].take()
}

fn is_at_large(process: &Value) -> bool {
    process["command"].as_str().is_some_and(|command| command.contains("houdini-at-large"))
}

fn page() -> String {
    let mut gate = TcpStream::connect(("127.0.0.1", PORTS[0])).expect("the gate is open");
    gate.write_all(b"GET / HTTP/1.1\r\nHost: zoo\r\n\r\n").expect("a request");
    let mut answer = String::new();
    gate.read_to_string(&mut answer).expect("an answer");
    answer
}

fn expect_nothing(zoo: &Scratch) {
    zoo.expect_nothing(DEADLINE);
    for port in PORTS {
        assert!(port_is_free(port), "port {port} is still held");
    }
}

fn the_escape_artist_does_not_get_away(user: User) {
    let Some(zoo) = zoo(user) else { return };
    zoo.ok(&["up", "-d"]);
    assert!(page().contains("cage locked"), "{}", page());

    // The one that left its parent, session and environment is still houdini's.
    let houdini = status(&zoo, "houdini");
    let tree = houdini["tree"].as_array().expect("a tree");
    assert!(tree.iter().any(is_at_large), "{houdini:#}");

    // The llama fails three times and then stays.
    wait_until(DEADLINE, "the llama has made its point", || {
        let llama = status(&zoo, "llama");
        llama["restarts"] == 3 && llama["state"] == "ready"
    });

    let down = zoo.json(&["down", "--json"]);
    assert_eq!(down["left"], 0, "{down:#}");
    let receipts = down["receipts"].as_array().expect("receipts");
    let receipt = receipts.iter().find(|receipt| receipt["service"] == "houdini").expect("houdini's receipt");
    let caught = receipt["processes"].as_array().expect("processes").iter().find(|process| is_at_large(process));
    assert_eq!(caught.map(|process| &process["stage"]), Some(&Value::from("KILL")), "{receipt:#}");
    expect_nothing(&zoo);
}

// covers: C1, C2, C3, E3
#[test]
fn stack_escape_artist_does_not_get_away_from_a_cgroup() {
    the_escape_artist_does_not_get_away(User::Root);
}

// covers: C1, C2, C3, E3
#[test]
fn stack_escape_artist_does_not_get_away_from_a_reaper() {
    the_escape_artist_does_not_get_away(User::Plain);
}

// covers: C2
#[test]
fn stack_in_the_foreground_ends_with_ctrl_c() {
    let Some(zoo) = zoo(User::Plain) else { return };
    let mut up = zoo.terminal(&["up"]);
    up.expect(DEADLINE, "the gate is open");
    up.send("\x03");
    up.expect(DEADLINE, "down in");
    up.expect(DEADLINE, "left 0");
    assert!(up.wait(DEADLINE).success(), "{}", up.text());
    expect_nothing(&zoo);
}

// covers: C3
#[test]
fn stack_is_gone_when_the_daemon_is_killed() {
    let Some(zoo) = zoo(User::Plain) else { return };
    zoo.ok(&["up", "-d"]);
    let daemon = zoo.daemon();
    send(&daemon, Signal::KILL);
    let animals = || zoo.survivors().into_iter().filter(|seen| seen.command.contains("kennel-zoo")).count();
    wait_until(DEADLINE, "nobody of the zoo is left", || animals() == 0);
    zoo.ok(&["down"]);
    expect_nothing(&zoo);
}

// covers: E5
#[test]
fn stack_says_who_was_given_up() {
    let Some(zoo) = zoo(User::Plain) else { return };
    let up = zoo.kennel(&["up", "-d", "--profile", "drama", "diva"]);
    assert_eq!(up.code(), 1, "{}", up.all());
    assert!(up.all().contains("the lamps"), "the last lines of its log: {}", up.all());
    assert_eq!(status(&zoo, "diva")["state"], "given_up");
    zoo.ok(&["down"]);
    expect_nothing(&zoo);
}

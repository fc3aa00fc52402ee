//! Who does not wait for its children is named; and what is restarted along with its dependency.
//!
//! covers: D4

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for};

const DEADLINE: Duration = Duration::from_secs(60);

fn zombies(user: User) {
    let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    // The shell becomes a program that does not know of its children.
    scratch.config(
        "services: { web: { command: [sh, -c, 'true & true & sleep 1000 & exec sleep 1001'] }, good: { command: [sleep, '1000'] } }",
    );
    scratch.ok(&["up", "-d"]);
    let pid = scratch.ps("web")["pid"].clone();
    let found = wait_for(DEADLINE, "two zombies", || {
        let status = scratch.json(&["status", "web", "--json"]);
        let zombies = status[0]["zombies"].as_array()?.clone();
        (zombies.len() == 1 && zombies[0]["count"] == 2).then_some(zombies)
    });
    assert_eq!((&found[0]["pid"], &found[0]["command"]), (&pid, &"sleep 1001".into()));
    let event = wait_for(DEADLINE, "an event", || {
        let text = scratch.ok(&["status", "web"]).stdout;
        assert!(text.contains(&format!("2 zombies not waited for by {pid} (sleep 1001)")), "{text}");
        scratch.events_of("web", "zombies.found").pop()
    });
    assert_eq!((&event["parent"], &event["count"]), (&pid, &2.into()));
    scratch.ok(&["status", "web"]);
    assert_eq!(scratch.events_of("web", "zombies.found").len(), 1, "once");
    assert!(scratch.json(&["status", "good", "--json"])[0].get("zombies").is_none());
    // In the tree they stand below whoever does not wait for them.
    let tree = scratch.ok(&["ps", "--tree"]).stdout;
    let lines: Vec<&str> = tree.lines().collect();
    let parent = lines.iter().position(|line| line.contains("└─ sleep 1001")).unwrap_or_else(|| panic!("{tree}"));
    let below = lines[parent + 1..].iter().take_while(|line| line.contains("   ├─ ") || line.contains("   └─ "));
    let zombies = below.filter(|line| line.contains("zombie") && line.contains("[sh]")).count();
    assert_eq!(zombies, 2, "{tree}");
    assert_eq!(tree.matches("zombie").count(), 2, "{tree}");
    scratch.down();
}

#[test]
fn whoever_does_not_wait_is_named_in_a_cgroup() {
    zombies(User::Root);
}

#[test]
fn whoever_does_not_wait_is_named_below_a_reaper() {
    zombies(User::Plain);
}

#[test]
fn a_dependant_is_restarted_along() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "
services:
  db: { command: ['@badchild@', --cell, '1', daemon], readiness: { log_line: up } }
  web: { command: ['@badchild@', sleep], depends_on: { db: { condition: healthy, restart: true } } }
  front: { command: ['@badchild@', sleep], depends_on: { web: { restart: true } } }
  other: { command: ['@badchild@', sleep], depends_on: { db: healthy } }
",
    );
    scratch.ok(&["up", "-d"]);
    scratch.ok(&["restart", "db"]);
    for name in ["web", "front"] {
        wait_for(DEADLINE, name, || (scratch.events_of(name, "instance.started").len() == 2).then_some(()));
    }
    let order = scratch.recorded();
    let last = |name: &str, kind: &str| {
        order.iter().rposition(|event| event["service"] == name && event["event"] == kind).unwrap()
    };
    assert!(last("db", "instance.ready") < last("web", "instance.started"), "not before it is there again");
    assert_eq!(scratch.events_of("other", "instance.started").len(), 1);
    scratch.down();
}

//! Memory that grows is seen coming and stopped where it is, by a rule at its threshold or by a limit; the rest of the stack is untouched.
//!
//! covers: C4, C5, C10, E8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, send, skip, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(90);
const MIB: u64 = 1 << 20;

/// How long it may take from the threshold to the standstill: the pause between two looks that are quick because it is near, and the freeze.
/// It grows meanwhile.
const LATE: u64 = 2;

/// A hog and somebody who does nothing, under these rules.
struct Hog {
    /// MiB a second.
    rate: u64,
    /// MiB at which it stops by itself, so that a test that fails does no harm.
    most: u64,
    /// At which it is to be stopped, bytes.
    threshold: u64,
    rules: String,
}

impl Hog {
    fn is_caught(&self, scratch: &Scratch) {
        let Self { rate, most, threshold, rules } = self;
        scratch.config(&format!(
            "
{rules}
services:
  web: {{ command: ['@badchild@', --cell, '2', sleep] }}
  hog: {{ command: ['@badchild@', --cell, '1', hog, '{rate}', '{most}'], stop_grace_period: 200ms }}
"
        ));
        scratch.ok(&["up", "-d"]);
        let web = scratch.ps("web");

        // It is known before it is too much.
        let raised = scratch.wait_event("alert.raised");
        assert_eq!((&raised["rule"], &raised["service"]), (&"stack-memory".into(), &"hog".into()), "{raised}");
        assert!(raised["predicted_ms"].as_u64().is_some(), "{raised}");
        assert!(raised["value"].as_f64().unwrap() < bytes(*threshold), "{raised}");

        wait_until(DEADLINE, "it to stand still", || scratch.ps("hog")["frozen"] == true);
        let hog = scratch.ps("hog");
        assert_eq!(hog["reason"], "frozen by rule stack-memory", "{hog}");
        let pid = hog["pid"].as_u64().unwrap();
        let taken = resident(pid);
        let tolerance = LATE * rate * MIB;
        assert!(taken < threshold + tolerance, "{} MiB of {} + {}", taken / MIB, threshold / MIB, tolerance / MIB);
        assert!(taken < most * MIB, "it has stopped by itself");

        // Shown everywhere, and it grows no more while somebody looks.
        let shown = scratch.ok(&["alerts"]).stdout;
        assert!(shown.contains("stack-memory  open") && shown.contains("frozen"), "{shown}");
        let top = scratch.ok(&["top", "-n", "2", "--every", "1s"]).stdout;
        assert!(top.contains("▲ hog  rule stack-memory: ") && top.contains("■ hog"), "{top}");
        let ps = scratch.ok(&["ps"]).stdout;
        assert!(ps.contains("alert stack-memory, frozen by rule stack-memory"), "{ps}");
        assert_eq!(resident(pid), taken, "it stands still");
        let culprit = &scratch.json(&["alerts", "--json"])["alerts"][0]["culprits"][0];
        assert_eq!(culprit["pid"].as_u64(), Some(pid), "{culprit}");

        // Ended on request; nobody else has noticed.
        scratch.ok(&["stop", "hog"]);
        if rules.contains("cooldown") {
            wait_until(DEADLINE, "the alert to be over", || scratch.events_of("hog", "alert.cleared").len() == 1);
        }
        let after = scratch.ps("web");
        assert_eq!((&after["pid"], &after["restarts"], &after["state"]), (&web["pid"], &0.into(), &"ready".into()));
        assert!(after["frozen"].is_null() && scratch.events_of("web", "instance.frozen").is_empty());
        scratch.down();
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of tests")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

/// Resident memory, bytes.
fn resident(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    field.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Memory that could still be given out, bytes.
fn available() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let field = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    field.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn scratch(user: User) -> Option<Scratch> {
    Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))
}

/// The built-in rule with nothing but another action: its threshold stays 8 GiB.
#[test]
fn stack_memory_of_8_gib_is_enough() {
    const NEEDED: u64 = 12 << 30;
    let has = available();
    if has < NEEDED {
        return skip(&format!("8 GiB need 12 GiB, and there are {} MiB", has / MIB));
    }
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let rules = "rules: { stack-memory: { action: freeze } }".to_owned();
    Hog { rate: 512, most: 10 << 10, threshold: 8 << 30, rules }.is_caught(&scratch);
}

fn smaller(user: User) {
    let Some(scratch) = scratch(user) else { return };
    let rules = "rules: { stack-memory: { memory: 400m, action: freeze, cooldown: 1s } }".to_owned();
    Hog { rate: 40, most: 700, threshold: 400 * MIB, rules }.is_caught(&scratch);
}

#[test]
fn stack_memory_in_cgroups() {
    smaller(User::Root);
}

#[test]
fn stack_memory_below_reapers() {
    smaller(User::Plain);
}

fn limited(user: User) {
    let Some(scratch) = scratch(user) else { return };
    scratch.config(
        "
services:
  hog:
    command: ['@badchild@', --cell, '1', hog, '20', '600']
    restart: no
    limits: { memory: 300m }
",
    );
    scratch.ok(&["up", "-d"]);
    let (text, hog) = wait_for(DEADLINE, "the limit to be foreseen", || {
        let text = scratch.ok(&["ps"]).stdout;
        text.contains("memory limit in ").then(|| (text, scratch.ps("hog")))
    });
    assert!(text.contains(" at this rate"), "{text}");
    let foreseen = &hog["foreseen"];
    assert_eq!((&foreseen["rule"], &foreseen["measure"]), (&"limit-memory".into(), &"memory".into()), "{hog}");
    assert!(foreseen["in_ms"].as_u64() < Some(60_000) && hog["pid"].is_u64(), "{hog}");
    let shown = scratch.ok(&["alerts"]).stdout;
    assert!(shown.contains("limit-memory") && shown.contains("threshold 300 MiB"), "{shown}");

    let raised = scratch.wait_event("alert.raised");
    assert_eq!((&raised["rule"], &raised["threshold"]), (&"limit-memory".into(), &bytes(300 * MIB).into()), "{raised}");
    assert!(raised["predicted_ms"].is_u64() && raised["value"].as_f64() < Some(bytes(300 * MIB)), "{raised}");
    // What happens at the limit is the limit's own business, and comes later.
    scratch.wait_state("hog", "failed", DEADLINE);
    let kind = if scratch.events("instance.oom").is_empty() { "instance.limit" } else { "instance.oom" };
    let ended = scratch.wait_event(kind);
    assert!(ended["seq"].as_u64() > raised["seq"].as_u64(), "{ended}");
    let over = scratch.wait_event("alert.cleared");
    assert_eq!(over["rule"], "limit-memory", "{over}");
    assert_eq!(scratch.ps("hog")["foreseen"], Value::Null);
    scratch.down();
}

#[test]
fn a_limit_is_foreseen_in_cgroups() {
    limited(User::Root);
}

#[test]
fn a_limit_is_foreseen_below_reapers() {
    limited(User::Plain);
}

/// Nobody looks at a stack in which nothing happens; the kernel tells once something does.
#[test]
fn a_stack_at_rest_is_looked_at_again_once_it_grows() {
    let Some(scratch) = scratch(User::Root) else { return };
    scratch.config(
        "
rules: { stack-memory: { memory: 200m, action: freeze } }
services:
  web: { command: ['@badchild@', --cell, '2', sleep] }
  hog: { command: ['@badchild@', --cell, '1', hog, '50', '400', on-usr1], readiness: { log_line: up } }
",
    );
    scratch.ok(&["up", "-d"]);
    let looks = || scratch.daemon_threads("samples") > 0;
    wait_until(DEADLINE, "the last look", || !looks());
    let hog = scratch.in_cells().into_iter().find(|seen| seen.cell == Some(1)).unwrap();
    send(&hog, Signal::USR1);
    wait_until(DEADLINE, "it to be frozen", || scratch.events_of("hog", "instance.frozen").len() == 1);
    let raised = scratch.wait_event("alert.raised");
    assert_eq!((&raised["rule"], &raised["service"]), (&"stack-memory".into(), &"hog".into()), "{raised}");
    scratch.down();
}

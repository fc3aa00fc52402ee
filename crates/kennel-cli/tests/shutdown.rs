//! How the daemon ends: in order, bounded, told, and if it was ended by force, found by the next one.
//!
//! covers: A2, A3, A4, A5, C2, D1, D7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Background, Scratch, Seen, Signal, send, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// Ten minutes of patience with a service that ignores `SIGTERM`: whatever ends sooner was hastened.
const DEAF: &str = "
services:
  deaf: { command: ['@badchild@', --cell, '1', ignores-term], readiness: { log_line: up }, stop_grace_period: 600s }
";
const PLAIN: &str = "services: { web: { command: ['@badchild@', --cell, '1', plain], readiness: { log_line: up } } }";

fn up(yaml: &str) -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(yaml);
    scratch.ok(&["up", "-d"]);
    scratch
}

fn log(scratch: &Scratch) -> String {
    std::fs::read_to_string(scratch.instance_dir().join("kennel.log")).unwrap()
}

fn wait_log(scratch: &Scratch, text: &str) {
    wait_until(DEADLINE, text, || log(scratch).contains(text));
}

fn state(scratch: &Scratch) -> Option<Value> {
    let text = std::fs::read_to_string(scratch.instance_dir().join("shutdown_state.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Daemons whose leftovers nobody has cleared, as the running daemon has them on record.
fn uncleared(scratch: &Scratch) -> usize {
    let text = std::fs::read_to_string(scratch.instance_dir().join("running.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    record["earlier"].as_array().map_or(0, Vec::len)
}

fn outcomes(report: &Value) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let cleanups = report["cleanups"].as_array().unwrap().iter();
    cleanups.map(|one| (word(&one["name"]), word(&one["phase"]), word(&one["outcome"]))).collect()
}

/// A daemon that is watched to its end.
struct Watched {
    fd: OwnedFd,
    /// Whether the kernel tells how it ended.
    tells: bool,
}

impl Watched {
    fn daemon(scratch: &Scratch) -> (Seen, Self) {
        let seen = scratch.daemon();
        let fd = kennel_sys::pidfd::open(seen.pid).unwrap();
        // Asked while all goes well: beside an end there may be something to find.
        let features = scratch.json(&["doctor", "--json"])["features"].clone();
        let of_it = |one: &Value| one["name"] == "pidfd_exit_info" && one["works"] == "yes";
        (seen, Self { fd, tells: features.as_array().unwrap().iter().any(of_it) })
    }

    /// Asked of the process itself: a list of processes may show it for a moment as something else.
    fn has_ended(&self) -> bool {
        kennel_sys::pidfd::has_exited(&self.fd).unwrap()
    }

    /// Waits for its end. Whether that is with this code; also true where the kernel does not tell.
    fn ends_with(&self, code: i32) -> bool {
        wait_until(DEADLINE, "the daemon's end", || self.has_ended());
        if !self.tells {
            return true;
        }
        let exit = wait_for(DEADLINE, "how it ended", || kennel_sys::pidfd::exit(&self.fd));
        exit == kennel_sys::wait::Exit::Code(code)
    }
}

/// Until its tracer is killed nothing can end this process.
fn hold(scratch: &Scratch, held: &Seen) -> Background {
    let tracer = scratch.spawn_outsider(&scratch.badchild(), &["trace", "--exit", &held.pid.to_string()]);
    wait_until(DEADLINE, "a tracer", || tracer.stdout().contains("up"));
    tracer
}

fn is_in_order(outcomes: &[(String, String, String)]) {
    let expected = [("state", "persist"), ("services", "cleanup"), ("logs", "drain"), ("keeper", "end")];
    let found: Vec<_> = outcomes.iter().map(|(name, phase, _)| (name.as_str(), phase.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_report_says_what_was_done_and_stays() {
    let scratch = up(PLAIN);
    let (_, daemon) = Watched::daemon(&scratch);
    assert_eq!(state(&scratch), None);
    assert_eq!(uncleared(&scratch), 0);
    let mut follower = scratch.spawn(&["events", "--follow", "--json"]);
    wait_until(DEADLINE, "a follower", || follower.stdout().contains("instance.ready"));
    let down = scratch.json(&["down", "--json"]);
    let report = &down["shutdown"];
    is_in_order(&outcomes(report));
    assert!(outcomes(report).iter().all(|(_, _, outcome)| outcome == "ok"), "{report}");
    assert_eq!((&report["ok"], &report["left"], &report["reason"]), (&true.into(), &0.into(), &"requested".into()));
    assert_eq!(down["receipts"][0]["service"], "web");

    let saved = state(&scratch).unwrap();
    assert_eq!((&saved["report"], &saved["reason"]), (report, &"requested".into()));
    assert_eq!(saved["timestamp"], report["timestamp"]);
    let path = scratch.instance_dir().join("shutdown_state.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!scratch.instance_dir().join("running.json").exists());

    let told = follower.wait(DEADLINE).stdout;
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["report"]), (&"shutdown.completed".into(), report));
    let log = log(&scratch);
    let completed: Vec<&str> = log.lines().filter(|line| line.contains("cleanup completed")).collect();
    assert!(completed.len() == 1 && completed[0].contains("INFO"), "{log}");
    assert!(daemon.ends_with(0));
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_second_signal_hastens_a_service_that_ignores_the_first() {
    let scratch = up(DEAF);
    let (daemon, watched) = Watched::daemon(&scratch);
    send(&daemon, Signal::TERM);
    wait_until(DEADLINE, "the first stage", || !scratch.events("stop.stage").is_empty());
    let begun = state(&scratch).expect("saved before services are stopped");
    assert_eq!((&begun["reason"], &begun["report"]), (&"SIGTERM".into(), &Value::Null));
    assert!(scratch.in_cells().iter().any(|seen| seen.living), "it is given its time");
    send(&daemon, Signal::INT);
    assert!(watched.ends_with(0));
    let report = state(&scratch).unwrap()["report"].clone();
    assert_eq!((&report["ok"], &report["reason"]), (&true.into(), &"SIGTERM".into()), "{report}");
    assert!(log(&scratch).contains("urgency=Hurry"), "{}", log(&scratch));
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_third_signal_ends_the_daemon_whatever_is_left() {
    let scratch = up(DEAF);
    // Nobody but its tracer can let go of it.
    let held = scratch.in_cells()[0].clone();
    let mut tracer = hold(&scratch, &held);
    let (daemon, watched) = Watched::daemon(&scratch);
    for (signal, urgency) in [(Signal::TERM, "Graceful"), (Signal::INT, "Hurry"), (Signal::TERM, "Force")] {
        send(&daemon, signal);
        wait_log(&scratch, &format!("urgency={urgency}"));
    }
    wait_until(DEADLINE, "the daemon's end", || watched.has_ended());
    let report = state(&scratch).unwrap()["report"].clone();
    assert!(report.is_object(), "{}", log(&scratch));
    let outcomes = outcomes(&report);
    is_in_order(&outcomes);
    assert_eq!((outcomes[1].2.as_str(), outcomes[3].2.as_str()), ("timed_out", "ok"), "{report}");
    assert_eq!((&report["ok"], &report["left"]), (&false.into(), &1.into()), "{report}");
    assert!(log(&scratch).contains("ERROR") && log(&scratch).contains("services took too long"), "{}", log(&scratch));
    assert!(scratch.instance_dir().join("running.json").exists(), "the next start has to know that something is left");
    // The keeper goes on, and no other daemon is started.
    assert!(scratch.running_keeper().is_some());
    tracer.signal(Signal::KILL);
    tracer.wait(DEADLINE);
    scratch.expect_nothing(DEADLINE);
    assert!(watched.ends_with(1));
}

#[test]
fn a_down_that_is_made_urgent_ends_well_all_the_same() {
    let scratch = up(DEAF);
    let mut down = scratch.spawn(&["down", "--json"]);
    wait_until(DEADLINE, "the first stage", || !scratch.events("stop.stage").is_empty());
    down.signal(Signal::INT);
    wait_until(DEADLINE, "a kill or the second request", || {
        down.has_ended() || scratch.in_cells().is_empty() || {
            down.signal(Signal::INT);
            false
        }
    });
    let output = down.wait(DEADLINE);
    assert_eq!(output.code(), 0, "{}", output.all());
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&report["shutdown"]["ok"], &report["left"]), (&true.into(), &0.into()), "{report}");
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_client_that_is_killed_is_the_reason() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(PLAIN);
    let mut client = scratch.spawn(&["up"]);
    scratch.wait_up("web", DEADLINE);
    client.signal(Signal::KILL);
    client.wait(DEADLINE);
    scratch.expect_nothing(DEADLINE);
    let saved = state(&scratch).unwrap();
    assert_eq!((&saved["reason"], &saved["report"]["ok"]), (&"client_gone".into(), &true.into()), "{saved}");
}

#[test]
fn a_lost_keeper_is_the_reason() {
    let scratch = up(PLAIN);
    let (_, watched) = Watched::daemon(&scratch);
    send(&scratch.keeper(), Signal::KILL);
    scratch.expect_nothing(DEADLINE);
    let saved = state(&scratch).unwrap();
    assert_eq!((&saved["reason"], &saved["report"]["ok"]), (&"keeper_lost".into(), &true.into()), "{saved}");
    assert!(watched.ends_with(0));
}

#[test]
fn a_daemon_that_was_killed_is_found_by_the_next_one() {
    let scratch = up(PLAIN);
    let daemon = scratch.daemon();
    send(&daemon, Signal::KILL);
    let found = wait_for(DEADLINE, "the next daemon", || scratch.events("daemon.terminated").pop());
    assert_eq!((&found["pid"], &found["during"]), (&daemon.pid.into(), &Value::Null), "{found}");
    wait_until(DEADLINE, "everything cleared", || uncleared(&scratch) == 0);
    scratch.down();
    assert!(!scratch.instance_dir().join("running.json").exists());
    // It is told once.
    scratch.ok(&["up", "-d"]);
    assert_eq!(scratch.events("daemon.terminated").len(), 1);
    scratch.down();
}

#[test]
fn the_record_of_a_killed_daemon_stays_while_something_is_left_of_it() {
    let scratch = up(DEAF);
    let held = scratch.in_cells()[0].clone();
    let mut tracer = hold(&scratch, &held);
    send(&scratch.daemon(), Signal::KILL);
    wait_for(DEADLINE, "the next daemon", || scratch.events("daemon.terminated").pop());
    // The kill is under way, and cannot end it.
    wait_until(DEADLINE, "somebody stuck", || !scratch.events("instance.stuck").is_empty());
    assert_eq!(uncleared(&scratch), 1);
    tracer.signal(Signal::KILL);
    tracer.wait(DEADLINE);
    wait_until(DEADLINE, "everything cleared", || uncleared(&scratch) == 0);
    scratch.down();
}

#[test]
fn a_shutdown_that_was_ended_by_force_is_found_by_the_next_start() {
    let scratch = up(DEAF);
    let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
    send(&daemon, Signal::TERM);
    wait_until(DEADLINE, "a shutdown", || state(&scratch).is_some());
    send(&keeper, Signal::STOP);
    send(&daemon, Signal::KILL);
    send(&keeper, Signal::KILL);
    wait_until(DEADLINE, "both gone", || scratch.running_daemon().is_none() && scratch.running_keeper().is_none());
    assert_eq!(state(&scratch).unwrap()["report"], Value::Null);

    scratch.ok(&["ps"]);
    let found = scratch.events("daemon.terminated");
    assert_eq!((found.len(), &found[0]["pid"], &found[0]["during"]), (1, &daemon.pid.into(), &"SIGTERM".into()));
    wait_until(DEADLINE, "everything cleared", || uncleared(&scratch) == 0);
    wait_until(DEADLINE, "services gone", || scratch.in_cells().is_empty());
    scratch.down();
    assert_eq!(state(&scratch).unwrap()["reason"], "requested");
}

#[test]
fn a_state_that_cannot_be_saved_fails_the_shutdown_and_stops_nothing() {
    let scratch = up(PLAIN);
    let (_, watched) = Watched::daemon(&scratch);
    // A directory with something in it cannot be replaced by a file.
    std::fs::create_dir_all(scratch.instance_dir().join("shutdown_state.json/in the way")).unwrap();
    let output = scratch.kennel(&["down"]);
    assert_eq!(output.code(), 1, "{}", output.all());
    scratch.expect_nothing(DEADLINE);
    assert!(log(&scratch).contains("cannot save the state of the shutdown"), "{}", log(&scratch));
    assert!(watched.ends_with(1));
}

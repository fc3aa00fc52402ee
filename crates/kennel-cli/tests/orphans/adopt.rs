//! `kennel adopt`: what nobody tracks any more is held again, all of it, and nobody else.
//!
//! They come about as in life: keeper and daemon are killed at once, and the store is damaged, so that the next daemon leaves alone
//! what it cannot tell whose it is.

use std::path::Path;

use kennel_testkit::{Scratch, Signal, User, send, wait_until};
use serde_json::{Value, json};

use crate::lost::{DEADLINE, lose, pids, told};
use crate::strangers::{end, move_out, process, tag};

/// Writes all the time, and has a child that does not.
const WEB: &str = "sleep 86401 & while :; do echo tick; sleep 0.05; done";

/// A daemon with the service `other` that runs, beside what an earlier one left of `web`, of which no record tells.
fn orphaned(user: User, lines: &[(&str, &str)], declared: &[&str], before: impl Fn(&Scratch)) -> Option<Scratch> {
    let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    let service = |(at, (name, line)): (usize, &(&str, &str))| {
        let command = format!("command: ['@badchild@', --cell, '{}', exec, --, sh, -c, '{line}']", at + 2);
        format!("  {name}: {{ {command}, on_daemon_loss: keep, on_escape: report, stop_grace_period: 300ms }}\n")
    };
    let services: Vec<String> = lines.iter().enumerate().map(service).collect();
    let other = "  other: { command: ['@badchild@', --cell, '1', plain], stop_grace_period: 300ms }\n";
    scratch.config(&format!("services:\n{}", services.concat()));
    scratch.ok(&["up", "-d"]);
    before(&scratch);
    lose(&scratch);
    let state = scratch.instance_dir();
    std::fs::write(state.join("store.db"), "nothing that a store begins with").unwrap();
    for rest in ["store.db-wal", "store.db-shm"] {
        let _absent = std::fs::remove_file(state.join(rest));
    }
    let still: Vec<&str> = lines
        .iter()
        .zip(&services)
        .filter(|((name, _), _)| declared.contains(name))
        .map(|(_, service)| service.as_str())
        .collect();
    scratch.config(&format!("services:\n{other}{}", still.concat()));
    scratch.ok(&["up", "-d", "other"]);
    Some(scratch)
}

fn listed(scratch: &Scratch) -> Value {
    told(scratch, &["ps", "--orphans", "--json"])["orphans"].clone()
}

fn orphan_of(scratch: &Scratch, pid: u32) -> Option<Value> {
    listed(scratch).as_array().unwrap().iter().find(|one| one["pid"] == pid).cloned()
}

fn refused(scratch: &Scratch, arguments: &[&str], code: i32, name: &str) -> String {
    let said = scratch.kennel(&[arguments, &["--json"]].concat());
    assert_eq!(said.code(), code, "{}", said.all());
    let from = said.stderr.find('{').unwrap();
    let problem: Value = serde_json::from_str(&said.stderr[from..]).unwrap();
    assert_eq!(problem["code"], name, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

fn text(pid: u32) -> String {
    pid.to_string()
}

/// Ends what is left of a test whatever it is.
fn over(scratch: &Scratch) {
    scratch.ok(&["clean", "--all", "--timeout", "300ms"]);
    scratch.expect_nothing(DEADLINE);
}

// covers: A5, B5
#[test]
fn later_daemons_leave_alone_what_the_first_one_did() {
    let Some(scratch) = orphaned(User::Root, &[("web", WEB)], &["web"], |_| {}) else { return };
    let child = process(&scratch, "sleep 86401");
    scratch.ok(&["daemon", "restart"]);
    let known = orphan_of(&scratch, child).expect("it lives after a hand-over");
    assert_eq!(known["sure"], "certain", "{known}");
    let daemon = scratch.daemon();
    send(&daemon, Signal::KILL);
    wait_until(DEADLINE, "another daemon", || {
        scratch.running_daemon().is_some_and(|now| now.pid != daemon.pid) && scratch.kennel(&["ps"]).code() == 0
    });
    assert!(orphan_of(&scratch, child).is_some(), "and after a loss");
    scratch.ok(&["adopt", &text(child)]);
    assert_eq!(scratch.wait_state("web", "ready", DEADLINE)["service"], "web");
    over(&scratch);
}

// covers: A5, B5
#[test]
fn a_whole_scope_becomes_a_run_of_its_service() {
    for user in [User::Root, User::Delegated] {
        let Some(scratch) = orphaned(user, &[("web", WEB)], &["web"], |_| {}) else { continue };
        let child = process(&scratch, "sleep 86401");
        let found = orphan_of(&scratch, child).unwrap();
        assert_eq!((&found["service"], &found["sure"]), (&json!("web"), &json!("certain")), "{found}");
        assert_eq!(scratch.ps("web")["state"], "stopped");
        // By any process of it; the main one is told.
        let start = found["start_ticks"].as_u64().unwrap();
        let report = scratch.json(&["adopt", &format!("{child}@{start}"), "--json"]);
        let main = u32::try_from(report["pid"].as_u64().unwrap()).unwrap();
        assert_ne!(main, child);
        assert_eq!(
            (&report["name"], &report["moved"], &report["output"], &report["kept"]),
            (&json!("web"), &json!(false), &json!(true), &json!(true)),
            "{report}"
        );
        assert!(report["processes"].as_array().unwrap().contains(&json!(child)), "{report}");
        let service = scratch.wait_state("web", "ready", DEADLINE);
        assert_eq!((&service["pid"], &service["instance"]), (&report["pid"], &report["instance"]), "{service}");
        assert_eq!(listed(&scratch), json!([]));
        // What it writes is heard again, and goes on being so.
        let lines = || scratch.ok(&["logs", "web", "--raw"]).stdout.lines().count();
        wait_until(DEADLINE, "its output", || lines() > 0);
        let before = lines();
        wait_until(DEADLINE, "more of its output", || lines() > before);
        let events = scratch.recorded();
        let adopted = events.iter().find(|event| event["event"] == "instance.adopted").unwrap();
        assert_eq!((&adopted["service"], &adopted["pid"]), (&json!("web"), &report["pid"]), "{adopted}");
        let audit = scratch.ok(&["audit", "--json"]).stdout;
        assert!(audit.contains("POST /v1/orphans/adopt") && audit.contains(&format!("pid {child}")), "{audit}");
        // Twice is once.
        let why = refused(&scratch, &["adopt", &text(child)], 8, "process_not_ours");
        assert!(why.contains("no orphan"), "{why}");
        // It stays held without a daemon, and the next one knows it.
        let daemon = scratch.daemon();
        send(&daemon, Signal::KILL);
        wait_until(DEADLINE, "another daemon", || {
            scratch.running_daemon().is_some_and(|now| now.pid != daemon.pid) && scratch.kennel(&["ps"]).code() == 0
        });
        let service = scratch.wait_state("web", "ready", DEADLINE);
        assert_eq!((&service["pid"], &service["instance"]), (&report["pid"], &report["instance"]), "{service}");
        let stopped = scratch.json(&["stop", "web", "--json"]);
        let receipt = &stopped["receipts"][0];
        assert_eq!((&receipt["left"], &receipt["instance"]), (&json!(0), &report["instance"]), "{receipt}");
        assert!(pids(&receipt["processes"]).contains(&main), "{receipt}");
        over(&scratch);
    }
}

// covers: A5
#[test]
fn what_no_service_is_named_after_runs_on_its_own() {
    let Some(scratch) = orphaned(User::Root, &[("web", WEB)], &[], |_| {}) else { return };
    let child = process(&scratch, "sleep 86401");
    let said = scratch.ok(&["adopt", &text(child)]);
    assert!(said.stdout.contains("web  adopted, pid ") && said.stdout.contains("on its own"), "{}", said.all());
    let service = scratch.wait_state("web", "ready", DEADLINE);
    assert_eq!(service["ad_hoc"]["lifetime"], "keep", "{service}");
    scratch.ok(&["stop", "web"]);
    wait_until(DEADLINE, "nobody of it", || scratch.survivors().iter().all(|seen| seen.pid != child));
    // What it shows as its command is its own word, so nobody executes that.
    for verb in ["start", "restart"] {
        let why = refused(&scratch, &[verb, "web"], 1, "conflict");
        assert!(why.contains("nobody knows what it was started with"), "{why}");
    }
    over(&scratch);
}

// covers: A5, E9
#[test]
fn what_is_in_no_scope_is_moved_with_all_that_belongs_to_it() {
    // Starts others as fast as it can, and each lives for a while.
    let storm = "while :; do sleep 0.3 & sleep 0.01; done & sleep 86402 & exec sleep 86403";
    let out = |scratch: &Scratch| {
        let web = tag(process(scratch, "sleep 86403"));
        let out = || {
            let inside = scratch.in_cells().into_iter().filter(|seen| seen.living && seen.cell == Some(2));
            inside.filter(|seen| move_out(seen.pid).is_ok()).count()
        };
        // Newborns of one that is out are out.
        (0..3).for_each(|_| {
            let _moved = out();
        });
        assert_eq!(tag(process(scratch, "sleep 86402")), web);
    };
    let Some(scratch) = orphaned(User::Root, &[("web", storm)], &[], out) else { return };
    let [child, main] = [86402, 86403].map(|number| process(&scratch, &format!("sleep {number}")));
    let found = orphan_of(&scratch, child).unwrap();
    assert_eq!((&found["sure"], &found["known_by"][0]), (&json!("likely"), &json!("stamp")), "{found}");
    let before = cgroup(main);
    let why = refused(&scratch, &["adopt", &text(main)], 8, "not_certain");
    assert!(why.contains("only likely"), "{why}");
    assert_eq!(cgroup(main), before);
    let report = scratch.json(&["adopt", &text(main), "--likely", "--json"]);
    assert_eq!((&report["moved"], &report["kept"]), (&json!(true), &json!(true)), "{report}");
    let name = report["name"].as_str().unwrap();
    assert_eq!(name, format!("adopted-{main}"));
    scratch.wait_state(name, "ready", DEADLINE);
    for pid in [child, main] {
        assert!(report["processes"].as_array().unwrap().contains(&json!(pid)), "{report}");
        assert!(cgroup(pid).ends_with(&format!("stack/keep/{name}.{}", report["instance"])), "{}", cgroup(pid));
    }
    // They go on: the storm does, all of it inside, and nobody stands still.
    let inside = |seen: &kennel_testkit::Seen| ["", cgroup(main).as_str()].contains(&cgroup(seen.pid).as_str());
    let newborn = || {
        let cell = scratch.in_cells().into_iter().filter(|seen| seen.living && seen.cell == Some(2));
        let cell: Vec<_> = cell.collect();
        assert!(cell.iter().all(inside), "{cell:?}");
        cell.iter().any(|seen| !report["processes"].as_array().unwrap().contains(&json!(seen.pid)))
    };
    wait_until(DEADLINE, "newborns", newborn);
    assert_eq!(listed(&scratch), json!([]));
    let stopped = scratch.json(&["stop", name, "--json"]);
    assert_eq!(stopped["receipts"][0]["left"], 0, "{stopped}");
    over(&scratch);
}

/// As the kernel shows it; empty for one that is gone.
fn cgroup(pid: u32) -> String {
    let all = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    all.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned()
}

// covers: E9
#[test]
fn without_cgroups_nobody_is_held_and_nobody_touched() {
    let orphan = std::cell::RefCell::new(None);
    // A reaper's end is that of its scope, so what is left carries the stamp alone: that of one which is to be kept.
    let stamped = |scratch: &Scratch| {
        let own: u64 = tag(process(scratch, "sleep 86405")).parse().unwrap();
        let limit = format!("--rttime={}:unlimited", own | 1 << 23);
        let program = Path::new("/usr/bin/prlimit");
        let arguments = [limit.as_str(), "sleep", "86406"];
        *orphan.borrow_mut() = Some(scratch.spawn_program(program, &arguments, std::process::Stdio::null(), |_| {}));
    };
    let Some(scratch) = orphaned(User::Plain, &[("web", "exec sleep 86405")], &["web"], stamped) else { return };
    let orphan = orphan.into_inner().unwrap();
    assert_eq!(orphan_of(&scratch, orphan.pid()).unwrap()["sure"], "likely");
    let why = refused(&scratch, &["adopt", &text(orphan.pid()), "--likely"], 1, "cannot_adopt");
    assert!(why.contains("without cgroups"), "{why}");
    assert!(orphan_of(&scratch, orphan.pid()).is_some());
    assert_eq!(scratch.ps("web")["state"], "stopped");
    end(orphan);
    over(&scratch);
}

// covers: E9
#[test]
fn who_is_not_meant_is_left_alone() {
    let Some(scratch) = orphaned(User::Root, &[("web", WEB)], &["web"], |_| {}) else { return };
    let child = process(&scratch, "sleep 86401");
    let start = orphan_of(&scratch, child).unwrap()["start_ticks"].as_u64().unwrap();
    // One that had the number before.
    let earlier = format!("{child}@{}", start - 1);
    let why = refused(&scratch, &["adopt", &earlier], 4, "process_gone");
    assert!(why.contains("another process"), "{why}");
    refused(&scratch, &["adopt", "4194303"], 4, "process_gone");
    // Whoever presses Tab is offered it.
    let offered = || {
        let words = ["--", "kennel", "adopt", &text(child)];
        let mut shell = scratch.spawn_with(&words, std::process::Stdio::null(), |command| {
            command.env("KENNEL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_IFS", "\n");
        });
        shell.wait(DEADLINE).stdout
    };
    // A machine under load may take longer than a person would wait.
    wait_until(DEADLINE, "the one that is there", || offered().trim() == text(child));
    // A stranger, one that is held, and kennel itself.
    let stranger = scratch.spawn_program(Path::new("sleep"), &["86404"], std::process::Stdio::null(), |_| {});
    let held = scratch.ps("other")["pid"].to_string();
    for pid in [text(stranger.pid()), held, text(scratch.daemon().pid), text(scratch.keeper().pid)] {
        refused(&scratch, &["adopt", &pid, "--likely"], 8, "process_not_ours");
    }
    end(stranger);
    // A service that runs, and one that is not there.
    let why = refused(&scratch, &["adopt", &text(child), "--service", "other"], 1, "conflict");
    assert!(why.contains("already runs"), "{why}");
    refused(&scratch, &["adopt", &text(child), "--service", "nobody"], 4, "unknown_service");
    assert!(orphan_of(&scratch, child).is_some(), "nothing has changed");
    // Another one than it was started for, if that rests.
    scratch.ok(&["stop", "other"]);
    let report = scratch.json(&["adopt", &text(child), "--service", "other", "--json"]);
    assert_eq!(report["name"], "other", "{report}");
    assert_eq!(scratch.ps("other")["pid"], report["pid"]);
    assert_eq!(scratch.ps("web")["state"], "stopped");
    over(&scratch);
}

// covers: A5
#[test]
fn its_limits_and_its_liveness_count_from_then_on() {
    let Some(scratch) = orphaned(User::Root, &[("web", WEB)], &[], |_| {}) else { return };
    let child = process(&scratch, "sleep 86401");
    let alive = scratch.path("alive");
    std::fs::write(&alive, "").unwrap();
    scratch.config(&format!(
        "services:\n  other: {{ command: [sleep, '1'] }}\n  web:\n    command: [sleep, '1']\n    on_daemon_loss: keep\n    \
         limits: {{ pids: 77 }}\n    stop_grace_period: 300ms\n    readiness: {{ log_line: never }}\n    \
         liveness: {{ exec: [test, -e, '{}'], period: 100ms, failure_threshold: 1 }}\n",
        alive.display()
    ));
    scratch.ok(&["reload"]);
    let report = scratch.json(&["adopt", &text(child), "--json"]);
    scratch.wait_state("web", "ready", DEADLINE);
    let status = scratch.json(&["status", "web", "--json"]);
    assert!(status.to_string().contains("77"), "{status}");
    assert_eq!(scratch.ps("web")["pid"], report["pid"]);
    std::fs::remove_file(&alive).unwrap();
    wait_until(DEADLINE, "its end", || scratch.survivors().iter().all(|seen| seen.pid != child));
    over(&scratch);
}

// covers: B5
#[test]
fn over_the_api_twice_with_one_key_is_once() {
    let Some(scratch) = orphaned(User::Root, &[("web", WEB)], &["web"], |_| {}) else { return };
    let child = process(&scratch, "sleep 86401");
    let start = orphan_of(&scratch, child).unwrap()["start_ticks"].clone();
    let ask = |body: &Value, head: &[&str]| scratch.ask("POST", "/v1/orphans/adopt", head, body);
    assert_eq!(ask(&json!({ "pid": child }), &[]).status, 400, "a bare number names nobody");
    let body = json!({ "pid": child, "start_ticks": start });
    let [one, two] = [(); 2].map(|()| ask(&body, &["idempotency-key: once"]));
    assert_eq!((one.status, two.status), (200, 200), "{} {}", one.body, two.body);
    assert_eq!(one.body, two.body);
    assert_eq!(ask(&body, &["idempotency-key: again"]).status, 409);
    over(&scratch);
}

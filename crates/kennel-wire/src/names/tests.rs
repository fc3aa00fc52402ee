//! covers: B1, B5

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;

/// Our events as they are recorded, in their JSON form: one of each kind, and of an end one for each reason.
fn recorded() -> Vec<Value> {
    let receipt = |reason: &str, left: u32| {
        json!({
            "service": "web", "instance": 1, "reason": reason, "started_at": "2026-01-02T03:04:05Z", "duration_ms": 1,
            "exit": { "kind": "code", "code": 0 }, "stages": [], "left": left,
            "processes": [{ "pid": 8 }, { "pid": 7, "main": true }],
        })
    };
    let orphan = json!({
        "pid": 9, "start_ticks": 1, "command": "sleep", "user": "root", "instance": "a", "known_by": ["scope"],
        "sure": "certain", "why": "it is there", "on_stop": "ended", "on_start": "ended",
    });
    let mut all = vec![
        json!({ "event": "service.pending", "waiting_for": [] }),
        json!({ "event": "instance.started", "pid": 7 }),
        json!({ "event": "instance.ready", "after_ms": 1 }),
        json!({ "event": "instance.unhealthy", "reason": "503" }),
        json!({ "event": "instance.exited", "pid": 7, "exit": { "kind": "signal", "signal": 9 } }),
        json!({ "event": "instance.stopping", "reason": "requested" }),
        json!({ "event": "stop.stage", "stage": "TERM" }),
        json!({ "event": "instance.escaped", "pid": 7, "command": "x", "cgroup": "/" }),
        json!({ "event": "instance.oom", "kills": 1, "limit": 64, "peak": 64 }),
        json!({ "event": "instance.limit", "limit": "memory", "value": 2, "bound": 1, "action": "warn" }),
        json!({ "event": "instance.frozen", "by": "request" }),
        json!({ "event": "instance.thawed", "by": "stop" }),
        json!({ "event": "instance.stuck", "receipt": receipt("requested", 2) }),
        json!({ "event": "restart.scheduled", "in_ms": 1, "attempt": 1 }),
        json!({ "event": "schedule.armed" }),
        json!({ "event": "schedule.fired" }),
        json!({ "event": "schedule.skipped", "why": "w" }),
        json!({ "event": "watch.begun" }),
        json!({ "event": "watch.changed", "paths": [], "count": 1, "action": "restart" }),
        json!({ "event": "watch.held", "for_ms": 1 }),
        json!({ "event": "watch.blind", "reason": "r" }),
        json!({ "event": "watch.failed", "reason": "r" }),
        json!({ "event": "zombies.found", "parent": 1, "command": "c", "count": 1 }),
        json!({ "event": "logs.lost", "bytes": 1, "reason": "r" }),
        json!({ "event": "logs.recovered", "lost_bytes": 1 }),
        json!({ "event": "logs.bound", "policy": "block", "bytes": 1 }),
        json!({ "event": "logs.sink_failed", "to": "journald", "reason": "x" }),
        json!({ "event": "logs.sink_recovered", "to": "journald", "lost_bytes": 1 }),
        json!({ "event": "service.completed" }),
        json!({ "event": "service.failed", "reason": "exit 1" }),
        json!({ "event": "service.given_up", "reason": "too often" }),
        json!({ "event": "service.stopped" }),
        json!({ "event": "daemon.started", "pid": 3 }),
        json!({ "event": "daemon.recovered", "scopes": 1 }),
        json!({ "event": "daemon.terminated", "pid": 3, "started_at": "2026-01-02T03:04:05Z" }),
        json!({ "event": "daemon.panicked", "message": "m", "place": "p" }),
        json!({ "event": "config.reloaded", "added": [], "removed": [], "changed": [] }),
        json!({ "event": "daemon.replaced", "version": "1", "scopes": 1 }),
        json!({ "event": "daemon.handover_failed", "reason": "r" }),
        json!({ "event": "instance.adopted", "pid": 7 }),
        json!({ "event": "instance.health", "health": "unhealthy", "reason": "r" }),
        json!({ "event": "instance.activity", "activity": "stalled", "silent_ms": 1 }),
        json!({ "event": "store.recovered", "kept": 1 }),
        json!({ "event": "event.unreadable" }),
        json!({ "event": "orphan.found", "orphan": orphan }),
        json!({ "event": "orphan.killed", "process": { "pid": 9 } }),
        json!({ "event": "owner.opened", "owner": "a" }),
        json!({ "event": "lease.taken", "owner": "a", "lease": "l" }),
        json!({ "event": "lease.lost", "owner": "a", "lease": "l", "why": "ended" }),
        json!({ "event": "owner.grace", "owner": "a", "ends_in_ms": 1 }),
        json!({ "event": "owner.held", "owner": "a" }),
        json!({ "event": "owner.ended", "owner": "a", "reason": "stopped" }),
        json!({ "event": "alert.raised", "rule": "r", "measure": "memory", "value": 2.0, "threshold": 1.0, "action": "warn" }),
        json!({
            "event": "alert.escalated", "rule": "r", "measure": "memory", "value": 2.0, "threshold": 1.0, "action": "freeze",
        }),
        json!({ "event": "alert.cleared", "rule": "r", "measure": "memory", "lasted_ms": 1 }),
        json!({ "event": "storm.brake", "restarts": 60, "window_ms": 60_000, "held_ms": 1 }),
        json!({ "event": "webhook.dead", "webhook": "w", "id": "m", "kind": "k", "tries": 1, "reason": "r" }),
        json!({ "event": "webhook.disabled", "webhook": "w" }),
        json!({ "event": "keeper.lost" }),
        json!({ "event": "shutdown.completed", "left": 0 }),
    ];
    let reasons = ["requested", "restart", "down", "main_exited", "start_timeout"];
    let reasons = reasons.into_iter().chain([
        "daemon_lost",
        "keeper_lost",
        "client_gone",
        "owner_ended",
        "max_runtime",
        "idle",
        "not_alive",
        "hung",
        "rule",
    ]);
    all.extend(reasons.map(|reason| json!({ "event": "instance.down", "receipt": receipt(reason, 0) })));
    all
}

fn event(seq: usize, recorded: &Value) -> Event {
    let mut body = recorded.clone();
    body["seq"] = json!(seq);
    body["time"] = json!("2026-01-02T03:04:05Z");
    body["service"] = json!("web");
    serde_json::from_value(body).unwrap()
}

/// What the dashboard hears of each of ours, over all variants of it.
fn heard() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut heard: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (seq, recorded) in recorded().iter().enumerate() {
        let event = event(seq, recorded);
        heard.entry(event.kind.name()).or_default().extend(DashboardEvent::of(&event).iter().map(|it| it.kind.name()));
    }
    heard
}

#[test]
fn names_are_those_of_the_json() {
    for recorded in recorded() {
        let event = event(1, &recorded);
        assert_eq!(event.kind.name(), recorded["event"], "ours");
        for line in DashboardEvent::of(&event) {
            assert_eq!(serde_json::to_value(&line).unwrap()["event"], line.kind.name(), "theirs");
        }
    }
}

#[test]
fn every_one_of_theirs_comes_from_something() {
    let produced: BTreeSet<_> = heard().into_values().flatten().collect();
    let wanted = [
        "processStarted",
        "processExit",
        "processError",
        "healthCheck",
        "statusChange",
        "processDied",
        "initialized",
        "serverStarted",
        "serverStopped",
        "orphanKilled",
    ];
    assert_eq!(produced, BTreeSet::from(wanted));
}

/// The table is what people program against: one row for each of ours, in it what a dashboard hears.
#[test]
fn the_documentation_has_the_same_table() {
    let page = include_str!("../../../../docs/api.md");
    let section = page.split("| ours | theirs |").nth(1).unwrap().split("\n### ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let code = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let told: BTreeMap<String, BTreeSet<String>> = rows
        .flat_map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            let theirs: BTreeSet<String> = code(cells[2]).into_iter().collect();
            code(cells[1]).into_iter().map(move |ours| (ours, theirs.clone()))
        })
        .collect();
    let real: BTreeMap<String, BTreeSet<String>> = heard()
        .into_iter()
        .map(|(ours, theirs)| (ours.to_owned(), theirs.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(told, real);
}

#[test]
fn the_last_line_of_a_number_says_so() {
    for recorded in recorded() {
        let event = event(5, &recorded);
        let lines = DashboardEvent::of(&event);
        assert!(lines.iter().all(|line| line.seq == 5 && line.id.as_deref() == Some("web")));
        let more: Vec<bool> = lines.iter().map(|line| line.more).collect();
        assert_eq!(more, (1..=lines.len()).map(|at| at < lines.len()).collect::<Vec<_>>(), "{lines:?}");
    }
    let started = event(5, &json!({ "event": "instance.started", "pid": 7 }));
    let chosen = DashboardEvent::chosen(&started, |kind| kind.name() == "processStarted");
    assert_eq!(chosen.iter().map(|line| line.more).collect::<Vec<_>>(), [false], "what is left out does not follow");
}

#[test]
fn an_end_that_nobody_asked_for_is_a_death() {
    let of = |reason: &str| {
        let body =
            recorded().into_iter().find(|body| body["receipt"]["reason"] == reason && body["event"] == "instance.down");
        let lines = DashboardEvent::of(&event(1, &body.unwrap()));
        lines.into_iter().map(|line| line.kind).collect::<Vec<_>>()
    };
    for reason in ["main_exited", "daemon_lost", "keeper_lost"] {
        assert_eq!(
            of(reason),
            [DashboardKind::ProcessDied { pid: Some(7) }],
            "{reason}: the main process, not the first"
        );
    }
    for reason in ["requested", "restart", "down", "client_gone", "owner_ended", "max_runtime", "idle", "rule"] {
        assert_eq!(of(reason), [], "{reason}");
    }
}

#[test]
fn exit_codes_are_never_made_up() {
    let of = |exit: Value| {
        let body = json!({ "event": "instance.exited", "pid": 7, "exit": exit });
        serde_json::to_value(&DashboardEvent::of(&event(1, &body))[0]).unwrap()
    };
    let line = |code: Value, signal: Value| {
        json!({
            "seq": 1, "time": "2026-01-02T03:04:05Z", "id": "web", "event": "processExit", "pid": 7, "code": code,
            "signal": signal,
        })
    };
    assert_eq!(of(json!({ "kind": "code", "code": 3 })), line(json!(3), Value::Null));
    assert_eq!(of(json!({ "kind": "signal", "signal": 9 })), line(Value::Null, json!(9)));
    assert_eq!(of(json!({ "kind": "unknown" })), line(Value::Null, Value::Null));
}

//! Services that are registered over the API, beside those of the file and without one.
//!
//! covers: A6, B1, B4, B5, B6

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, send, wait_for, wait_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

fn sleeper(scratch: &Scratch, cell: &str) -> Value {
    json!({
        "command": [scratch.badchild(), "--cell", cell, "sleep"],
        "working_dir": scratch.project(),
        "environment": { "SECRET": "hunter2" },
    })
}

fn plan(report: &Value, name: &str) -> (String, String) {
    let all = report["services"].as_array().unwrap_or_else(|| panic!("{report}"));
    let one = all.iter().find(|one| one["service"] == name).unwrap_or_else(|| panic!("{report}"));
    let word = |key: &str| one[key].as_str().unwrap().to_owned();
    (word("change"), word("will"))
}

fn says(words: (&str, &str)) -> (String, String) {
    (words.0.to_owned(), words.1.to_owned())
}

#[test]
fn a_service_is_registered_started_changed_and_removed_without_a_file() {
    let scratch = scratch();
    let badchild = scratch.badchild().to_string_lossy().into_owned();
    let words = ["register", "web", "--env", "SECRET=hunter2", "--name-color", "red", "--port", "0", "--", &badchild];
    let words = [&words[..], &["--cell", "1", "sleep"]].concat();
    assert_eq!(scratch.kennel(&words).code(), 3, "0 is no port");
    let words: Vec<&str> = words.iter().filter(|word| !["--port", "0"].contains(word)).copied().collect();
    let out = scratch.ok(&words);
    assert!(out.stdout.contains("web"), "{}", out.all());
    // It is known, and rests.
    assert_eq!(scratch.ps("web")["state"], "stopped");
    assert_eq!(scratch.ps("web")["color"], "red");
    assert_eq!(scratch.ok(&["registered"]).stdout.lines().count(), 2);
    scratch.ok(&["start", "web"]);
    let pid = scratch.ps("web")["pid"].as_u64().unwrap();

    // The same again changes nothing, something else restarts it.
    let mut definition = sleeper(&scratch, "1");
    definition["color"] = "red".into();
    let reply = scratch.ask("PUT", "/v1/services/web", &[], &definition);
    assert_eq!((reply.status, plan(&reply.body, "web")), (200, says(("unchanged", "nothing"))), "{reply:?}");
    definition["environment"]["SECRET"] = "other".into();
    let reply = scratch.ask("PUT", "/v1/services/web?dry_run=true", &[], &definition);
    assert_eq!(plan(&reply.body, "web"), says(("changed", "restart")));
    assert_eq!(scratch.ps("web")["pid"].as_u64(), Some(pid), "only told");
    let reply = scratch.ask("PUT", "/v1/services/web", &[], &definition);
    assert_eq!(plan(&reply.body, "web"), says(("changed", "restart")));
    assert_ne!(scratch.ps("web")["pid"].as_u64(), Some(pid));
    assert_eq!(reply.body["receipts"][0]["left"], 0, "{reply:?}");

    // Secrets are told to nobody who does not ask for them.
    let (_, told) = scratch.get("/v1/registry");
    assert!(told.contains("SECRET") && !told.contains("other"), "{told}");
    let (_, told) = scratch.get("/v1/registry?values=true");
    assert!(told.contains("other"), "{told}");
    let audit = scratch.json(&["audit", "--json"]).to_string();
    assert!(audit.contains("PUT /v1/services/{name}") && !audit.contains("hunter2"), "{audit}");

    let reply = scratch.ask("DELETE", "/v1/services/web", &[], &Value::Null);
    assert_eq!((reply.status, plan(&reply.body, "web")), (200, says(("removed", "stop"))), "{reply:?}");
    assert_eq!(reply.body["receipts"].as_array().unwrap().len(), 1);
    assert_eq!(scratch.kennel(&["unregister", "web"]).code(), 4, "it is not there any more");
    assert_eq!(scratch.json(&["ps", "--json"]), json!([]));
    // Nothing is left that anybody would miss.
    wait_until(DEADLINE, "the daemon to end", || scratch.running_daemon().is_none());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn what_is_registered_is_known_to_every_daemon_and_started_by_up() {
    let scratch = scratch();
    let registry = json!({"services": { "a": sleeper(&scratch, "1"), "b": sleeper(&scratch, "2") }});
    let file = scratch.file("servers.json", registry.to_string());
    let file = file.to_string_lossy().into_owned();
    let report = scratch.json(&["register", "--from", &file, "--json"]);
    assert_eq!(plan(&report, "a"), says(("added", "nothing")));
    // A daemon of which nothing was asked ends; the next one knows of them.
    wait_until(DEADLINE, "the daemon to end", || scratch.running_daemon().is_none());
    assert_eq!(scratch.json(&["registered", "--json"])["services"].as_object().unwrap().len(), 2);
    assert_eq!(scratch.ps("b")["state"], "stopped");
    scratch.ok(&["up", "-d"]);
    let pid = |name: &str| scratch.ps(name)["pid"].as_u64().unwrap();
    let before = [pid("a"), pid("b")];
    scratch.ok(&["daemon", "restart"]);
    assert_eq!([pid("a"), pid("b")], before);
    // Replaced as a whole: what is not among them is stopped.
    let reply = scratch.ask("PUT", "/v1/registry", &[], &json!({"services": {"b": registry["services"]["b"]}}));
    assert_eq!(plan(&reply.body, "a"), says(("removed", "stop")), "{reply:?}");
    assert_eq!(pid("b"), before[1]);
    scratch.down();
    assert_eq!(scratch.json(&["registered", "--json"])["services"].as_object().unwrap().len(), 1, "down stops only");
    wait_until(DEADLINE, "the daemon to end", || scratch.running_daemon().is_none());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn beside_a_file_names_are_told_apart_and_nothing_else_is_touched() {
    let scratch = scratch();
    scratch.config("services:\n  web: { command: ['@badchild@', sleep] }\n");
    scratch.ok(&["up", "-d"]);
    let pid = scratch.ps("web")["pid"].clone();
    let reply = scratch.ask("PUT", "/v1/services/web", &[], &sleeper(&scratch, "1"));
    assert_eq!((reply.status, &reply.body["code"]), (409, &json!("conflict")), "{reply:?}");
    assert_eq!(reply.body["hint"], "change it there, or take another name");
    let reply = scratch.ask("PUT", "/v1/services/more?start=true", &[], &sleeper(&scratch, "1"));
    assert_eq!((reply.status, &reply.body["started"][0]["outcome"]), (200, &json!("ready")), "{reply:?}");
    let more = scratch.ps("more")["pid"].clone();
    // A reload of the file keeps it, also one that changes the file.
    scratch.config("services:\n  web: { command: ['@badchild@', sleep] }\n  new: { command: ['@badchild@', sleep] }\n");
    scratch.ok(&["reload"]);
    let reloads = || scratch.events("config.reloaded").len();
    let before = reloads();
    send(&scratch.daemon(), Signal::HUP);
    wait_until(DEADLINE, "another reload", || reloads() > before);
    assert_eq!([&scratch.ps("web")["pid"], &scratch.ps("more")["pid"]], [&pid, &more]);
    // And a file that takes its name is refused.
    scratch.config("services:\n  more: { command: ['@badchild@', sleep] }\n");
    let refused = scratch.kennel(&["reload"]);
    assert_eq!(refused.code(), 1, "{}", refused.all());
    assert!(refused.stderr.contains("kennel unregister more"), "{}", refused.all());
    assert_eq!([&scratch.ps("web")["pid"], &scratch.ps("more")["pid"]], [&pid, &more]);
    scratch.down();
}

#[test]
fn bad_declarations_change_nothing_and_say_what_is_wrong() {
    let scratch = scratch();
    let good = sleeper(&scratch, "1");
    assert_eq!(scratch.ok(&["registered"]).stdout, "");
    // A daemon that nobody is connected to would end.
    let follower = scratch.open("/v1/events?follow=true", &[]);
    let refused = |method: &str, target: &str, head: &[&str], body: &Value| {
        let reply = scratch.ask(method, target, head, body);
        (reply.status, reply.body["code"].as_str().unwrap_or_default().to_owned(), reply.body.to_string())
    };
    let at = |path: &str, body: &Value| refused("PUT", path, &[], body);
    let (status, code, text) =
        at("/v1/services/web", &json!({"command": "x", "working_dir": "/", "comand": 1, "restart": 7}));
    assert_eq!((status, code.as_str()), (422, "config_invalid"), "{text}");
    assert!(text.contains("comand") && text.contains("restart"), "both at once: {text}");
    assert_eq!(at("/v1/services/web", &json!({"command": "x"})).0, 400, "where?");
    assert_eq!(at("/v1/services/web", &json!({"command": "x", "cwd": "relative"})).0, 400);
    assert_eq!(at("/v1/services/..%2fx", &good).0, 422);
    assert_eq!(at("/v1/services/%1b%5b2J", &good).0, 422);
    assert_eq!(at("/v1/services/web", &json!([])).0, 400, "no object");
    assert_eq!(at("/v1/services/web?strat=true", &good).0, 400);
    let (status, _, text) = at("/v1/registry", &json!({"services": {"a": good, "b": {"working_dir": "/"}}}));
    assert_eq!(status, 422, "{text}");
    assert_eq!(scratch.get("/v1/registry").1, "{\"services\":{}}");

    // Versions: nobody overwrites what he has not seen.
    let first = scratch.ask("PUT", "/v1/services/web", &["if-none-match: *"], &good);
    assert_eq!(first.status, 200, "{first:?}");
    let version = first.header("etag").unwrap().to_owned();
    assert_eq!(refused("PUT", "/v1/services/web", &["if-none-match: *"], &good).0, 412);
    let mut other = good.clone();
    other["color"] = "blue".into();
    let wrong = refused("PUT", "/v1/services/web", &["if-match: \"0\""], &other);
    assert_eq!((wrong.0, wrong.1.as_str()), (412, "precondition_failed"));
    assert!(wrong.2.contains(version.trim_matches('"')), "{}", wrong.2);
    let second = scratch.ask("PUT", "/v1/services/web", &[&format!("if-match: {version}")], &other);
    assert_eq!(second.status, 200, "{second:?}");
    assert_ne!(second.header("etag"), Some(version.as_str()));
    assert_eq!(refused("DELETE", "/v1/services/web", &[&format!("if-match: {version}")], &Value::Null).0, 412);
    assert_eq!(refused("DELETE", "/v1/services/web", &["if-match: *"], &Value::Null).0, 200);
    assert_eq!(refused("DELETE", "/v1/services/web", &[], &Value::Null).1, "unknown_service");
    drop(follower);
    wait_until(DEADLINE, "the daemon to end", || scratch.running_daemon().is_none());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn dashboards_for_servers_find_their_calls() {
    let scratch = scratch();
    let registry =
        json!({"services": { "a": sleeper(&scratch, "1"), "bad": {"command": "/nonexistent/x", "cwd": "/"} }});
    let file = scratch.file("servers.json", registry.to_string());
    scratch.ok(&["register", "--from", &file.to_string_lossy()]);
    let mut events = BufReader::new(scratch.open("/api/events", &[])).lines();
    let act = |id: &str, action: &str| {
        let (status, body) = scratch.post(&format!("/api/servers/{id}"), &json!({ "action": action }));
        (status, body["success"] == true, body["server"]["status"].clone(), body)
    };
    let (_, all) = scratch.get("/api/servers");
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "bad"]);
    assert_eq!((&all["a"]["status"], &all["a"]["pid"]), (&json!("stopped"), &Value::Null), "{all}");
    let (status, success, now, body) = act("a", "start");
    assert_eq!((status, success, now), (200, true, json!("running")), "{body}");
    assert_eq!(body["server"]["pid"], scratch.ps("a")["pid"]);
    wait_for(DEADLINE, "the event of its start", || {
        let line = events.next().unwrap().unwrap();
        (line == "event: serverStarted").then_some(())
    });
    let (_, success, _, body) = act("bad", "start");
    assert!(!success && body["error"].as_str().unwrap().contains("/nonexistent/x"), "{body}");
    assert_eq!(act("nobody", "start").0, 404);
    assert_eq!(act("a", "explode").0, 400);
    let before = scratch.ps("a")["pid"].clone();
    let (_, success, _, body) = act("a", "restart");
    assert!(success && body["server"]["pid"] != before, "{body}");
    let (_, success, now, body) = act("a", "stop");
    assert_eq!((success, now), (true, json!("stopped")), "{body}");
    let (status, one) = scratch.get("/api/servers/a");
    assert_eq!((status, serde_json::from_str::<Value>(&one).unwrap()), (200, body["server"].clone()));

    // What was exported is registered again as it was, whatever it says of processes.
    let mut state: Value = serde_json::from_str(&scratch.get("/v1/state").1).unwrap();
    assert_eq!(scratch.ask("PUT", "/v1/registry", &[], &json!({"services": {}})).status, 200);
    wait_until(DEADLINE, "nothing is left of it", || scratch.json(&["ps", "--json"]) == json!([]));
    state["a"]["pid"] = 1.into();
    state["a"]["status"] = "running".into();
    let report = scratch.ask("POST", "/v1/state", &[], &state).body;
    assert_eq!(plan(&report, "a"), says(("added", "nothing")), "{report}");
    let (_, success, now, body) = act("a", "start");
    assert_eq!((success, now), (true, json!("running")), "{body}");
    state["a"]["cwd"] = "relative".into();
    let refused = scratch.ask("POST", "/v1/state", &[], &state);
    assert_eq!((refused.status, &refused.body["diagnostics"][0]["line"]), (422, &json!(1)), "{refused:?}");
    scratch.down();
}

#[test]
fn a_service_has_routes_of_its_own_and_its_receipts_are_there_in_pages() {
    let scratch = scratch();
    scratch.config("services:\n  web: { command: ['@badchild@', sleep] }\n");
    scratch.ok(&["up", "-d"]);
    let act = |action: &str| scratch.post(&format!("/v1/services/web/{action}"), &Value::Null);
    for _ in 0..3 {
        let (status, body) = act("restart");
        assert_eq!((status, &body["ok"]), (200, &json!(true)), "{body}");
    }
    assert_eq!(act("freeze").1["ok"], true);
    assert_eq!(act("thaw").1["ok"], true);
    assert_eq!(act("kill?signal=28").1["receipts"], json!([]), "a window that changes its size");
    assert_eq!(act("stop?timeout_ms=0").1["receipts"][0]["left"], 0);
    assert_eq!(act("start").1["services"][0]["outcome"], "ready");
    assert_eq!(act("explode").0, 404);
    assert_eq!(act("stop?patience=1").0, 400);
    assert_eq!(scratch.post("/v1/services/wbe/stop", &Value::Null).0, 404);

    let page = |target: &str| {
        let reply = scratch.ask("GET", target, &[], &Value::Null);
        assert_eq!(reply.status, 200, "{reply:?}");
        let numbers: Vec<u64> =
            reply.body.as_array().unwrap().iter().map(|one| one["instance"].as_u64().unwrap()).collect();
        let next = reply.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
        (numbers, next)
    };
    let (first, next) = page("/v1/services/web/receipts?limit=3");
    let (second, end) = page(&next.expect("there are more"));
    let (all, none) = page("/v1/services/web/receipts");
    assert_eq!((all.len(), [first, second].concat()), (4, all.clone()));
    assert!(all.is_sorted_by(|one, next| one > next), "{all:?}");
    assert_eq!((end, none), (None, None));
    assert_eq!(scratch.get("/v1/services/wbe/receipts").0, 404);
    assert_eq!(scratch.get("/v1/services/web/receipts?limit=0").0, 400);
    scratch.down();
}

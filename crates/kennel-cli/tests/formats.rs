//! What other tools read and write: the state of dashboards, and files of process ids.
//!
//! covers: B3, B4, C9, E9

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, send, wait_until};
use serde_json::{Map, Value, json};

const DEADLINE: Duration = Duration::from_secs(30);

const STACK: &str = "\
services:
  web: { command: [sleep, '600'], ports: { http: 19117, admin: 19118 } }
  worker: { command: [sh, -c, 'echo \"$$0 up\"; exec sleep 601', 'a b'], replicas: 2 }
  job: { command: [sh, -c, 'exit 3'], restart: no }
  done: { command: ['true'], restart: no }
";

fn scratch() -> Scratch {
    Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")))
}

fn stack() -> Scratch {
    let scratch = scratch();
    scratch.config(STACK);
    // Whether it knows already that the job has failed depends on who is quicker.
    scratch.kennel(&["up", "-d"]);
    for (name, state) in
        [("web", "ready"), ("worker.1", "ready"), ("worker.2", "ready"), ("job", "failed"), ("done", "completed")]
    {
        scratch.wait_state(name, state, DEADLINE);
    }
    scratch
}

/// Ends keeper and daemon at once; their services have been told by nobody to end.
fn lose(scratch: &Scratch) -> [u32; 2] {
    let daemon = scratch.json(&["doctor", "--json"])["daemon"].clone();
    let pids = ["keeper_pid", "pid"].map(|key| u32::try_from(daemon[key].as_u64().unwrap()).unwrap());
    for signal in [Signal::STOP, Signal::KILL] {
        scratch.survivors().iter().filter(|it| it.living && pids.contains(&it.pid)).for_each(|it| send(it, signal));
    }
    wait_until(DEADLINE, "both are gone", || {
        let survivors = scratch.survivors();
        pids.iter().all(|pid| !survivors.iter().any(|it| it.pid == *pid && it.living))
    });
    pids
}

fn without(state: &Value, keys: &[&str]) -> Value {
    let servers = state.as_object().unwrap().iter().map(|(id, server)| {
        let mut server = server.as_object().unwrap().clone();
        keys.iter().for_each(|key| drop(server.remove(*key)));
        (id.clone(), Value::Object(server))
    });
    Value::Object(servers.collect::<Map<_, _>>())
}

#[test]
fn the_state_is_exported_in_the_form_of_dashboards() {
    let scratch = stack();
    let state = scratch.json(&["state", "export"]);
    let web = scratch.ps("web");
    let started = web["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let cwd = scratch.project().to_string_lossy().into_owned();
    let wanted = json!({
        "id": "web", "pid": web["pid"], "command": "sleep 600", "cwd": cwd, "startTime": started, "status": "running",
        "ports": [19117, 19118],
    });
    assert_eq!(state["web"], wanted);
    let ids: Vec<&String> = state.as_object().unwrap().keys().collect();
    assert_eq!(ids, ["web", "worker.1", "worker.2", "job", "done"]);
    assert_eq!(state["worker.2"]["command"], r#"sh -c 'echo "$0 up"; exec sleep 601' 'a b'"#);
    let stopped = |status: &str, command: &str| json!({ "pid": null, "command": command, "cwd": cwd, "startTime": null, "status": status, "ports": [] });
    assert_eq!(without(&state, &["id"])["job"], stopped("crashed", "sh -c 'exit 3'"));
    assert_eq!(without(&state, &["id"])["done"], stopped("stopped", "true"));

    scratch.ok(&["state", "export", "--output", "state.json"]);
    let written = std::fs::read_to_string(scratch.project().join("state.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), state);
    scratch.down();
    // Nothing runs, nothing is started to tell, and what was loaded is over.
    assert_eq!(scratch.json(&["state", "export"]), json!({}));
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn an_export_becomes_a_stack_whose_export_is_the_same() {
    let scratch = stack();
    scratch.ok(&["state", "export", "--output", "state.json"]);
    let before = scratch.json(&["state", "export"]);
    let dry = scratch.json(&["state", "import", "state.json", "--dry-run", "--write", "new.yaml", "--json"]);
    assert_eq!((&dry["written"], scratch.project().join("new.yaml").exists()), (&Value::Null, false));
    let told: Vec<&str> = dry["servers"].as_array().unwrap().iter().map(|it| it["process"].as_str().unwrap()).collect();
    assert_eq!(told, ["ours", "ours", "ours", "not_recorded", "not_recorded"], "{dry}");
    assert_eq!(scratch.json(&["state", "export"]), before, "nothing was touched");
    scratch.down();

    let report = scratch.ok(&["state", "import", "state.json", "--write", "kennel.yml"]);
    assert!(report.stdout.contains("gone") && report.stdout.contains("kennel.yml"), "{}", report.stdout);
    let again = scratch.kennel(&["state", "import", "state.json", "--write", "kennel.yml"]);
    assert!(again.code() == 1 && again.stderr.contains("--force"), "{}", again.all());
    scratch.ok(&["state", "import", "state.json", "--write", "kennel.yml", "--force"]);
    let printed = scratch.ok(&["state", "import", "state.json"]).stdout;
    assert_eq!(printed, std::fs::read_to_string(scratch.project().join("kennel.yml")).unwrap());

    // The policies of the services are not in that format; these two would be started again and again.
    let quiet = printed
        .replace("  job:\n", "  job:\n    restart: \"no\"\n")
        .replace("  done:\n", "  done:\n    restart: \"no\"\n");
    scratch.config(&quiet);
    std::fs::remove_file(scratch.project().join("kennel.yml")).unwrap();
    scratch.kennel(&["up", "-d"]);
    for (name, state) in [("web", "ready"), ("worker.2", "ready"), ("job", "failed"), ("done", "completed")] {
        scratch.wait_state(name, state, DEADLINE);
    }
    let of_the_run = ["pid", "startTime"];
    assert_eq!(without(&scratch.json(&["state", "export"]), &of_the_run), without(&before, &of_the_run));
    scratch.down();
}

#[test]
fn without_a_daemon_the_store_tells_and_nobody_is_believed_to_live() {
    let scratch = scratch();
    scratch.config(&STACK.replace("replicas: 2", "replicas: 2, on_daemon_loss: keep"));
    scratch.kennel(&["up", "-d"]);
    for (name, state) in [("web", "ready"), ("worker.2", "ready"), ("job", "failed"), ("done", "completed")] {
        scratch.wait_state(name, state, DEADLINE);
    }
    let before = scratch.json(&["state", "export"]);
    let killed = |id: &str| u32::try_from(before[id]["pid"].as_u64().unwrap()).unwrap();
    lose(&scratch);
    let ended = ["web", "worker.1"].map(killed);
    scratch.survivors().iter().filter(|it| it.living && ended.contains(&it.pid)).for_each(|it| send(it, Signal::KILL));
    wait_until(DEADLINE, "two are gone", || {
        let survivors = scratch.survivors();
        !survivors.iter().any(|it| it.living && ended.contains(&it.pid))
    });
    let after = scratch.json(&["state", "export"]);
    let lives = scratch.survivors().iter().any(|it| it.pid == killed("worker.2") && it.living);
    for id in ["web", "worker.1"] {
        assert_eq!((&after[id]["status"], &after[id]["pid"]), (&json!("crashed"), &Value::Null), "{after}");
    }
    if lives {
        assert_eq!(after["worker.2"], before["worker.2"], "it runs on, and so does its record");
    } else {
        assert_eq!(after["worker.2"]["status"], "crashed", "without a cgroup it ends with its keeper");
    }
    for id in ["job", "done"] {
        assert_eq!(after[id], before[id]);
    }
    assert_eq!(without(&after, &["pid", "startTime", "status"]), without(&before, &["pid", "startTime", "status"]));
    scratch.ok(&["state", "export", "--format", "pids", "--output", "pids"]);
    let listed = std::fs::read_to_string(scratch.project().join("pids/services.services")).unwrap();
    assert_eq!(listed, if lives { "worker.2\n" } else { "" });
    assert!(!scratch.survivors().iter().any(|it| it.command.contains("keeper")), "nothing was started for that");
    scratch.ok(&["clean", "--all"]);
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn scripts_get_the_living_main_processes_line_by_line() {
    let scratch = stack();
    scratch.ok(&["state", "export", "--format", "pids", "--output", "run"]);
    let read = |name: &str| {
        let text = std::fs::read_to_string(scratch.project().join("run").join(name)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read("services.services"), ["web", "worker.1", "worker.2"]);
    let pids: Vec<String> =
        ["web", "worker.1", "worker.2"].iter().map(|name| scratch.ps(name)["pid"].to_string()).collect();
    assert_eq!(read("services.pids"), pids);
    // Each leads a group of its own.
    assert_eq!(read("services.groups"), pids);
    scratch.ok(&["stop", "web"]);
    scratch.ok(&["state", "export", "--format", "pids", "--output", "run"]);
    assert_eq!(read("services.services"), ["worker.1", "worker.2"]);
    scratch.down();
}

#[test]
fn who_has_a_recorded_number_is_told_and_left_alone() {
    let scratch = stack();
    let mut same = scratch.spawn_program(Path::new("sleep"), &["777"], std::process::Stdio::null(), |_| {});
    wait_until(DEADLINE, "it runs", || {
        std::fs::read(format!("/proc/{}/cmdline", same.pid())).is_ok_and(|line| line.starts_with(b"sleep"))
    });
    let now = jiff::Timestamp::now().as_millisecond();
    let mut gone = scratch.spawn_program(Path::new("true"), &[], std::process::Stdio::null(), |_| {});
    let gone_pid = gone.pid();
    gone.wait(DEADLINE);
    let web = scratch.json(&["state", "export"])["web"].clone();
    let server = |id: &str, pid: Value, command: &str, start: Value| json!({ "id": id, "pid": pid, "command": command, "cwd": "/", "startTime": start, "status": "running", "ports": [] });
    let pid = json!(same.pid());
    let state = json!({
        "ours": server("ours", web["pid"].clone(), "sleep 600", web["startTime"].clone()),
        "same": server("same", pid.clone(), "sleep 777", json!(now)),
        "older": server("older", pid.clone(), "sleep 777", json!(now - 3_600_000)),
        "other": server("other", pid, "postgres", Value::Null),
        "gone": server("gone", json!(gone_pid), "true", json!(now)),
        "reused": server("reused", web["pid"].clone(), "sleep 600", json!(now - 86_400_000)),
    });
    scratch.file("state.json", state.to_string());
    let report = scratch.json(&["state", "import", "state.json", "--dry-run", "--json"]);
    let told: Map<String, Value> = report["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["id"].as_str().unwrap().to_owned(), it["process"].clone()))
        .collect();
    let wanted = json!({
        "ours": "ours", "same": "not_ours", "older": "foreign", "other": "foreign", "gone": "gone", "reused": "foreign",
    });
    assert_eq!(Value::Object(told), wanted, "{report}");
    let text = scratch.ok(&["state", "import", "state.json", "--dry-run"]).stdout;
    assert!(text.contains("alive, not ours: left alone (sleep 777)"), "{text}");
    assert!(!same.has_ended(), "nobody was signalled");
    same.signal(Signal::KILL);
    same.wait(DEADLINE);
    scratch.down();
}

#[test]
fn a_file_with_mistakes_is_refused_with_their_places() {
    let scratch = scratch();
    scratch.file("state.json", r#"{"web": {"id": "web", "comand": "x", "cwd": "rel", "status": "up", "ports": [0]}}"#);
    let refused = scratch.kennel(&["state", "import", "state.json", "--write", "kennel.yaml"]);
    assert_eq!(refused.code(), 3, "{}", refused.all());
    for said in ["state.json:1:", "did you mean `command`?", "is not absolute", "between 1 and 65535"] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    assert!(!scratch.project().join("kennel.yaml").exists());
    let json = scratch.kennel(&["state", "import", "state.json", "--json"]);
    let problem: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(
        (&problem["code"], &problem["diagnostics"][0]["line"]),
        (&json!("config_invalid"), &json!(1)),
        "{problem}"
    );
    let missing = scratch.kennel(&["state", "import", "nowhere.json"]);
    assert!(missing.code() == 3 && missing.stderr.contains("nowhere.json"), "{}", missing.all());
    scratch.expect_nothing(DEADLINE);
}

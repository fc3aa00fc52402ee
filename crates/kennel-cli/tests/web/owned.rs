//! Rights that are for what runs for some owners alone.

use kennel_testkit::Scratch;
use serde_json::{Value, json};

use crate::common::{Door, open, secret, token, up};
use crate::lasting::{begin, to_the_end};

/// A run that sleeps, for this owner.
fn start(scratch: &Scratch, cell: &str, name: &str, owner: &[&str]) {
    let badchild = scratch.badchild().display().to_string();
    let run = ["run", "-d", "--name", name, "--owner"];
    scratch.ok(&[&run, owner, &["--", &badchild, "--cell", cell, "sleep"]].concat());
}

/// `session-1` with `agent-a` below it, and `job-7`, each with a run.
fn up_with_owners() -> (Scratch, Door) {
    let scratch = up();
    start(&scratch, "3", "planner", &["session-1"]);
    start(&scratch, "4", "coder", &["agent-a", "--parent", "session-1"]);
    start(&scratch, "5", "import", &["job-7"]);
    let door = open(&scratch);
    (scratch, door)
}

#[test]
fn a_token_for_an_owner_is_for_its_tree_alone() {
    let (scratch, door) = up_with_owners();
    let session = token(&scratch, "session", &["--role", "operate", "--owner", "session-1"]);
    let agent = token(&scratch, "agent", &["--owner", "agent-a", "--service", "web"]);
    let get = |right: &str, path: &str| door.ask("GET", path, &[right], None).status;
    let of = |right: &str| {
        ["planner", "coder", "import", "web", "nobody"].map(|name| get(right, &format!("/v1/services/{name}")))
    };
    assert_eq!(of(&session), [200, 200, 403, 403, 403], "that there is none of a name is not told");
    assert_eq!(of(&agent), [403, 200, 403, 200, 403]);
    for path in
        ["/v1/services", "/v1/owners", "/v1/orphans", "/v1/audit", "/v1/logs", "/v1/events", "/api/servers/import"]
    {
        assert_eq!(get(&session, path), 403, "{path}");
    }
    let logs = |right: &str, names: &str| get(right, &format!("/v1/logs?tail=1{names}"));
    assert_eq!(
        [logs(&agent, "&service=coder&service=web"), logs(&agent, "&service=coder&service=planner")],
        [200, 403]
    );

    let post = |right: &str, path: &str, body: &Value| door.ask("POST", path, &[right], Some(body)).status;
    let nothing = json!({});
    assert_eq!(post(&agent, "/v1/services/coder/stop", &nothing), 403, "its role is `read`");
    let renewed = ["session-1", "agent-a", "job-7", "nobody"]
        .map(|name| post(&session, &format!("/v1/owners/{name}/renew"), &nothing));
    // No heartbeat was agreed on.
    assert_eq!(renewed, [409, 409, 403, 403]);
    assert_eq!(post(&session, "/v1/stop", &json!({ "services": ["coder", "import"] })), 403);
    assert_eq!(scratch.ps("coder")["state"], "ready", "nothing of it is done");
    assert_eq!(post(&session, "/v1/stop", &json!({ "services": ["coder"] })), 200);
    assert_eq!(["coder", "import"].map(|name| scratch.ps(name)["state"] == "ready"), [false, true]);

    let report = door.ask("POST", "/v1/session", &[], Some(&secret(&session)));
    assert_eq!(report.status, 403, "the page is about services: {report:?}");
    scratch.down();
}

#[test]
fn who_may_run_anything_for_an_owner_may_do_so_for_no_other() {
    let (scratch, door) = up_with_owners();
    let admin = token(&scratch, "agents", &["--role", "admin", "--owner", "session-1"]);
    let post = |path: &str, body: &Value| door.ask("POST", path, &[&admin], Some(body)).status;
    let run = |name: &str, owner: Value| {
        let badchild = scratch.badchild().display().to_string();
        let command = [badchild.as_str(), "--cell", "6", "sleep"];
        json!({ "name": name, "command": command, "directory": "/", "environment": {}, "owner": owner })
    };
    let below = json!({ "name": "agent-b", "parent": "session-1" });
    assert_eq!(post("/v1/runs", &run("tester", below.clone())), 200);
    assert_eq!(scratch.ps("tester")["ad_hoc"]["owner"], "agent-b");
    for owner in [
        json!(null),
        json!({ "name": "job-7" }),
        json!({ "name": "own" }),
        json!({ "name": "agent-c", "parent": "job-7" }),
    ] {
        assert_eq!(post("/v1/runs", &run("other", owner.clone())), 403, "{owner}");
    }
    // What is there is drawn neither below its own nor away from it.
    assert_eq!(post("/v1/owners", &below), 200);
    assert_eq!(post("/v1/owners", &json!({ "name": "job-7", "parent": "session-1" })), 403);
    assert_eq!(post("/v1/owners", &json!({ "name": "session-1", "parent": "job-7" })), 403);
    assert_eq!(post("/v1/owners/job-7/hold", &json!({ "name": "job-7" })), 403);
    let declared = json!({ "command": "true", "working_dir": "/" });
    assert_eq!(door.ask("PUT", "/v1/services/tester", &[&admin], Some(&declared)).status, 403);
    for (path, body) in [
        ("/v1/clean", json!({})),
        ("/v1/clean", json!({ "owner": "job-7" })),
        ("/v1/tokens", json!({ "name": "more", "role": "admin" })),
        ("/v1/up", json!({})),
        ("/v1/down", json!({})),
    ] {
        assert_eq!(post(path, &body), 403, "{path} {body}");
    }
    assert_eq!(post("/v1/clean", &json!({ "owner": "agent-b" })), 200);
    assert_eq!(scratch.ps("import")["state"], "ready");
    scratch.down();
}

#[test]
fn what_is_followed_is_not_followed_into_the_run_of_another_owner() {
    let (scratch, door) = up_with_owners();
    let agent = token(&scratch, "agent", &["--owner", "agent-a"]);
    let follow = |target: &str| begin(&door, (target, "accept: */*"), &agent);
    let streams = ["/v1/logs?follow=true&service=coder", "/v1/events?follow=true&service=coder"].map(follow);
    scratch.ok(&["clean", "--owner", "agent-a"]);
    let other = ["sh", "-c", "echo not for agent-a; exec sleep 100000"];
    scratch.ok(&[&["run", "-d", "--name", "coder", "--owner", "job-7", "--"][..], &other].concat());
    let pid = format!("\"pid\":{}", scratch.ps("coder")["pid"]);
    for stream in streams {
        let rest = to_the_end(stream);
        assert!(!rest.contains("not for agent-a") && !rest.contains(&pid), "{rest}");
    }
    let told = [&["logs", "coder"][..], &["events", "--json"]].map(|words| scratch.ok(words).stdout);
    assert!(told[0].contains("not for agent-a") && told[1].contains(&pid), "{told:?}");
    scratch.down();
}

//! Requests that are not waited for, and requests that are sent again.
//!
//! covers: A6, B6

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, wait_for, wait_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);

/// One that ends at once, and one that has to be killed.
const STACK: &str = "
services:
  web: { command: ['@badchild@', --cell, '1', sleep] }
  stubborn: { shell: true, command: \"trap '' TERM; echo up; while :; do sleep 0.1; done\", readiness: { log_line: up } }
";

fn up() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(STACK);
    scratch.ok(&["up", "-d"]);
    scratch
}

fn operation(scratch: &Scratch, place: &str) -> Value {
    let (status, body) = scratch.get(place);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn what_takes_its_time_is_answered_at_once_and_looked_at_later() {
    let scratch = up();
    let stop = json!({"services": ["stubborn"]});
    let reply = scratch.ask("POST", "/v1/stop", &["prefer: respond-async"], &stop);
    assert_eq!((reply.status, &reply.body["state"]), (202, &json!("running")), "{reply:?}");
    assert_eq!(reply.header("preference-applied"), Some("respond-async"));
    let place = reply.header("location").unwrap().to_owned();
    assert_eq!(operation(&scratch, &place)["state"], "running", "it takes until somebody hastens it");
    scratch.ok(&["kill", "stubborn"]);
    let done = operation(&scratch, &format!("{place}?wait_ms=30000"));
    assert_eq!(
        (&done["state"], &done["status"], &done["request"]),
        (&json!("done"), &json!(200), &json!("POST /v1/stop"))
    );
    assert_eq!(done["result"]["receipts"][0]["left"], 0, "{done}");
    assert_eq!(scratch.ps("stubborn")["state"], "stopped");

    // What is refused is refused there.
    let reply = scratch.ask("POST", "/v1/services/wbe/stop", &["prefer: respond-async"], &Value::Null);
    let place = reply.header("location").unwrap().to_owned();
    let failed = operation(&scratch, &format!("{place}?wait_ms=30000"));
    assert_eq!(
        (&failed["state"], &failed["result"]["code"]),
        (&json!("failed"), &json!("unknown_service")),
        "{failed}"
    );
    let all: Vec<Value> = serde_json::from_str(&scratch.get("/v1/operations").1).unwrap();
    assert_eq!(all.iter().map(|one| one["status"].clone()).collect::<Vec<_>>(), [json!(200), json!(404)]);
    assert_eq!(scratch.get("/v1/operations/nonsense").0, 404);

    // Both are in the audit with what became of them.
    let audit = wait_for(DEADLINE, "the audit", || {
        let audit = scratch.json(&["audit", "--json"]);
        (audit.to_string().matches("404 unknown_service").count() == 1).then_some(audit)
    });
    let stops = audit.as_array().unwrap().iter().filter(|one| one["action"] == "POST /v1/stop");
    assert_eq!(stops.map(|one| one["outcome"].clone()).collect::<Vec<_>>(), [json!("asked"), json!("200")]);

    // A question is answered as always, and so is what cannot be put off.
    assert_eq!(scratch.ask("GET", "/v1/services", &["prefer: respond-async"], &Value::Null).status, 200);
    let down = scratch.ask("POST", "/v1/down", &["prefer: respond-async"], &json!({}));
    assert_eq!((down.status, &down.body["left"]), (200, &json!(0)), "{down:?}");
    wait_until(DEADLINE, "the daemon to end", || scratch.running_daemon().is_none());
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_request_with_a_key_is_carried_out_once() {
    let scratch = up();
    let restart = |key: &str, name: &str| {
        let head = format!("idempotency-key: {key}");
        scratch.ask("POST", "/v1/restart", &[&head], &json!({"services": [name]}))
    };
    let pid = || scratch.ps("web")["pid"].as_u64().unwrap();
    let before = pid();
    let first = restart("a", "web");
    let after = pid();
    assert!(first.status == 200 && after != before, "{first:?}");
    let again = restart("a", "web");
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!((&again.body, pid()), (&first.body, after), "the same answer, and nothing was done");
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(restart("a", "stubborn").status, 422, "a key of something else");
    assert_ne!((restart("b", "web").status, pid()), (200, after), "another key");

    // A refusal is an answer as well; a key of a secret is none.
    assert_eq!(restart("c", "wbe").status, 404);
    assert_eq!(restart("c", "wbe").header("idempotency-replayed"), Some("true"));
    let token = scratch.ask("POST", "/v1/tokens", &["idempotency-key: d"], &json!({"name": "x", "role": "read"}));
    assert_eq!(token.status, 400, "{token:?}");
    assert_eq!(scratch.ask("POST", "/v1/stop", &["idempotency-key: "], &json!({"all": true})).status, 400);

    // Whoever asks while it is under way waits for the same answer.
    let now = pid();
    let replies: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| restart("e", "web"))).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|reply| reply.header("idempotency-replayed").is_none()).count(), 1);
    assert!(replies.iter().all(|reply| reply.body == replies[0].body && reply.status == 200), "{replies:?}");
    assert_ne!(pid(), now);
    let stages = scratch.events_of("web", "instance.down").len();
    assert_eq!(stages, 3, "a, b and e");

    // Both: the second request finds the operation of the first.
    let both =
        || scratch.ask("POST", "/v1/services/web/stop", &["prefer: respond-async", "idempotency-key: f"], &Value::Null);
    let places = [both(), both()].map(|reply| reply.header("location").unwrap().to_owned());
    assert_eq!(places[0], places[1]);
    assert_eq!(operation(&scratch, &format!("{}?wait_ms=30000", places[0]))["state"], "done");
    scratch.down();
}

#[test]
fn a_long_list_comes_in_pages() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "services:\n  w: { command: ['@badchild@', sleep], replicas: 5 }\n  a: { command: ['@badchild@', sleep] }\n",
    );
    scratch.ok(&["up", "-d"]);
    let mut place = Some("/v1/services?limit=2".to_owned());
    let mut names = Vec::new();
    let mut pages = 0;
    while let Some(next) = place {
        let reply = scratch.ask("GET", &next, &[], &Value::Null);
        assert_eq!(reply.status, 200, "{reply:?}");
        names.extend(reply.body.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        place = reply.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
        pages += 1;
    }
    assert_eq!((names.join(" ").as_str(), pages), ("w.1 w.2 w.3 w.4 w.5 a", 3));
    assert_eq!(scratch.get("/v1/services?after=nobody").0, 400);
    assert_eq!(scratch.get("/v1/services?limit=0").0, 400);
    scratch.down();
}

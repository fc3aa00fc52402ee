//! Secrets are nowhere but where they have to be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use kennel_testkit::{Scratch, wait_for};

use crate::common::{DEADLINE, fail};
use crate::receiver::{Does, Receiver};

const SECRET: &str = "whsec_c3VwZXItc2VjcmV0LXN1cGVyLXNlY3JldA==";
/// What must not be seen, of the secrets above and below.
const HIDDEN: [&str; 6] =
    ["c3VwZXItc2VjcmV0", "super-secret", "he4der-s3cret", "f1le-s3cret", "p4th-s3cret", "qu3ry-s3cret"];

fn stack(receiver: &Receiver) -> Scratch {
    let mut scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.env("HOOK_SECRET", SECRET);
    scratch.env("HOOK_TOKEN", "Bearer he4der-s3cret");
    scratch.file("key", "f1le-s3cret\n");
    scratch.config(&format!(
        "webhooks:
  ops:
    url: 'http://127.0.0.1:{}/p4th-s3cret?a=qu3ry-s3cret'
    events: ['*']
    secret: env:HOOK_SECRET
    headers: {{ Authorization: env:HOOK_TOKEN, X-Key: file:key }}
    retries: 0
  own: {{ url: 'http://127.0.0.1:{0}/p4th-s3cret', events: service.failed, retries: 0 }}
services:
  web: {{ command: [sleep, '1000'] }}
  bad: {{ command: ['false'], restart: 'no' }}
",
        receiver.port
    ));
    scratch.kennel(&["up", "-d"]);
    scratch
}

#[test]
fn no_secret_is_in_answers_events_or_logs() {
    let receiver = Receiver::new(Does::Answer(500, ""));
    let scratch = stack(&receiver);
    fail(&scratch);
    // The other webhook sends to the same receiver, and may be the first.
    let request = wait_for(DEADLINE, "a request with headers of its own", || {
        receiver.requests().into_iter().find(|request| request.headers.contains_key("authorization"))
    });
    assert_eq!(
        (request.headers["authorization"].as_str(), request.headers["x-key"].as_str()),
        ("Bearer he4der-s3cret", "f1le-s3cret")
    );
    let dead = scratch.wait_event("webhook.dead");
    let mine = scratch.json(&["webhook", "secret", "own", "--json"])["secret"].as_str().unwrap().to_owned();
    receiver.does(Does::Garbage);
    scratch.kennel(&["webhook", "test", "ops"]);
    scratch.kennel(&["webhook", "secret", "ops"]);
    scratch.kennel(&["webhook", "retry", "ops", dead["id"].as_str().unwrap()]);

    let mut seen = Vec::new();
    for target in [
        "/v1/webhooks",
        "/v1/deliveries",
        "/v1/events",
        "/v1/audit",
        "/v1/services",
        "/v1/services/web",
        "/v1/info",
        "/metrics",
    ] {
        let (code, text) = scratch.get(target);
        assert_eq!(code, 200, "{target}: {text}");
        seen.push((target.to_owned(), text));
    }
    for line in [
        &["webhook", "list"][..],
        &["webhook", "list", "--json"],
        &["webhook", "log", "--json"],
        &["events"],
        &["audit"],
        &["status", "bad", "--json"],
    ] {
        seen.push((line.join(" "), scratch.kennel(line).all()));
    }
    let state = scratch.instance_dir();
    seen.push(("kennel.log".to_owned(), fs::read_to_string(state.join("kennel.log")).unwrap()));
    let bodies = receiver.requests().into_iter().map(|one| one.body);
    seen.extend(bodies.map(|body| ("what was sent".to_owned(), body)));
    for (place, text) in &seen {
        for hidden in HIDDEN.iter().copied().chain([mine.trim_start_matches("whsec_")]) {
            assert!(!text.contains(hidden), "{hidden} in {place}: {text}");
        }
    }
    let audited = &seen.iter().find(|(place, _)| place == "audit").unwrap().1;
    assert!(audited.contains("POST /v1/webhooks/{name}/test") && audited.contains("ops"), "{audited}");
    let mode = |path: &str| fs::metadata(state.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("webhooks"), mode("webhooks/own.secret")), (0o700, 0o600));
    scratch.down();
}

#[test]
fn a_secret_that_cannot_be_had_is_a_failure_without_it() {
    let receiver = Receiver::new(Does::Answer(200, ""));
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let config = |secret: &str| {
        let url = format!("http://127.0.0.1:{}/", receiver.port);
        scratch.config(&format!("webhooks: {{ ops: {{ url: '{url}', secret: '{secret}' }} }}\nservices: {{ web: {{ command: [sleep, '1000'] }} }}\n"));
    };
    scratch.file("short", "whsec_dG9vLXNob3J0");
    let pipe = scratch.project().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    config("env:NOT_SET");
    scratch.ok(&["up", "-d"]);
    for (secret, said) in [
        ("env:NOT_SET", "NOT_SET was not set"),
        ("file:nowhere", "No such file"),
        ("file:short", "base64 of 24 to 64 bytes"),
        ("file:pipe", "is no file"),
    ] {
        config(secret);
        scratch.ok(&["reload"]);
        let failed = scratch.kennel(&["webhook", "test", "ops"]);
        assert!(
            failed.code() == 1 && failed.all().contains(said) && !failed.all().contains("dG9v"),
            "{}",
            failed.all()
        );
    }
    assert_eq!(receiver.requests().len(), 0, "nothing is sent without a signature");
    // What can be had again is.
    scratch.file("short", SECRET);
    config("file:short");
    scratch.ok(&["reload"]);
    scratch.ok(&["webhook", "test", "ops"]);
    scratch.down();
}

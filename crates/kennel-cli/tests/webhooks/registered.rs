//! Webhooks that are registered over the API, beside those of the file and without one.

use std::fs;
use std::path::Path;

use kennel_testkit::{Scratch, wait_until};
use serde_json::{Value, json};

use crate::common::{DEADLINE, config, fail, stack, wait_requests};
use crate::receiver::{Does, Receiver};

fn named(scratch: &Scratch, name: &str) -> Value {
    let all = scratch.json(&["webhook", "list", "--json"]);
    all.as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap_or(Value::Null)
}

/// What a webhook is declared with that sends failures to this receiver.
fn to(receiver: &Receiver) -> Value {
    json!({ "url": format!("http://127.0.0.1:{}/hook/p4th-s3cret", receiver.port), "events": ["service.failed"] })
}

#[test]
fn a_webhook_is_added_changed_and_removed_without_the_file() {
    let receiver = Receiver::new(Does::Answer(204, ""));
    let scratch = stack("url: 'http://127.0.0.1:9/'");
    let url = format!("http://127.0.0.1:{}/hook/p4th-s3cret", receiver.port);
    let added = scratch.ok(&["webhook", "add", "chat", &url, "--events", "service.failed,service.completed"]);
    let secret = added.stdout.trim().to_owned();
    assert!(secret.starts_with("whsec_") && added.stderr.contains("not shown again"), "{}", added.all());
    let told = named(&scratch, "chat");
    assert_eq!((&told["registered"], &told["events"]), (&json!(true), &json!(["service.failed", "service.completed"])));
    assert_eq!(named(&scratch, "ops")["registered"], false);
    fail(&scratch);
    wait_requests(&receiver, 1);
    assert!(receiver.requests()[0].headers.contains_key("webhook-signature"));
    let again = scratch.kennel(&["webhook", "secret", "chat"]);
    assert!(again.code() == 1 && again.all().contains("was shown already"), "{}", again.all());

    // Changed: no other secret, and none is told.
    let changed =
        scratch.ok(&["webhook", "add", "chat", &url, "--services", "web", "--header", "X-Who: me", "--retries", "3"]);
    assert!(changed.stdout.is_empty() && changed.stderr.contains("changed"), "{}", changed.all());
    assert_eq!(named(&scratch, "chat")["services"], json!(["web"]));
    // A reload of the file, another daemon and another stack know it.
    config(&scratch, "url: 'http://127.0.0.1:9/', events: keeper.lost");
    scratch.ok(&["reload"]);
    scratch.ok(&["daemon", "restart"]);
    assert_eq!(named(&scratch, "chat")["services"], json!(["web"]));
    scratch.ok(&["down"]);
    scratch.ok(&["up", "-d"]);
    assert_eq!(named(&scratch, "chat")["services"], json!(["web"]));
    scratch.ok(&["webhook", "test", "chat"]);
    assert_eq!(receiver.requests().last().unwrap().headers["x-who"], "me");

    let kept = scratch.instance_dir().join("webhooks/chat.secret");
    assert_eq!(fs::read_to_string(&kept).unwrap().trim(), secret);
    scratch.ok(&["webhook", "remove", "chat"]);
    assert!(named(&scratch, "chat").is_null() && !kept.exists(), "nothing is known of it any more");
    assert_eq!(scratch.kennel(&["webhook", "remove", "chat"]).code(), 4);
    // Who comes later with its name is another one.
    let anew = scratch.ok(&["webhook", "add", "chat", &url]).stdout;
    assert!(anew.starts_with("whsec_") && anew.trim() != secret);
    for place in
        ["/v1/webhooks", "/v1/webhooks/chat", "/v1/registry", "/v1/registry?values=true", "/v1/audit", "/v1/events"]
    {
        let (status, text) = scratch.get(place);
        assert!(status == 200 && !text.contains("p4th-s3cret") && !text.contains("whsec_"), "{place}: {text}");
    }
    let audit = scratch.get("/v1/audit").1;
    assert!(audit.contains("PUT /v1/webhooks/{name}") && audit.contains("DELETE /v1/webhooks/{name}"), "{audit}");
    scratch.ok(&["webhook", "remove", "chat"]);
    scratch.down();
}

#[test]
fn what_the_file_declares_is_changed_there() {
    let receiver = Receiver::new(Does::Answer(204, ""));
    let scratch = stack("url: 'http://127.0.0.1:9/'");
    let file = scratch.project().join("kennel.yaml").display().to_string();
    for method in ["PUT", "DELETE"] {
        let reply = scratch.ask(method, "/v1/webhooks/ops", &[], &to(&receiver));
        let text = reply.body.to_string();
        assert_eq!((reply.status, &reply.body["code"]), (409, &json!("conflict")), "{text}");
        assert!(text.contains(&file) && !text.contains("registered as well"), "{text}");
    }
    assert_eq!(named(&scratch, "ops")["receiver"], "http://127.0.0.1:9");
    // And a file that takes the name of one that is registered is refused.
    assert_eq!(scratch.ask("PUT", "/v1/webhooks/chat", &[], &to(&receiver)).status, 200);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("ops:", "chat:")).unwrap();
    let refused = scratch.kennel(&["reload"]);
    assert!(refused.code() == 1 && refused.all().contains("kennel webhook remove chat"), "{}", refused.all());
    assert!(!named(&scratch, "ops").is_null());
    fs::write(&file, text).unwrap();
    // A service that it names may go; a stack does not fail for that.
    let mut about = to(&receiver);
    about["services"] = json!(["bad"]);
    assert_eq!(scratch.ask("PUT", "/v1/webhooks/chat", &[], &about).status, 200);
    scratch.config("services:\n  web: { command: [sleep, '1000'], on_daemon_loss: keep }\n");
    scratch.ok(&["reload"]);
    assert_eq!(named(&scratch, "chat")["services"], json!(["bad"]));
    scratch.ok(&["webhook", "remove", "chat"]);
    scratch.down();
}

#[test]
fn versions_conditions_and_mistakes() {
    let receiver = Receiver::new(Does::Answer(204, ""));
    let scratch = stack("url: 'http://127.0.0.1:9/'");
    let put = |head: &[&str], body: &Value| scratch.ask("PUT", "/v1/webhooks/chat", head, body);
    for (body, status, said) in [
        (json!({}), 422, "has no `url`"),
        (json!({ "url": "ftp://a" }), 422, "does not begin with"),
        (json!({ "url": "http://a", "evnts": "*" }), 422, "did you mean `events`?"),
        (json!({ "url": "http://a", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }), 422, "does not belong into"),
        (json!({ "url": "http://a", "secret": "file:relative" }), 400, "no absolute path"),
        (json!({ "url": "http://a", "ca_file": "ca.pem" }), 400, "no absolute path"),
        (json!({ "url": "http://a", "headers": { "x": "file:../x" } }), 400, "no absolute path"),
        (json!({ "url": "http://a", "services": ["wbe"] }), 400, "there is no service `wbe`"),
        (json!([]), 400, ""),
    ] {
        let reply = put(&[], &body);
        let text = reply.body.to_string();
        assert!(reply.status == status && text.contains(said) && !text.contains("MfKQ9r8"), "{body}: {text}");
    }
    assert_eq!(scratch.ask("PUT", "/v1/webhooks/..%2fx", &[], &to(&receiver)).status, 422);
    assert!(named(&scratch, "chat").is_null());
    assert!(!scratch.instance_dir().join("registered.json").exists(), "nothing is written that is refused");

    assert_eq!(put(&["idempotency-key: k"], &to(&receiver)).status, 400, "no answer with a secret is kept");
    let first = put(&["if-none-match: *"], &to(&receiver));
    assert_eq!((first.status, &first.body["created"]), (200, &json!(true)), "{first:?}");
    assert!(first.body["secret"].as_str().unwrap().starts_with("whsec_"));
    let version = first.header("etag").unwrap().to_owned();
    assert_eq!(put(&["if-none-match: *"], &to(&receiver)).status, 412);
    let same = put(&[&format!("if-match: {version}")], &to(&receiver));
    assert_eq!((same.status, &same.body["created"], &same.body["secret"]), (200, &json!(false), &Value::Null));
    assert_eq!(same.header("etag"), Some(version.as_str()));
    assert_eq!(scratch.ask("GET", "/v1/webhooks/chat", &[], &Value::Null).header("etag"), Some(version.as_str()));
    let mut other = to(&receiver);
    other["retries"] = 1.into();
    assert_eq!(put(&["if-match: \"0\""], &other).status, 412);
    assert_ne!(put(&[], &other).header("etag"), Some(version.as_str()));
    let remove = |head: &[&str]| scratch.ask("DELETE", "/v1/webhooks/chat", head, &Value::Null).status;
    assert_eq!(remove(&[&format!("if-match: {version}")]), 412);
    assert!(!named(&scratch, "chat").is_null());
    assert_eq!((remove(&["if-match: *"]), remove(&[])), (204, 404));
    // A service that is registered is another thing, and neither takes the other away.
    let service = json!({ "command": ["sleep", "1"], "working_dir": "/" });
    assert_eq!(put(&[], &other).status, 200);
    assert_eq!(scratch.ask("PUT", "/v1/services/more", &[], &service).status, 200);
    assert_eq!(scratch.ask("PUT", "/v1/registry", &[], &json!({ "services": {} })).status, 200);
    assert!(!named(&scratch, "chat").is_null());
    assert_eq!(remove(&[]), 204);
    scratch.down();
}

#[test]
fn without_any_configuration_it_is_known_to_the_next_daemon() {
    let receiver = Receiver::new(Does::Answer(204, ""));
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    scratch.ok(&["webhook", "add", "chat", &url, "--events", "service.failed"]);
    wait_until(DEADLINE, "the daemon to end", || scratch.running_daemon().is_none());
    scratch.ok(&["register", "bad", "--restart", "no", "--", "false"]);
    assert_eq!(named(&scratch, "chat")["registered"], true);
    scratch.kennel(&["start", "bad"]);
    wait_requests(&receiver, 1);
    assert_eq!(receiver.requests()[0].json()["data"]["service"], "bad");
    scratch.ok(&["unregister", "bad"]);
    scratch.ok(&["webhook", "remove", "chat"]);
    scratch.down();
}

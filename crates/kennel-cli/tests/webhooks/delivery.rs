//! What arrives, when it is tried again, and what becomes of what does not arrive.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::{config, fail, log, stack, status, to, wait_log, wait_requests};
use crate::receiver::{Does, Receiver, Request};

/// Whether a message is signed with a secret, by an implementation that is not ours.
fn is_signed(request: &Request, secret: &str) -> bool {
    let check = "
import base64, hashlib, hmac, json, sys
it = json.load(sys.stdin)
key = base64.b64decode(it['secret'].removeprefix('whsec_'))
said = '.'.join([it['id'], it['timestamp'], it['body']]).encode()
good = 'v1,' + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
print(hmac.compare_digest(good, it['signature']))";
    let header = |name: &str| request.headers[name].clone();
    let (timestamp, signature) = (header("webhook-timestamp"), header("webhook-signature"));
    let it = json!({ "id": request.id(), "timestamp": timestamp, "signature": signature, "body": request.body, "secret": secret });
    let mut python =
        Command::new("python3").args(["-c", check]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(it.to_string().as_bytes()).unwrap();
    String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap().trim() == "True"
}

#[test]
fn a_failure_arrives_signed() {
    let receiver = Receiver::new(Does::Answer(204, ""));
    let scratch = stack(&format!("{}, headers: {{ X-Who: me }}", to(&receiver)));
    let event = fail(&scratch);
    wait_requests(&receiver, 1);
    let request = receiver.requests().remove(0);
    assert_eq!(request.target, "/hook/p4th-s3cret?t=qu3ry-s3cret");
    let (document, instance) = (request.json(), scratch.instance_dir());
    assert_eq!(document["data"], event, "the event as the API gives it");
    assert_eq!((&document["type"], &document["timestamp"]), (&json!("service.failed"), &event["time"]));
    assert_eq!(document["kennel"], instance.file_name().unwrap().to_str().unwrap());
    assert_eq!(
        (request.headers["content-type"].as_str(), request.headers["x-who"].as_str()),
        ("application/json", "me")
    );
    let now = jiff::Timestamp::now().as_second();
    let sent: i64 = request.headers["webhook-timestamp"].parse().unwrap();
    assert!((now - 120..=now).contains(&sent), "{sent}");

    let secret = scratch.json(&["webhook", "secret", "ops", "--json"])["secret"].as_str().unwrap().to_owned();
    assert!(is_signed(&request, &secret));
    let mut changed = request.clone();
    changed.body = changed.body.replace("bad", "web");
    assert!(!is_signed(&changed, &secret), "the check can fail");
    let again = scratch.kennel(&["webhook", "secret", "ops"]);
    assert!(again.code() == 1 && again.all().contains("was shown already"), "{}", again.all());
    let other =
        scratch.json(&["webhook", "secret", "ops", "--rotate", "--json"])["secret"].as_str().unwrap().to_owned();
    assert_ne!(other, secret);
    fail(&scratch);
    wait_requests(&receiver, 2);
    assert!(is_signed(&receiver.requests()[1], &other));

    let told = wait_log(&scratch, "that it was delivered", |last| last["state"] == "delivered");
    assert_eq!((&told["tries"], &told["last"]["status"]), (&json!(1), &json!(204)));
    assert_eq!((status(&scratch)["delivered"].clone(), status(&scratch)["waiting"].clone()), (json!(2), json!(0)));
    scratch.down();
}

#[test]
fn only_what_was_chosen_is_sent_and_nothing_of_before() {
    let receiver = Receiver::new(Does::Answer(200, ""));
    let scratch = stack("url: 'http://127.0.0.1:9/', events: 'webhook.*'");
    let before = fail(&scratch)["seq"].as_u64();
    config(
        &scratch,
        &format!("url: 'http://127.0.0.1:{}', events: [service.*, instance.exited], services: [bad]", receiver.port),
    );
    scratch.ok(&["reload"]);
    fail(&scratch);
    scratch.ok(&["restart", "web"]);
    let wanted = scratch.recorded().into_iter().filter(|one| {
        let kind = one["event"].as_str().unwrap();
        one["service"] == "bad"
            && one["seq"].as_u64() > before
            && (kind.starts_with("service.") || kind == "instance.exited")
    });
    let wanted: Vec<_> = wanted.map(|one| one["seq"].clone()).collect();
    wait_requests(&receiver, wanted.len());
    let got: Vec<_> = receiver.requests().iter().map(|one| one.json()["data"]["seq"].clone()).collect();
    assert_eq!(got, wanted, "in order");
    scratch.down();
}

#[test]
fn it_is_tried_again_with_the_same_id_until_it_is_taken() {
    let receiver = Receiver::new(Does::Answer(500, ""));
    let scratch = stack(&to(&receiver));
    // However many tries come before a look at the log is over.
    let next_is = |does: Does| {
        receiver.does(does);
        wait_requests(&receiver, receiver.requests().len() + 1);
    };
    fail(&scratch);
    wait_requests(&receiver, 1);
    next_is(Does::Close);
    wait_log(&scratch, "that it failed", |last| {
        last["last"]["error"].as_str().is_some_and(|why| why.contains("no answer"))
    });
    assert_eq!(status(&scratch)["state"], "failing");
    next_is(Does::Answer(301, "location: http://127.0.0.1:1/\r\n"));
    receiver.does(Does::Answer(202, ""));
    wait_log(&scratch, "that it was delivered", |last| last["state"] == "delivered");
    let requests = receiver.requests();
    assert!(requests.iter().all(|one| one.id() == requests[0].id() && one.body == requests[0].body), "{requests:?}");
    assert!(requests.len() >= 4, "{requests:?}");
    assert_eq!(log(&scratch).pop().unwrap()["tries"], json!(requests.len()));
    assert_eq!(status(&scratch)["state"], "ok");
    scratch.down();
}

#[test]
fn what_does_not_arrive_is_kept_and_tried_again_by_hand() {
    let receiver = Receiver::new(Does::Answer(422, ""));
    let scratch = stack(&format!("{}, retries: 1", to(&receiver)));
    let event = fail(&scratch);
    let dead = scratch.wait_event("webhook.dead");
    assert_eq!((&dead["webhook"], &dead["kind"], &dead["tries"]), (&json!("ops"), &json!("service.failed"), &json!(2)));
    assert_eq!(dead["reason"], "the answer is 422 Unprocessable Entity");
    let told = wait_log(&scratch, "that it is dead", |last| last["state"] == "dead");
    assert_eq!((&told["id"], &told["seq"], &told["reason"]), (&dead["id"], &event["seq"], &dead["reason"]));
    assert_eq!((status(&scratch)["dead"].clone(), receiver.requests().len()), (json!(1), 2));
    let text = scratch.ok(&["webhook", "log"]).all();
    assert!(text.contains("dead") && text.contains("service.failed bad"), "{text}");

    receiver.does(Does::Answer(200, ""));
    let id = dead["id"].as_str().unwrap();
    let wrong = scratch.kennel(&["webhook", "retry", "ops", "msg_nobody_1"]);
    assert!(wrong.code() == 2 && wrong.all().contains("no message of this webhook"), "{}", wrong.all());
    assert_eq!(scratch.json(&["webhook", "retry", "ops", id, "--json"])["retried"], 1);
    wait_log(&scratch, "that it was delivered", |last| last["state"] == "delivered");
    assert_eq!(receiver.requests().last().unwrap().id(), id);
    assert_eq!(scratch.json(&["webhook", "retry", "ops", "--json"])["retried"], 0);
    scratch.down();
}

#[test]
fn whoever_wants_nothing_any_more_is_left_alone() {
    let receiver = Receiver::new(Does::Answer(410, ""));
    let scratch = stack(&to(&receiver));
    fail(&scratch);
    assert_eq!(scratch.wait_event("webhook.disabled")["webhook"], "ops");
    assert_eq!(status(&scratch)["state"], "disabled");
    scratch.ok(&["daemon", "restart"]);
    fail(&scratch);
    assert_eq!(status(&scratch)["state"], "disabled", "also for the next daemon");
    receiver.does(Does::Answer(200, ""));
    scratch.ok(&["webhook", "retry", "ops"]);
    let event = fail(&scratch);
    wait_requests(&receiver, 3);
    let seqs: Vec<_> = receiver.requests().iter().map(|one| one.json()["data"]["seq"].clone()).collect();
    assert_eq!((seqs.len(), &seqs[1], &seqs[2]), (3, &seqs[0], &event["seq"]), "what came meanwhile was not wanted");
    scratch.down();
}

#[test]
fn a_test_says_how_it_went() {
    let receiver = Receiver::new(Does::Answer(200, ""));
    let scratch = stack(&to(&receiver));
    let text = scratch.ok(&["webhook", "test", "ops"]).all();
    assert!(text.contains("ops took it after"), "{text}");
    let request = receiver.requests().remove(0);
    assert_eq!(request.json()["type"], "webhook.test");
    receiver.does(Does::Answer(500, ""));
    let failed = scratch.kennel(&["webhook", "test", "ops"]);
    assert!(failed.code() == 1 && failed.all().contains("500 Internal Server Error"), "{}", failed.all());
    let unknown = scratch.kennel(&["webhook", "test", "pos"]);
    assert!(unknown.code() == 4 && unknown.all().contains("there is `ops`"), "{}", unknown.all());
    assert_eq!(log(&scratch).len(), 0, "it is nobody's event");
    scratch.down();
}

//! What is known of a webhook that nobody declares for a while.

use std::fs;

use kennel_testkit::free_port;
use serde_json::json;

use crate::common::{config, fail, log, stack, status, wait_log, wait_requests};
use crate::receiver::{Does, Receiver};

const NONE: &str = "services:\n  web: { command: [sleep, '1000'], on_daemon_loss: keep }\n  bad: { command: ['false'], restart: 'no', profiles: [broken] }\n";

#[test]
fn a_webhook_that_comes_back_has_its_secret_its_dead_and_what_waited() {
    let port = free_port();
    let keys = format!("url: 'http://127.0.0.1:{port}/', events: service.failed");
    let scratch = stack(&format!("{keys}, retries: 0"));
    let dead = fail(&scratch);
    let told = scratch.wait_event("webhook.dead");
    assert_eq!(told["webhook"], "ops");
    config(&scratch, &keys);
    scratch.ok(&["reload"]);
    let waiting = fail(&scratch);
    wait_log(&scratch, "that it was tried", |last| last["tries"].as_u64() > Some(0));
    let secret = scratch.json(&["webhook", "secret", "ops", "--json"])["secret"].as_str().unwrap().to_owned();

    // A file without it, which is loaded, ends, and begins again.
    scratch.config(NONE);
    scratch.ok(&["reload"]);
    assert_eq!(scratch.json(&["webhook", "list", "--json"]), json!([]));
    assert_eq!(scratch.kennel(&["webhook", "log", "ops"]).code(), 4, "who is not declared is not there");
    fail(&scratch);
    scratch.ok(&["down"]);
    let receiver = Receiver::at(port, Does::Answer(200, ""));
    scratch.ok(&["up", "-d"]);
    scratch.ok(&["daemon", "restart"]);
    assert_eq!(receiver.requests().len(), 0);

    config(&scratch, &keys);
    scratch.ok(&["reload"]);
    wait_requests(&receiver, 1);
    let got = receiver.requests().remove(0);
    assert_eq!(got.json()["data"], waiting, "what waited, and nothing of the time without it");
    let states: Vec<_> = log(&scratch).iter().map(|one| (one["seq"].clone(), one["state"].clone())).collect();
    assert_eq!(states[0], (dead["seq"].clone(), json!("dead")));
    assert_eq!(status(&scratch)["dead"], 1);
    let again = scratch.kennel(&["webhook", "secret", "ops"]);
    assert!(again.all().contains("was shown already"), "{}", again.all());
    let kept = fs::read_to_string(scratch.instance_dir().join("webhooks/ops.secret")).unwrap();
    assert_eq!(kept.trim(), secret);
    scratch.down();
}

#[test]
fn whoever_wants_it_forgotten_says_so() {
    let receiver = Receiver::new(Does::Answer(200, ""));
    let scratch = stack(&format!("url: 'http://127.0.0.1:{}/'", receiver.port));
    scratch.ok(&["webhook", "test", "ops"]);
    let kept = scratch.instance_dir().join("webhooks/ops.secret");
    assert!(kept.exists());
    scratch.config(NONE);
    scratch.ok(&["reload"]);
    assert!(kept.exists());
    scratch.ok(&["webhook", "remove", "ops"]);
    assert!(!kept.exists());
    assert_eq!(scratch.kennel(&["webhook", "remove", "ops"]).code(), 4);
    scratch.down();
}

//! Many events for a receiver that is away.

use kennel_testkit::{Shown, free_port, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, stack, status, wait_waiting};
use crate::receiver::{Does, Receiver};

/// Two events each.
const ROUNDS: usize = 500;

#[test]
fn a_thousand_events_wait_in_the_store_and_all_arrive_once() {
    let port = free_port();
    let scratch = stack(&format!("url: 'http://127.0.0.1:{port}/', events: [instance.frozen, instance.thawed]"));
    let resident =
        || -> u64 { Shown::of(scratch.daemon().pid).status("VmRSS").trim_end_matches(" kB").trim().parse().unwrap() };
    let turn = |verb: &str| {
        let (code, answer) = scratch.post(&format!("/v1/{verb}"), &json!({ "services": ["web"] }));
        assert_eq!(code, 200, "{answer}");
    };
    (0..20).for_each(|_| ["freeze", "thaw"].into_iter().for_each(turn));
    let before = resident();
    (20..ROUNDS).for_each(|_| ["freeze", "thaw"].into_iter().for_each(turn));
    wait_waiting(&scratch, 256);
    let after = resident();
    assert!(after < before + 8192, "{before} kB, then {after} kB");

    let receiver = Receiver::at(port, Does::Answer(200, ""));
    scratch.ok(&["webhook", "retry", "ops"]);
    wait_until(DEADLINE, "all of them", || status(&scratch)["delivered"] == json!(2 * ROUNDS));
    let mut events = scratch.recorded();
    events.retain(|event| ["instance.frozen", "instance.thawed"].contains(&event["event"].as_str().unwrap()));
    let mut got: Vec<_> = receiver.requests().iter().map(|one| one.json()["data"].clone()).collect();
    got.sort_by_key(|event| event["seq"].as_u64());
    assert_eq!(got.len(), 2 * ROUNDS, "each once");
    assert!(got == events, "and all of it");
    scratch.down();
}

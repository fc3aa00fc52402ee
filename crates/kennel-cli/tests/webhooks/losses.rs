//! The daemon is killed, replaced, or stopped for a while: nothing is lost, and nothing has another id than before.

use std::collections::BTreeSet;
use std::time::Duration;

use kennel_testkit::{Signal, free_port, send, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, config, fail, log, stack, status, to, wait_log, wait_requests, wait_waiting};
use crate::receiver::{Does, Receiver};

/// As the keeper has it, and a little more: one that is lost younger than this is followed more slowly.
const GROWN_UP: Duration = Duration::from_millis(1200);

fn kill_daemon(scratch: &kennel_testkit::Scratch) {
    let lost = scratch.daemon();
    wait_until(DEADLINE, "a daemon that has lived", || lost.age() > GROWN_UP);
    send(&lost, Signal::KILL);
    wait_until(DEADLINE, "another daemon", || scratch.running_daemon().is_some_and(|now| now.pid != lost.pid));
}

#[test]
fn a_killed_daemon_loses_no_message() {
    let port = free_port();
    let scratch = stack(&format!("url: 'http://127.0.0.1:{port}/', events: service.failed"));
    let first = fail(&scratch);
    wait_log(&scratch, "that it was tried", |last| last["tries"].as_u64() > Some(0));
    let waiting = log(&scratch).remove(0);
    kill_daemon(&scratch);
    let second = fail(&scratch);
    kill_daemon(&scratch);
    let receiver = Receiver::at(port, Does::Answer(200, ""));
    wait_until(DEADLINE, "that both were delivered", || {
        let log = log(&scratch);
        log.len() == 2 && log.iter().all(|one| one["state"] == "delivered")
    });
    let requests = receiver.requests();
    let seqs: BTreeSet<_> = requests.iter().map(|one| one.json()["data"]["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [&first, &second].map(|one| one["seq"].as_u64().unwrap()).into());
    let ids: BTreeSet<&str> = requests.iter().map(|one| one.id()).collect();
    assert!(ids.len() == 2 && ids.contains(waiting["id"].as_str().unwrap()), "{ids:?} {waiting}");
    scratch.down();
}

/// Killed at any moment while the receiver has a message and the daemon does not know it yet: it comes again with the same id.
#[test]
fn whoever_is_killed_while_it_sends_sends_again() {
    let receiver = Receiver::new(Does::Hang);
    let scratch = stack(&format!("{}, timeout: 60s", to(&receiver)));
    fail(&scratch);
    wait_requests(&receiver, 1);
    receiver.does(Does::Answer(200, ""));
    kill_daemon(&scratch);
    wait_log(&scratch, "that it was delivered", |last| last["state"] == "delivered");
    let requests = receiver.requests();
    assert_eq!((requests.len(), requests[0].id(), &requests[0].body), (2, requests[1].id(), &requests[1].body));
    scratch.down();
}

/// Replaced, by itself or by another binary, while the receiver has a message: the one that follows does not know what came of it.
#[test]
fn whoever_is_replaced_while_it_sends_sends_again() {
    let receiver = Receiver::new(Does::Hang);
    let scratch = stack(&format!("{}, timeout: 60s", to(&receiver)));
    let events = [fail(&scratch), fail(&scratch)];
    wait_requests(&receiver, 1);
    scratch.ok(&["daemon", "restart"]);
    wait_requests(&receiver, 2);
    scratch.ok(&["upgrade"]);
    wait_requests(&receiver, 3);
    receiver.does(Does::Answer(200, ""));
    scratch.ok(&["daemon", "restart"]);
    wait_until(DEADLINE, "that both were delivered", || status(&scratch)["delivered"] == json!(2));
    let requests = receiver.requests();
    assert_eq!(requests.len(), 5, "four times the first one, once the other");
    assert!(
        requests[..4].iter().all(|one| one.id() == requests[0].id() && one.body == requests[0].body),
        "{requests:?}"
    );
    let got = [&requests[0], &requests[4]].map(|one| one.json()["data"].clone());
    assert_eq!(got, events);
    scratch.down();
}

#[test]
fn a_daemon_that_takes_over_goes_on_with_what_waits() {
    let port = free_port();
    let scratch = stack(&format!("url: 'http://127.0.0.1:{port}/', events: service.failed"));
    let mut events = vec![fail(&scratch)];
    scratch.ok(&["daemon", "restart"]);
    events.push(fail(&scratch));
    scratch.ok(&["daemon", "restart"]);
    wait_waiting(&scratch, 2);
    let receiver = Receiver::at(port, Does::Answer(200, ""));
    wait_until(DEADLINE, "that both were delivered", || status(&scratch)["delivered"] == json!(2));
    let requests = receiver.requests();
    let seqs: BTreeSet<_> = requests.iter().map(|one| one.json()["data"]["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, events.iter().map(|one| one["seq"].as_u64().unwrap()).collect());
    assert_eq!(requests.len(), 2, "each once");
    scratch.down();
}

#[test]
fn what_waits_when_the_stack_ends_is_sent_when_it_is_up_again() {
    let port = free_port();
    let scratch = stack(&format!("url: 'http://127.0.0.1:{port}/', events: [service.failed, shutdown.completed]"));
    let failed = fail(&scratch);
    wait_log(&scratch, "that it was tried", |last| last["tries"].as_u64() > Some(0));
    scratch.ok(&["down"]);
    let end = scratch.events("shutdown.completed").pop().unwrap();
    let receiver = Receiver::at(port, Does::Answer(200, ""));
    scratch.ok(&["up", "-d"]);
    wait_requests(&receiver, 2);
    let seqs: BTreeSet<_> = receiver.requests().iter().map(|one| one.json()["data"]["seq"].as_u64().unwrap()).collect();
    let expected = [&failed, &end].map(|one| one["seq"].as_u64().unwrap());
    assert_eq!(seqs, expected.into(), "also the last word of the daemon before");
    config(&scratch, "url: 'http://127.0.0.1:9/'");
    scratch.down();
}

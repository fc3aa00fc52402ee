//! Receivers that do what they should not.

use kennel_testkit::Shown;
use serde_json::json;

use crate::common::{config, fail, log, stack, to, wait_log, wait_requests, wait_waiting};
use crate::receiver::{Does, Receiver};

fn resident(scratch: &kennel_testkit::Scratch) -> u64 {
    let text = Shown::of(scratch.daemon().pid).status("VmRSS");
    text.trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn each_is_a_failure_that_says_what_it_was() {
    let receiver = Receiver::new(Does::Answer(200, ""));
    let scratch = stack(&format!("{}, timeout: 60s", to(&receiver)));
    fail(&scratch);
    wait_requests(&receiver, 1);
    for (does, said) in [
        (Does::Garbage, "no answer from http://127.0.0.1:"),
        (Does::Close, "no answer from http://127.0.0.1:"),
        (Does::Head, "no answer from http://127.0.0.1:"),
        (Does::Answer(404, ""), "the answer is 404 Not Found"),
        (Does::Answer(777, ""), "the answer is 777"),
        (Does::Hang, "within 3s"),
    ] {
        receiver.does(does.clone());
        if does == Does::Hang {
            config(&scratch, &format!("{}, timeout: 3s", to(&receiver)));
            scratch.ok(&["reload"]);
        }
        let report = scratch.kennel(&["webhook", "test", "ops"]);
        assert!(report.code() == 1 && report.all().contains(said), "{does:?}: {}", report.all());
        assert!(!report.all().contains('\u{1b}') && !report.all().contains("words-of"), "{}", report.all());
    }
    scratch.down();
}

#[test]
fn a_body_without_an_end_is_not_read() {
    let receiver = Receiver::new(Does::Huge);
    let scratch = stack(&to(&receiver));
    scratch.ok(&["webhook", "test", "ops"]);
    let before = resident(&scratch);
    for _ in 0..5 {
        scratch.ok(&["webhook", "test", "ops"]);
    }
    let after = resident(&scratch);
    assert!(after < before + 4096, "{before} kB, then {after} kB");
    scratch.down();
}

/// Who hangs keeps nobody else waiting: neither another webhook nor the daemon.
#[test]
fn who_hangs_costs_nobody_else_anything() {
    let (slow, quick) = (Receiver::new(Does::Hang), Receiver::new(Does::Answer(200, "")));
    let scratch = stack("url: 'http://127.0.0.1:9/'");
    let hook = |name: &str, port| {
        format!("  {name}: {{ url: 'http://127.0.0.1:{port}/', events: service.failed, timeout: 2m }}\n")
    };
    scratch.config(&format!(
        "webhooks:\n{}{}services: {{ web: {{ command: [sleep, '1000'] }}, bad: {{ command: ['false'], restart: 'no' }} }}\n",
        hook("slow", slow.port),
        hook("quick", quick.port)
    ));
    scratch.ok(&["reload"]);
    for count in 1..=3 {
        fail(&scratch);
        wait_requests(&quick, count);
    }
    wait_requests(&slow, 1);
    scratch.ok(&["ps"]);
    assert_eq!(slow.requests().len(), 1, "all that while it has hung");
    scratch.down();
}

#[test]
fn who_asks_for_time_gets_it() {
    let receiver = Receiver::new(Does::Answer(429, "retry-after: 3600\r\n"));
    let scratch = stack(&to(&receiver));
    let before = jiff::Timestamp::now();
    fail(&scratch);
    let told = wait_log(&scratch, "that it was tried", |last| last["tries"] == json!(1));
    let next: jiff::Timestamp = told["next_at"].as_str().unwrap().parse().unwrap();
    assert!((3599..=3660).contains(&next.duration_since(before).as_secs()), "{told}");
    fail(&scratch);
    wait_waiting(&scratch, 2);
    assert_eq!(log(&scratch).len(), 2);
    receiver.does(Does::Answer(200, ""));
    scratch.ok(&["webhook", "retry", "ops"]);
    wait_requests(&receiver, 3);
    scratch.down();
}

//! The daemon is killed while leases run.

use kennel_testkit::{Scratch, Signal, both, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, detach, hold, living, outsider, owner, wait_owner};

both!(each_kind_of_lease, each_lifetime, a_replaced_daemon);

/// Kills the daemon and waits for the next.
fn lose_daemon(scratch: &Scratch) {
    let before = scratch.daemon();
    kennel_testkit::send(&before, Signal::KILL);
    wait_until(DEADLINE, "another daemon", || scratch.running_daemon().is_some_and(|now| now.pid != before.pid));
    scratch.ok(&["ps"]);
}

fn each_kind_of_lease(scratch: &Scratch) {
    let mut holder = outsider(scratch);
    let pid = holder.pid().to_string();
    let by_process = detach(scratch, &["--owner", "process", "--lease-pid", &pid, "--grace", "1s"], "1", "plain");
    detach(scratch, &["--owner", "beat", "--lease-ttl", "1h", "--grace", "1s"], "2", "plain");
    let (mut comes_back, input) = hold(scratch, &["back", "--grace", "1h"]);
    detach(scratch, &["--owner", "back"], "3", "plain");
    let (mut goes, _input) = hold(scratch, &["gone", "--grace", "1s"]);
    detach(scratch, &["--owner", "gone"], "4", "plain");
    wait_until(DEADLINE, "all of them", || (1..=4).all(|cell| living(scratch, cell) == 1));
    let main = scratch.ps(&by_process)["pid"].clone();
    let left = |name: &str| owner(scratch, name).unwrap()["leases"][0]["expires_in_ms"].as_u64();
    let before = left("beat").unwrap();
    // It cannot come back.
    goes.signal(Signal::STOP);
    lose_daemon(scratch);
    goes.signal(Signal::KILL);
    goes.wait(DEADLINE);

    wait_until(DEADLINE, "nothing of who is gone", || living(scratch, 4) == 0);
    assert_eq!(wait_owner(scratch, "gone", "ended")["ended"]["reason"], "lease_lost");
    assert_eq!(wait_owner(scratch, "process", "held")["leases"][0]["pid"], holder.pid());
    assert!(left("beat").unwrap() < before, "the deadline is kept");
    wait_owner(scratch, "back", "held");
    assert_eq!(scratch.ps(&by_process)["pid"], main);
    assert!((1..=3).all(|cell| living(scratch, cell) == 1));
    scratch.ok(&["lease", "renew", "beat"]);

    holder.signal(Signal::KILL);
    holder.wait(DEADLINE);
    wait_until(DEADLINE, "nothing of the process's", || living(scratch, 1) == 0);
    assert_eq!((living(scratch, 2), living(scratch, 3)), (1, 1));
    drop(input);
    assert_eq!(comes_back.wait(DEADLINE).code(), 0);
    scratch.down();
}

fn each_lifetime(scratch: &Scratch) {
    let keep = detach(scratch, &["--lifetime", "keep", "--name", "keep"], "1", "plain");
    let daemon = detach(scratch, &["--lifetime", "daemon", "--restart", "always"], "2", "plain");
    let owned = detach(scratch, &["--owner", "job"], "3", "plain");
    scratch.ok(&["run", "-d", "--name", "over", "--", "/bin/sh", "-c", "exit 7"]);
    scratch.wait_state("over", "failed", DEADLINE);
    wait_until(DEADLINE, "all of them", || (1..=3).all(|cell| living(scratch, cell) == 1));
    let pids = [&keep, &owned].map(|name| scratch.ps(name)["pid"].clone());
    lose_daemon(scratch);
    wait_until(DEADLINE, "nothing of the daemon's", || living(scratch, 2) == 0);
    assert_eq!([&keep, &owned].map(|name| scratch.ps(name)["pid"].clone()), pids);
    assert_eq!(scratch.wait_state(&daemon, "failed", DEADLINE)["ad_hoc"]["lifetime"], "daemon");
    assert_eq!(scratch.ps("over")["last_exit"]["code"], 7);
    assert_eq!(owner(scratch, "job").unwrap()["runs"], 1);
    // What is there is not run again.
    assert_eq!(scratch.events("instance.started").len(), 4);
    scratch.ok(&["clean", "--owner", "job"]);
    assert_eq!((living(scratch, 1), living(scratch, 3)), (1, 0));
    scratch.down();
}

fn a_replaced_daemon(scratch: &Scratch) {
    let (mut held, input) = hold(scratch, &["job", "--grace", "20s"]);
    let names = ["owner", "daemon"].map(|lifetime| {
        detach(scratch, &["--owner", "job", "--lifetime", lifetime, "--idle-timeout", "1h"], "1", "plain")
    });
    wait_until(DEADLINE, "both of them", || living(scratch, 1) == 2);
    let pids = || names.each_ref().map(|name| scratch.ps(name)["pid"].clone());
    let before = pids();
    scratch.ok(&["daemon", "restart"]);
    wait_owner(scratch, "job", "held");
    assert_eq!((pids(), living(scratch, 1)), (before, 2));
    assert_eq!(scratch.ps(&names[0])["ad_hoc"]["owner"], json!("job"));
    drop(input);
    assert_eq!(held.wait(DEADLINE).code(), 0);
    scratch.down();
}

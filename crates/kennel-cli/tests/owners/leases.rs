//! What keeps an owner alive, and what does not.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use kennel_testkit::{Scratch, Signal, User, both, wait_for, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, detach, hold, living, outsider, owner, wait_owner};

both!(a_killed_process_ends_what_it_leased, a_renewed_heartbeat_goes_on, a_held_lease, back_within_the_grace);

fn a_killed_process_ends_what_it_leased(scratch: &Scratch) {
    let mut holder = outsider(scratch);
    let pid = holder.pid().to_string();
    let name = detach(scratch, &["--owner", "job", "--lease-pid", &pid, "--grace", "1s"], "1", "daemon");
    wait_until(DEADLINE, "both processes", || living(scratch, 1) == 2);
    assert_eq!(wait_owner(scratch, "job", "held")["leases"][0]["pid"], holder.pid());
    // Not reaped by anybody until the end: a zombie holds nothing.
    let killed = Instant::now();
    holder.signal(Signal::KILL);
    wait_until(DEADLINE, "nothing of it", || living(scratch, 1) == 0);
    let took = killed.elapsed();
    assert!(took >= Duration::from_secs(1), "ended within its grace: {took:?}");
    // The last process is gone a moment before that is told.
    let (grace, down) = (&scratch.wait_event("owner.grace"), &scratch.wait_event("instance.down"));
    assert_eq!(grace["ends_in_ms"], 1000, "not the grace of the default: {grace}");
    assert_eq!((&down["receipt"]["reason"], &down["receipt"]["left"]), (&json!("owner_ended"), &json!(0)));
    assert_eq!(scratch.events("lease.lost")[0]["why"], "ended");
    let status = scratch.ps(&name);
    assert_eq!(status["state"], "stopped");
    assert!(status["reason"].as_str().unwrap().contains("`job` ended"), "{status}");
    holder.wait(DEADLINE);
    scratch.down();
}

fn a_renewed_heartbeat_goes_on(scratch: &Scratch) {
    detach(scratch, &["--owner", "beat", "--lease-ttl", "8s", "--grace", "500ms"], "1", "plain");
    wait_until(DEADLINE, "the process", || living(scratch, 1) == 1);
    let begun = Instant::now();
    // Longer than it would live by itself.
    while begun.elapsed() < Duration::from_secs(10) {
        scratch.ok(&["lease", "renew", "beat"]);
        assert_eq!(living(scratch, 1), 1);
    }
    wait_until(DEADLINE, "nothing of it", || living(scratch, 1) == 0);
    assert_eq!(scratch.events("lease.lost")[0]["why"], "expired");
    let late = scratch.kennel(&["lease", "renew", "beat"]);
    assert_eq!(late.code(), 1, "{}", late.all());
    assert!(late.stderr.contains("has ended"), "{}", late.all());
    scratch.down();
}

fn a_held_lease(scratch: &Scratch) {
    let (mut held, input) = hold(scratch, &["mine", "--grace", "300ms"]);
    detach(scratch, &["--owner", "mine"], "1", "plain");
    wait_until(DEADLINE, "the process", || living(scratch, 1) == 1);
    drop(input);
    assert_eq!(held.wait(DEADLINE).code(), 0);
    wait_until(DEADLINE, "nothing of it", || living(scratch, 1) == 0);
    assert_eq!(scratch.events("lease.lost")[0]["why"], "closed");

    let (mut held, _input) = hold(scratch, &["other", "--grace", "300ms"]);
    detach(scratch, &["--owner", "other"], "2", "plain");
    wait_until(DEADLINE, "the process", || living(scratch, 2) == 1);
    held.signal(Signal::KILL);
    held.wait(DEADLINE);
    wait_until(DEADLINE, "nothing of it", || living(scratch, 2) == 0);

    let (mut held, _input) = hold(scratch, &["third"]);
    scratch.ok(&["clean", "--owner", "third"]);
    let told = held.wait(DEADLINE);
    assert_eq!(told.code(), 1);
    assert!(told.stderr.contains("owner `third` ended: it was stopped"), "{}", told.all());
    scratch.down();
}

fn back_within_the_grace(scratch: &Scratch) {
    let (mut first, input) = hold(scratch, &["job", "--grace", "1h"]);
    detach(scratch, &["--owner", "job"], "1", "plain");
    wait_until(DEADLINE, "the process", || living(scratch, 1) == 1);
    drop(input);
    first.wait(DEADLINE);
    assert!(wait_owner(scratch, "job", "grace")["ends_in_ms"].as_u64().unwrap() > 3_500_000);
    let (mut second, input) = hold(scratch, &["job"]);
    assert_eq!(scratch.events("owner.held").len(), 1);
    assert_eq!(living(scratch, 1), 1);
    scratch.ok(&["clean", "--owner", "job"]);
    assert_eq!((living(scratch, 1), owner(scratch, "job")), (0, None));
    drop(input);
    second.wait(DEADLINE);
    scratch.down();
}

/// Whoever names a process with its start or its inode gets that one or none; and a request that is sent twice starts one run.
#[test]
fn what_programs_ask_is_checked() {
    let Some(scratch) = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    detach(&scratch, &["--owner", "there"], "1", "plain");
    let mut other = outsider(&scratch);
    for (pid, key) in [(other.pid(), "start_ticks"), (other.pid(), "inode"), (u32::MAX >> 1, "inode"), (0, "inode")] {
        let lease = json!({ "kind": "process", "pid": pid, key: 1 });
        let (status, problem) = scratch.post("/v1/owners", &json!({ "name": "new", "leases": [lease] }));
        assert!(matches!(status, 400 | 404), "{pid} {key}: {status} {problem}");
        if pid == other.pid() {
            assert_eq!(problem["code"], "process_gone", "{problem}");
        }
        assert_eq!(owner(&scratch, "new"), None);
    }
    let sleep = [scratch.badchild().to_str().unwrap(), "--cell", "2", "plain"].map(str::to_owned);
    let request = json!({
        "request": "once", "command": sleep, "directory": "/", "environment": {}, "owner": { "name": "there" },
    });
    let first = scratch.post("/v1/runs", &request);
    assert_eq!((first.0, &first.1["owner"], &first.1["lifetime"]), (200, &json!("there"), &json!("owner")));
    assert_eq!(scratch.post("/v1/runs", &request), first);
    wait_until(DEADLINE, "the process", || living(&scratch, 2) > 0);
    assert_eq!((living(&scratch, 2), scratch.events("instance.started").len()), (1, 2));
    let (status, problem) = scratch.post("/v1/owners/nobody/renew", &json!({}));
    assert_eq!((status, &problem["code"]), (404, &json!("unknown_owner")));
    let (status, problem) = scratch.post("/v1/owners/a/hold", &json!({ "name": "b" }));
    assert_eq!((status, &problem["code"]), (400, &json!("bad_request")));
    other.signal(Signal::KILL);
    other.wait(DEADLINE);
    scratch.down();
}

/// Somebody else gets the number of the process that held the lease, while no daemon looks.
#[test]
fn a_recycled_number_holds_nothing_and_is_untouched() {
    let Some(scratch) = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { return };
    let (reader, mut writer) = std::io::pipe().unwrap();
    let badchild = scratch.badchild();
    let mut strangers = scratch.spawn_program(&badchild, &["stranger", "60201"], Stdio::from(reader), |_| {});
    let mut holder = outsider(&scratch);
    let pid = holder.pid();
    detach(&scratch, &["--owner", "job", "--lease-pid", &pid.to_string(), "--grace", "1s"], "1", "plain");
    wait_until(DEADLINE, "the process", || living(&scratch, 1) == 1);
    let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
    // So that no daemon follows before the number has another owner.
    kennel_testkit::send(&keeper, Signal::STOP);
    kennel_testkit::send(&daemon, Signal::KILL);
    wait_until(DEADLINE, "no daemon", || scratch.running_daemon().is_none());
    holder.signal(Signal::KILL);
    holder.wait(DEADLINE);
    let taken = wait_for(DEADLINE, "a stranger with the number", || {
        let lines = strangers.stdout().lines().count();
        writeln!(writer, "{pid}").unwrap();
        wait_until(DEADLINE, "an answer", || strangers.stdout().lines().count() > lines);
        let said = strangers.stdout();
        said.lines().last().is_some_and(|line| line.starts_with(&format!("{pid} "))).then_some(said)
    });
    kennel_testkit::send(&keeper, Signal::CONT);
    wait_until(DEADLINE, "nothing of the owner", || living(&scratch, 1) == 0);
    assert_eq!(wait_owner(&scratch, "job", "ended")["ended"]["reason"], "lease_lost");
    assert!(std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z")), "{taken}");
    // Its number alone is no lease for another owner either.
    drop(writer);
    strangers.wait(DEADLINE);
    let late = scratch.kennel(&["run", "-d", "--owner", "late", "--lease-pid", &pid.to_string(), "--", "true"]);
    assert_eq!(late.code(), 125, "{}", late.all());
    assert_eq!(owner(&scratch, "late"), None);
    scratch.down();
}

//! Each limit is exceeded by a service that tries to: the kernel holds it where it can, samples where it cannot, and what follows is the
//! stated action, event and reason.
//!
//! covers: C4, D6, E7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);
/// Reads zeros, which have no line ends, into its memory; held off by itself where nothing else does.
const HOG: &str = "ulimit -v 500000; exec tail < /dev/zero";

/// With one service `web` of this script and these keys, in the strongest containment and without cgroups. Told which.
fn on_each(script: &str, keys: &str, body: impl Fn(&Scratch, bool)) {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { continue };
        scratch.config(&format!("services: {{ web: {{ command: ['sh', '-c', '{script}'], {keys} }} }}"));
        let _failed = scratch.kennel(&["up", "-d"]);
        let held = limit(&scratch, 0)["enforced_by"].as_str().unwrap().starts_with("cgroup");
        body(&scratch, held);
        scratch.down();
    }
}

fn limit(scratch: &Scratch, index: usize) -> Value {
    scratch.json(&["status", "web", "--json"])[0]["limits"][index].clone()
}

fn event(scratch: &Scratch, kind: &str) -> Option<Value> {
    let text = scratch.ok(&["events", "--json"]).stdout;
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|event| event["event"] == kind)
}

#[test]
fn memory_is_held_and_the_kill_is_explained() {
    on_each(HOG, "restart: no, limits: { memory: 64MiB }", |scratch, held| {
        if held {
            let status = scratch.wait_state("web", "failed", DEADLINE);
            let reason = status["reason"].as_str().unwrap();
            assert!(reason.starts_with("killed: out of memory (limit 64 MiB"), "{status}");
            let oom = event(scratch, "instance.oom").unwrap();
            assert_eq!((oom["kills"].as_u64(), oom["limit"].as_u64()), (Some(1), Some(64 << 20)), "{oom}");
            let down = event(scratch, "instance.down").unwrap();
            assert_eq!(down["receipt"]["out_of_memory"]["limit"].as_u64(), Some(64 << 20), "{down}");
            assert!(oom["seq"].as_u64() < event(scratch, "instance.exited").unwrap()["seq"].as_u64());
        } else {
            // It may have ended at its own limit before anybody looked.
            wait_until(DEADLINE, "its end", || scratch.ps("web")["state"] == "failed");
        }
    });
}

/// Where no controller holds it, it is looked at.
#[test]
fn memory_is_looked_at_where_nothing_holds_it() {
    on_each(
        "x=$(head -c 100000000 /dev/zero | tr \"\\0\" x); sleep 600",
        "restart: no, limits: { memory: 40MiB, action: freeze }",
        |scratch, held| {
            if held {
                return;
            }
            assert_eq!(limit(scratch, 0)["enforced_by"], "sampling");
            let told = wait_for(DEADLINE, "word of it", || event(scratch, "instance.limit"));
            assert_eq!((&told["limit"], &told["action"]), (&"memory".into(), &"freeze".into()), "{told}");
            assert!(told["value"].as_u64() > told["bound"].as_u64(), "{told}");
            wait_until(DEADLINE, "it stands still", || scratch.ps("web")["frozen"] == true);
            assert_eq!(scratch.ps("web")["reason"], "frozen by limit memory");
        },
    );
}

#[test]
fn a_child_that_was_killed_takes_the_rest_along() {
    on_each(&format!("({HOG}); sleep 600"), "restart: no, limits: { memory: 64MiB }", |scratch, held| {
        if held {
            let status = scratch.wait_state("web", "failed", DEADLINE);
            assert!(status["reason"].as_str().unwrap().starts_with("killed: out of memory"), "{status}");
            assert_eq!(event(scratch, "instance.stopping").unwrap()["reason"], "limit");
        }
    });
}

#[test]
fn only_so_many_processes() {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done; wait";
    on_each(script, "restart: no, limits: { pids: 8 }", |scratch, held| {
        let status = scratch.wait_state("web", "failed", DEADLINE);
        if held {
            // The shell gives up at the first that it cannot make.
            assert_eq!(status["last_exit"]["code"], 2, "{status}");
        } else {
            assert_eq!(status["reason"], "went beyond one of its `limits`", "{status}");
            let told = event(scratch, "instance.limit").unwrap();
            assert_eq!((&told["limit"], &told["action"]), (&"pids".into(), &"kill".into()), "{told}");
            assert!(told["value"].as_u64() > Some(8), "{told}");
        }
    });
}

#[test]
fn output_that_never_ends_is_stopped() {
    let keys = "restart: always, limits: { log_rate: 100kB/s, action: stop }";
    on_each("while :; do head -c 100000 /dev/zero; sleep 0.1; done", keys, |scratch, _| {
        assert_eq!(limit(scratch, 0)["enforced_by"], "sampling");
        let status = scratch.wait_state("web", "stopped", DEADLINE);
        assert_eq!(status["reason"], "went beyond one of its `limits`", "{status}");
        assert_eq!(event(scratch, "instance.limit").unwrap()["limit"], "log_rate");
    });
}

#[test]
fn every_process_has_only_so_many_files() {
    on_each("ulimit -n > files; exec sleep 600", "limits: { open_files: 77 }", |scratch, _| {
        let file = scratch.project().join("files");
        let read = || std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'));
        assert_eq!(wait_for(DEADLINE, "its word", read), "77\n");
        assert_eq!(limit(scratch, 0)["enforced_by"], "rlimit");
    });
}

/// What cannot be had fails no start, and is said.
#[test]
fn who_sees_to_what_is_shown() {
    let keys = "limits: { memory: 64MiB, cpus: 0.5, cpu_weight: 10, io_read: 10MiB/s, log_rate: 1MiB/s }";
    on_each("exec sleep 600", keys, |scratch, held| {
        let text = scratch.ok(&["status", "web"]).stdout;
        let memory = if held { "memory 64.0 MiB (cgroup" } else { "memory 64.0 MiB (sampling): no cgroup can be used" };
        assert!(text.contains(memory), "{text}");
        assert!(text.contains("cpus 0.5 CPUs ("), "{text}");
        // Another daemon knows it as well.
        scratch.ok(&["daemon", "restart"]);
        wait_until(DEADLINE, "word of the keeper", || {
            scratch.ok(&["status", "web"]).stdout == text.clone() || {
                let now = scratch.ok(&["status", "web"]).stdout;
                now.contains(memory)
            }
        });
    });
}

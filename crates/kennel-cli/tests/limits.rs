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
    scratch.events(kind).into_iter().next()
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
            assert_eq!(status["reason"], "went beyond its limit of `pids`", "{status}");
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
        assert_eq!(limit(scratch, 0)["enforced_by"], "kennel");
        let status = scratch.wait_state("web", "stopped", DEADLINE);
        assert_eq!(status["reason"], "went beyond its limit of `log_rate`", "{status}");
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

/// The same instance runs on with other limits, and then tries to exceed them.
#[test]
fn other_limits_take_effect_while_it_runs() {
    let script = "until test -e go; do sleep 0.1; done; (head -c 40000000 /dev/zero; sleep 600) | tail -c 40000000";
    on_each(script, "restart: no, limits: { memory: 500MiB, pids: 100 }", |scratch, held| {
        let instance = scratch.ps("web")["instance"].clone();
        let declare = |limits: &str| {
            scratch.config(&format!(
                "services: {{ web: {{ command: ['sh', '-c', '{script}'], restart: no, limits: {limits} }} }}"
            ));
            scratch.json(&["reload", "--json"])["services"][0].clone()
        };
        // More, less, and another one.
        for limits in ["{ memory: 600MiB, pids: 100 }", "{ memory: 24MiB, cpus: 0.9 }"] {
            let plan = declare(limits);
            assert_eq!(plan["will"], "adjust", "{plan}");
            assert!(plan["keys"].as_array().unwrap().contains(&"limits".into()), "{plan}");
        }
        let by = if held { "cgroup" } else { "sampling" };
        wait_until(DEADLINE, "word of the keeper", || {
            let memory = limit(scratch, 0);
            memory["value"] == 24 << 20 && memory["enforced_by"].as_str().unwrap().starts_with(by)
        });
        assert_eq!(limit(scratch, 1)["name"], "cpus");
        assert_eq!(scratch.ps("web")["instance"], instance);
        std::fs::write(scratch.project().join("go"), "").unwrap();
        let status = scratch.wait_state("web", "failed", DEADLINE);
        let says = if held { "killed: out of memory (limit 24 MiB" } else { "went beyond its limit of `memory`" };
        assert!(status["reason"].as_str().unwrap().starts_with(says), "{status}");
        assert_eq!(status["instance"], instance);
        // Descriptors are each process's own.
        std::fs::remove_file(scratch.project().join("go")).unwrap();
        scratch.ok(&["start", "web"]);
        assert_eq!(declare("{ open_files: 100 }")["will"], "restart");
    });
}

/// What a rule asks for is done by the controller, also of a run without limits of the CPU, or it is said that it is not.
#[test]
fn what_spins_is_held_back_or_the_alert_says_why_not() {
    let keys = "limits: { pids: 100 }, rules: { spin: { cpu: 20%, for: 0s, action: throttle } }";
    on_each("while :; do :; done", keys, |scratch, held| {
        if held {
            wait_until(DEADLINE, "it is held back", || {
                scratch.json(&["stats", "web", "--json"])["services"][0]["throttled_ms"].as_u64() > Some(200)
            });
            assert!(scratch.json(&["alerts", "--json"])["alerts"][0]["refused"].is_null());
        } else {
            let told = scratch.wait_event("alert.escalated");
            assert_eq!((&told["rule"], &told["action"]), (&"spin".into(), &"throttle".into()), "{told}");
            assert!(told["refused"].as_str().unwrap().contains("no cgroup can be used"), "{told}");
            let alert = scratch.json(&["alerts", "--json"])["alerts"][0].clone();
            assert_eq!(alert["refused"], told["refused"], "{alert}");
        }
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

/// What many processes share counts once where a controller counts, and that is what stands beside its limit.
#[test]
fn what_is_shown_is_what_the_limit_counts() {
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 1000 & done; echo up; wait";
    on_each(many, "readiness: { log_line: up }, limits: { memory: 256MiB }", |scratch, held| {
        // A child that is still a copy of its parent shares all of it, and soon nothing.
        let status = wait_for(DEADLINE, "sixteen that sleep", || {
            let status = scratch.json(&["status", "web", "--json"])[0].clone();
            let sleepers = status["tree"].as_array()?.iter().filter(|one| one["command"] == "sleep 1000").count();
            (sleepers == 16).then_some(status)
        });
        let shown = status["memory_bytes"].as_u64().unwrap();
        let sum: u64 = status["tree"].as_array().unwrap().iter().filter_map(|one| one["memory_bytes"].as_u64()).sum();
        if held {
            assert!(shown > 0 && shown < sum * 2 / 3, "{shown} of {sum}");
            let usage: Value = serde_json::from_str(&scratch.get("/v1/usage?service=web").1).unwrap();
            let counted = usage["services"][0]["memory_bytes"].as_u64().unwrap();
            assert!(counted.abs_diff(shown) < 2 << 20, "{counted} and {shown}: {usage}");
        } else {
            assert_eq!(shown, sum, "{status}");
        }
    });
}

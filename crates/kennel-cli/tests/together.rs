//! Limits that several instances share: of the stack and of owners; and those of a run on request. Each is exceeded by one that tries
//! to, which pays for it while the others go on: by the kernel where it can, by samples of the sum where it cannot.
//!
//! covers: C4, D6, E6, E7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for, wait_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(60);
/// Has 40 MB, and stays.
const HOG: &str = "(head -c 40000000 /dev/zero; sleep 600) | tail -c 40000000";
/// Has more and more processes, once the file `go` is there.
const FORKER: &str = "until test -e go; do sleep 0.1; done; \
                      i=0; while test $$i -lt 400; do sleep 600 & i=$$((i+1)); sleep 0.05; done; wait";

/// In the strongest containment and without cgroups; the body is told whether the kernel holds limits.
fn on_each(body: impl Fn(&Scratch)) {
    for user in [User::Root, User::Plain] {
        Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))).iter().for_each(&body);
    }
}

/// A stack with these limits together, of one that sleeps and one that runs this.
fn stack(scratch: &Scratch, limits: &str, script: &str) {
    scratch.config(&format!(
        "
limits: {limits}
services:
  calm: {{ command: sleep 600 }}
  web:
    restart: no
    working_dir: {}
    command: ['sh', '-c', {}]
",
        scratch.project().display(),
        json!(script)
    ));
}

/// Who sees to the first limit that a service shares.
fn holds(scratch: &Scratch, service: &str) -> bool {
    let shared = wait_for(DEADLINE, "word of the keeper", || {
        let limits = scratch.json(&["status", service, "--json"])[0]["limits"].clone();
        let shared = limits.as_array()?.iter().find(|limit| !limit["of"].is_null())?.clone();
        Some(shared).filter(|shared| shared["note"].as_str().is_none_or(|note| !note.contains("known once it runs")))
    });
    shared["enforced_by"].as_str().unwrap().starts_with("cgroup")
}

fn event(scratch: &Scratch, kind: &str) -> Value {
    wait_for(DEADLINE, kind, || scratch.recorded().into_iter().find(|event| event["event"] == kind))
}

/// `web` has had to pay for too much memory of this one's, and nobody else.
fn paid_for_memory(scratch: &Scratch, held: bool, of: &Value, words: &str) {
    let status = scratch.wait_state("web", "failed", DEADLINE);
    let reason = status["reason"].as_str().unwrap();
    let told = if held {
        assert!(reason.starts_with("killed: out of memory (limit 24 MiB"), "{status}");
        event(scratch, "instance.oom")
    } else {
        assert!(reason.starts_with("went beyond the limit of `memory`"), "{status}");
        event(scratch, "instance.limit")
    };
    assert!(reason.contains(words), "{status}");
    assert_eq!((&told["of"], &told["service"]), (of, &json!("web")), "{told}");
    assert_eq!(scratch.ps("calm")["instance"], 1, "it goes on as it was");
    assert!(scratch.ps("calm")["pid"].is_u64());
}

#[test]
fn who_grows_beyond_the_memory_of_the_stack_pays_for_it() {
    on_each(|scratch| {
        stack(scratch, "{ memory: 24MiB }", HOG);
        scratch.ok(&["up", "-d", "calm"]);
        let held = holds(scratch, "calm");
        let _it_may_have_failed_already = scratch.kennel(&["up", "-d"]);
        paid_for_memory(scratch, held, &json!("stack"), "of the stack");
        scratch.down();
    });
}

/// Also where the limit comes while it runs, and is taken away again.
#[test]
fn the_stack_has_only_so_many_processes_from_a_reload_on() {
    on_each(|scratch| {
        stack(scratch, "{ pids: 1000 }", FORKER);
        scratch.ok(&["up", "-d"]);
        let instance = scratch.ps("web")["instance"].clone();
        stack(scratch, "{ pids: 8, action: stop }", FORKER);
        scratch.ok(&["reload"]);
        let held = holds(scratch, "web");
        std::fs::write(scratch.project().join("go"), "").unwrap();
        if held {
            // The shell gives up at the first that it cannot make.
            let status = scratch.wait_state("web", "failed", DEADLINE);
            assert_eq!(status["last_exit"]["code"], 2, "{status}");
        } else {
            let status = scratch.wait_state("web", "stopped", DEADLINE);
            assert_eq!(status["reason"], "went beyond the limit of `pids` of the stack", "{status}");
            let told = event(scratch, "instance.limit");
            assert_eq!((&told["action"], &told["bound"], &told["of"]), (&json!("stop"), &json!(8), &json!("stack")));
        }
        stack(scratch, "{}", FORKER);
        scratch.ok(&["reload"]);
        let status = scratch.json(&["status", "web", "--json"])[0].clone();
        assert!(status["limits"].is_null(), "{status}");
        scratch.ok(&["start", "web"]);
        wait_until(DEADLINE, "all of its processes", || scratch.ps("web")["processes"].as_u64() > Some(12));
        assert_ne!(scratch.ps("web")["instance"], instance);
        scratch.down();
    });
}

/// Of an owner and everything below it.
#[test]
fn who_grows_beyond_the_memory_of_its_owner_pays_for_it() {
    on_each(|scratch| {
        let of_job = ["run", "-d", "--owner", "job", "--owner-limit", "memory=24MiB"];
        let run = |options: &[&str], name: &str, script: &str| {
            scratch.kennel(&[options, &["--name", name, "--", "sh", "-c", script]].concat())
        };
        assert_eq!(run(&of_job, "calm", "exec sleep 600").code(), 0);
        let held = holds(scratch, "calm");
        let owners = scratch.json(&["owners", "--json"]);
        let by = if held { "cgroup" } else { "sampling" };
        assert!(owners[0]["limits"][0]["enforced_by"].as_str().unwrap().starts_with(by), "{owners}");
        assert_eq!(owners[0]["limits"][0]["value"], 24 << 20, "{owners}");
        // It belongs to somebody below.
        run(&["run", "-d", "--owner", "agent", "--parent", "job"], "web", HOG);
        paid_for_memory(scratch, held, &json!({ "owner": "job" }), "of owner `job`");
        // What is not of that owner is not in it.
        run(&["run", "-d"], "other", HOG);
        wait_until(DEADLINE, "its memory", || scratch.ps("other")["memory_bytes"].as_u64() > Some(38_000_000));
        scratch.ok(&["clean", "--owner", "job"]);
        scratch.down();
    });
}

#[test]
fn a_run_on_request_has_limits() {
    on_each(|scratch| {
        let output = scratch.kennel(&["run", "--limit", "memory=24MiB", "--", "sh", "-c", HOG]);
        assert_eq!(output.code(), 128 + 9, "{}", output.all());
        let said = ["out of memory (limit 24.0 MiB", "beyond its limit of memory"];
        assert!(said.iter().any(|said| output.stderr.contains(said)), "{}", output.all());
        let forker = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done; wait";
        scratch.ok(&[
            "run",
            "-d",
            "--name",
            "pool",
            "--limit",
            "pids=8",
            "--limit",
            "action=stop",
            "--",
            "sh",
            "-c",
            forker,
        ]);
        wait_until(DEADLINE, "its end", || matches!(scratch.ps("pool")["state"].as_str(), Some("failed" | "stopped")));
        for (wrong, says) in
            [("memory", "is no limit"), ("memory=much", "memory"), ("cpu=2", "cpus"), ("action=shout", "action")]
        {
            let output = scratch.kennel(&["run", "--limit", wrong, "--", "true"]);
            assert!(output.code() != 0 && output.stderr.contains(says), "{wrong}: {}", output.all());
        }
        let output = scratch.kennel(&["run", "--owner", "a", "--owner-limit", "open_files=20", "--", "true"]);
        assert!(output.code() != 0 && output.stderr.contains("open_files"), "{}", output.all());
        scratch.down();
    });
}

/// Another daemon, and another keeper's program, hold them as well.
#[test]
fn shared_limits_outlive_the_daemon() {
    on_each(|scratch| {
        stack(scratch, "{ pids: 8, action: stop }", FORKER);
        scratch.ok(&["up", "-d"]);
        let held = holds(scratch, "web");
        scratch.ok(&["daemon", "restart"]);
        assert_eq!(holds(scratch, "web"), held);
        std::fs::write(scratch.project().join("go"), "").unwrap();
        scratch.wait_state("web", if held { "failed" } else { "stopped" }, DEADLINE);
        scratch.down();
    });
}

//! Started from a login session, whose cgroup is not the user's: kennel has the user's systemd make a scope.
//!
//! A stand-in for `systemd-run` moves itself into a group that was prepared. What a real systemd does is tried by
//! `cargo xtask vm --systemd`.
//!
//! covers: C2, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_until};

/// Takes what kennel passes up to `--`, and becomes the rest.
const BECOME: &str = "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"";

const STACK: &str = "services:\n  web:\n    command: ['@badchild@', daemon]\n    readiness: { log_line: '^up$' }\n    \
                     stop_grace_period: 500ms\n";

/// A session of a user whose `systemd-run` is this script; `@scope@` becomes the group that is the user's.
fn session(script: &str) -> Option<Scratch> {
    let mut scratch = Scratch::new(User::Delegated, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    let scope = scratch.in_session();
    scratch.env("KENNEL_CONTAINMENT", "auto");
    scratch.dir("run/systemd");
    std::fs::write(scratch.path("run/systemd/private"), "").unwrap();
    let program = scratch.path("bin/systemd-run");
    let asked = scratch.path("output/asked").display().to_string();
    let script = format!("#!/bin/sh\necho \"$@\" >>{asked}\n{script}\n").replace("@scope@", &scope.to_string_lossy());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    scratch.config(STACK);
    Some(scratch)
}

/// Brings the stack up and down; gives the containment that was in use.
fn containment(scratch: &Scratch) -> serde_json::Value {
    scratch.ok(&["up", "-d"]);
    let info = scratch.json(&["doctor", "--json"]);
    scratch.down();
    assert!(scratch.cgroups().is_empty(), "{:?}", scratch.cgroups());
    let lock = std::fs::read_to_string(scratch.instance_dir().join("lock")).unwrap();
    assert_eq!(lock, "", "the keeper that went on elsewhere has cleared its lock");
    info["containment"].clone()
}

#[test]
fn a_session_gets_a_scope_of_its_own() {
    let Some(scratch) = session(&format!("echo 0 >@scope@/cgroup.procs || exit 1\n{BECOME}")) else { return };
    let containment = containment(&scratch);
    assert_eq!(containment["backend"], "cgroup", "{containment}");
    assert!(containment["promise"].as_str().unwrap().contains("-given/scope/kennel/"), "{containment}");
    let asked = std::fs::read_to_string(scratch.path("output/asked")).unwrap();
    // `doctor` tries limits in another one, by a copy of itself.
    assert_eq!(asked.lines().filter(|line| line.contains("__keeper")).count(), 1, "{asked}");
    assert!(asked.contains("--user --scope"), "{asked}");
    assert!(asked.contains("--property=Delegate=yes"), "{asked}");
}

#[test]
fn what_systemd_says_is_kept() {
    let script = "echo 'Failed to connect to bus: No medium found' >&2; exit 1";
    let Some(scratch) = session(script) else { return };
    falls_back(&scratch, "systemd-run --user --scope: Failed to connect to bus: No medium found");
}

#[test]
fn a_systemd_that_hangs_is_not_waited_for() {
    let Some(scratch) = session("exec sleep 1000") else { return };
    falls_back(&scratch, "systemd-run --user --scope: no answer within 5 s");
}

#[test]
fn a_scope_that_is_not_delegated_is_no_help() {
    let Some(scratch) = session(BECOME) else { return };
    falls_back(&scratch, "; systemd-run --user --scope: cannot use /");
}

#[test]
fn without_systemd_nobody_is_asked() {
    let Some(scratch) = session("exit 1") else { return };
    std::fs::remove_file(scratch.path("run/systemd/private")).unwrap();
    falls_back(&scratch, "Permission denied");
    assert!(!scratch.path("output/asked").exists());
}

fn falls_back(scratch: &Scratch, because: &str) {
    let containment = containment(scratch);
    assert_eq!(containment["backend"], "reaper", "{containment}");
    assert_eq!(containment["reason"], "not_delegated", "{containment}");
    assert!(containment["because"].as_str().unwrap().contains(because), "{containment}");
}

#[test]
fn two_that_start_at_once_meet_in_one_scope() {
    let Some(scratch) = session(&format!("echo 0 >@scope@/cgroup.procs || exit 1\n{BECOME}")) else { return };
    let mut both = [(); 2].map(|()| scratch.spawn(&["up", "-d"]));
    for up in &mut both {
        let output = up.wait(Duration::from_secs(60));
        assert_eq!(output.code(), 0, "{}", output.all());
    }
    let keepers = || scratch.survivors().into_iter().filter(|seen| seen.verb() == "__keeper").collect::<Vec<_>>();
    // Whose command comes second has its answer before the keeper that it started in vain is gone.
    wait_until(Duration::from_secs(60), "one keeper", || keepers().len() == 1);
    assert_eq!(scratch.json(&["doctor", "--json"])["daemon"]["keeper_pid"], keepers()[0].pid);
    scratch.down();
}

#[test]
fn doctor_foretells_what_the_keeper_gets() {
    let Some(scratch) = session(&format!("echo 0 >@scope@/cgroup.procs || exit 1\n{BECOME}")) else { return };
    let found = scratch.json(&["doctor", "--json"]);
    assert!(found["daemon"].is_null(), "{found}");
    let foretold = found["containment"].clone();
    let tried = found["features"].as_array().unwrap();
    assert!(tried.iter().all(|one| one["works"] != "unknown"), "{found}");
    assert!(scratch.cgroups().is_empty() && scratch.survivors().is_empty(), "{:?}", scratch.cgroups());
    assert_eq!(foretold, containment(&scratch));
}

#[test]
fn doctor_foretells_what_systemd_says() {
    let Some(scratch) = session("echo 'Failed to connect to bus: No medium found' >&2; exit 1") else { return };
    let foretold = scratch.json(&["doctor", "--json"])["containment"].clone();
    assert!(foretold["because"].as_str().unwrap().contains("No medium found"), "{foretold}");
    assert_eq!(foretold, containment(&scratch));
}

//! `kennel doctor` says what is there, starts nothing, leaves nothing, and its advice does what it says.
//!
//! covers: C7, D4, E10

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, User, send, state_of, wait_until};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

fn on_each(body: impl Fn(&Scratch)) {
    for user in [User::Root, User::Plain] {
        if let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) {
            body(&scratch);
        }
    }
}

/// What it prints, whatever its exit code.
fn doctor(scratch: &Scratch) -> (i32, Value) {
    let output = scratch.kennel(&["doctor", "--json"]);
    let text = output.stdout.clone();
    (output.code(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {}", output.all())))
}

/// Leftovers of this scratch's own kennel: other tests leave theirs for a moment.
fn leftovers(doctor: &Value, instance: &str) -> Vec<Value> {
    let all = doctor["leftovers"].as_array().unwrap();
    all.iter().filter(|one| one["instance"] == instance).cloned().collect()
}

#[test]
fn without_daemon_and_configuration_nothing_is_started() {
    on_each(|scratch| {
        let (code, found) = doctor(scratch);
        assert_eq!((code, &found["ok"]), (0, &true.into()), "{found}");
        assert!(found["daemon"].is_null(), "{found}");
        let backend = if scratch.user() == User::Root { "cgroup" } else { "reaper" };
        assert_eq!(found["containment"]["backend"], backend, "{found}");
        assert!(scratch.survivors().is_empty());
        assert!(scratch.cgroups().is_empty());
        let text = scratch.ok(&["doctor"]).stdout;
        assert!(text.contains(&format!("containment  {backend}")) && text.contains("none runs"), "{text}");
    });
}

#[test]
fn what_the_kernel_can_do_is_tried() {
    on_each(|scratch| {
        let (_, found) = doctor(scratch);
        let features = found["features"].as_array().unwrap();
        let works = |name: &str| {
            let feature = features.iter().find(|one| one["name"] == name);
            feature.unwrap_or_else(|| panic!("no {name}: {found}"))["works"].as_str().unwrap().to_owned()
        };
        for needed in ["clone3", "pidfd_open", "pidfd_send_signal", "inherited_tag"] {
            assert_eq!(works(needed), "yes", "{needed}");
        }
        for in_group in ["clone_into_cgroup", "cgroup_kill", "cgroup_freeze"] {
            assert_eq!(works(in_group), if scratch.user() == User::Root { "yes" } else { "unknown" }, "{in_group}");
        }
        if scratch.user() == User::Root {
            assert!(["yes", "no"].contains(&&*works("cgroup_kill_without_leader")));
        }
    });
}

/// What it says of limits is what a service then gets.
#[test]
fn who_sees_to_which_limit_is_tried() {
    on_each(|scratch| {
        let (_, found) = doctor(scratch);
        let of = |name: &str| {
            let limit = found["limits"].as_array().unwrap().iter().find(|one| one["name"] == name);
            limit.unwrap_or_else(|| panic!("no {name}: {found}"))["enforced_by"].clone()
        };
        assert_eq!((of("open_files"), of("log_rate")), ("rlimit".into(), "kennel".into()), "{found}");
        if scratch.user() == User::Plain {
            assert_eq!((of("memory"), of("pids"), of("cpus")), ("sampling".into(), "sampling".into(), "nobody".into()));
            assert_eq!(found["limits_advice"], found["containment"]["advice"], "{found}");
            assert!(found["limits_advice"].is_object(), "{found}");
        }
        let limits = "{ memory: 900MiB, pids: 900, cpus: 2, cpu_weight: 90, memory_high: 800MiB, io_read: 1GiB/s }";
        scratch.config(&format!("services: {{ web: {{ command: sleep 600, limits: {limits} }} }}"));
        scratch.ok(&["up", "-d"]);
        let status = scratch.json(&["status", "web", "--json"])[0].clone();
        for limit in status["limits"].as_array().unwrap() {
            assert_eq!(limit["enforced_by"], of(limit["name"].as_str().unwrap()), "{limit} {found}");
        }
        scratch.down();
    });
}

#[test]
fn the_daemon_that_runs_is_asked() {
    on_each(|scratch| {
        scratch.config(
            "services: { web: { command: ['@badchild@', --cell, '1', plain], readiness: { log_line: ^up$ } } }",
        );
        scratch.ok(&["up", "-d"]);
        let (code, found) = doctor(scratch);
        assert_eq!(code, 0, "{found}");
        assert_eq!(found["daemon"]["pid"], scratch.daemon().pid, "{found}");
        assert_eq!(found["containment"], found["daemon"]["containment"]);
        let tried = found["features"].as_array().unwrap().iter().find(|one| one["name"] == "inherited_tag");
        assert_eq!(tried.unwrap()["works"], "yes", "{found}");
        assert!(leftovers(&found, found["instance"].as_str().unwrap()).is_empty(), "{found}");
        scratch.down();
    });
}

#[test]
fn a_parent_of_zombies_is_named() {
    on_each(|scratch| {
        let mut zombie = scratch.spawn_program(Path::new("/bin/sleep"), &["600"], Stdio::null(), |_| {});
        zombie.signal(Signal::KILL);
        wait_until(DEADLINE, "a zombie", || state_of(zombie.pid()) == Some('Z'));
        let (_, found) = doctor(scratch);
        let parents = found["zombies"].as_array().unwrap();
        let me = parents.iter().find(|parent| parent["pid"] == std::process::id());
        assert!(me.is_some_and(|me| me["count"].as_u64() >= Some(1)), "{found}");
        zombie.wait(DEADLINE);
    });
}

#[test]
fn what_a_lost_kennel_left_is_found_and_its_command_ends_it() {
    on_each(|scratch| {
        scratch.config(
            "services: { web: { command: ['@badchild@', --cell, '1', daemon], readiness: { log_line: ^up$ } } }",
        );
        scratch.ok(&["up", "-d"]);
        let instance = scratch.instance_dir().file_name().unwrap().to_string_lossy().into_owned();
        // Keeper, daemon and whatever of kennel's own holds the scope together, none of which may act any more.
        let kennels: Vec<_> =
            scratch.survivors().into_iter().filter(|seen| ["__keeper", "__daemon"].contains(&seen.verb())).collect();
        kennels.iter().for_each(|kennel| send(kennel, Signal::STOP));
        kennels.iter().for_each(|kennel| send(kennel, Signal::KILL));
        // Not by their command lines, nor by their first threads: these are gone before the locks are.
        wait_until(DEADLINE, "kennel gone", || {
            let living = scratch.survivors();
            !living.iter().any(|seen| seen.living && kennels.iter().any(|kennel| kennel.pid == seen.pid))
        });
        assert!(!scratch.in_cells().is_empty());

        let (code, found) = doctor(scratch);
        assert_eq!(code, 1, "{found}");
        let left = leftovers(&found, &instance);
        assert_eq!(left.len(), 1, "{found}");
        let kind = if scratch.user() == User::Root { "scope" } else { "tagged" };
        assert_eq!(left[0]["kind"], kind, "{found}");
        let mut told: Vec<u64> = left[0]["processes"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        told.sort_unstable();
        let living = scratch.in_cells().into_iter().filter(|seen| seen.living).map(|seen| u64::from(seen.pid));
        assert_eq!(told, living.collect::<Vec<_>>(), "{found}");
        let finding = found["findings"].as_array().unwrap().iter().find(|one| one["code"] == "leftovers");
        assert_eq!(finding.unwrap()["advice"]["command"], left[0]["command"], "{found}");

        // Typed as it stands there.
        let command = left[0]["command"].as_str().unwrap();
        let mut shell = scratch.spawn_program(Path::new("/bin/sh"), &["-c", command], Stdio::null(), |_| {});
        assert_eq!(shell.wait(DEADLINE).code(), 0);
        scratch.expect_nothing(DEADLINE);
        let (_, found) = doctor(scratch);
        assert!(leftovers(&found, &instance).is_empty(), "{found}");
    });
}

#[test]
fn what_requires_the_kernel_is_refused_without_it() {
    on_each(|scratch| {
        scratch.config(
            "
require_containment: kernel
services:
  web: { command: ['@badchild@', --cell, '1', plain], readiness: { log_line: ^up$ } }
  db: { command: ['@badchild@', --cell, '2', plain], readiness: { log_line: ^up$ } }
",
        );
        let output = scratch.kennel(&["up", "-d", "--json"]);
        if scratch.user() == User::Root {
            assert_eq!(output.code(), 0, "{}", output.all());
            assert_eq!(scratch.ps("web")["containment"], "cgroup");
            assert_eq!(doctor(scratch).0, 0);
            return scratch.down();
        }
        assert_eq!(output.code(), 7, "{}", output.all());
        let problem: Value = serde_json::from_str(&output.stderr).unwrap();
        assert_eq!(problem["code"], "containment_too_weak", "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`web`, `db`") && detail.contains("KENNEL_CONTAINMENT says so"), "{problem}");
        assert!(problem["hint"].as_str().unwrap().contains("env -u KENNEL_CONTAINMENT"), "{problem}");
        assert!(scratch.in_cells().is_empty());

        let (code, found) = doctor(scratch);
        assert_eq!((code, &found["findings"][0]["code"]), (1, &"containment_too_weak".into()), "{found}");
        // One that the kernel ends with its init is strong enough on any back end; the other one still is not.
        scratch.config(
            "
require_containment: kernel
services:
  web: { command: ['@badchild@', --cell, '1', plain], isolation: pid, readiness: { log_line: ^up$ } }
  db: { command: ['@badchild@', --cell, '2', plain], readiness: { log_line: ^up$ } }
",
        );
        let output = scratch.kennel(&["up", "-d", "web"]);
        assert!(!output.all().contains("require_containment"), "{}", output.all());
        let output = scratch.kennel(&["start", "db"]);
        assert_eq!(output.code(), 7, "{}", output.all());
        let output = scratch.kennel(&["run", "--", "true"]);
        assert_eq!(output.code(), 125, "{}", output.all());
        assert!(scratch.in_cells().iter().all(|seen| seen.cell == Some(1)));
        scratch.down();
    });
}

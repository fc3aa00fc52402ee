//! Runs on request as services: listed, kept apart from the configuration, forgotten when it is asked for.

use kennel_testkit::{Scratch, both, wait_until};
use serde_json::json;

use crate::common::{DEADLINE, detach, hold, living, owner};

both!(
    listed_with_their_results_until_they_are_cleaned,
    a_failed_start_leaves_nothing,
    configurations_leave_them_alone,
    a_command_ends_with_its_owner,
    an_ended_owner_starts_nothing,
);

fn listed_with_their_results_until_they_are_cleaned(scratch: &Scratch) {
    let name = detach(scratch, &[], "1", "plain");
    assert!(name.starts_with("run-"), "{name}");
    let script = "echo out; echo err >&2; exit 3";
    scratch.ok(&["run", "-d", "--name", "three", "--", "/bin/sh", "-c", script]);
    let three = scratch.wait_state("three", "failed", DEADLINE);
    assert_eq!((&three["last_exit"]["code"], &three["ad_hoc"]["lifetime"]), (&json!(3), &json!("daemon")), "{three}");
    assert_eq!(scratch.ok(&["logs", "--no-prefix", "three"]).stdout.lines().count(), 2);
    assert!(scratch.ok(&["status", "three"]).stdout.contains("ends with the daemon"));
    let taken = scratch.kennel(&["run", "-d", "--name", &name, "--", "true"]);
    assert!(taken.code() == 125 && taken.stderr.contains("goes on"), "{}", taken.all());
    scratch.ok(&["stop", &name]);
    assert_eq!((living(scratch, 1), &scratch.ps(&name)["state"]), (0, &json!("stopped")));
    scratch.ok(&["start", &name]);
    wait_until(DEADLINE, "started again", || living(scratch, 1) == 1);
    scratch.ok(&["clean"]);
    let listed = scratch.json(&["ps", "--all", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "what goes on stays: {listed}");
    assert!(!scratch.instance_dir().join("logs/three").exists());
    scratch.ok(&["run", "-d", "--name", "three", "--", "true"]);
    scratch.wait_state("three", "completed", DEADLINE);
    scratch.down();
}

/// Of many results the youngest stay, and the logs of the others go with them.
#[test]
fn results_are_bounded() {
    let scratch = Scratch::any(std::path::Path::new(env!("CARGO_BIN_EXE_kennel")));
    for number in 0..102 {
        scratch.ok(&["run", "-d", "--name", &format!("r{number}"), "--", "/bin/echo", "x"]);
    }
    wait_until(DEADLINE, "a hundred", || scratch.json(&["ps", "--json"]).as_array().unwrap().len() == 100);
    let listed = scratch.json(&["ps", "--json"]);
    let has = |name: &str| listed.as_array().unwrap().iter().any(|one| one["name"] == name);
    assert!(!has("r0") && !has("r1") && has("r2") && has("r101"));
    let log = |name: &str| scratch.instance_dir().join(format!("logs/{name}")).exists();
    wait_until(DEADLINE, "their logs gone", || !log("r0") && !log("r1"));
    wait_until(DEADLINE, "the others' there", || log("r2") && log("r101"));
    scratch.down();
}

fn a_failed_start_leaves_nothing(scratch: &Scratch) {
    detach(scratch, &["--owner", "there"], "1", "plain");
    scratch.file("not-executable", "");
    for (command, code, word) in
        [("/no/such/program", 127, "no such file"), ("./not-executable", 126, "cannot execute")]
    {
        for name in ["new", "there"] {
            let options = ["run", "-d", "--json", "--owner", name, "--lease-ttl", "1s", "--grace", "1h", "--", command];
            let failed = scratch.kennel(&options);
            assert_eq!(failed.code(), code, "{}", failed.all());
            let problem: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
            assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        }
    }
    assert_eq!(owner(scratch, "new"), None);
    assert_eq!(owner(scratch, "there").unwrap()["leases"], json!([]), "a lease of a start that failed");
    assert_eq!(scratch.json(&["ps", "--all", "--json"]).as_array().unwrap().len(), 1);
    scratch.down();
}

fn configurations_leave_them_alone(scratch: &Scratch) {
    let name = detach(scratch, &["--owner", "mine"], "1", "plain");
    wait_until(DEADLINE, "the process", || living(scratch, 1) == 1);
    let pid = scratch.ps(&name)["pid"].clone();
    scratch.config("services:\n  web: { command: ['@badchild@', sleep] }\n  api: { command: ['@badchild@', sleep] }\n");
    scratch.ok(&["up", "-d"]);
    scratch.config("services:\n  web: { command: ['@badchild@', sleep] }\n");
    scratch.ok(&["reload"]);
    scratch.ok(&["up", "-d"]);
    assert_eq!((&scratch.ps(&name)["pid"], &scratch.ps(&name)["state"]), (&pid, &json!("ready")));
    assert_eq!(scratch.json(&["ps", "--all", "--json"]).as_array().unwrap().len(), 2);
    let declared = scratch.kennel(&["run", "-d", "--name", "web", "--", "true"]);
    assert!(declared.stderr.contains("is a service of the configuration"), "{}", declared.all());
    scratch.ok(&["run", "-d", "--name", "late", "--", scratch.badchild().to_str().unwrap(), "sleep"]);
    scratch.config("services:\n  late: { command: ['@badchild@', sleep] }\n");
    for verb in [&["up", "-d"][..], &["reload"]] {
        let conflict = scratch.kennel(verb);
        assert!(conflict.code() != 0 && conflict.stderr.contains("name of the service `late`"), "{}", conflict.all());
    }
    scratch.ok(&["stop", "late"]);
    scratch.ok(&["up", "-d"]);
    assert_eq!(scratch.ps("late").get("ad_hoc"), None);
    scratch.down();
}

fn a_command_ends_with_its_owner(scratch: &Scratch) {
    let badchild = scratch.badchild().display().to_string();
    let (mut held, input) = hold(scratch, &["job", "--grace", "100ms"]);
    let mut command = scratch.spawn(&["run", "--owner", "job", "--", &badchild, "--cell", "1", "plain"]);
    wait_until(DEADLINE, "the process", || living(scratch, 1) == 1);
    assert_eq!(owner(scratch, "job").unwrap()["runs"], 1);
    drop(input);
    held.wait(DEADLINE);
    assert_eq!(command.wait(DEADLINE).code(), 128 + 15);
    assert_eq!(living(scratch, 1), 0);
    scratch.down();
}

fn an_ended_owner_starts_nothing(scratch: &Scratch) {
    let (mut held, input) = hold(scratch, &["job", "--grace", "100ms"]);
    // Would be started again after every end.
    let name = detach(scratch, &["--owner", "job", "--restart", "always"], "1", "plain");
    wait_until(DEADLINE, "the process", || living(scratch, 1) == 1);
    drop(input);
    held.wait(DEADLINE);
    wait_until(DEADLINE, "nothing of it", || living(scratch, 1) == 0);
    scratch.wait_state(&name, "stopped", DEADLINE);
    for verb in [&["start", &name][..], &["restart", &name], &["run", "-d", "--owner", "job", "--", "true"]] {
        let refused = scratch.kennel(verb);
        assert!(refused.code() != 0 && refused.stderr.contains("owner `job` has ended"), "{}", refused.all());
    }
    assert_eq!(scratch.events("instance.started").len(), 1);
    scratch.down();
}

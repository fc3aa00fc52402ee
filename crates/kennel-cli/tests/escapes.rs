//! Services of root that move themselves out of their cgroup: told, killed by policy, and never left behind.
//!
//! covers: C2, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, User, wait_for};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// `@leave@` becomes the move of a shell to the cgroup at the top.
fn scratch(yaml: &str) -> Option<Scratch> {
    let scratch = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    let top = ["/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"];
    let top = top.into_iter().find(|file| Path::new(file).exists()).expect("a cgroup v2 hierarchy");
    // Dollar signs are doubled in the file.
    scratch.config(&yaml.replace("@leave@", &format!("echo $$$$ > {top}")));
    Some(scratch)
}

#[test]
fn who_leaves_is_killed_and_told() {
    let yaml = "
services:
  web:
    command: \"echo up; @leave@; sleep 600; :\"
    shell: true
    restart: 'no'
    readiness: { log_line: up }
";
    let Some(scratch) = scratch(yaml) else { return };
    scratch.kennel(&["up", "-d"]);
    let service = scratch.wait_state("web", "failed", DEADLINE);
    assert_eq!(service["last_exit"]["signal"], 9, "{service}");
    let told = scratch.events("instance.escaped");
    let pids: Vec<&Value> = told.iter().map(|event| &event["pid"]).collect();
    assert!(
        !told.is_empty() && pids.iter().all(|pid| pids.iter().filter(|other| *other == pid).count() == 1),
        "{told:?}"
    );
    assert_eq!((told[0]["service"].as_str(), told[0]["cgroup"].as_str()), (Some("web"), Some("/")), "{told:?}");
    let text = scratch.ok(&["events"]).stdout;
    assert!(text.contains("left its cgroup for /: "), "{text}");
    scratch.down();
}

#[test]
fn who_may_leave_ends_with_its_service_and_is_in_the_receipt() {
    let yaml = "
services:
  web:
    command: \"sh -c '@leave@; trap : TERM; echo up; sleep 600 & wait; sleep 600; :' & wait; wait\"
    shell: true
    on_escape: report
    stop_grace_period: 100ms
    readiness: { log_line: up }
";
    let Some(scratch) = scratch(yaml) else { return };
    scratch.ok(&["up", "-d"]);
    // Its parent lives on in the cgroup, so nothing has told of it yet.
    assert_eq!(scratch.events("instance.escaped").len(), 0);
    let report = scratch.json(&["stop", "web", "--json"]);
    let told =
        wait_for(DEADLINE, "an event", || Some(scratch.events("instance.escaped")).filter(|told| !told.is_empty()));
    let receipt = &report["receipts"][0];
    assert_eq!(receipt["left"], 0, "{receipt}");
    let processes = receipt["processes"].as_array().unwrap();
    let of = |pid: &Value| processes.iter().find(|process| process["pid"] == *pid);
    for event in &told {
        let process = of(&event["pid"]).unwrap_or_else(|| panic!("{event} is not in {receipt}"));
        assert_eq!((process["escaped_to"].as_str(), process["exit"].is_null()), (Some("/"), false), "{process}");
    }
    scratch.down();
}

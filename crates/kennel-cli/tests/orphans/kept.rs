//! Services with `on_daemon_loss: keep` after both losses: left to be adopted, unless somebody wants them gone.

use std::path::Path;

use kennel_testkit::{Scratch, User};
use serde_json::json;

use crate::lost::{DEADLINE, is_clean, living, lose, pids, sockets, told};

/// Eight that are kept and two that are not.
fn each_kept(body: impl Fn(&Scratch, &[u32], &[u32])) {
    for user in [User::Root, User::Delegated] {
        let Some(scratch) = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel"))) else { continue };
        let mut yaml = String::from("services:\n");
        for number in 0..10 {
            let shape = if number % 2 == 0 { "plain" } else { "daemon" };
            let loss = if number < 8 { "keep" } else { "stop" };
            yaml.push_str(&format!(
                "  s{number}: {{ command: ['@badchild@', --cell, '{}', {shape}], readiness: {{ log_line: up }}, \
                 on_daemon_loss: {loss} }}\n",
                number + 1
            ));
        }
        scratch.config(&yaml);
        scratch.ok(&["up", "-d"]);
        lose(&scratch);
        let of = |cells: std::ops::Range<u64>| -> Vec<u32> {
            let found = scratch.in_cells();
            let mut pids: Vec<u32> = found
                .iter()
                .filter(|it| it.living && it.cell.is_some_and(|cell| cells.contains(&cell)))
                .map(|it| it.pid)
                .collect();
            pids.sort_unstable();
            pids
        };
        let (kept, others) = (of(1..9), of(9..11));
        assert!(kept.len() >= 8 && others.len() >= 2);
        body(&scratch, &kept, &others);
    }
}

#[test]
fn what_would_become_of_each_is_told() {
    each_kept(|scratch, kept, others| {
        let told = told(scratch, &["sweep", "--json"]);
        for orphan in told["orphans"].as_array().unwrap() {
            let pid = u32::try_from(orphan["pid"].as_u64().unwrap()).unwrap();
            let fate = if kept.contains(&pid) { "adopted" } else { "ended" };
            assert_eq!((&orphan["on_stop"], &orphan["on_start"]), (&json!("ended"), &json!(fate)), "{orphan}");
        }
        assert_eq!(told["orphans"].as_array().unwrap().len(), kept.len() + others.len());
        scratch.ok(&["clean", "--all"]);
        is_clean(scratch);
    });
}

#[test]
fn one_command_reaches_zero() {
    each_kept(|scratch, kept, others| {
        let told = told(scratch, &["clean", "--all", "--json"]);
        assert_eq!((pids(&told["ended"]).len(), &told["left"]), (kept.len() + others.len(), &json!(0)), "{told}");
        is_clean(scratch);
    });
}

#[test]
fn another_one_has_all_adopted() {
    each_kept(|scratch, kept, others| {
        let told = told(scratch, &["sweep", "--adopt", "--json"]);
        let mut adopted: Vec<u32> =
            told["adopted"].as_array().unwrap().iter().map(|it| u32::try_from(it.as_u64().unwrap()).unwrap()).collect();
        adopted.sort_unstable();
        assert_eq!((adopted.as_slice(), pids(&told["ended"]).as_slice()), (kept, others), "{told}");
        assert_eq!((&told["left"], &told["note"]), (&json!(0), &json!(null)), "{told}");
        for number in 0..8 {
            let service = scratch.wait_state(&format!("s{number}"), "ready", DEADLINE);
            assert!(kept.contains(&u32::try_from(service["pid"].as_u64().unwrap()).unwrap()), "{service}");
        }
        let beside = crate::lost::told(scratch, &["ps", "--orphans", "--json"]);
        assert_eq!((&beside["state"], &beside["orphans"]), (&json!("running"), &json!([])), "{beside}");
        scratch.down();
    });
}

#[test]
fn they_are_left_to_be_adopted() {
    each_kept(|scratch, kept, others| {
        let said = scratch.ok(&["clean"]);
        assert!(said.stdout.contains(&format!("{} processes to be adopted", kept.len())), "{}", said.all());
        let mut alive = living(scratch);
        alive.sort_unstable();
        assert_eq!(alive, kept);
        assert!(others.iter().all(|pid| !alive.contains(pid)));
        assert!(sockets(scratch).iter().all(|socket| !socket.exists()));
        // The next start is to know that there is something to look for.
        assert!(std::fs::metadata(scratch.instance_dir().join("lock")).unwrap().len() > 0);
        scratch.ok(&["up", "-d"]);
        for number in 0..8 {
            let service = scratch.ps(&format!("s{number}"));
            assert!(kept.contains(&u32::try_from(service["pid"].as_u64().unwrap()).unwrap()), "{service}");
        }
        scratch.down();
    });
}

#[test]
fn the_doctor_points_to_the_choice() {
    each_kept(|scratch, _, _| {
        let said = scratch.kennel(&["doctor", "--json"]);
        assert_eq!(said.code(), 1, "{}", said.all());
        let doctor: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let finding = &doctor["findings"][0];
        let command = finding["advice"]["command"].as_str().unwrap();
        assert!(finding["code"] == "leftovers" && command.ends_with(" sweep"), "{finding}");
        // As it stands there.
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        assert!(scratch.ok(&words).stdout.contains("kennel sweep --adopt"));
        scratch.ok(&["clean", "--all"]);
        is_clean(scratch);
    });
}

//! `ps --orphans` and `sweep`.

use kennel_testkit::User;

use crate::lost::{down, each_lost, is_clean, living, pids, stack, told};

#[test]
fn all_are_told_and_nothing_is_changed() {
    each_lost(|scratch| {
        let mut alive = living(scratch);
        alive.sort_unstable();
        for arguments in [&["ps", "--orphans", "--json"][..], &["sweep", "--json"]] {
            let told = told(scratch, arguments);
            assert_eq!(told["state"], "lost");
            assert_eq!(pids(&told["orphans"]), alive, "{told}");
            for orphan in told["orphans"].as_array().unwrap() {
                let known_by = orphan["known_by"].as_array().unwrap();
                let certain = known_by.iter().any(|by| by != "stamp");
                assert!(certain || scratch.user() == User::Plain, "{orphan}");
                assert_eq!(orphan["sure"], if certain { "certain" } else { "likely" }, "{orphan}");
                assert!(orphan["why"].as_str().is_some_and(|why| !why.is_empty()), "{orphan}");
                // By its group or its record, or by the tag of the one that is recorded.
                assert!(orphan["service"].as_str().is_some_and(|name| name.starts_with('s')), "{orphan}");
                assert_eq!((&orphan["on_stop"], &orphan["on_start"]), (&"ended".into(), &"ended".into()));
            }
        }
        assert_eq!(living(scratch).len(), alive.len(), "a look changes nothing");
        let table = scratch.ok(&["sweep"]).stdout;
        assert!(table.contains("kennel sweep --stop"), "{table}");
        scratch.ok(&["clean", "--all"]);
    });
}

#[test]
fn all_are_ended_and_that_is_proved() {
    each_lost(|scratch| {
        let mut alive = living(scratch);
        alive.sort_unstable();
        let told = told(scratch, &["sweep", "--stop", "--json"]);
        assert_eq!((&told["left"], &told["note"]), (&0.into(), &serde_json::Value::Null), "{told}");
        assert_eq!(pids(&told["ended"]), alive);
        for process in told["ended"].as_array().unwrap() {
            assert_eq!(process["stage"], "KILL");
        }
        is_clean(scratch);
    });
}

#[test]
fn some_leave_when_they_are_asked() {
    each_lost(|scratch| {
        let told = told(scratch, &["sweep", "--stop", "--timeout", "1s", "--json"]);
        let stages: Vec<&str> =
            told["ended"].as_array().unwrap().iter().filter_map(|one| one["stage"].as_str()).collect();
        assert!(stages.contains(&"TERM") && stages.contains(&"KILL"), "{told}");
        is_clean(scratch);
    });
}

#[test]
fn there_is_none_beside_a_daemon() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user) else { continue };
        let count = living(&scratch).len();
        for arguments in [&["ps", "--orphans", "--json"][..], &["sweep", "--stop", "--json"], &["clean", "--json"]] {
            let told = told(&scratch, arguments);
            assert_eq!((&told["state"], pids(&told["orphans"])), (&"running".into(), Vec::new()), "{told}");
        }
        assert_eq!(living(&scratch).len(), count);
        assert_eq!(scratch.ok(&["ps", "--orphans"]).all(), "no orphans\n");
        down(&scratch);
    }
}

#[test]
fn a_start_ends_them_and_says_so() {
    each_lost(|scratch| {
        let before = living(scratch);
        let said = scratch.ok(&["up", "-d"]);
        assert!(said.stderr.contains("left by a lost kennel and ended: "), "{}", said.all());
        assert!(living(scratch).iter().all(|pid| !before.contains(pid)));
        // The keeper has looked for itself.
        let log = std::fs::read_to_string(scratch.instance_dir().join("kennel.log")).unwrap();
        assert!(log.contains("an earlier keeper was lost"), "{log}");
        down(scratch);
    });
}

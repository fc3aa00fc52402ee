//! `clean`: to nothing from every state.

use kennel_testkit::{Signal, User, send};

use crate::lost::{down, each_lost, is_clean, living, lose, pids, stack, told};

#[test]
fn one_command_reaches_zero() {
    each_lost(|scratch| {
        let mut alive = living(scratch);
        alive.sort_unstable();
        let told = told(scratch, &["clean", "--all", "--json"]);
        assert_eq!((&told["state"], &told["left"]), (&"lost".into(), &0.into()), "{told}");
        assert_eq!(pids(&told["ended"]), alive);
        assert!(told["removed"].as_array().unwrap().len() >= 2, "{told}");
        is_clean(scratch);
    });
}

/// Keeper, daemon or both are stopped and answer nothing, or not what they are asked for.
#[test]
fn whoever_hangs_is_ended_with_all_it_runs() {
    for user in [User::Root, User::Plain] {
        for (keeper_too, daemon_too) in [(false, true), (true, false), (true, true)] {
            let Some(scratch) = stack(user) else { return };
            let (keeper, daemon) = (scratch.keeper(), scratch.daemon());
            let hung: Vec<_> = [(keeper_too, keeper), (daemon_too, daemon)].into_iter().filter(|it| it.0).collect();
            hung.iter().for_each(|(_, one)| send(one, Signal::STOP));
            if daemon_too {
                let before = living(&scratch).len();
                let refused = scratch.kennel(&["clean"]);
                assert_eq!(refused.code(), 5, "{}", refused.all());
                assert!(refused.all().contains("kennel clean --all"), "{}", refused.all());
                assert_eq!(living(&scratch).len(), before);
            }
            let told = told(&scratch, &["clean", "--all", "--json"]);
            assert_eq!((&told["state"], &told["left"]), (&"silent".into(), &0.into()), "{told}");
            for (_, one) in hung {
                assert!(pids(&told["ended"]).contains(&one.pid), "{told}");
            }
            is_clean(&scratch);
        }
    }
}

#[test]
fn a_stack_that_runs_goes_down() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user) else { continue };
        let told = told(&scratch, &["clean", "--all", "--timeout", "1s", "--json"]);
        assert_eq!((&told["state"], &told["left"]), (&"running".into(), &0.into()), "{told}");
        assert_eq!(told["down"]["receipts"].as_array().unwrap().len(), 10);
        is_clean(&scratch);
    }
}

#[test]
fn what_is_clean_stays_so() {
    for user in [User::Root, User::Plain] {
        let Some(scratch) = stack(user) else { continue };
        down(&scratch);
        for arguments in [&["clean"][..], &["clean", "--all"], &["sweep", "--stop"], &["sweep", "--adopt"]] {
            let said = scratch.ok(arguments);
            assert!(said.all().contains("nothing to clean up") || said.all().contains("no orphans"), "{}", said.all());
        }
        is_clean(&scratch);
    }
}

#[test]
fn every_instance_is_cleaned_if_that_is_asked_for() {
    let Some(scratch) = stack(User::Plain) else { return };
    lose(&scratch);
    scratch.ok(&["--instance", "second", "up", "-d", "s0"]);
    let told = scratch.json(&["clean", "--all", "--all-instances", "--json"]);
    let states: Vec<&str> =
        told["instances"].as_array().unwrap().iter().filter_map(|one| one["state"].as_str()).collect();
    assert_eq!((states.len(), &told["left"]), (2, &0.into()), "{told}");
    assert!(states.contains(&"lost") && states.contains(&"running"), "{told}");
    scratch.expect_nothing(crate::lost::DEADLINE);
}

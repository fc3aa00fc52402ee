//! Keeper and daemon are lost; the next keeper takes over what was to be kept, and says what nobody took over.
//!
//! covers: A5, B7, E5

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::path::Path;

use kennel_keeper::proto::{Adopt, AdoptError, Exit, Identity, Place, Request, ScopeId, Spawn, Stray};
use kennel_sys::{pipe, proc, wait};
use rig::{Rig, World, describe, wait_until};
use rustix::process::Signal;

/// Says something whenever it is asked to.
const TALKS: &str = "trap 'echo got' USR1; trap 'exit 7' USR2; trap '' TERM; sleep 600 & sleep 600 & echo up; \
                     while :; do wait; done";

fn in_each(body: impl Fn(Rig)) {
    for world in [World::Cgroup, World::Delegated] {
        if world.is_here() {
            body(Rig::new(world));
        }
    }
}

/// What a daemon has recorded of a scope.
fn record(rig: &Rig, scope: ScopeId) -> Adopt {
    let (_, place, pipes) = rig.seen.spawned.get(&scope).unwrap();
    let Place::Cgroup(directory) = place else { panic!("no cgroup") };
    let leaf = directory.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(directory.parent().unwrap(), rig.cgroup_root().join("stack/keep"));
    let inodes = pipes.as_ref().map(|pipes| [0, 1].map(|at| pipe::inode(&pipes[at]).unwrap()));
    let note = b"of the second daemon".to_vec();
    Adopt { scope, leaf, process: rig.seen.identities[&scope], kill_escaped: true, note, pipes: inodes }
}

/// Keeper and daemon are killed at once, and everything that they and the test had open is closed.
fn lose_both(rig: &mut Rig) {
    for pid in [rig.keeper.pid, rig.daemon] {
        rig.signal_process(pid, 9);
    }
    wait::reap(rig.keeper.pid, true).unwrap();
    rig.seen.spawned.clear();
    rig.known.clear();
}

fn adopt(rig: &mut Rig, adopt: &Adopt) -> bool {
    rig.send(&Request::Adopt(Box::new(adopt.clone())));
    let scope = adopt.scope;
    let (place, pipes, main_alive) = rig.until("adoption", |seen| {
        assert!(seen.adopt_refused.is_empty(), "{:?}", seen.adopt_refused);
        seen.adopted.remove(&scope)
    });
    let Place::Cgroup(directory) = &place else { panic!("no cgroup") };
    assert_eq!(directory.file_name().unwrap().to_str().unwrap(), adopt.leaf);
    rig.seen.spawned.insert(scope, (adopt.process.pid, place, pipes));
    main_alive
}

fn refused(rig: &mut Rig, adopt: &Adopt) -> AdoptError {
    rig.send(&Request::Adopt(Box::new(adopt.clone())));
    let scope = adopt.scope;
    rig.until("refusal", |seen| {
        assert!(!seen.adopted.contains_key(&scope), "adopted");
        seen.adopt_refused.remove(&scope)
    })
}

fn strays(rig: &mut Rig) -> Vec<Stray> {
    rig.seen.strays = None;
    rig.send(&Request::Settled);
    rig.until("strays", |seen| seen.strays.take())
}

fn kill_stray(rig: &mut Rig, leaf: &str) {
    rig.send(&Request::KillStray { leaf: leaf.to_owned() });
    rig.until("end of the stray", |seen| seen.strays_ended.contains(leaf).then_some(()));
}

fn nothing_is_marked(rig: &Rig) {
    wait_until("processes left", || rig.marked().is_empty(), || format!("{:?}", describe(&rig.marked())));
}

/// Not known only where it was reaped before anybody could look, on a kernel that keeps nothing; never an invented one.
fn is_exit(found: Exit, expected: Exit) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
    let keeps = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    assert!(found == expected || found == Exit::Unknown && !keeps, "{found:?}");
}

#[test]
fn what_was_to_be_kept_is_taken_over_with_its_output() {
    in_each(|mut rig| {
        let (kept, pid) = rig.keep(TALKS);
        rig.script("trap '' TERM; echo up; sleep 600");
        let record = record(&rig, kept);
        lose_both(&mut rig);
        // Nobody reads, and nobody has the other end of its pipes but itself.
        rig.signal_process(pid, Signal::USR1.as_raw());
        let mut next = rig.successor();
        // What was not to be kept is gone before the daemon has started; the rest is untouched.
        wait_until("others left", || rig.marked().len() == 3, || format!("{:?}", describe(&rig.marked())));

        assert!(adopt(&mut next, &record));
        assert_eq!(next.wait_for_output(kept, "got\n"), "got\n");
        next.signal(kept, Signal::USR1.as_raw(), false);
        assert_eq!(next.wait_for_output(kept, "got\n"), "got\n");
        assert_eq!(strays(&mut next), []);
        assert_eq!(refused(&mut next, &record), AdoptError::Taken);

        // From here on it is a scope like any other, also for the loss of this daemon …
        next.lose_daemon();
        let known = next.known.first().unwrap();
        assert_eq!((known.scope, known.keep, known.note.as_slice()), (kept, true, &b"of the second daemon"[..]));
        assert_eq!(known.started.as_ref().unwrap().identity, record.process);
        next.signal(kept, Signal::USR1.as_raw(), false);
        assert_eq!(next.wait_for_output(kept, "got\n"), "got\n");

        // … and of this keeper.
        lose_both(&mut next);
        let mut third = next.successor();
        assert!(adopt(&mut third, &record));
        third.signal(kept, Signal::USR1.as_raw(), false);
        assert_eq!(third.wait_for_output(kept, "got\n"), "got\n");
        let exit = third.kill(kept);
        is_exit(exit, Exit::Signal(9));
        nothing_is_marked(&rig);
        third.finish();
        next.nothing_is_left();
        rig.nothing_is_left();
    });
}

#[test]
fn the_exit_of_an_adopted_main_process_is_learnt_or_not_known() {
    in_each(|mut rig| {
        let (kept, _) = rig.keep(TALKS);
        let record = record(&rig, kept);
        lose_both(&mut rig);
        let mut next = rig.successor();
        assert!(adopt(&mut next, &record));
        next.signal(kept, Signal::USR2.as_raw(), false);
        let exit = next.until("exit", |seen| seen.exited.get(&kept).copied());
        is_exit(exit, Exit::Code(7));
        assert!(!next.seen.emptied.contains(&kept));
        next.kill(kept);
        next.finish();
        rig.nothing_is_left();
    });
}

#[test]
fn a_main_process_that_ended_in_between_or_is_another_one_is_not_taken_for_alive() {
    in_each(|mut rig| {
        let (first, pid) = rig.keep(TALKS);
        let (second, _) = rig.keep(TALKS);
        let (ended, mut other) = (record(&rig, first), record(&rig, second));
        lose_both(&mut rig);
        rig.signal_process(pid, Signal::USR2.as_raw());
        wait_until("it lives", || proc::stat(pid).is_none(), || rig.log());
        other.process = Identity { start_ticks: other.process.start_ticks + 1, ..other.process };
        let mut next = rig.successor();
        for record in [&ended, &other] {
            assert!(!adopt(&mut next, record));
            let scope = record.scope;
            assert_eq!(next.until("exit", |seen| seen.exited.get(&scope).copied()), Exit::Unknown);
            next.kill(scope);
        }
        nothing_is_marked(&rig);
        next.finish();
        rig.nothing_is_left();
    });
}

#[test]
fn what_ended_in_between_is_gone() {
    in_each(|mut rig| {
        let (kept, pid) = rig.keep("trap 'exit 0' USR2; echo up; while :; do sleep 0.01; done");
        let record = record(&rig, kept);
        lose_both(&mut rig);
        rig.signal_process(pid, Signal::USR2.as_raw());
        nothing_is_marked(&rig);
        let mut next = rig.successor();
        assert_eq!(refused(&mut next, &record), AdoptError::Gone);
        assert_eq!(refused(&mut next, &Adopt { leaf: "no-such.1".to_owned(), ..record }), AdoptError::Gone);
        assert_eq!(strays(&mut next), []);
        // The number is free.
        let plan = next.plan(&["true"]);
        let (again, _) = next.run_plan(Spawn { scope: kept, ..plan });
        next.ended(again);
        next.finish();
        rig.nothing_is_left();
    });
}

#[test]
fn what_nobody_adopts_is_listed_and_ended_on_request_only() {
    in_each(|mut rig| {
        let (first, pid) = rig.keep(TALKS);
        let (second, _) = rig.keep(TALKS);
        let records = [first, second].map(|scope| record(&rig, scope));
        lose_both(&mut rig);
        let mut next = rig.successor();
        let found = strays(&mut next);
        let leaves: Vec<&str> = found.iter().map(|stray| stray.leaf.as_str()).collect();
        assert_eq!(leaves, records.each_ref().map(|record| record.leaf.as_str()));
        let of_first: Vec<u32> = found[0].processes.iter().map(|process| process.pid).collect();
        assert!(of_first.contains(&pid) && of_first.len() == 3, "{of_first:?}");
        assert!(adopt(&mut next, &records[1]));
        assert_eq!(strays(&mut next).len(), 1);
        kill_stray(&mut next, &records[0].leaf);
        assert_eq!(refused(&mut next, &records[0]), AdoptError::Gone);
        assert_eq!(strays(&mut next), []);
        wait_until("the other", || rig.marked().len() == 3, || format!("{:?}", describe(&rig.marked())));
        kill_stray(&mut next, "no-such.1");
        next.kill(second);
        next.finish();
        rig.nothing_is_left();
    });
}

#[test]
fn a_goodbye_ends_what_nobody_has_adopted() {
    in_each(|mut rig| {
        rig.keep(TALKS);
        lose_both(&mut rig);
        rig.successor().finish();
        rig.nothing_is_left();
    });
}

/// A daemon that cannot live must not be the end of what it has not even asked for.
#[test]
fn a_keeper_that_gives_up_leaves_what_it_has_not_adopted() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let (kept, _) = rig.keep(TALKS);
    let record = record(&rig, kept);
    lose_both(&mut rig);
    let mut next = rig.successor();
    for _ in 0..5 {
        next.lose_daemon();
    }
    next.signal_process(next.daemon, 9);
    wait::reap(next.keeper.pid, true).unwrap();
    let mut third = next.successor();
    assert!(adopt(&mut third, &record));
    wait_until("the kept", || rig.marked().len() == 3, || format!("{:?}", describe(&rig.marked())));
    third.kill(kept);
    third.finish();
    rig.nothing_is_left();
}

/// It left its leaf, and so is in none that could be adopted.
#[test]
fn who_left_a_kept_leaf_is_found_by_its_tag() {
    if !World::Cgroup.is_here() {
        return;
    }
    for is_adopted in [true, false] {
        let mut rig = Rig::new(World::Cgroup);
        let away = rig.cgroup_root().parent().unwrap().join(format!("away-{}", std::process::id()));
        std::fs::create_dir(&away).unwrap();
        let procs = away.join("cgroup.procs");
        let script = format!("(echo 0 > {}; exec setsid sleep 600) & sleep 600 & echo up; wait", procs.display());
        let plan = rig.plan(&["sh", "-c", &script]);
        let (kept, _) = rig.run_plan(Spawn { keep: true, kill_escaped: false, ..plan });
        rig.wait_for_output(kept, "up\n");
        let has_left = || std::fs::read_to_string(&procs).unwrap().lines().count() == 1;
        wait_until("it stays", has_left, || rig.log());
        let record = Adopt { kill_escaped: false, ..record(&rig, kept) };
        lose_both(&mut rig);
        let mut next = rig.successor();
        if is_adopted {
            assert!(adopt(&mut next, &record));
            assert_eq!(strays(&mut next), []);
            // A scope is not empty before they are gone as well.
            next.kill(kept);
        } else {
            let leaves: Vec<String> = strays(&mut next).into_iter().map(|stray| stray.leaf).collect();
            assert!(leaves.len() == 2 && leaves[1].starts_with("tag:"), "{leaves:?}");
            for leaf in leaves {
                kill_stray(&mut next, &leaf);
            }
        }
        // Before the goodbye, which would end it as well.
        nothing_is_marked(&rig);
        next.finish();
        rig.nothing_is_left();
        std::fs::remove_dir(away).unwrap();
    }
}

#[test]
fn without_cgroups_nothing_outlives_its_keeper() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Reaper);
    let (kept, pid) = rig.keep(TALKS);
    let process = rig.seen.identities[&kept];
    lose_both(&mut rig);
    wait_until("it lives", || proc::stat(pid).is_none(), || rig.log());
    let mut next = rig.successor();
    nothing_is_marked(&rig);
    let adopt =
        Adopt { scope: kept, leaf: "case.1".into(), process, kill_escaped: true, note: Vec::new(), pipes: None };
    assert_eq!(refused(&mut next, &adopt), AdoptError::NoCgroups);
    next.finish();
}

/// The scope is in a PID namespace, whose first process ends with the keeper.
#[test]
fn a_namespace_does_not_outlive_its_keeper() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    rig.isolation.pid = true;
    let (kept, _) = rig.keep("echo up; sleep 600");
    let Place::Cgroup(directory) = &rig.seen.spawned[&kept].1 else { panic!("no cgroup") };
    assert_eq!(directory.parent().and_then(Path::file_name).unwrap(), "svc");
    lose_both(&mut rig);
    nothing_is_marked(&rig);
    let mut next = rig.successor();
    assert_eq!(strays(&mut next), []);
    next.finish();
}

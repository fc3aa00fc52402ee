//! The daemon, the keeper or a scope's reaper is lost; nothing else may be.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::io::Read;
use std::time::Duration;

use kennel_keeper::proto::{Exit, Follows, Place, Request, ScopeId};
use kennel_sys::cgroup::{Group, Killer};
use kennel_sys::wait;
use kennel_testkit::Shown;
use rig::{PATIENCE, Rig, World, describe, wait_until};
use rustix::process::Signal;

fn in_each(body: impl Fn(Rig)) {
    for world in [World::Cgroup, World::Reaper] {
        if world.is_here() {
            body(Rig::new(world));
        }
    }
}

const TREE: &str = "trap '' TERM; setsid sh -c 'sleep 600 & sleep 600' & sleep 600 & echo up; wait";

#[test]
fn a_lost_daemon_takes_its_scopes_along_and_is_replaced() {
    in_each(|mut rig| {
        let scope = rig.script(TREE);
        let short = rig.run(&["sh", "-c", "echo last words; exit 3"]).0;
        rig.ended(short);
        let forgotten = rig.run(&["true"]).0;
        rig.ended(forgotten);
        rig.send(&Request::Forget { scope: forgotten });
        let before = rig.daemon;
        rig.lose_daemon();
        assert_ne!(rig.daemon, before);
        rig.no_service_is_left();

        assert_eq!(rig.follows, Follows::Loss);
        let scopes: Vec<ScopeId> = rig.known.iter().map(|known| known.scope).collect();
        assert_eq!(scopes, [scope, short]);
        let known = rig.known.iter_mut().find(|known| known.scope == short).unwrap();
        assert_eq!(known.name, "case.2");
        let started = known.started.as_mut().unwrap();
        assert_eq!((started.exit, started.empty), (Some(Exit::Code(3)), true));
        let [stdout, _] = started.pipes.take().unwrap();
        let mut text = String::new();
        std::fs::File::from(stdout).read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words\n");

        // What was not over at the welcome is told after it.
        let known = rig.known.iter().find(|known| known.scope == scope).unwrap();
        let started = known.started.as_ref().unwrap();
        let (exit, empty) = (started.exit, started.empty);
        let exit = exit.unwrap_or_else(|| rig.until("exit", |seen| seen.exited.get(&scope).copied()));
        assert_eq!(exit, Exit::Signal(9));
        if !empty {
            rig.until("emptiness", |seen| seen.emptied.contains(&scope).then_some(()));
        }
        for scope in [scope, short] {
            rig.send(&Request::Forget { scope });
        }
        let (scope, _) = rig.run(&["true"]);
        assert_eq!(rig.ended(scope), Exit::Code(0));
        rig.finish();
    });
}

#[test]
fn a_daemon_that_exits_without_a_goodbye_is_lost() {
    in_each(|mut rig| {
        rig.script(TREE);
        rig.release_daemon();
        rig.no_service_is_left();
        assert_eq!(rig.known.len(), 1);
        rig.finish();
    });
}

#[test]
fn a_goodbye_ends_everything() {
    in_each(|mut rig| {
        for _ in 0..5 {
            rig.script(TREE);
        }
        rig.finish();
    });
}

#[test]
fn a_daemon_that_is_lost_again_and_again_is_given_up() {
    in_each(|mut rig| {
        rig.script(TREE);
        for _ in 0..5 {
            rig.lose_daemon();
        }
        rig.signal_process(rig.daemon, 9);
        let reaped = wait::reap(rig.keeper.pid, true).unwrap().unwrap();
        assert_eq!(reaped.exit, wait::Exit::Code(0));
        rig.nothing_is_left();
    });
}

#[test]
fn a_lost_keeper_leaves_its_scopes_to_the_daemon_or_the_reapers() {
    in_each(|mut rig| {
        let scopes = [rig.script(TREE), rig.script("echo up; kill -STOP $$; sleep 600"), rig.script(TREE)];
        rig.signal_process(rig.keeper.pid, 9);
        wait::reap(rig.keeper.pid, true).unwrap();
        // The daemon's part, where there are cgroups.
        for scope in scopes {
            if let Place::Cgroup(directory) = &rig.seen.spawned.get(&scope).unwrap().1 {
                let group = Group::at(directory).unwrap();
                assert!(Killer::run(&group, PATIENCE), "{:?}", describe(&group.members()));
            }
        }
        rig.leash = None;
        wait_until("processes left", || rig.marked().is_empty(), || format!("{:?}", describe(&rig.marked())));
    });
}

#[test]
fn what_keeper_and_daemon_leave_behind_is_swept_by_the_next_keeper() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    rig.script(TREE);
    rig.script("r() { r & }; r; r; echo up; sleep 600");
    let root = rig.cgroup_root();
    for pid in [rig.keeper.pid, rig.daemon] {
        rig.signal_process(pid, 9);
    }
    wait::reap(rig.keeper.pid, true).unwrap();
    assert!(!rig.services().is_empty());
    let next = rig.successor();
    assert_eq!(next.cgroup_root(), root);
    // Before the new daemon was even started.
    wait_until("processes left", || rig.marked().is_empty(), || format!("{:?}", describe(&rig.marked())));
    next.finish();
    rig.nothing_is_left();
}

#[test]
fn two_keepers_of_one_name_do_not_meet() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut first = Rig::new(World::Cgroup);
    let scope = first.script(TREE);
    let second = first.namesake();
    assert_ne!(first.cgroup_root(), second.cgroup_root());
    second.finish();
    assert!(!first.services().is_empty());
    first.kill(scope);
    first.finish();
}

#[test]
fn a_second_keeper_of_the_same_state_is_told_that_it_is_one() {
    in_each(|rig| {
        assert_eq!(rig.rival(), "busy\n");
        rig.finish();
    });
}

#[test]
fn a_scope_survives_neither_the_end_nor_the_sleep_of_its_reaper() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Reaper);
    let lost = rig.script(TREE);
    let other = rig.script(TREE);
    let reaper = |rig: &Rig, scope: ScopeId| match rig.seen.spawned.get(&scope).unwrap().1 {
        Place::Reaper(pid) => pid,
        Place::Cgroup(_) => panic!("a cgroup"),
    };
    rig.signal_process(reaper(&rig, lost), Signal::KILL.as_raw());
    assert_eq!(rig.ended(lost), Exit::Signal(9));
    // What it started last may not have started its own children yet.
    wait_until("another scope is touched", || rig.services().len() == 5, || format!("{:?}", describe(&rig.services())));

    for signal in [Signal::STOP, Signal::TERM, Signal::HUP, Signal::SEGV, Signal::ABORT] {
        rig.signal_process(reaper(&rig, other), signal.as_raw());
    }
    assert_eq!(rig.kill(other), Exit::Signal(9));
    rig.no_service_is_left();
    rig.finish();
}

#[test]
fn a_keeper_that_is_told_to_end_asks_its_daemon() {
    in_each(|mut rig| {
        rig.script(TREE);
        let before = rig.daemon;
        rig.signal_process(rig.keeper.pid, Signal::TERM.as_raw());
        // This daemon knows no better than to die of it, which makes it a lost one.
        rig.meet_next();
        assert_ne!(rig.daemon, before);
        rig.no_service_is_left();
        rig.finish();
    });
}

#[test]
fn nothing_wakes_an_idle_keeper() {
    in_each(|mut rig| {
        for _ in 0..3 {
            rig.script(TREE);
        }
        let switches = |pid: u32| Shown::of(pid).status("voluntary_ctxt_switches").parse::<u64>().unwrap();
        // Let it come to rest first: the count has to be the same for a while.
        let mut last = switches(rig.keeper.pid);
        wait_until(
            "the keeper wakes all the time",
            || {
                kennel_sys::process::pause(Duration::from_millis(300));
                let now = switches(rig.keeper.pid);
                std::mem::replace(&mut last, now) == now
            },
            || "never twice the same".to_owned(),
        );
        rig.finish();
    });
}

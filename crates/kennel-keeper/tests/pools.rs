//! What several scopes may use together is held by the group that they are in: of all of them, of an owner, of owners below one.
//!
//! covers: C4, E6

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::fs::File;
use std::path::PathBuf;

use kennel_keeper::proto::{Bound, Exit, HeldBy, Place, Request, Resource, ScopeId, Spawn};
use kennel_sys::cgroup::bounds;
use rig::{Rig, World, in_each};

const MIB: u64 = 1 << 20;
const HOG: &str = "ulimit -v 400000; exec tail < /dev/zero";

fn owners(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Bounds a pool; answers whether the kernel holds it.
fn bound(rig: &mut Rig, of: &[&str], resource: Resource, value: Option<u64>) -> bool {
    let of = owners(of);
    rig.seen.pools.remove(&of);
    rig.send(&Request::BoundPool { owners: of.clone(), bounds: vec![Bound { resource, value }] });
    let applied = rig.until("answer", |seen| seen.pools.get(&of).cloned());
    !matches!(applied[0].by, HeldBy::Nobody { .. })
}

fn run(rig: &mut Rig, of: &[&str], script: &str) -> ScopeId {
    let plan = Spawn { owners: owners(of), ..rig.plan(&["sh", "-c", script]) };
    rig.run_plan(plan).0
}

fn group(rig: &Rig, scope: ScopeId) -> PathBuf {
    match &rig.seen.spawned.get(&scope).unwrap().1 {
        Place::Cgroup(leaf) => leaf.clone(),
        Place::Reaper(_) => panic!("no group"),
    }
}

fn with_cgroups(body: impl Fn(&mut Rig)) {
    if World::Cgroup.is_here() {
        let mut rig = Rig::new(World::Cgroup);
        body(&mut rig);
        rig.finish();
    }
}

/// Bounded before anybody is there, and with those who are.
#[test]
fn the_memory_of_an_owner_is_that_of_all_below_it() {
    with_cgroups(|rig| {
        let calm = run(rig, &["a"], "exec sleep 600");
        if !bound(rig, &["a"], Resource::Memory, Some(48 * MIB)) {
            rig.kill(calm);
            return;
        }
        let hog = run(rig, &["a", "b"], HOG);
        assert!(group(rig, hog).ends_with(format!("stack/own/a/own/b/svc/case.{}", hog.0)), "{:?}", group(rig, hog));
        assert_eq!(rig.until("exit", |seen| seen.exited.get(&hog).copied()), Exit::Signal(9));
        assert_eq!(
            rig.seen.out_of_memory.get(&hog).map(|(kills, limit, _)| (*kills, *limit)),
            Some((1, Some(48 * MIB)))
        );
        assert_eq!(rig.seen.memory_of.get(&hog), Some(&Some(owners(&["a"]))));
        rig.until("end", |seen| seen.emptied.contains(&hog).then_some(()));
        assert!(!rig.seen.exited.contains_key(&calm) && !rig.seen.out_of_memory.contains_key(&calm));
        // Its own bound is the one that is hit, though that of the owner is there.
        let both = Spawn {
            owners: owners(&["a"]),
            bounds: vec![Bound { resource: Resource::Memory, value: Some(30 * MIB) }],
            ..rig.plan(&["sh", "-c", HOG])
        };
        let (own, _) = rig.run_plan(both);
        rig.until("exit", |seen| seen.exited.get(&own).copied());
        assert_eq!(rig.seen.memory_of.get(&own), Some(&None));
        rig.kill(calm);
    });
}

/// Who ran before the bound came is in it as well.
#[test]
fn processes_of_all_are_counted_together() {
    with_cgroups(|rig| {
        let calm = run(rig, &[], "for i in 1 2 3 4 5 6; do sleep 600 & done; echo up; wait");
        rig.wait_for_output(calm, "up\n");
        let waiting = run(rig, &["a"], "while :; do (exec sleep 0.2) || exit 7; done");
        if !bound(rig, &[], Resource::Pids, Some(7)) {
            rig.kill(calm);
            rig.kill(waiting);
            return;
        }
        // There are more already: no other one can be made.
        let exit = rig.until("exit", |seen| seen.exited.get(&waiting).copied());
        assert_eq!(exit, Exit::Code(2), "the shell gives up");
        assert!(bound(rig, &[], Resource::Pids, None));
        let again = run(rig, &["a"], "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.1 & done; wait; exit 9");
        assert_eq!(rig.until("exit", |seen| seen.exited.get(&again).copied()), Exit::Code(9));
        rig.kill(calm);
    });
}

/// A keeper with another program holds them on; an owner's groups go with its last scope, and come again bounded.
#[test]
fn they_outlive_program_and_scopes() {
    with_cgroups(|rig| {
        if !bound(rig, &["a"], Resource::Pids, Some(4)) {
            return;
        }
        let full = "for i in 1 2 3 4 5 6 7 8; do sleep 600 & done; wait";
        for _ in 0..2 {
            let scope = run(rig, &["a"], full);
            assert_eq!(rig.until("exit", |seen| seen.exited.get(&scope).copied()), Exit::Code(2));
            let owner = group(rig, scope).ancestors().nth(2).unwrap().to_owned();
            rig.kill(scope);
            assert!(!owner.exists(), "{owner:?}");
            rig.send(&Request::Exec { program: File::open(rig::HARNESS).unwrap().into() });
            let (_, refused) = rig.until("answer", |seen| seen.executed.pop());
            assert_eq!(refused, None);
        }
    });
}

/// Another keeper is in other groups of version 1 than one that was killed, and removes what that has left all the same.
#[test]
fn what_a_lost_keeper_left_in_version_1_is_found() {
    let own = bounds::own_1().unwrap();
    let Some((_, own)) = own.first().filter(|_| World::Cgroup.is_here()) else { return };
    let rig = Rig::new(World::Cgroup);
    let name = rig.cgroup_root().file_name().unwrap().to_owned();
    let elsewhere = own.join(format!("elsewhere-{}", std::process::id()));
    let left = elsewhere.join("kennel").join(&name);
    std::fs::create_dir_all(left.join("stack/svc/web.1")).unwrap();
    let of_another = elsewhere.join("kennel/another/stack/svc/web.1");
    std::fs::create_dir_all(&of_another).unwrap();
    for pid in [rig.keeper.pid, rig.daemon] {
        rig.signal_process(pid, rustix::process::Signal::KILL.as_raw());
    }
    kennel_sys::wait::reap(rig.keeper.pid, true).unwrap();
    let next = rig.successor();
    let (is_left, is_there) = (left.exists(), of_another.exists());
    kennel_sys::cgroup::remove_tree(&elsewhere).unwrap();
    next.finish();
    assert!(!is_left && is_there);
}

/// Where nothing can hold it, nothing fails, and it is said; what runs for owners ends like everything else.
#[test]
fn owners_change_nothing_about_the_end() {
    in_each(|rig| {
        let scope = run(rig, &["a", "b"], "trap '' TERM; setsid sleep 600 & sleep 600");
        bound(rig, &["a"], Resource::Memory, Some(900 * MIB));
        rig.lose_daemon();
        rig.until("end", |seen| seen.emptied.contains(&scope).then_some(()));
    });
}

#[test]
fn a_name_that_is_none_is_refused() {
    with_cgroups(|rig| {
        let plan = Spawn { owners: owners(&[".."]), ..rig.plan(&["true"]) };
        let scope = plan.scope;
        rig.send(&Request::Spawn(Box::new(plan)));
        rig.until("refusal", |seen| seen.failed.contains_key(&scope).then_some(()));
        assert!(!bound(rig, &["a/b"], Resource::Pids, Some(4)));
    });
}

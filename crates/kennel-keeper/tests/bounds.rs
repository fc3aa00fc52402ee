//! What a scope may use is held by the kernel, in a group of its own or one of version 1 beside it: a program that tries to use
//! more is stopped, slowed down or killed, which is told as the reason of its end.
//!
//! covers: C4, D6

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::time::Instant;

use kennel_keeper::proto::{Applied, Bound, Exit, HeldBy, Isolation, Privileges, Request, Resource, ScopeId, Spawn};
use kennel_sys::cgroup::bounds;
use rig::{Rig, World, in_each, wait_until};

const MIB: u64 = 1 << 20;
/// Reads zeros, which have no line ends, into its memory; held off by itself where nothing else does.
const HOG: &str = "ulimit -v 400000; exec tail < /dev/zero";

fn bound(resource: Resource, value: u64) -> Bound {
    Bound { resource, value: Some(value) }
}

fn is_held(applied: &[Applied]) -> bool {
    applied.iter().all(|one| !matches!(one.by, HeldBy::Nobody { .. }))
}

fn plan(rig: &mut Rig, script: &str, bounds: &[Bound]) -> Spawn {
    Spawn { bounds: bounds.to_vec(), ..rig.plan(&["sh", "-c", script]) }
}

/// In the world with cgroups, if this machine has the controllers of these; afterwards nothing may be left in either version.
fn with_controllers(of: &[Resource], body: impl Fn(&mut Rig)) {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let wanted: Vec<Bound> = of.iter().map(|resource| bound(*resource, 1000 * MIB)).collect();
    let plan = plan(&mut rig, ":", &wanted);
    let (scope, _) = rig.run_plan(plan);
    let there = is_held(rig.seen.bounded.get(&scope).unwrap());
    rig.until("end", |seen| seen.emptied.contains(&scope).then_some(()));
    if there {
        body(&mut rig);
    }
    let inside = rig.cgroup_root();
    let name = inside.file_name().unwrap().to_owned();
    rig.finish();
    for (controller, own) in bounds::own_1().unwrap() {
        let left = own.join("kennel").join(&name);
        assert!(!left.exists(), "{controller:?}: {left:?}");
    }
}

fn exit(rig: &mut Rig, scope: ScopeId) -> Exit {
    rig.until("exit", |seen| seen.exited.get(&scope).copied())
}

#[test]
fn who_uses_more_memory_is_killed_and_that_is_the_reason() {
    with_controllers(&[Resource::Memory], |rig| {
        for isolation in [Isolation::default(), Isolation { pid: true, proc: true, ..Isolation::default() }] {
            let plan = Spawn { isolation, ..plan(rig, HOG, &[bound(Resource::Memory, 48 * MIB)]) };
            let (scope, _) = rig.run_plan(plan);
            assert_eq!(exit(rig, scope), Exit::Signal(9));
            let (kills, limit, peak) = *rig.seen.out_of_memory.get(&scope).unwrap();
            assert_eq!((kills, limit), (1, Some(48 * MIB)));
            // A kernel that does not tell of the peak may be had.
            assert!(peak.is_none_or(|peak| (40 * MIB..=48 * MIB).contains(&peak)), "{peak:?}");
            rig.until("end", |seen| seen.emptied.contains(&scope).then_some(()));
        }
    });
}

/// Its parent waits for it, so nobody of ours reaps it.
#[test]
fn a_child_that_is_killed_is_told_of_as_well() {
    with_controllers(&[Resource::Memory], |rig| {
        let script = format!("(trap '' TERM; {HOG}); echo \"child $?\"; sleep 600");
        let plan = plan(rig, &script, &[bound(Resource::Memory, 48 * MIB)]);
        let (scope, _) = rig.run_plan(plan);
        rig.wait_for_output(scope, "child 137\n");
        rig.until("word of it", |seen| seen.out_of_memory.get(&scope).copied());
        assert!(!rig.seen.exited.contains_key(&scope));
        rig.kill(scope);
    });
}

#[test]
fn no_more_processes_than_allowed_can_be_made() {
    with_controllers(&[Resource::Pids], |rig| {
        let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 600 & done; echo all; wait";
        let plan = plan(rig, script, &[bound(Resource::Pids, 8)]);
        let (scope, _) = rig.run_plan(plan);
        // The shell gives up at the first that it cannot make.
        assert_eq!(exit(rig, scope), Exit::Code(2));
        rig.kill(scope);
    });
}

/// Microseconds of CPU time of a scope.
fn cpu_us(rig: &Rig, scope: ScopeId) -> u64 {
    let kennel_keeper::proto::Place::Cgroup(leaf) = &rig.seen.spawned.get(&scope).unwrap().1 else {
        panic!("no group")
    };
    kennel_sys::sample::Glances::default().at(leaf, &[]).cpu_us.unwrap()
}

/// Bounded from the start, and while it runs.
#[test]
fn no_more_of_a_cpu_is_had_than_allowed() {
    with_controllers(&[Resource::Cpus], |rig| {
        let spin = "while :; do :; done";
        let begun = Instant::now();
        let plan = plan(rig, spin, &[bound(Resource::Cpus, 50)]);
        let (slow, _) = rig.run_plan(plan);
        let (fast, _) = rig.run(&["sh", "-c", spin]);
        let second = 1_000_000;
        // A share of the time that has passed, however much of it others leave to the one without bounds. Up to twice as
        // much, for the kernel counts in slices.
        let is_within = |had: u64, thousandths: u64, begun: Instant| {
            let passed = u64::try_from(begun.elapsed().as_micros()).unwrap();
            assert!(had < passed * thousandths / 500 + second / 10, "{had} of {passed}");
        };
        wait_until("time for the one without bounds", || cpu_us(rig, fast) > second, String::new);
        is_within(cpu_us(rig, slow), 50, begun);
        let bounds = vec![bound(Resource::Cpus, 20)];
        rig.send(&Request::Bound { scope: fast, bounds });
        let applied = rig.until("answer", |seen| seen.bounded.get(&fast).cloned());
        assert!(is_held(&applied), "{applied:?}");
        rig.send(&Request::Bound { scope: slow, bounds: vec![Bound { resource: Resource::Cpus, value: None }] });
        rig.seen.bounded.remove(&slow);
        rig.until("answer", |seen| seen.bounded.remove(&slow));
        let (begun, before_slow, before_fast) = (Instant::now(), cpu_us(rig, slow), cpu_us(rig, fast));
        wait_until("time for the other one", || cpu_us(rig, slow) > before_slow + second, String::new);
        is_within(cpu_us(rig, fast) - before_fast, 20, begun);
        rig.kill(slow);
        rig.kill(fast);
        // Where there is one group for all of kennel's own, it comes before the scopes.
        if let Ok(weight) = std::fs::read_to_string(rig.cgroup_root().join("self/cpu.weight")) {
            assert_eq!(weight.trim(), "1000");
        }
    });
}

/// Both on one CPU, so that there is never enough for the two.
#[test]
fn who_weighs_more_gets_more_of_a_cpu() {
    with_controllers(&[Resource::CpuWeight], |rig| {
        let mut spin = |weight| {
            let plan = plan(rig, "while :; do :; done", &[bound(Resource::CpuWeight, weight)]);
            let privileges = Privileges { cpus: vec![0], ..Privileges::default() };
            rig.run_plan(Spawn { privileges, ..plan }).0
        };
        let (light, heavy) = (spin(20), spin(200));
        let (light_before, heavy_before) = (cpu_us(rig, light), cpu_us(rig, heavy));
        wait_until("time for the heavier one", || cpu_us(rig, heavy) > heavy_before + 2_000_000, String::new);
        let had = cpu_us(rig, light) - light_before;
        assert!(had < 1_000_000, "{had} of {}", cpu_us(rig, heavy) - heavy_before);
        rig.kill(light);
        rig.kill(heavy);
    });
}

#[test]
fn weights_and_disks_are_bounded_where_that_can_be_had() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let wanted: Vec<Bound> = Resource::ALL.into_iter().map(|resource| bound(resource, 900)).collect();
    let wanted: Vec<Bound> = wanted
        .into_iter()
        .map(|one| match one.resource {
            Resource::Memory | Resource::MemoryHigh | Resource::IoRead | Resource::IoWrite => {
                Bound { value: Some(300 * MIB), ..one }
            }
            Resource::Swap => Bound { value: Some(0), ..one },
            _ => one,
        })
        .collect();
    let plan = plan(&mut rig, "sleep 600", &wanted);
    let (scope, _) = rig.run_plan(plan);
    let applied = rig.seen.bounded.get(&scope).unwrap();
    assert_eq!(applied.iter().map(|one| one.bound.resource).collect::<Vec<_>>(), Resource::ALL);
    for one in applied {
        if let HeldBy::Nobody { why } = &one.by {
            assert!(why.contains("controller"), "{one:?}");
        }
    }
    rig.kill(scope);
    rig.finish();
}

/// Where nothing can hold it, the start does not fail, and it is said.
#[test]
fn without_cgroups_nobody_holds_them() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Reaper);
    let plan = plan(&mut rig, "sleep 600", &[bound(Resource::Memory, MIB), bound(Resource::Pids, 3)]);
    let (scope, _) = rig.run_plan(plan);
    let applied = rig.seen.bounded.get(&scope).unwrap();
    assert!(applied.len() == 2 && !applied.iter().any(|one| is_held(std::slice::from_ref(one))), "{applied:?}");
    rig.kill(scope);
    rig.finish();
}

/// A keeper that replaces its program, and one that was lost, remove what they had made.
#[test]
fn nothing_is_left_of_bounds() {
    in_each(|rig| {
        let plan = plan(rig, "sleep 600", &[bound(Resource::Memory, 64 * MIB), bound(Resource::Pids, 30)]);
        let (scope, _) = rig.run_plan(plan);
        rig.lose_daemon();
        rig.until("end", |seen| seen.emptied.contains(&scope).then_some(()));
    });
    for (_, own) in bounds::own_1().unwrap() {
        let name = format!("test-{}-", std::process::id());
        let left = std::fs::read_dir(own.join("kennel")).into_iter().flatten().flatten();
        let left: Vec<_> = left.filter(|one| one.file_name().to_string_lossy().starts_with(&name)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

//! A scope that stands still: nothing of it runs, it can be let go on, looked at, signalled, stopped and killed, and whoever
//! comes after a lost daemon knows of it.
//!
//! covers: D4, C5

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use kennel_keeper::proto::{Exit, Isolation, Request, ScopeId};
use kennel_sys::proc;
use rig::{Rig, World, in_each, wait_until};

/// A tree that starts processes all the time, one of which has left its session.
const RESTLESS: &str = "trap 'echo heard; exit 3' TERM; (setsid sh -c 'while :; do sleep 0.01; done' &) ; echo up; \
                        while :; do sleep 0.01; done";

fn freeze(rig: &mut Rig, scope: ScopeId, frozen: bool) {
    rig.seen.frozen.remove(&scope);
    rig.send(&Request::Freeze { scope, frozen });
    let told = rig.until("word of it", |seen| seen.frozen.get(&scope).copied());
    assert_eq!(told, frozen);
}

/// Processor time of everything below a process and the largest process id among them: what moves changes either.
fn trace(main: u32) -> Vec<(u32, u64)> {
    let mut all = proc::descendants(main);
    all.extend(proc::stat(main));
    let mut all: Vec<(u32, u64)> = all.into_iter().map(|stat| (stat.pid, stat.cpu_ticks)).collect();
    all.sort_unstable();
    all
}

/// Looks for as long as something that moves takes to do so a few times.
fn stands_still(main: u32) -> bool {
    let before = trace(main);
    (0..20).all(|_| {
        kennel_sys::process::pause(std::time::Duration::from_millis(5));
        trace(main) == before
    })
}

fn start(rig: &mut Rig) -> (ScopeId, u32) {
    let (scope, main) = rig.run(&["sh", "-c", RESTLESS]);
    rig.wait_for_output(scope, "up\n");
    (scope, main)
}

/// Whatever its processes do, and whoever of them has left the session; and it goes on where it was.
#[test]
fn what_is_frozen_stands_still_until_it_is_thawed() {
    in_each(|rig| {
        let (scope, main) = start(rig);
        wait_until("it moves", || !stands_still(main), || format!("{:?}", trace(main)));
        freeze(rig, scope, true);
        assert!(stands_still(main), "{:?}", trace(main));
        // Once more changes nothing, and is answered.
        freeze(rig, scope, true);
        assert!(stands_still(main));
        freeze(rig, scope, false);
        wait_until("it moves", || !stands_still(main), || format!("{:?}", trace(main)));
        rig.kill(scope);
    });
}

#[test]
fn a_signal_lets_it_go_on_so_that_it_is_heard() {
    in_each(|rig| {
        let (scope, _) = start(rig);
        freeze(rig, scope, true);
        rig.send(&Request::Signal { scope, signal: 15, everyone: false });
        let told = rig.until("exit", |seen| seen.exited.get(&scope).copied());
        assert_eq!(told, Exit::Code(3));
        assert_ne!(rig.seen.frozen.get(&scope), None);
        rig.kill(scope);
    });
}

#[test]
fn what_is_frozen_can_be_killed() {
    in_each(|rig| {
        let (scope, _) = start(rig);
        freeze(rig, scope, true);
        assert_eq!(rig.kill(scope), Exit::Signal(9));
    });
}

/// Who dies in it does not let it go on, and nobody is told so.
#[test]
fn a_death_in_what_is_frozen_thaws_nothing() {
    in_each(|rig| {
        let (scope, main) = start(rig);
        let child = loop {
            freeze(rig, scope, true);
            // Between two of them there is none.
            if let Some(child) = proc::descendants(main).first() {
                break child.pid;
            }
            freeze(rig, scope, false);
        };
        rig.signal_process(child, 9);
        wait_until(
            "its end",
            || proc::stat(child).is_none_or(|stat| stat.state == 'Z'),
            || format!("{:?}", trace(main)),
        );
        // What is told first from here on was told because of the death, if it was.
        freeze(rig, scope, true);
        assert!(stands_still(main), "{:?}", trace(main));
        rig.kill(scope);
    });
}

/// In a namespace of its own too, with a group around it or without.
#[test]
fn a_namespace_stands_still_as_a_whole() {
    in_each(|rig| {
        rig.isolation = Isolation { pid: true, proc: true, ..Isolation::default() };
        let (scope, main) = start(rig);
        freeze(rig, scope, true);
        assert!(stands_still(main), "{:?}", trace(main));
        freeze(rig, scope, false);
        wait_until("it moves", || !stands_still(main), || format!("{:?}", trace(main)));
        freeze(rig, scope, true);
        rig.send(&Request::Signal { scope, signal: 15, everyone: true });
        rig.until("exit", |seen| seen.exited.get(&scope).copied());
        rig.kill(scope);
    });
}

/// Loss of the daemon ends what is frozen like everything else; what is kept stays as it is, and the next one is told.
#[test]
fn the_next_daemon_knows_that_it_is_frozen() {
    in_each(|rig| {
        let (ended, _) = start(rig);
        let plan = kennel_keeper::proto::Spawn { keep: true, ..rig.plan(&["sh", "-c", RESTLESS]) };
        let (kept, main) = rig.run_plan(plan);
        rig.wait_for_output(kept, "up\n");
        freeze(rig, ended, true);
        freeze(rig, kept, true);
        rig.lose_daemon();
        rig.until("end of what is not kept", |seen| seen.emptied.contains(&ended).then_some(()));
        assert_eq!(rig.seen.frozen.get(&kept), Some(&true));
        assert!(stands_still(main));
        freeze(rig, kept, false);
        rig.kill(kept);
    });
}

/// A group that somebody else has frozen is told of as well.
#[test]
fn whoever_freezes_it_is_told_of() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let (scope, main) = start(&mut rig);
    let group = rig.cgroup_root().join("stack/svc").join(format!("case.{}", scope.0));
    std::fs::write(group.join("cgroup.freeze"), "1").unwrap();
    rig.until("word of it", |seen| seen.frozen.get(&scope).copied());
    assert!(stands_still(main));
    std::fs::write(group.join("cgroup.freeze"), "0").unwrap();
    rig.until("word of it", |seen| (seen.frozen.get(&scope) == Some(&false)).then_some(()));
    rig.kill(scope);
    rig.finish();
}

//! Trees that fork as fast as the machine lets them, capped at some hundred processes by the limit of their user.
//!
//! covers: C2

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::io::Write;
use std::time::Instant;

use kennel_keeper::proto::{Exit, Isolation, Request, ScopeId};
use rig::freeze::Frozen;
use rig::{Rig, World, describe, ids, wait_until};
use rustix::process::{Pid, Signal, setpriority_process};

/// Every process forks in a tight loop. The limit counts all processes of the user.
const BOMB: &str = "exec prlimit --nproc=500:500 perl -e '$| = 1; print \"up\\n\"; fork while 1'";
/// So many orphans that have ended, at SIGUSR1, for whoever adopts them to reap.
const ORPHANS: usize = 3000;
/// Continues whoever is stopped, as fast as it can.
const STORM: &str = "echo up; while :; do kill -CONT -1; done";

/// A service of a user that no other test has.
fn start(rig: &mut Rig, uid: u32, dedicated: bool, text: &str) -> ScopeId {
    let mut plan = rig.plan(&["sh", "-c", text]);
    plan.user = Some(ids(uid));
    plan.privileges.dedicated_user = dedicated;
    let (scope, _) = rig.run_plan(plan);
    rig.wait_for_output(scope, "up\n");
    scope
}

/// The members are counted by their user: who forks faster than it is looked at has descendants that nobody sees.
fn members(uid: u32) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| kennel_sys::proc::user_ids(*pid).is_some_and(|ids| ids[0] == uid)).count()
}

fn ends(world: World, uid: u32, dedicated: bool, storm: bool) {
    if !world.is_here() {
        return;
    }
    let mut rig = Rig::new(world);
    let peer = storm.then(|| start(&mut rig, uid, false, STORM));
    for _ in 0..3 {
        let before = rig.services().len();
        let scope = start(&mut rig, uid, dedicated, BOMB);
        wait_until("no bomb", || members(uid) > 300, || format!("{}", members(uid)));
        let (count, begin) = (members(uid), Instant::now());
        rig.send(&Request::Kill { scope });
        assert_eq!(rig.ended(scope), Exit::Signal(9));
        // Only for eyes.
        let line = format!("{world:?} dedicated {dedicated} storm {storm}: {count} processes, {:?}\n", begin.elapsed());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        let left = || rig.services();
        // Zombies of a scope that is empty may wait for the keeper a moment longer.
        wait_until("somebody is left", || left().len() <= before, || format!("{:?}", describe(&left())));
    }
    if let Some(peer) = peer {
        rig.kill(peer);
    }
    rig.finish();
}

#[test]
fn stack_of_a_bomb_in_a_cgroup_is_emptied() {
    ends(World::Cgroup, 60_230, false, false);
}

#[test]
fn stack_of_a_bomb_is_hunted_down() {
    ends(World::RootReaper, 60_231, false, false);
}

#[test]
fn stack_of_a_bomb_is_hunted_down_while_somebody_continues_it() {
    ends(World::RootReaper, 60_232, false, true);
}

#[test]
fn stack_of_a_bomb_with_a_user_of_its_own_is_ended_at_once() {
    ends(World::RootReaper, 60_233, true, false);
}

#[test]
fn nobody_else_of_the_user_is_killed() {
    if !World::RootReaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::RootReaper);
    // A second service of the same user is reason enough.
    let other = start(&mut rig, 60_234, true, "setsid sleep 600 & echo up; sleep 600; :");
    let three = |rig: &Rig| {
        wait_until("not three", || rig.services().len() == 3, || format!("{:?}", describe(&rig.services())))
    };
    three(&rig);
    let scope = start(&mut rig, 60_234, true, "trap '' TERM; setsid sleep 600 & echo up; sleep 600; :");
    assert_eq!(rig.kill(scope), Exit::Signal(9));
    three(&rig);
    assert!(rig.log().contains("is not the service's alone"), "{}", rig.log());
    rig.kill(other);
    assert_eq!(rig.log().matches("is not the service's alone").count(), 1, "{}", rig.log());
    rig.finish();
}

/// Kills a service while its reaper has thousands to reap: their number must not matter, for a service may make more
/// without end.
fn is_heard(isolation: Isolation) {
    if !World::RootReaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::RootReaper);
    rig.isolation = isolation;
    let scope = rig.script(&format!(
        "exec perl -e '$| = 1; $SIG{{USR1}} = sub {{ $go = 1 }}; print \"up\\n\"; \
         select undef, undef, undef, 0.01 until $go; \
         if (!fork) {{ for (1..{ORPHANS}) {{ fork or exit 0 }} exit 0 }} wait; print \"all\\n\"; sleep 600'"
    ));
    let main = rig.seen.spawned.get(&scope).unwrap().0;
    let holder = kennel_sys::proc::stat(main).unwrap().ppid;
    let frozen = Frozen::new(holder);
    rig.signal_process(main, Signal::USR1.as_raw());
    rig.wait_for_output(scope, "all\n");
    rig.send(&Request::Kill { scope });
    // What the keeper is asked for it does in order, so the order to kill is where the reaper will find it.
    rig.isolation = Isolation::default();
    let (next, _) = rig.run(&["true"]);
    rig.ended(next);
    // The main process dies at once, and the rest is reaped slowly: else that could be done before.
    setpriority_process(Pid::from_raw(holder.cast_signed()), 19).unwrap();
    // Where each session counts as one, a priority says nothing to another session. Source: `sched(7)`, autogroup.
    let _none = std::fs::write(format!("/proc/{holder}/autogroup"), "19");
    drop(frozen);
    let reaped = |seen: &rig::Seen| seen.reaped.get(&scope).map_or(0, Vec::len);
    let before = rig.until("exit", |seen| seen.exited.get(&scope).map(|_| reaped(seen)));
    assert!(before < ORPHANS, "{before} were reaped first");
    assert_eq!(rig.ended(scope), Exit::Signal(9));
    rig.no_service_is_left();
    rig.finish();
}

#[test]
fn stack_of_a_kill_is_heard_before_all_orphans_are_reaped() {
    is_heard(Isolation::default());
}

#[test]
fn stack_of_a_kill_is_heard_in_a_pid_namespace_before_all_orphans_are_reaped() {
    is_heard(Isolation { pid: true, ..Isolation::default() });
}

//! A signal for one process reaches that process of that scope, and no other whatever its number is.
//!
//! covers: E9

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::io::Read;

use kennel_keeper::proto::{Exit, Identity, KillStage, Request, ScopeId, SignalRefused};
use kennel_sys::{identity, pidfd, proc, wait};
use rig::{Rig, World, describe, in_each, wait_until};

fn identity(pid: u32) -> Identity {
    let it = identity::Identity::read(pid, pidfd::open(pid).unwrap()).unwrap();
    Identity { pid: it.pid, start_ticks: it.start_ticks, inode: it.inode }
}

/// Asks, and gives the answer.
fn signal(rig: &mut Rig, scope: ScopeId, process: Identity, signal: i32) -> Option<SignalRefused> {
    let before = rig.seen.signalled.len();
    rig.send(&Request::SignalProcess { scope, process, signal });
    let (about, refused) = rig.until("answer", |seen| seen.signalled.get(before).copied());
    assert_eq!(about, process);
    refused
}

fn child_of(pid: u32) -> u32 {
    let child = || proc::descendants(pid).first().map(|stat| stat.pid);
    wait_until("child", || child().is_some(), || format!("{:?}", describe(&[pid])));
    child().unwrap()
}

#[test]
fn one_process_of_a_scope_gets_it_and_no_other() {
    in_each(|rig| {
        let (scope, main) = rig.run(&["sh", "-c", "sleep 600; echo $?; sleep 600"]);
        let child = child_of(main);
        assert_eq!(signal(rig, scope, identity(child), 10), None);
        // 128 + 10: it was the child, and the shell goes on.
        rig.wait_for_output(scope, "138\n");
        assert!(rig.seen.exited.is_empty());
        assert_eq!(signal(rig, scope, identity(main), 9), None);
        rig.until("exit", |seen| seen.exited.get(&scope).copied());
        assert_eq!(rig.kill(scope), Exit::Signal(9));
    });
}

#[test]
fn one_that_left_its_parent_and_session_is_still_of_the_scope() {
    in_each(|rig| {
        let scope = rig.script("(setsid sh -c 'echo $$ >&2; echo up; exec sleep 600' &) ; exec sleep 600");
        let (_, _, pipes) = rig.seen.spawned.get(&scope).unwrap();
        let mut buffer = [0; 32];
        let length = rustix::io::read(&pipes.as_ref().unwrap()[1], &mut buffer).unwrap();
        let pid: u32 = std::str::from_utf8(&buffer[..length]).unwrap().trim().parse().unwrap();
        let process = identity(pid);
        assert_eq!(signal(rig, scope, process, 9), None);
        wait_until("end", || proc::stat(pid).is_none(), || format!("{:?}", describe(&[pid])));
        assert_eq!(signal(rig, scope, process, 9), Some(SignalRefused::Gone));
        rig.kill(scope);
    });
}

#[test]
fn a_number_that_means_another_process_now_is_refused() {
    in_each(|rig| {
        let (scope, main) = rig.run(&["sleep", "600"]);
        let process = identity(main);
        // What a caller that has looked a while ago holds: the same number, another process.
        let earlier = Identity { start_ticks: process.start_ticks - 1, ..process };
        assert_eq!(signal(rig, scope, earlier, 9), Some(SignalRefused::NotTheSame));
        // Within one tick only the inode tells them apart.
        if process.inode != 0 {
            let twin = Identity { inode: process.inode - 1, ..process };
            assert_eq!(signal(rig, scope, twin, 9), Some(SignalRefused::NotTheSame));
        }
        assert!(rig.seen.exited.is_empty() && proc::stat(main).is_some_and(|stat| !proc::has_ended(&stat)));
        rig.kill(scope);
    });
}

#[test]
fn who_is_not_in_the_scope_is_refused() {
    in_each(|rig| {
        let (scope, _) = rig.run(&["sleep", "600"]);
        let (other, of_other) = rig.run(&["sleep", "600"]);
        let (stranger, _leash, _output) = rig::start_piped(rig, &["sleep", "600"]);
        let mut outsiders = vec![of_other, stranger.pid, rig.keeper.pid, rig.daemon, std::process::id()];
        outsiders.extend(proc::stat(rig.keeper.pid).map(|stat| stat.ppid).filter(|pid| *pid != 0));
        for pid in outsiders {
            assert_eq!(signal(rig, scope, identity(pid), 9), Some(SignalRefused::NotInScope), "{pid}");
        }
        // A scope that is not there holds nobody.
        let process = identity(of_other);
        assert_eq!(signal(rig, ScopeId(4711), process, 9), Some(SignalRefused::NotInScope));
        assert!(rig.seen.exited.is_empty());
        pidfd::send_signal(&stranger.pidfd, 9).unwrap();
        wait::reap(stranger.pid, true).unwrap();
        rig.kill(scope);
        rig.kill(other);
    });
}

#[test]
fn one_that_left_its_cgroup_is_still_of_the_scope() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let root = rig.cgroup_root();
    let mounts = kennel_sys::cgroup::Hierarchy::mounted().unwrap().into_iter().map(|it| it.mount);
    let top = mounts.into_iter().find(|mount| root.starts_with(mount)).unwrap();
    let script = format!("sleep 600 & echo $! >{}/cgroup.procs; echo $!; echo up; wait", top.display());
    let plan = rig.plan(&["sh", "-c", &script]);
    let (scope, _) = rig.run_plan(kennel_keeper::proto::Spawn { kill_escaped: false, ..plan });
    let said = rig.wait_for_output(scope, "up\n");
    let pid: u32 = said.lines().next().unwrap().parse().unwrap();
    let process = identity(pid);
    // It carries the mark of its scope, and not that of another.
    let (other, _) = rig.run(&["sleep", "600"]);
    assert_eq!(signal(&mut rig, other, process, 9), Some(SignalRefused::NotInScope));
    assert_eq!(signal(&mut rig, scope, process, 9), None);
    assert_eq!(rig.ended(scope), Exit::Code(0));
    rig.kill(other);
    rig.finish();
}

#[test]
fn the_sweep_of_a_kill_is_told_once() {
    in_each(|rig| {
        // A single kill ends it, however long the machine takes.
        let (quick, _) = rig.run(&["true"]);
        rig.ended(quick);
        let harness = rig.root.join("keeper-harness");
        let (held, pid) = rig.run(&["sleep", "600"]);
        let words = [harness.to_str().unwrap(), "tracer", &pid.to_string()];
        let (tracer, leash, mut answer) = rig::start_piped(rig, &words);
        answer.read_exact(&mut [0; 5]).unwrap();
        rig.send(&Request::Kill { scope: held });
        rig.until("report", |seen| seen.stuck.get(&held).map(|_| ()));
        assert_eq!(rig.seen.stages, [(held, KillStage::Sweep)]);
        drop(leash);
        wait::reap(tracer.pid, true).unwrap();
        rig.ended(held);
        assert_eq!(rig.seen.stages, [(held, KillStage::Sweep)]);
    });
}

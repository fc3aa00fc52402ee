//! More children to reap than the keeper can reap between two requests.
//!
//! covers: C2

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use kennel_keeper::proto::{Request, ScopeId};
use rig::{Rig, World, wait_until};

/// Daemons of each scope: every one becomes a child of the keeper.
const DAEMONS: usize = 100;
const SCOPES: usize = 6;
/// How often each scope is asked to be killed, as the daemon does while it waits.
const ASKED: usize = 10;
/// Most reads of files by the keeper for each process. Reaping takes two files, and the looks that are put off while
/// it lasts a few times as much on a slow machine; a look for each request would be hundreds.
const READS: u64 = 40;

/// Calls of read by a process so far. Source: `proc_pid_io(5)`.
fn reads(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// Whether a process is a zombie that nobody has reaped.
fn is_zombie(pid: u32) -> bool {
    kennel_sys::proc::stat(pid).is_some_and(|stat| stat.state == 'Z')
}

#[test]
fn requests_do_not_cost_the_more_the_more_is_to_be_reaped() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let text = format!("for i in $(seq {DAEMONS}); do (setsid sleep 600 &); done; echo up; exec sleep 600");
    let scopes: Vec<ScopeId> = (0..SCOPES).map(|_| rig.script(&text)).collect();
    let count = SCOPES * (DAEMONS + 1);
    wait_until("all are here", || rig.services().len() == count, || format!("{}", rig.services().len()));
    // While it is stopped its children die and requests come, as where it gets little of the processor.
    let before = reads(rig.keeper.pid);
    rig.signal_process(rig.keeper.pid, 19);
    let members = rig.services();
    for pid in &members {
        rig.signal_process(*pid, 9);
    }
    for _ in 0..ASKED {
        for scope in &scopes {
            rig.send(&Request::Kill { scope: *scope });
        }
    }
    let dead = || members.iter().all(|pid| is_zombie(*pid));
    wait_until("all are dead", dead, || format!("{:?}", rig::describe(&members)));
    rig.signal_process(rig.keeper.pid, 18);
    for scope in scopes {
        rig.ended(scope);
    }
    let reads = reads(rig.keeper.pid) - before;
    assert!(reads < READS * u64::try_from(count).unwrap(), "{reads} reads for {count} processes");
    rig.no_service_is_left();
    rig.finish();
}

//! Rights, limits and priorities in every kind of scope, alone and in a PID namespace.
//!
//! covers: E3

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use kennel_keeper::proto::{Isolation, Limit, Privileges};
use kennel_sys::{pidfd, process, wait};
use kennel_testkit::{Capabilities, Shown};
use rig::{Rig, World, describe, ids, wait_until};

const WORLDS: [World; 4] = [World::Cgroup, World::Reaper, World::Delegated, World::RootReaper];
const PID: Isolation = Isolation { pid: true, proc: false, tmp: false, network: false };
const PROC: Isolation = Isolation { proc: true, ..PID };

const RLIMIT_CORE: u32 = 4;
const RLIMIT_RTTIME: u32 = 15;
const NET_BIND_SERVICE: u64 = 1 << 10;
const TREE: &str = "trap '' TERM; setsid sh -c 'sleep 600 & sleep 600' & (setsid sleep 600 &) ; echo up; wait";

fn in_each(body: impl Fn(&mut Rig)) {
    for world in WORLDS.into_iter().filter(|world| world.is_here()) {
        for isolation in [Isolation::default(), PID, PROC] {
            let mut rig = Rig::new(world);
            rig.isolation = isolation;
            body(&mut rig);
            rig.no_service_is_left();
            rig.finish();
        }
    }
}

/// Every set of capabilities but the one that bounds them.
fn gained(process: &Shown) -> [u64; 4] {
    let Capabilities { effective, permitted, inheritable, ambient, .. } = process.capabilities();
    [effective, permitted, inheritable, ambient]
}

fn modest() -> Privileges {
    Privileges {
        no_new_privs: true,
        capabilities: Some(0),
        limits: vec![
            Limit { resource: RLIMIT_CORE, soft: 0, hard: 4096 },
            Limit { resource: RLIMIT_RTTIME, soft: 5_000_000, hard: 6_000_000 },
        ],
        nice: Some(4),
        cpus: vec![0],
        io_priority: Some(3 << 13),
        oom_score_adj: Some(77),
        ..Privileges::default()
    }
}

#[test]
fn what_needs_no_rights() {
    in_each(|rig| {
        let mut plan = rig.plan(&["sh", "-c", TREE]);
        plan.privileges = modest();
        let (scope, pid) = rig.run_plan(plan);
        rig.wait_for_output(scope, "up\n");
        let process = Shown::of(pid);
        assert_eq!(process.status("NoNewPrivs"), "1");
        assert_eq!(gained(&process), [0; 4]);
        assert_eq!(process.limit("Max core file size"), "0 4096");
        // In the place of the tag.
        assert_eq!(process.limit("Max realtime timeout"), "5000000 6000000");
        assert_eq!(process.nice(), 4);
        assert_eq!(process.status("Cpus_allowed_list"), "0");
        assert_eq!(process.file("oom_score_adj"), "77\n");
        // What it starts is bound as well.
        let child = process::children_of(pid).first().copied().unwrap();
        assert_eq!((Shown::of(child).nice(), Shown::of(child).status("NoNewPrivs")), (4, "1".into()));
        rig.kill(scope);
    });
}

#[test]
fn what_root_may_give() {
    in_each(|rig| {
        if rig.world.is_ordinary() {
            return;
        }
        let mut plan = rig.plan(&["sh", "-c", TREE]);
        plan.user = Some(ids(60_204));
        plan.privileges = Privileges {
            capabilities: Some(NET_BIND_SERVICE),
            added_capabilities: NET_BIND_SERVICE,
            nice: Some(-5),
            io_priority: Some(1 << 13 | 2),
            oom_score_adj: Some(-100),
            ..Privileges::default()
        };
        // Root may be without this one, as in most containers.
        if kennel_sys::spawn::own_capabilities() & 1 << 24 == 0 {
            plan.privileges.oom_score_adj = None;
        }
        let (scope, pid) = rig.run_plan(plan);
        rig.wait_for_output(scope, "up\n");
        let process = Shown::of(pid);
        assert_eq!(process.status("Uid"), "60204 60204 60204 60204");
        assert_eq!(gained(&process), [NET_BIND_SERVICE; 4]);
        assert_eq!(process.capabilities().bounding, NET_BIND_SERVICE);
        assert_eq!(process.nice(), -5);
        // Nothing of it sticks to who started it.
        assert_eq!(Shown::of(rig.keeper.pid).nice(), Shown::of(std::process::id()).nice());
        assert_ne!(Shown::of(rig.keeper.pid).capabilities().effective, NET_BIND_SERVICE);
        rig.kill(scope);
    });
}

/// The death signal of the namespace's first process is forgotten by the kernel when rights or ids of that process
/// change. They are those of the service alone, so it still ends with the keeper, whatever the service got.
#[test]
fn rights_do_not_loosen_what_binds_a_namespace_to_us() {
    // Else zombies would wait for a slow first process of the machine.
    process::become_subreaper().unwrap();
    for world in WORLDS.into_iter().filter(|world| world.is_here()) {
        let mut rig = Rig::new(world);
        rig.isolation = PID;
        let mut plan = rig.plan(&["sh", "-c", TREE]);
        plan.privileges = modest();
        if !world.is_ordinary() {
            plan.user = Some(ids(60_204));
            plan.privileges.capabilities = Some(NET_BIND_SERVICE);
            plan.privileges.added_capabilities = NET_BIND_SERVICE;
            plan.privileges.nice = Some(-5);
        }
        let (scope, pid) = rig.run_plan(plan);
        rig.wait_for_output(scope, "up\n");
        assert_eq!(Shown::of(pid).status("NoNewPrivs"), "1");
        // Stopped before, so that only the kernel can do it.
        let init = kennel_sys::proc::stat(pid).unwrap().ppid;
        let ours = [rig.daemon, init, rig.keeper.pid].map(|pid| pidfd::open(pid).unwrap());
        for signal in [19, 9] {
            for (at, pidfd) in ours.iter().enumerate() {
                // The first process is not killed by us: that is what the keeper's death has to do.
                if signal == 19 || at != 1 {
                    pidfd::send_signal(pidfd, signal).unwrap();
                }
            }
        }
        let nothing_is_left = || {
            while let Ok(Some((pid, _))) = wait::peek(false) {
                wait::reap(pid, false).unwrap();
            }
            rig.marked().is_empty()
        };
        wait_until("processes left", nothing_is_left, || format!("{world:?}: {:?}", describe(&rig.marked())));
    }
}

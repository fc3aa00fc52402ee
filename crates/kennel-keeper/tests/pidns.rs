//! Scopes with a PID namespace: as root and as an ordinary user, with cgroups and without.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use kennel_keeper::proto::{Event, Exit, Isolation, Place, Request, ScopeId, SpawnErrorKind};
use kennel_sys::{pidfd, process, wait};
use kennel_testkit::Shown;
use rig::freeze::Frozen;
use rig::{Rig, World, describe, wait_until};
use rustix::process::Signal;

const PID: Isolation = Isolation { pid: true, proc: false, tmp: false, network: false };
const PROC: Isolation = Isolation { proc: true, ..PID };
const WORLDS: [World; 4] = [World::Cgroup, World::Reaper, World::Delegated, World::RootReaper];

const TREE: &str = "trap '' TERM; setsid sh -c 'sleep 600 & sleep 600' & (setsid sleep 600 &) ; \
                    sleep 600 & kill -STOP $!; echo up; wait";

/// Runs a test body in every world; afterwards nothing may be left.
fn in_each(isolation: Isolation, body: impl Fn(&mut Rig)) {
    for world in WORLDS {
        if world.is_here() {
            let mut rig = Rig::new(world);
            rig.isolation = isolation;
            body(&mut rig);
            rig.no_service_is_left();
            rig.finish();
        }
    }
}

/// The first process of the namespace that a process is in.
fn init_of(rig: &Rig, pid: u32) -> u32 {
    let stat = kennel_sys::proc::stat(pid).unwrap();
    assert_eq!((Shown::of(stat.ppid).inner(), kennel_sys::proc::stat(stat.ppid).unwrap().ppid), (1, rig.keeper.pid));
    stat.ppid
}

// covers: C3, E9
#[test]
fn numbers_are_those_outside() {
    for isolation in [PID, PROC] {
        in_each(isolation, |rig| {
            let scope = rig.script("echo up; read x < /proc/self/stat; (sh -c 'exit 3' &); exec sleep 600");
            let (pid, place, _) = rig.seen.spawned.get(&scope).unwrap();
            let pid = *pid;
            assert!(rig.services().contains(&pid), "{pid}: {:?}", describe(&rig.services()));
            assert_ne!(Shown::of(pid).inner(), pid);
            let members = match place {
                Place::Cgroup(directory) => kennel_sys::proc::cgroup_members(directory),
                Place::Reaper(init) => {
                    assert_eq!(*init, init_of(rig, pid));
                    kennel_sys::proc::descendants(*init).iter().map(|stat| stat.pid).collect()
                }
            };
            // The first process itself is no member.
            assert!(!members.contains(&init_of(rig, pid)) && members.contains(&pid), "{:?}", describe(&members));
            let reaped = rig.until("orphan", |seen| seen.reaped.get(&scope).cloned());
            assert!(reaped.iter().any(|(_, exit)| *exit == Exit::Code(3)) && reaped.iter().all(|(pid, _)| *pid > 50));
            assert_eq!(rig.kill(scope), Exit::Signal(9));
        });
    }
}

#[test]
fn codes_and_signals_come_through() {
    in_each(PID, |rig| {
        let (scope, _) = rig.run(&["sh", "-c", "echo $$; exit 7"]);
        assert_eq!(rig.ended(scope), Exit::Code(7));
        assert_eq!(rig.output(scope), "2\n");
        // Not the first of its namespace, so what it does not handle ends it.
        for signal in [Signal::TERM, Signal::HUP, Signal::SEGV, Signal::USR1] {
            for everyone in [false, true] {
                let (scope, _) = rig.run(&["sleep", "600"]);
                rig.signal(scope, signal.as_raw(), everyone);
                assert_eq!(rig.ended(scope), Exit::Signal(signal.as_raw()));
            }
        }
        let scope = rig.script("trap 'echo bye; exit 4' TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done");
        let pid = rig.seen.spawned.get(&scope).unwrap().0;
        let stopped = || kennel_sys::proc::stat(pid).is_some_and(|stat| stat.state == 'T');
        wait_until("not stopped", stopped, || format!("{:?}", describe(&[pid])));
        rig.signal(scope, Signal::TERM.as_raw(), true);
        assert_eq!(rig.ended(scope), Exit::Code(4));
    });
}

// covers: C3
#[test]
fn every_tree_dies() {
    for script in [
        TREE,
        "r() { r & }; r; r; r; r; r; r; r; r; echo up; sleep 600",
        "i=0; while [ $i -lt 100 ]; do i=$((i+1)); setsid sleep 600 & done; echo up; kill -STOP $$",
    ] {
        in_each(PID, |rig| {
            let scope = rig.script(script);
            assert_eq!(rig.kill(scope), Exit::Signal(9));
        });
    }
}

#[test]
fn stragglers_keep_a_scope_from_being_empty() {
    in_each(PID, |rig| {
        let (scope, _) = rig.run(&["sh", "-c", "trap '' TERM; setsid sleep 600 & exit 3"]);
        assert_eq!(rig.until("exit", |seen| seen.exited.get(&scope).copied()), Exit::Code(3));
        rig.signal(scope, Signal::TERM.as_raw(), true);
        wait_until("a straggler", || !rig.services().is_empty(), || format!("{:?}", describe(&rig.services())));
        assert!(!rig.seen.emptied.contains(&scope));
        rig.kill(scope);
    });
}

#[test]
fn a_service_that_signals_everything_hits_itself_only() {
    in_each(PID, |rig| {
        let other = rig.script("echo up; exec sleep 600");
        let scope = rig.script("setsid sleep 600 & echo up; kill -KILL -1; exit 5");
        // The shell is spared by its own call.
        assert_eq!(rig.ended(scope), Exit::Code(5));
        assert!(!rig.seen.exited.contains_key(&other));
        rig.kill(other);
    });
}

#[test]
fn the_first_process_cannot_be_disturbed_from_inside() {
    in_each(PID, |rig| {
        let scope =
            rig.script("for s in KILL STOP TERM HUP INT SEGV CHLD USR1; do kill -$s 1; done; echo up; sleep 600");
        let pid = rig.seen.spawned.get(&scope).unwrap().0;
        let init = init_of(rig, pid);
        let rests = || kennel_sys::proc::stat(init).is_some_and(|stat| stat.state == 'S');
        wait_until("it does not rest", rests, || format!("{:?}", describe(&[init])));
        assert_eq!(rig.kill(scope), Exit::Signal(9));
    });
}

#[test]
fn namespaces_within_are_ended_too() {
    in_each(PID, |rig| {
        let unshare = if rig.world.is_ordinary() { "unshare -Upf" } else { "unshare -pf" };
        let scope =
            rig.script(&format!("{unshare} sh -c 'trap \"\" TERM; setsid sleep 600 & echo up; sleep 600; :' & wait"));
        assert_eq!(rig.kill(scope), Exit::Signal(9));
    });
}

#[test]
fn an_operator_kills_the_first_process() {
    in_each(PID, |rig| {
        let scope = rig.script(TREE);
        let pid = rig.seen.spawned.get(&scope).unwrap().0;
        rig.signal_process(init_of(rig, pid), 9);
        let exit = rig.ended(scope);
        assert!(matches!(exit, Exit::Signal(9) | Exit::Unknown), "{exit:?}");
        rig.no_service_is_left();
        // Stopped it is continued, and does its work.
        let scope = rig.script(TREE);
        let pid = rig.seen.spawned.get(&scope).unwrap().0;
        rig.signal_process(init_of(rig, pid), Signal::STOP.as_raw());
        assert_eq!(rig.kill(scope), Exit::Signal(9));
    });
}

#[test]
fn what_a_tracer_holds_is_reported_by_its_number_outside() {
    for world in [World::Cgroup, World::Reaper] {
        if !world.is_here() {
            continue;
        }
        let mut rig = Rig::new(world);
        rig.isolation = PROC;
        let (scope, pid) = rig.run(&["sleep", "600"]);
        let harness = rig.root.join("keeper-harness");
        let words = [harness.to_str().unwrap(), "tracer", &pid.to_string()];
        let (tracer, leash, mut held) = rig::start_piped(&rig, &words);
        held.read_exact(&mut [0; 5]).unwrap();
        rig.send(&Request::Kill { scope });
        let survivors = rig.until("report", |seen| seen.stuck.get(&scope).cloned());
        let of: Vec<(u32, u32, char)> = survivors.iter().map(|it| (it.pid, it.tracer, it.state)).collect();
        assert_eq!(of, [(pid, tracer.pid, 't')]);
        drop(leash);
        wait::reap(tracer.pid, true).unwrap();
        assert_eq!(rig.ended(scope), Exit::Signal(9));
        rig.no_service_is_left();
        rig.finish();
    }
}

/// Takes the eight seconds that a first process is given.
fn held_up(world: World) {
    if !world.is_here() {
        return;
    }
    let mut rig = Rig::new(world);
    rig.isolation = PID;
    let scope = rig.script(TREE);
    let pid = rig.seen.spawned.get(&scope).unwrap().0;
    let frozen = Frozen::new(init_of(&rig, pid));
    // It does not hear this, and so nobody is killed before it is killed itself.
    rig.send(&Request::Kill { scope });
    let survivors = rig.until("report", |seen| {
        assert!(!seen.emptied.contains(&scope), "ended without a report");
        seen.stuck.get(&scope).cloned()
    });
    assert!(survivors.iter().any(|it| it.pid == pid && it.state != 'Z'), "{pid}: {survivors:?}");
    assert_eq!(rig.ended(scope), Exit::Signal(9));
    assert!(rig.log().contains("does not do its work"), "{}", rig.log());
    rig.no_service_is_left();
    drop(frozen);
    rig.finish();
}

#[test]
fn a_first_process_that_is_held_up_is_ended_itself() {
    held_up(World::Reaper);
}

#[test]
fn a_first_process_that_is_held_up_beside_a_cgroup_is_ended_itself() {
    held_up(World::Cgroup);
}

#[test]
fn failures_are_told_apart_in_there_too() {
    in_each(PID, |rig| {
        let plan = rig.plan(&["no-such-program"]);
        assert_eq!(rig.fail(plan).kind, SpawnErrorKind::NotFound);
        let mut plan = rig.plan(&["true"]);
        plan.cwd = c"/no/such/dir".to_owned();
        assert_eq!(rig.fail(plan).kind, SpawnErrorKind::BadCwd);
        let mut plan = rig.plan(&["id", "-u"]);
        plan.user = Some(rig::ids(60_204));
        if rig.world.is_ordinary() {
            let error = rig.fail(plan);
            assert_eq!((error.kind, error.subject.as_str()), (SpawnErrorKind::BadUser, "60204"));
            let mut plan = rig.plan(&["id", "-u"]);
            plan.user = Some(rig::ids(rig::ORDINARY));
            let (scope, _) = rig.run_plan(plan);
            assert_eq!(rig.ended(scope), Exit::Code(0));
            assert_eq!(rig.output(scope), format!("{}\n", rig::ORDINARY));
        } else {
            let (scope, _) = rig.run_plan(plan);
            assert_eq!(rig.ended(scope), Exit::Code(0));
            assert_eq!(rig.output(scope), "60204\n");
        }
        if rig.world.has_cgroups() {
            let left = std::fs::read_dir(rig.cgroup_root().join("stack/svc")).unwrap().flatten();
            assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0);
        }
    });
}

#[test]
fn a_private_proc_shows_the_namespace_alone() {
    in_each(PROC, |rig| {
        let (scope, pid) =
            rig.run(&["sh", "-c", "cd /proc; echo [0-9]*; cat 1/comm; umount /proc 2> /dev/null; exec sleep 600"]);
        let text = rig.wait_for_output(scope, "kennel-init\n");
        assert_eq!(text, "1 2\nkennel-init\n");
        // Outside nothing has changed.
        assert!(std::path::Path::new(&format!("/proc/{}", std::process::id())).exists());
        assert_ne!(Shown::of(pid).inner(), pid);
        rig.kill(scope);
    });
}

#[test]
fn a_lost_daemon_takes_its_namespaces_along() {
    in_each(PID, |rig| {
        rig.script(TREE);
        rig.script(TREE);
        rig.lose_daemon();
        rig.no_service_is_left();
        assert_eq!(rig.known.len(), 2);
    });
}

/// Kills everything of ours in the same instant, at many moments of a start, and in every second round with every
/// process of ours stopped before: then nothing but the kernel can have done it.
fn crash(world: World, rounds: u64) {
    if !world.is_here() {
        return;
    }
    // Else zombies would wait for a slow first process of the machine.
    process::become_subreaper().unwrap();
    for round in 0..rounds {
        let mut rig = Rig::new(world);
        rig.isolation = if round % 4 == 3 { PROC } else { PID };
        let ours = [rig.keeper.pid, rig.daemon].map(|pid| pidfd::open(pid).unwrap());
        if round % 3 == 0 {
            rig.script(TREE);
        }
        for _ in 0..8 {
            let plan = rig.plan(&["sh", "-c", TREE]);
            rig.send(&Request::Spawn(Box::new(plan)));
        }
        // Not to let something settle: the moment of the blow is what is varied.
        process::pause(Duration::from_micros(round * 700));
        if round % 2 == 1 {
            let stop = |pidfd: &OwnedFd| pidfd::send_signal(pidfd, Signal::STOP.as_raw());
            ours.iter().for_each(|pidfd| stop(pidfd).unwrap());
            for init in inits(&rig) {
                // One that has ended meanwhile is none that could help.
                let _gone = pidfd::open(init).and_then(|pidfd| stop(&pidfd));
            }
        }
        for pid in &ours {
            pidfd::send_signal(pid, 9).unwrap();
        }
        let nothing_is_left = || {
            while let Ok(Some((pid, _))) = wait::peek(false) {
                wait::reap(pid, false).unwrap();
            }
            rig.marked().is_empty()
        };
        wait_until("processes left", nothing_is_left, || format!("{round}: {:?}", describe(&rig.marked())));
    }
}

/// First processes that the keeper has made and that have bound themselves to it, which they do before they take on
/// their name. A copy of the keeper that somebody stops before has nothing in it yet, and does nothing when continued.
fn inits(rig: &Rig) -> Vec<u32> {
    let is_init = |pid: &u32| kennel_sys::proc::stat(*pid).is_some_and(|stat| stat.comm == "kennel-init");
    process::children_of(rig.keeper.pid).into_iter().filter(is_init).collect()
}

// covers: C10
#[test]
fn nothing_outlives_everything_of_ours_as_root_in_cgroups() {
    crash(World::Cgroup, 30);
}

#[test]
fn nothing_outlives_everything_of_ours_as_an_ordinary_user() {
    crash(World::Reaper, 30);
}

#[test]
fn nothing_outlives_everything_of_ours_in_delegated_cgroups() {
    crash(World::Delegated, 30);
}

#[test]
fn nothing_outlives_everything_of_ours_as_root_without_cgroups() {
    crash(World::RootReaper, 30);
}

#[test]
fn a_keeper_inside_needs_a_proc_of_its_own() {
    in_each(PROC, |rig| {
        let (scope, link, leash) = rig.nested();
        rig::send(&link, &Request::Hello { version: kennel_keeper::proto::VERSION });
        let deadline = std::time::Instant::now() + rig::PATIENCE;
        assert!(matches!(rig::receive(&link, deadline), Ok(Event::Welcome { .. })));
        let plan = rig.plan(&["sh", "-c", "setsid sleep 600 & sleep 600"]);
        rig::send(&link, &Request::Spawn(Box::new(plan)));
        let answer = rig::receive(&link, deadline);
        assert!(matches!(answer, Ok(Event::Spawned { .. })), "{answer:?}");
        rig.kill(scope);
        drop(leash);
    });
    in_each(PID, |rig| {
        let harness = rig.root.join("keeper-harness");
        let script =
            format!("exec {} __keeper --name n --state-dir /s --runtime-dir /r --ready-fd 3 3>&1", harness.display());
        let (scope, _) = rig.run(&["sh", "-c", &script]);
        assert_eq!(rig.ended(scope), Exit::Code(1));
        let said = rig.output(scope);
        assert!(said.starts_with("error: /proc is that of another PID namespace"), "{said}");
    });
}

/// Where namespaces are not allowed; `words` say why, and nothing is left.
fn refused(fence: &str, isolation: Isolation, words: &[&str]) {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::fenced(fence);
    rig.isolation = isolation;
    for _ in 0..3 {
        let plan = rig.plan(&["true"]);
        let error = rig.fail(plan);
        assert_eq!(error.kind, SpawnErrorKind::Isolation, "{error:?}");
        assert!(words.iter().all(|word| error.subject.contains(word)), "{error:?}");
    }
    rig.no_service_is_left();
    // What needs none of them runs as ever.
    rig.isolation = Isolation::default();
    let (scope, _) = rig.run(&["true"]);
    assert_eq!(rig.ended(scope), Exit::Code(0));
    rig.finish();
}

#[test]
fn user_namespaces_are_not_allowed() {
    let words = ["user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=10000"];
    refused("echo 0 > /proc/sys/user/max_user_namespaces", PID, &words);
}

#[test]
fn there_are_too_many_namespaces() {
    let words = ["user.max_pid_namespaces (0 here)", "or 32 of them are nested"];
    refused("echo 0 > /proc/sys/user/max_pid_namespaces", PID, &words);
}

#[test]
fn a_proc_with_hidden_parts_is_not_mounted_again() {
    let words = ["private /proc", "leave `proc` out"];
    refused("mount -t tmpfs none /proc/irq", PROC, &words);
}

#[test]
fn a_plain_scope_beside_it_is_as_ever() {
    in_each(PID, |rig| {
        let inside = rig.script(TREE);
        rig.isolation = Isolation::default();
        let plain = rig.script(TREE);
        let pid = |rig: &Rig, scope: ScopeId| rig.seen.spawned.get(&scope).unwrap().0;
        assert_eq!(Shown::of(pid(rig, plain)).inner(), pid(rig, plain));
        rig.kill(inside);
        assert!(kennel_sys::proc::stat(pid(rig, plain)).is_some());
        rig.kill(plain);
    });
}

/// Of memory that is theirs alone; their page tables, some 45 kB, come on top.
#[test]
fn the_processes_that_hold_scopes_are_small() {
    in_each(PROC, |rig| {
        rig.script("echo up; exec sleep 600");
        rig.isolation = Isolation::default();
        rig.script("echo up; exec sleep 600");
        for pid in process::children_of(rig.keeper.pid) {
            let name = kennel_sys::proc::stat(pid).unwrap().comm;
            if !["kennel-init", "kennel-reaper"].contains(&name.as_str()) {
                continue;
            }
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let private = text.lines().filter(|line| line.starts_with("Private_"));
            let kb: u64 = private.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum();
            // Twice what a release build takes, see docs/benchmarks.md: this one is not optimised.
            assert!(kb <= 256, "{name}: {kb} kB");
        }
        let scopes: Vec<ScopeId> = rig.seen.spawned.keys().copied().collect();
        for scope in scopes {
            rig.kill(scope);
        }
    });
}

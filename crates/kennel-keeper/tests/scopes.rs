//! Start, signal and kill of real process trees, in both worlds.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::os::fd::OwnedFd;

use kennel_keeper::proto::{Backend, Event, Exit, Place, Request, Stdio};
use rig::{HARNESS, Rig, World, describe, in_each, wait_until};
use rustix::process::Signal;

/// Starts what the script says, kills it, and proves that nothing is left.
fn dies(script: &str) {
    in_each(|rig| {
        let scope = rig.script(script);
        rig.kill(scope);
        rig.no_service_is_left();
        rig.send(&Request::Forget { scope });
    });
}

#[test]
fn a_program_runs_and_ends() {
    in_each(|rig| {
        let (scope, pid) = rig.run(&["sh", "-c", "echo $$; exit 7"]);
        assert_eq!(rig.ended(scope), Exit::Code(7));
        assert_eq!(rig.output(scope), format!("{pid}\n"));
        rig.no_service_is_left();
    });
}

#[test]
fn a_hundred_short_lives_leave_nothing() {
    in_each(|rig| {
        let plans: Vec<_> = (0..100).map(|_| rig.plan(&["true"])).collect();
        let scopes: Vec<_> = plans.iter().map(|plan| plan.scope).collect();
        for plan in plans {
            rig.send(&Request::Spawn(Box::new(plan)));
        }
        for scope in scopes {
            assert_eq!(rig.ended(scope), Exit::Code(0));
            rig.send(&Request::Forget { scope });
        }
        rig.no_service_is_left();
        if rig.world == World::Cgroup {
            let left = std::fs::read_dir(rig.cgroup_root().join("stack/svc")).unwrap().flatten();
            assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0);
        }
    });
}

#[test]
fn what_left_its_session_dies() {
    dies("setsid sh -c 'sleep 600 & exec setsid sleep 600' & (setsid sleep 600 &) & echo up; wait");
}

#[test]
fn what_ignores_signals_dies() {
    dies("trap '' TERM INT HUP QUIT; sh -c 'trap \"\" TERM; sleep 600; sleep 600' & echo up; sleep 600; sleep 600");
}

#[test]
fn what_is_stopped_dies() {
    dies("sleep 600 & kill -STOP $!; (sleep 600 & kill -STOP $!) ; echo up; kill -STOP $$");
}

#[test]
fn what_forks_all_the_time_dies() {
    // Each lives only long enough to make the next: few at any time, and never the same.
    dies("r() { r & }; r; r; r; r; r; r; r; r; echo up; sleep 600");
}

#[test]
fn a_wide_tree_dies() {
    dies("i=0; while [ $i -lt 150 ]; do i=$((i+1)); sleep 600 & done; echo up; wait");
}

#[test]
fn what_has_no_leader_dies() {
    in_each(|rig| {
        let harness = rig.dir.path().join("keeper-harness");
        assert!(std::path::Path::new(HARNESS).exists());
        let (scope, pid) = rig.run(&[harness.to_str().unwrap(), "leaderless"]);
        let is_leaderless = || kennel_sys::proc::stat(pid).is_some_and(|stat| stat.state == 'Z');
        wait_until("main thread still there", is_leaderless, || format!("{:?}", describe(&[pid])));
        assert!(rig.seen.exited.is_empty());
        assert_eq!(rig.kill(scope), Exit::Signal(9));
        rig.no_service_is_left();
    });
}

#[test]
fn an_empty_environment_changes_nothing() {
    in_each(|rig| {
        let mut plan =
            rig.plan(&["/usr/bin/env", "-i", "/bin/sh", "-c", "/usr/bin/setsid /bin/sleep 600 & echo up; wait"]);
        plan.env.clear();
        let (scope, _) = rig.run_plan(plan);
        rig.wait_for_output(scope, "up\n");
        rig.kill(scope);
        rig.no_service_is_left();
    });
}

#[test]
fn stragglers_keep_a_scope_from_being_empty() {
    in_each(|rig| {
        let (scope, _) = rig.run(&["sh", "-c", "setsid sleep 600 & exit 3"]);
        let exit = rig.until("exit", |seen| seen.exited.get(&scope).copied());
        assert_eq!(exit, Exit::Code(3));
        assert_eq!(rig.services().len(), 1);
        assert!(!rig.seen.emptied.contains(&scope));
        rig.send(&Request::Kill { scope });
        let reaped = rig.until("straggler", |seen| seen.reaped.get(&scope).cloned());
        assert_eq!(reaped.first().map(|(_, exit)| *exit), Some(Exit::Signal(9)));
        rig.ended(scope);
        rig.no_service_is_left();
    });
}

#[test]
fn a_signal_goes_to_the_main_process_or_to_all() {
    in_each(|rig| {
        let text = "trap 'echo main' USR1; sh -c 'trap \"echo child\" USR1; echo up; while :; do sleep 0.01; done' & \
                    while :; do sleep 0.01; done";
        let scope = rig.script(text);
        let usr1 = Signal::USR1.as_raw();
        rig.signal(scope, usr1, false);
        assert_eq!(rig.wait_for_output(scope, "\n"), "main\n");
        rig.kill(scope);
        rig.no_service_is_left();

        let scope = rig.script("trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.01; done");
        rig.signal(scope, Signal::TERM.as_raw(), true);
        assert_eq!(rig.ended(scope), Exit::Code(4));
        assert_eq!(rig.output(scope), "bye\n");
    });
}

#[test]
fn what_is_stopped_can_act_on_a_signal() {
    in_each(|rig| {
        for everyone in [false, true] {
            let scope = rig.script("trap 'exit 5' TERM; echo up; kill -STOP $$; while :; do sleep 0.01; done");
            let pid = rig.seen.spawned.get(&scope).unwrap().0;
            let stopped = || kennel_sys::proc::stat(pid).is_some_and(|stat| stat.state == 'T');
            wait_until("not stopped", stopped, || format!("{:?}", describe(&[pid])));
            rig.signal(scope, Signal::TERM.as_raw(), everyone);
            assert_eq!(rig.ended(scope), Exit::Code(5));
        }
        rig.no_service_is_left();
    });
}

#[test]
fn a_signal_to_nothing_is_no_error() {
    in_each(|rig| {
        let (scope, _) = rig.run(&["true"]);
        rig.ended(scope);
        for everyone in [false, true] {
            rig.signal(scope, Signal::TERM.as_raw(), everyone);
        }
        rig.send(&Request::Kill { scope });
        rig.send(&Request::Forget { scope });
        // The keeper still answers.
        let (scope, _) = rig.run(&["true"]);
        rig.ended(scope);
    });
}

#[test]
fn passed_descriptors_are_used() {
    in_each(|rig| {
        use std::io::{Read, Write};
        let (input, mut to_input) = std::io::pipe().unwrap();
        let (mut from_output, output) = std::io::pipe().unwrap();
        let mut plan = rig.plan(&["cat"]);
        let errors = output.try_clone().unwrap();
        plan.stdio = Stdio::Passed([OwnedFd::from(input), OwnedFd::from(output), OwnedFd::from(errors)]);
        let (scope, _) = rig.run_plan(plan);
        to_input.write_all(b"through\n").unwrap();
        drop(to_input);
        assert_eq!(rig.ended(scope), Exit::Code(0));
        let mut text = String::new();
        // Comes to an end only if neither keeper nor reaper holds the other end.
        from_output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through\n");
    });
}

#[test]
fn members_are_where_they_are_said_to_be() {
    in_each(|rig| {
        let scope = rig.script("sleep 600 & echo up; wait");
        let (_, place, _) = rig.seen.spawned.get(&scope).unwrap();
        let members = match place {
            Place::Cgroup(directory) => kennel_sys::proc::cgroup_members(directory),
            Place::Reaper(pid) => kennel_sys::proc::descendants(*pid).iter().map(|stat| stat.pid).collect(),
        };
        assert_eq!(members.len(), 2, "{:?}", describe(&members));
        rig.kill(scope);
    });
}

#[test]
fn a_service_gets_the_limits_of_whoever_started_the_keeper() {
    in_each(|rig| {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let (scope, _) = rig.run(&["grep", "Max open files", "/proc/self/limits"]);
        assert_eq!(rig.ended(scope), Exit::Code(0));
        assert_eq!(rig.output(scope).trim_end(), line.trim_end());
    });
}

#[test]
fn a_scope_makes_groups_of_its_own_and_still_dies() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let mut plan = rig.plan(&[
        "sh",
        "-c",
        "while [ ! -e $D/in ]; do sleep 0.01; done; echo 0 > $D/in/cgroup.procs; sleep 600 & echo up; wait",
    ]);
    let directory = rig.cgroup_root().join("stack/svc").join(&plan.name);
    plan.env.push(std::ffi::CString::new(format!("D={}", directory.display())).unwrap());
    let (scope, _) = rig.run_plan(plan);
    std::fs::create_dir_all(directory.join("in/deeper")).unwrap();
    rig.wait_for_output(scope, "up\n");
    assert!(!kennel_sys::proc::cgroup_members(&directory.join("in")).is_empty());
    rig.kill(scope);
    assert!(!directory.exists());
    rig.finish();
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let mut scopes = Vec::new();
    for _ in 0..3 {
        let mut plan = rig.plan(&["sleep", "600"]);
        plan.name = "same".into();
        scopes.push(rig.run_plan(plan).0);
    }
    for scope in scopes {
        rig.kill(scope);
    }
    rig.finish();
}

#[test]
fn what_a_tracer_holds_is_reported_until_it_goes() {
    in_each(|rig| {
        use std::io::Read;
        let (scope, pid) = rig.run(&["sleep", "600"]);
        let harness = rig.root.join("keeper-harness");
        let words = [harness.to_str().unwrap(), "tracer", &pid.to_string()];
        let (tracer, leash, mut held) = rig::start_piped(rig, &words);
        let mut line = [0; 5];
        held.read_exact(&mut line).unwrap();
        rig.send(&Request::Kill { scope });
        let survivors = rig.until("report", |seen| seen.stuck.get(&scope).cloned());
        let of: Vec<(u32, u32, char)> = survivors.iter().map(|it| (it.pid, it.tracer, it.state)).collect();
        assert_eq!(of, [(pid, tracer.pid, 't')]);
        assert!(!rig.seen.emptied.contains(&scope));
        drop(leash);
        kennel_sys::wait::reap(tracer.pid, true).unwrap();
        assert_eq!(rig.ended(scope), Exit::Signal(9));
        rig.no_service_is_left();
    });
}

#[test]
fn a_keeper_inside_a_scope_stays_inside() {
    in_each(|rig| {
        let (scope, link, leash) = rig.nested();
        let deadline = std::time::Instant::now() + rig::PATIENCE;
        rig::send(&link, &Request::Hello { version: kennel_keeper::proto::VERSION });
        let Ok(Event::Welcome { backend, .. }) = rig::receive(&link, deadline) else { panic!("no welcome") };
        if let (Backend::Cgroup { root }, Place::Cgroup(leaf)) = (&backend, &rig.seen.spawned.get(&scope).unwrap().1) {
            assert!(root.starts_with(leaf), "{} is not in {}", root.display(), leaf.display());
        }
        let plan = rig.plan(&["sh", "-c", "setsid sleep 600 & sleep 600"]);
        rig::send(&link, &Request::Spawn(Box::new(plan)));
        assert!(matches!(rig::receive(&link, deadline), Ok(Event::Spawned { .. })));
        // The outer keeper ends all of it: keeper, daemon, reapers, scopes.
        rig.kill(scope);
        drop(leash);
        rig.no_service_is_left();
    });
}

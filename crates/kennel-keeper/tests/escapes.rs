//! Services of root that leave their cgroup.
//!
//! covers: C2, C3

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::path::PathBuf;

use kennel_keeper::proto::{Exit, ScopeId};
use kennel_sys::cgroup::{self, Hierarchy};
use kennel_sys::process;
use rig::{Rig, World, describe, wait_until};

/// As root, and as a user in a subtree of its own, who may go anywhere in there.
fn rigs() -> impl Iterator<Item = Rig> {
    [World::Cgroup, World::Delegated].into_iter().filter(|world| world.is_here()).map(Rig::new)
}

/// Where the whole tree is mounted.
fn top(rig: &Rig) -> PathBuf {
    let root = rig.cgroup_root();
    Hierarchy::mounted().unwrap().into_iter().map(|it| it.mount).find(|mount| root.starts_with(mount)).unwrap()
}

/// Where to go: out of everything, into kennel's own group, into the leaf of another scope.
fn places(rig: &mut Rig) -> Vec<PathBuf> {
    let root = rig.cgroup_root();
    rig.script("echo up; exec sleep 600");
    let leaf =
        std::fs::read_dir(root.join("stack/svc")).unwrap().flatten().find(|entry| entry.path().is_dir()).unwrap();
    let own = std::fs::read_dir(&root).unwrap().flatten().map(|entry| entry.path());
    let own = own.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("self")).unwrap();
    let mut places = vec![leaf.path(), own];
    places.extend((rig.world == World::Cgroup).then(|| top(rig)));
    places
}

/// Starts a script in which `$OUT` is where to go.
fn script(rig: &mut Rig, kill: bool, place: &std::path::Path, text: &str) -> (ScopeId, u32) {
    let text = format!("OUT={}/cgroup.procs; {text}", place.display());
    let plan = rig.plan(&["sh", "-c", &text]);
    let started = rig.run_plan(kennel_keeper::proto::Spawn { kill_escaped: kill, ..plan });
    rig.wait_for_output(started.0, "up\n");
    started
}

fn escaped(rig: &mut Rig, scope: ScopeId, count: usize) -> Vec<(u32, String)> {
    rig.until("escape", |seen| seen.escaped.get(&scope).filter(|it| it.len() >= count).cloned())
}

/// Where this process is said to have gone; a child of it may be told of before.
fn escaped_to(rig: &mut Rig, scope: ScopeId, pid: u32) -> String {
    rig.until("escape", |seen| seen.escaped.get(&scope)?.iter().find(|(who, _)| *who == pid).map(|(_, to)| to.clone()))
}

fn is_alive(pid: u32) -> bool {
    kennel_sys::proc::stat(pid).is_some_and(|stat| stat.state != 'Z')
}

#[test]
fn a_main_process_that_leaves_is_reported_and_killed() {
    for mut rig in rigs() {
        for place in places(&mut rig) {
            let before = rig.services().len();
            let (scope, pid) =
                script(&mut rig, true, &place, "sleep 600 & echo up; echo $! > $OUT; echo $$ > $OUT; wait");
            escaped_to(&mut rig, scope, pid);
            assert_eq!(rig.ended(scope), Exit::Signal(9));
            wait_until("left", || rig.services().len() == before, || format!("{:?}", describe(&rig.services())));
            assert_eq!(rig.seen.escaped[&scope].len(), 2, "each once: {:?}", rig.seen.escaped);
        }
        rig.finish();
    }
}

#[test]
fn a_main_process_that_leaves_may_be_let_go_until_its_scope_ends() {
    for mut rig in rigs() {
        for place in places(&mut rig) {
            let (scope, pid) =
                script(&mut rig, false, &place, "sleep 600 & echo $! > $OUT; echo $$ > $OUT; echo up; wait");
            let to = escaped_to(&mut rig, scope, pid);
            assert_eq!(cgroup::of_process(pid).unwrap().to_str(), Some(to.as_str()));
            let other = rig.run(&["true"]).0;
            rig.ended(other);
            assert!(is_alive(pid) && !rig.seen.exited.contains_key(&scope));
            // It still hears what its scope is told.
            rig.signal(scope, 15, true);
            assert_eq!(rig.ended(scope), Exit::Signal(15));
        }
        rig.finish();
    }
}

#[test]
fn a_daemon_that_leaves_is_found_when_the_keeper_looks_at_its_children() {
    for mut rig in rigs() {
        for place in places(&mut rig) {
            let text = "(setsid sh -c 'echo $$ > '$OUT'; sleep 600 & echo up; wait' &); sleep 600; :";
            let before = process::children_of(rig.keeper.pid).len();
            let (scope, pid) = script(&mut rig, true, &place, text);
            // The main process, and the daemon as soon as the one between has ended.
            let children = || process::children_of(rig.keeper.pid);
            wait_until("adopted", || children().len() == before + 2, || format!("{:?}", describe(&children())));
            let other = rig.run(&["true"]).0;
            rig.ended(other);
            // The shell, and its child.
            let found = escaped(&mut rig, scope, 2);
            wait_until("alive", || found.iter().all(|(pid, _)| !is_alive(*pid)), || format!("{found:?}"));
            assert!(is_alive(pid), "who stayed was not touched");
            assert_eq!(rig.kill(scope), Exit::Signal(9));
        }
        rig.finish();
    }
}

#[test]
fn nobody_outside_outlives_the_scope() {
    for mut rig in rigs() {
        for (place, index) in places(&mut rig).into_iter().zip(0..) {
            for kill in [true, false] {
                // Parents that stay, a daemon that forks all the time, and one that has shed its tag as well; but who
                // sheds it and goes into another scope belongs there for all that anybody can tell.
                let shed = if index > 0 { "prlimit --rttime=unlimited" } else { "" };
                let text = format!(
                    "sh -c 'echo $$ > '$OUT'; trap \"\" TERM; sleep 600; :' & \
                        (setsid sh -c 'echo $$ > '$OUT'; r() {{ r & }}; r; r; r; r; sleep 600' &); \
                        ({shed} setsid sh -c 'echo $$ > '$OUT'; echo up; sleep 600; :' &); \
                        sleep 600; :"
                );
                let before = rig.services().len();
                let (scope, _) = script(&mut rig, kill, &place, &text);
                assert_eq!(rig.kill(scope), Exit::Signal(9));
                let left = || rig.services();
                wait_until("somebody is left", || left().len() == before, || format!("{:?}", describe(&left())));
                assert!(rig.seen.escaped.get(&scope).is_some_and(|found| !found.is_empty()));
            }
        }
        rig.finish();
    }
}

#[test]
fn nobody_outside_outlives_a_goodbye() {
    for mut rig in rigs() {
        for place in places(&mut rig) {
            let text = "prlimit --rttime=unlimited sh -c 'echo $$ > '$OUT'; echo up; sleep 600; :' & wait";
            script(&mut rig, false, &place, text);
        }
        rig.finish();
    }
}

/// Runs a script that finds its own group in `$G`, makes what it wants below, and is killed there.
fn below(text: &str) {
    for mut rig in rigs() {
        let top = top(&rig);
        let text = format!("G=$(dirname $OUT)/$(sed -n 's/^0:://p' /proc/self/cgroup); {text}");
        let (scope, _) = script(&mut rig, true, &top, &text);
        let other = rig.run(&["true"]).0;
        rig.ended(other);
        assert_eq!(rig.kill(scope), Exit::Signal(9));
        assert!(rig.seen.escaped.is_empty(), "{:?}", rig.seen.escaped);
        rig.finish();
    }
}

#[test]
fn a_scope_with_groups_of_its_own_has_not_been_left() {
    below("mkdir $G/a $G/a/b; echo $$ > $G/a/b/cgroup.procs; (setsid sleep 600 &); echo up; sleep 600; :");
}

#[test]
fn groups_that_are_threaded_or_frozen_are_emptied_and_removed() {
    below(
        "set -e; mkdir $G/t; echo threaded > $G/t/cgroup.type; echo $$ > $G/t/cgroup.threads; (setsid sleep 600 &); \
         mkdir $G/t/u; echo threaded > $G/t/u/cgroup.type; echo up; sleep 600; :",
    );
    below(
        "set -e; mkdir $G/f; (setsid sh -c 'echo $$ > '$G'/f/cgroup.procs; sleep 600; :' & echo $! > $G/f/cgroup.procs); \
           echo 1 > $G/f/cgroup.freeze; echo up; sleep 600; :",
    );
}

#[test]
fn groups_whose_path_is_too_long_for_the_system_are_emptied_and_removed() {
    below(
        "cd $G; exec perl -e 'use strict; $| = 1; my $n = \"n\" x 200; \
         for (1..30) { mkdir $n or die $!; chdir $n or die $! } \
         open my $f, \">\", \"cgroup.procs\" or die $!; print $f $$; close $f or die $!; fork; print \"up\\n\"; sleep 600'",
    );
}

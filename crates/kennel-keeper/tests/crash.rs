//! The keeper is killed at every named step of a hand-over and of an adoption, alone or with the daemon of its time:
//! what is to be kept runs on and is adopted by the next keeper, and nothing else is left.
//!
//! covers: A5, A6

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a panic is how a test fails")]

mod rig;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;

use kennel_keeper::proto::{Adopt, Place, Request, ScopeId, Successor, VERSION};
use kennel_sys::{pipe, wait};
use rig::{Rig, World, describe, wait_until};

const TREE: &str = "trap '' TERM; sleep 600 & echo up; wait";

/// The harness with the steps compiled in, beside the ordinary one, which has none.
fn harness_that_crashes() -> PathBuf {
    let target = Path::new(rig::HARNESS).ancestors().nth(2).unwrap();
    let built = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["build", "--quiet", "--locked", "-p", "kennel-keeper", "--bin", "keeper-harness"])
        .args(["--features", "crash-points", "--config"])
        .arg(format!("build.build-dir={:?}", target.display().to_string()))
        .arg("--target-dir")
        .arg(target.join("crash"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status();
    assert!(built.unwrap().success(), "the build with crash points failed");
    target.join("crash/debug/keeper-harness")
}

fn at(step: &str, mark: &Path, both: bool) -> Vec<CString> {
    let both = if both { "1" } else { "" };
    let entries = [
        format!("KENNEL_CRASH_AT={step}"),
        format!("KENNEL_CRASH_MARK={}", mark.display()),
        format!("KENNEL_CRASH_BOTH={both}"),
    ];
    entries.map(|entry| CString::new(entry).unwrap()).to_vec()
}

/// Where the mark can be made by whoever the keeper runs as.
fn marks() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    dir
}

fn record(rig: &Rig, scope: ScopeId) -> Adopt {
    let (_, place, pipes) = rig.seen.spawned.get(&scope).unwrap();
    let Place::Cgroup(directory) = place else { panic!("no cgroup") };
    let leaf = directory.file_name().unwrap().to_str().unwrap().to_owned();
    let pipes = pipes.as_ref().map(|pipes| [0, 1].map(|at| pipe::inode(&pipes[at]).unwrap()));
    Adopt { scope, leaf, process: rig.seen.identities[&scope], kill_escaped: true, note: Vec::new(), pipes }
}

/// Hands over until the keeper is gone. Answers with what lets the daemons go, which end when their keeper does.
fn hand_over_until(rig: &mut Rig, step: &str) {
    rig.send(&Request::Succeed { program: None });
    let successor = rig.meet_successor();
    if step == "handover.successor-started" {
        return;
    }
    rig::send(&successor.link, &Request::Hello { version: VERSION });
    if step == "handover.told" {
        return;
    }
    let news = rig.until("news", |seen| seen.successor.pop());
    assert_eq!(news, Successor::Ready);
    rig.send(&Request::HandOver);
    let _old = rig.replace(successor);
    if step == "handover.released" {
        return;
    }
    rig.welcomed();
    rig.send(&Request::Settled);
}

/// The keeper has killed itself at its step; its daemons end, as they do when they see that.
fn is_gone(rig: &mut Rig, mark: &Path) {
    let reaped = wait::reap(rig.keeper.pid, true).unwrap().unwrap();
    assert_eq!(reaped.exit, wait::Exit::Signal(9), "{}", rig.log());
    assert!(mark.exists());
    rig.leash = None;
    for pid in rig.others.iter().chain([&rig.daemon]) {
        let gone = || kennel_sys::proc::stat(*pid).is_none_or(|stat| kennel_sys::proc::has_ended(&stat));
        wait_until("a daemon lives", gone, || rig.log());
    }
    rig.seen.spawned.clear();
    rig.known.clear();
}

fn only_the_kept_is_left(rig: &Rig, kept: u32) {
    let lives = |pid: &u32| kennel_sys::proc::stat(*pid).is_some_and(|stat| !kennel_sys::proc::has_ended(&stat));
    let left = || rig.marked().into_iter().filter(lives).collect::<Vec<u32>>();
    let count = if kept == 0 { 0 } else { 2 };
    wait_until("others left", || left().len() == count, || format!("{:?}", describe(&left())));
    assert!(kept == 0 || left().contains(&kept));
}

/// The next keeper ends what is not to be kept and adopts the rest; in the end nothing is left.
fn the_kept_is_adopted(rig: &Rig, kept: u32, record: Option<Adopt>) {
    let mut next = rig.successor();
    only_the_kept_is_left(rig, kept);
    if let Some(record) = record {
        let scope = record.scope;
        next.send(&Request::Adopt(Box::new(record)));
        assert!(next.until("adoption", |seen| seen.adopted.get(&scope).map(|(_, _, alive)| *alive)));
        next.kill(scope);
    }
    next.finish();
    rig.nothing_is_left();
}

#[test]
fn at_every_step_of_a_hand_over() {
    let (harness, dir) = (harness_that_crashes(), marks());
    let steps = ["handover.successor-started", "handover.told", "handover.released", "handover.settled"];
    for world in [World::Cgroup, World::Reaper].into_iter().filter(|world| world.is_here()) {
        for (number, (step, both)) in steps.iter().flat_map(|step| [(step, false), (step, true)]).enumerate() {
            let mark = dir.path().join(format!("{world:?}-{number}"));
            let mut rig = Rig::of_program(world, harness.clone(), at(step, &mark, both));
            rig.script(TREE);
            let kept = (world == World::Cgroup).then(|| rig.keep(TREE));
            let record = kept.map(|(scope, _)| record(&rig, scope));
            hand_over_until(&mut rig, step);
            is_gone(&mut rig, &mark);
            the_kept_is_adopted(&rig, kept.map_or(0, |(_, pid)| pid), record);
        }
    }
}

#[test]
fn at_every_step_of_the_keepers_own_replacement() {
    let (harness, dir) = (harness_that_crashes(), marks());
    let steps = ["exec.asked", "exec.checked", "exec.replaced", "exec.resumed"];
    for world in [World::Cgroup, World::Reaper].into_iter().filter(|world| world.is_here()) {
        for step in steps {
            let mark = dir.path().join(format!("{world:?}-{step}"));
            let mut rig = Rig::of_program(world, harness.clone(), at(step, &mark, false));
            rig.script(TREE);
            let kept = (world == World::Cgroup).then(|| rig.keep(TREE));
            let record = kept.map(|(scope, _)| record(&rig, scope));
            let program = std::fs::File::open(rig.root.join("keeper-harness")).unwrap();
            rig.send(&Request::Exec { program: program.into() });
            is_gone(&mut rig, &mark);
            the_kept_is_adopted(&rig, kept.map_or(0, |(_, pid)| pid), record);
        }
    }
}

#[test]
fn in_the_middle_of_an_adoption() {
    if !World::Cgroup.is_here() {
        return;
    }
    let (harness, dir) = (harness_that_crashes(), marks());
    let mark = dir.path().join("mark");
    let mut rig = Rig::of_program(World::Cgroup, harness, Vec::new());
    let (scope, pid) = rig.keep(TREE);
    let record = record(&rig, scope);
    for pid in [rig.keeper.pid, rig.daemon] {
        rig.signal_process(pid, 9);
    }
    wait::reap(rig.keeper.pid, true).unwrap();
    let mut next = rig.successor_with(at("adopt.taken", &mark, true));
    next.send(&Request::Adopt(Box::new(record.clone())));
    is_gone(&mut next, &mark);
    let mut third = next.successor();
    only_the_kept_is_left(&rig, pid);
    third.send(&Request::Adopt(Box::new(record)));
    assert!(third.until("adoption", |seen| seen.adopted.get(&scope).map(|(_, _, alive)| *alive)));
    third.kill(scope);
    third.finish();
    rig.nothing_is_left();
}

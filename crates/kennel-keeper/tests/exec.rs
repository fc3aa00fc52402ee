//! The keeper replaces its own program: nothing that runs notices, whatever the new program is.
//!
//! covers: A6

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use kennel_keeper::proto::{Exit, Follows, Request, ScopeId, Spawn, Successor, VERSION};
use kennel_sys::proc;
use rig::{Rig, World, describe, wait_until};
use rustix::process::Signal;

/// Says something whenever it is asked to.
const TALKS: &str = "trap 'echo got' USR1; trap 'exit 7' USR2; trap '' TERM; sleep 600 & sleep 600 & echo up; \
                     while :; do wait; done";
const ALL: [World; 4] = [World::Cgroup, World::Reaper, World::Delegated, World::RootReaper];

fn in_each(body: impl Fn(&mut Rig)) {
    for world in ALL.into_iter().filter(|world| world.is_here()) {
        let mut rig = Rig::new(world);
        body(&mut rig);
        rig.finish();
    }
}

/// Another file with the same program.
fn another(rig: &Rig, name: &str) -> PathBuf {
    let file = rig.root.join(name);
    let _nobody_starts = rig::WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::copy(rig::HARNESS, &file).unwrap();
    file
}

/// Asks for another program; why it was refused.
fn exec(rig: &mut Rig, program: &Path) -> Option<String> {
    let program = OwnedFd::from(File::open(program).unwrap());
    rig.send(&Request::Exec { program });
    let (version, refused) = rig.until("answer", |seen| seen.executed.pop());
    assert_eq!(version, VERSION);
    refused
}

fn program(rig: &Rig) -> String {
    let exe = std::fs::read_link(format!("/proc/{}/exe", rig.keeper.pid)).unwrap();
    exe.file_name().unwrap().to_str().unwrap().to_owned()
}

fn begun(pid: u32) -> u64 {
    proc::stat(pid).unwrap().start_ticks
}

fn talks(rig: &mut Rig, scope: ScopeId) {
    rig.signal(scope, Signal::USR1.as_raw(), false);
    assert_eq!(rig.wait_for_output(scope, "got\n"), "got\n");
}

#[test]
fn nothing_that_runs_notices() {
    in_each(|rig| {
        let kept = rig.keep(TALKS).0;
        let other = rig.script(TALKS);
        let (ended, _) = rig.run(&["sh", "-c", "echo last words; exit 3"]);
        rig.ended(ended);
        let before: Vec<(u32, u64)> = rig.services().into_iter().map(|pid| (pid, begun(pid))).collect();
        for round in 0..3 {
            let name = format!("kennel-{round}");
            let file = another(rig, &name);
            assert_eq!(exec(rig, &file), None, "{}", rig.log());
            assert_eq!(program(rig), name);
            let after: Vec<(u32, u64)> = rig.services().into_iter().map(|pid| (pid, begun(pid))).collect();
            assert_eq!(after, before);
            for scope in [kept, other] {
                talks(rig, scope);
            }
            // The keeper is what it was: it starts, reaps and ends.
            let (another, _) = rig.run(&["sh", "-c", "sleep 600 & exit 4"]);
            assert_eq!(rig.until("exit", |seen| seen.exited.get(&another).copied()), Exit::Code(4));
            rig.kill(another);
            rig.send(&Request::Forget { scope: another });
        }
        rig.signal(other, Signal::USR2.as_raw(), false);
        assert_eq!(rig.until("exit", |seen| seen.exited.get(&other).copied()), Exit::Code(7));
        assert_eq!(rig.kill(other), Exit::Code(7));

        // What it knew before, it tells the next daemon.
        rig.lose_daemon();
        assert_eq!(rig.follows, Follows::Loss);
        let known: Vec<ScopeId> = rig.known.iter().map(|known| known.scope).collect();
        assert_eq!(known, [kept, other, ended]);
        assert_eq!(rig.known[0].note, b"note of 1");
        assert_eq!(rig.wait_for_output(ended, "words\n"), "last words\n");
        assert_eq!(rig.seen.exited.get(&ended), Some(&Exit::Code(3)));
        talks(rig, kept);
        assert_eq!(rig.kill(kept), Exit::Signal(9));
    });
}

/// What has ended while no program was looking is reaped by the new one, with its exit.
#[test]
fn no_exit_is_lost() {
    in_each(|rig| {
        let file = another(rig, "kennel-next");
        for round in 0..5 {
            // Each ends at another time, some of them in between.
            let scopes: Vec<ScopeId> = (0..10)
                .map(|at| {
                    let script = format!("sleep 0.{:02}; exit {at}", (at * 7 + round) % 20);
                    let plan = rig.plan(&["sh", "-c", &script]);
                    let scope = plan.scope;
                    rig.send(&Request::Spawn(Box::new(plan)));
                    scope
                })
                .collect();
            assert_eq!(exec(rig, &file), None);
            for (at, scope) in scopes.into_iter().enumerate() {
                assert_eq!(rig.ended(scope), Exit::Code(i32::try_from(at).unwrap()));
            }
        }
    });
}

#[test]
fn kills_under_way_go_on() {
    in_each(|rig| {
        let scopes: Vec<ScopeId> = (0..5).map(|_| rig.script(TALKS)).collect();
        let file = another(rig, "kennel-next");
        let program = || OwnedFd::from(File::open(&file).unwrap());
        for scope in &scopes {
            rig.send(&Request::Kill { scope: *scope });
        }
        rig.send(&Request::Exec { program: program() });
        for scope in scopes {
            assert_eq!(rig.ended(scope), Exit::Signal(9));
        }
        let (_, refused) = rig.until("answer", |seen| seen.executed.pop());
        assert_eq!(refused, None);
        rig.no_service_is_left();
    });
}

#[test]
fn namespaces_and_held_descriptors_are_taken_along() {
    for world in [World::Cgroup, World::RootReaper].into_iter().filter(|world| world.is_here()) {
        let mut rig = Rig::new(world);
        rig.isolation.pid = true;
        let scope = rig.script(TALKS);
        rig.isolation.pid = false;
        let (reader, writer) = std::io::pipe().unwrap();
        rig.send(&Request::Hold { name: "api".to_owned(), fd: reader.into() });
        let file = another(&rig, "kennel-next");
        assert_eq!(exec(&mut rig, &file), None);
        talks(&mut rig, scope);
        rustix::io::write(&writer, b"somebody has the other end").unwrap();
        rig.signal(scope, Signal::USR2.as_raw(), false);
        assert_eq!(rig.until("exit", |seen| seen.exited.get(&scope).copied()), Exit::Code(7));
        rig.kill(scope);
        rig.lose_daemon();
        assert!(rig.until("descriptor", |seen| seen.held.remove("api").map(|_| true)));
        rig.finish();
    }
}

#[test]
fn a_program_that_cannot_take_over_changes_nothing() {
    in_each(|rig| {
        let scope = rig.script(TALKS);
        let text = rig.root.join("r/text");
        std::fs::write(&text, "no program").unwrap();
        let mute = rig.root.join("r/mute");
        std::fs::write(&mute, "#!/bin/sh\nexec sleep 600\n").unwrap();
        let liar = rig.root.join("r/liar");
        std::fs::write(&liar, "#!/bin/sh\necho kennel resumes yes\n").unwrap();
        let failing = rig.root.join("r/failing");
        std::fs::write(&failing, "#!/bin/sh\necho kennel resumes\nexit 3\n").unwrap();
        for script in [&mute, &liar, &failing] {
            std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
        }
        for (program, expected) in [
            (text.as_path(), "cannot be started"),
            (rig.root.clone().as_path(), "cannot be started"),
            ("/bin/true".as_ref(), "does not know how to take over from this keeper (exit code 0)"),
            ("/bin/false".as_ref(), "(exit code 1)"),
            (mute.as_path(), "(signal 9)"),
            (liar.as_path(), "(exit code 0)"),
            (failing.as_path(), "(exit code 3)"),
        ] {
            let why = exec(rig, program).unwrap();
            assert!(why.contains(expected), "{why}");
            talks(rig, scope);
        }
        assert_eq!(program(rig), "keeper-harness");
        rig.kill(scope);
    });
}

/// It says that it can and then reads nothing: it gives back what it got, which is the old program's to go on with.
#[test]
fn a_program_that_cannot_read_the_table_gives_it_back() {
    in_each(|rig| {
        let scope = rig.script(TALKS);
        let kept = rig.keep(TALKS).0;
        let broken = another(rig, "kennel-that-reads-nothing");
        let why = exec(rig, &broken).unwrap();
        assert!(why.contains("given it back"), "{why}");
        assert_eq!(program(rig), "keeper-harness");
        for scope in [scope, kept] {
            talks(rig, scope);
        }
        // And the next one may be better.
        let good = another(rig, "kennel-good");
        assert_eq!(exec(rig, &good), None);
        assert_eq!(program(rig), "kennel-good");
        for scope in [scope, kept] {
            talks(rig, scope);
            rig.kill(scope);
        }
    });
}

#[test]
fn not_while_daemons_change_and_the_other_way_round() {
    in_each(|rig| {
        let scope = rig.script(TALKS);
        let file = another(rig, "kennel-next");
        rig.send(&Request::Succeed { program: None });
        let successor = rig.meet_successor();
        assert!(exec(rig, &file).unwrap().contains("hand-over"));
        rig::send(&successor.link, &Request::Hello { version: VERSION });
        assert_eq!(rig.until("news", |seen| seen.successor.pop()), Successor::Ready);
        rig.send(&Request::HandOver);
        let mut old = rig.replace(successor);
        rig.welcomed();
        rig.send(&Request::Settled);
        // The old one may take its time to exit: then this waits.
        rig.send(&Request::Exec { program: File::open(&file).unwrap().into() });
        rig.send(&Request::Succeed { program: None });
        let failed = rig.until("news", |seen| seen.successor.pop());
        assert!(matches!(failed, Successor::Failed { .. }), "{failed:?}");
        talks(rig, scope);
        assert!(rig.seen.executed.is_empty());
        old.leash = None;
        let (_, refused) = rig.until("answer", |seen| seen.executed.pop());
        assert_eq!((refused, program(rig).as_str()), (None, "kennel-next"));
        talks(rig, scope);
        rig.kill(scope);
    });
}

/// Hundreds of descriptors, and a daemon that does not read while all that happens.
#[test]
fn many_scopes_and_a_daemon_that_is_behind() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    let file = another(&rig, "kennel-next");
    for _ in 0..300 {
        let plan = rig.plan(&["sh", "-c", "echo here; exec sleep 600"]);
        rig.send(&Request::Spawn(Box::new(Spawn { keep: true, note: vec![7; 2000], ..plan })));
    }
    rig.send(&Request::Exec { program: File::open(&file).unwrap().into() });
    let (_, refused) = rig.until("answer", |seen| seen.executed.pop());
    assert_eq!(refused, None, "{}", rig.log());
    rig.until("starts", |seen| (seen.spawned.len() == 300).then_some(()));
    for scope in 1..=300 {
        assert_eq!(rig.wait_for_output(ScopeId(scope), "here\n"), "here\n");
    }
    wait_until("services", || rig.services().len() == 300, || format!("{:?}", describe(&rig.services())));
    rig.finish();
}

//! The daemon is lost, and what is to be kept runs on as if nothing had happened.
//!
//! covers: A5, B7

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use kennel_keeper::proto::{Event, Exit, Follows, Request, ScopeId, Spawn};
use kennel_sys::proc;
use rig::{PATIENCE, Rig, World, describe, wait_until};
use rustix::process::Signal;

const TREE: &str = "trap '' TERM; setsid sh -c 'sleep 600 & sleep 600' & sleep 600 & echo up; wait";
const ALL: [World; 4] = [World::Cgroup, World::Reaper, World::Delegated, World::RootReaper];

fn in_each(body: impl Fn(Rig)) {
    for world in ALL.into_iter().filter(|world| world.is_here()) {
        body(Rig::new(world));
    }
}

/// Start of a process, by which it is told from a later one with its number.
fn begun(pid: u32) -> u64 {
    proc::stat(pid).unwrap().start_ticks
}

fn pipes(rig: &mut Rig, scope: ScopeId) -> [OwnedFd; 2] {
    rig.seen.spawned.get_mut(&scope).unwrap().2.take().unwrap()
}

#[test]
fn what_is_to_be_kept_survives_the_daemon_and_the_rest_does_not() {
    in_each(|mut rig| {
        let (kept, pid) = rig.keep(TREE);
        let other = rig.script(TREE);
        let (identity, before) = (rig.seen.identities[&kept], begun(pid));
        for _ in 0..3 {
            rig.lose_daemon();
            assert_eq!(rig.follows, Follows::Loss);
            let known = rig.known.iter().find(|known| known.scope == kept).unwrap();
            assert_eq!((known.keep, known.note.as_slice()), (true, &b"note of 1"[..]));
            let started = known.started.as_ref().unwrap();
            assert_eq!((started.identity, started.exit), (identity, None));
            assert!(!started.ending && !started.empty);
            // A round of the loop later it would be dead if anybody had wanted that.
            assert_eq!(rig.ended(other), Exit::Signal(9));
            assert_eq!(begun(pid), before);
            wait_until("others left", || rig.services().len() == 5, || format!("{:?}", describe(&rig.services())));
        }
        // It is a scope like any other: signalled, killed, forgotten.
        assert_eq!(rig.kill(kept), Exit::Signal(9));
        rig.send(&Request::Forget { scope: kept });
        rig.no_service_is_left();
        rig.finish();
    });
}

#[test]
fn output_without_a_daemon_waits_and_does_not_hold_the_service_up() {
    const LENGTH: usize = 700_000;
    in_each(|mut rig| {
        let done = rig.root.join("r/done");
        let write = format!("head -c {LENGTH} /dev/zero; echo end; : > {}", done.display());
        let (kept, pid) = rig.keep(&format!("trap '{write}' USR1; echo up; while :; do sleep 600 & wait $!; done"));
        rig.signal_process(rig.daemon, 9);
        // The next daemon waits for the test, and nobody reads.
        wait_until("the loss", || rig.log().contains("the daemon is lost"), || rig.log());
        rig.signal_process(pid, Signal::USR1.as_raw());
        wait_until("the service is held up", || done.exists(), || rig.log());
        rig.meet_next();
        let [stdout, _] = pipes(&mut rig, kept);
        rustix::io::ioctl_fionbio(&stdout, false).unwrap();
        let mut bytes = vec![1; LENGTH + 4];
        File::from(stdout).read_exact(&mut bytes).unwrap();
        assert!(bytes[..LENGTH].iter().all(|byte| *byte == 0) && &bytes[LENGTH..] == b"end\n");
        rig.finish();
    });
}

#[test]
fn an_end_without_a_daemon_is_told_to_the_next_and_to_the_one_after_it() {
    in_each(|mut rig| {
        let (kept, pid) = rig.keep("trap 'exit 7' USR1; echo up; while :; do sleep 600 & wait $!; done");
        rig.signal_process(rig.daemon, 9);
        wait_until("the loss", || rig.log().contains("the daemon is lost"), || rig.log());
        rig.signal_process(pid, Signal::USR1.as_raw());
        wait_until("it lives", || proc::stat(pid).is_none(), || rig.log());
        rig.meet_next();
        let exit = rig.until("exit", |seen| seen.exited.get(&kept).copied());
        assert_eq!(exit, Exit::Code(7));
        // Its straggler is this daemon's to end, as after any exit.
        assert_eq!(rig.kill(kept), Exit::Code(7));
        rig.lose_daemon();
        let known = rig.known.first().unwrap();
        let started = known.started.as_ref().unwrap();
        assert_eq!((known.scope, started.exit, started.empty), (kept, Some(Exit::Code(7)), true));
        rig.send(&Request::Forget { scope: kept });
        rig.lose_daemon();
        assert!(rig.known.is_empty());
        rig.finish();
    });
}

/// Whatever was under way at the loss is known afterwards, and runs.
#[test]
fn nothing_that_is_being_started_is_forgotten() {
    in_each(|mut rig| {
        let plans: Vec<Spawn> = (0..20).map(|_| rig.plan(&["sleep", "600"])).collect();
        for plan in plans {
            rig.send(&Request::Spawn(Box::new(Spawn { keep: true, ..plan })));
        }
        rig.lose_daemon();
        let known: Vec<ScopeId> = rig.known.iter().map(|known| known.scope).collect();
        let reported = known.clone();
        rig.until("starts", |seen| reported.iter().all(|scope| seen.spawned.contains_key(scope)).then_some(()));
        assert!(rig.seen.failed.is_empty(), "{:?}", rig.seen.failed);
        wait_until(
            "unknown processes",
            || rig.services().len() == known.len(),
            || format!("{} known, {:?}", known.len(), describe(&rig.services())),
        );
        rig.finish();
    });
}

#[test]
fn a_daemon_that_cannot_live_is_not_given_up_while_something_is_kept() {
    if !World::Reaper.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Reaper);
    let (kept, pid) = rig.keep(TREE);
    let before = begun(pid);
    for _ in 0..6 {
        rig.lose_daemon();
    }
    assert_eq!(begun(pid), before);
    rig.kill(kept);
    rig.signal_process(rig.daemon, 9);
    let reaped = kennel_sys::wait::reap(rig.keeper.pid, true).unwrap().unwrap();
    assert_eq!(reaped.exit, kennel_sys::wait::Exit::Code(0), "{}", rig.log());
    rig.nothing_is_left();
}

#[test]
fn a_goodbye_ends_what_is_to_be_kept() {
    in_each(|mut rig| {
        rig.keep(TREE);
        rig.lose_daemon();
        rig.finish();
    });
}

#[test]
fn a_descriptor_is_held_for_the_next_daemon() {
    in_each(|mut rig| {
        let (reader, writer) = std::io::pipe().unwrap();
        let ours = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        let reader: OwnedFd = reader.into();
        let (wanted, null) = (ours(&reader), File::open("/dev/null").unwrap());
        for name in ["gone", "api"] {
            rig.send(&Request::Hold { name: name.to_owned(), fd: null.try_clone().unwrap().into() });
        }
        // The later one of a name counts.
        rig.send(&Request::Hold { name: "api".to_owned(), fd: reader });
        rig.send(&Request::Release { name: "gone".to_owned() });
        // Taken in order, so after this answer they are held.
        let (scope, _) = rig.run(&["true"]);
        rig.ended(scope);
        for _ in 0..2 {
            rig.lose_daemon();
            let found = rig.until("descriptor", |seen| seen.held.get("api").map(ours));
            assert_eq!(found, wanted);
            rig.send(&Request::Settled);
            rig.until("strays", |seen| seen.strays.clone());
            assert_eq!(rig.seen.held.len(), 1);
        }
        // The test's own copies are gone, the keeper's is not: nobody sees the end of the pipe.
        rig.seen.held.clear();
        rustix::io::write(&writer, b"still read").unwrap();
        rig.send(&Request::Release { name: "api".to_owned() });
        wait_until("it is still held", || rustix::io::write(&writer, b"x").is_err(), || rig.log());
        rig.finish();
    });
}

/// Also while the keeper has others to wait for, here a daemon that has said goodbye and does not go.
#[test]
fn who_has_come_to_a_held_socket_hears_at_once_that_the_keeper_leaves() {
    in_each(|mut rig| {
        let address = rig.root.join("api.sock");
        let listener = UnixListener::bind(&address).unwrap();
        let mut client = UnixStream::connect(&address).unwrap();
        client.set_nonblocking(true).unwrap();
        rig.send(&Request::Hold { name: "api".to_owned(), fd: listener.into() });
        // Taken in order, so after this answer it is held.
        let (scope, _) = rig.run(&["true"]);
        rig.ended(scope);
        let mut waits = || client.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(waits());
        rig.send(&Request::Bye);
        wait_until("it still waits", || !waits(), || rig.log());
        let keeper = proc::stat(rig.keeper.pid).unwrap();
        assert!(!proc::has_ended(&keeper) && UnixStream::connect(&address).is_err(), "{keeper:?} {}", rig.log());
        rig.finish();
    });
}

/// With a queue that is full and descriptors that come late, every event is either in the welcome or after it.
#[test]
fn a_welcome_brings_the_pipes_of_hundreds() {
    if !World::Cgroup.is_here() {
        return;
    }
    let mut rig = Rig::new(World::Cgroup);
    for _ in 0..200 {
        let plan = rig.plan(&["sh", "-c", "echo here; exec sleep 600"]);
        rig.send(&Request::Spawn(Box::new(Spawn { keep: true, note: vec![7; 300], ..plan })));
    }
    rig.until("starts", |seen| (seen.spawned.len() == 200).then_some(()));
    rig.lose_daemon();
    assert_eq!(rig.known.len(), 200);
    for scope in 1..=200 {
        assert_eq!(rig.wait_for_output(ScopeId(scope), "here\n"), "here\n");
    }
    rig.finish();
}

#[test]
fn nothing_else_is_said_before_the_welcome() {
    in_each(|mut rig| {
        rig.keep(TREE);
        let (short, _) = rig.run(&["true"]);
        rig.ended(short);
        rig.signal_process(rig.daemon, 9);
        let next = rig.meet_recovered();
        rig::send(&next.link, &Request::Hello { version: kennel_keeper::proto::VERSION });
        let first = rig::receive(&next.link, Instant::now() + PATIENCE).unwrap();
        assert!(matches!(first, Event::Welcome { follows: Follows::Loss, .. }), "{first:?}");
        let _old = rig.replace(next);
        rig.finish();
    });
}

//! A daemon hands over to another one while everything runs; whoever of the two fails at whatever step.
//!
//! covers: A6

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rig;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use kennel_keeper::proto::{Event, Exit, Follows, Request, ScopeId, Successor, VERSION};
use kennel_sys::proc;
use rig::{Peer, Rig, World, describe, wait_until};

const TREE: &str = "trap '' TERM; setsid sh -c 'sleep 600 & sleep 600' & sleep 600 & echo up; wait";

/// A keeper with a tree that is not to be kept: every loss would end it.
fn in_each(body: impl Fn(&mut Rig, ScopeId)) {
    for world in [World::Cgroup, World::Reaper].into_iter().filter(|world| world.is_here()) {
        let mut rig = Rig::new(world);
        let scope = rig.script(TREE);
        body(&mut rig, scope);
        rig.finish();
    }
}

/// Asks for a successor and meets it.
fn succeed(rig: &mut Rig) -> Peer {
    rig.send(&Request::Succeed { program: None });
    rig.meet_successor()
}

/// The next news of the successor, told to the daemon that is played now.
fn news(rig: &mut Rig) -> Successor {
    let news = rig.until("news of the successor", |seen| seen.successor.first().cloned());
    rig.seen.successor.clear();
    news
}

fn greet(rig: &mut Rig, successor: &Peer) {
    rig::send(&successor.link, &Request::Hello { version: VERSION });
    assert_eq!(news(rig), Successor::Ready);
}

/// Lets go of the old daemon; the successor is welcomed and played from here on.
fn let_go(rig: &mut Rig, successor: Peer) -> Peer {
    rig.send(&Request::HandOver);
    let old = rig.replace(successor);
    rig.welcomed();
    assert_eq!(rig.follows, Follows::HandOver);
    old
}

fn failed(event: &Event) -> &str {
    match event {
        Event::Successor(Successor::Failed { why }) => why,
        other => panic!("{other:?}"),
    }
}

fn all_live(rig: &Rig) {
    wait_until(
        "another number of processes",
        || rig.services().len() == 5,
        || format!("{:?} {}", describe(&rig.services()), rig.log()),
    );
}

/// The scope is known, untouched, and can be ended as usual.
fn all_is_well(rig: &mut Rig, scope: ScopeId) {
    let known = rig.known.iter().find(|known| known.scope == scope).unwrap();
    let started = known.started.as_ref().unwrap();
    assert!(started.exit.is_none() && !started.ending && !started.empty, "{known:?}");
    all_live(rig);
    assert_eq!(rig.kill(scope), Exit::Signal(9));
    rig.send(&Request::Forget { scope });
    let (another, _) = rig.run(&["true"]);
    assert_eq!(rig.ended(another), Exit::Code(0));
}

fn wait_for_end(rig: &Rig, pid: u32) {
    wait_until("it lives", || proc::stat(pid).is_none(), || rig.log());
}

#[test]
fn the_successor_takes_over_and_the_old_one_goes() {
    in_each(|rig, scope| {
        let successor = succeed(rig);
        // It waits; meanwhile the old one works as ever.
        greet(rig, &successor);
        let (short, _) = rig.run(&["sh", "-c", "echo last words; exit 3"]);
        assert_eq!(rig.ended(short), Exit::Code(3));
        assert!(successor.received().is_empty());

        let mut old = let_go(rig, successor);
        assert_eq!(rig.known.len(), 2);
        assert_eq!(rig.seen.exited.get(&short), Some(&Exit::Code(3)));
        assert_eq!(rig.wait_for_output(short, "words\n"), "last words\n");
        // What happens now is the successor's alone to know.
        let (third, _) = rig.run(&["true"]);
        rig.ended(third);
        rig.send(&Request::Settled);
        assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        assert!(old.received().is_empty());
        old.leash = None;
        wait_for_end(rig, old.pid);
        all_is_well(rig, scope);
        assert!(!rig.log().contains("lost"), "{}", rig.log());
    });
}

#[test]
fn many_hand_overs_one_after_the_other() {
    in_each(|rig, scope| {
        for _ in 0..10 {
            let successor = succeed(rig);
            greet(rig, &successor);
            // The old one stays until all is said, as slow as it may be.
            let old = let_go(rig, successor);
            rig.send(&Request::Settled);
            assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        }
        all_is_well(rig, scope);
    });
}

#[test]
fn the_old_daemon_is_lost_before_it_has_let_go() {
    in_each(|rig, _| {
        for has_greeted in [false, true] {
            let successor = succeed(rig);
            if has_greeted {
                greet(rig, &successor);
            }
            // A loss as always: what is not to be kept ends, and nobody takes over who was not asked to.
            rig.lose_daemon();
            assert_eq!(rig.follows, Follows::Loss);
            wait_for_end(rig, successor.pid);
            rig.no_service_is_left();
        }
    });
}

#[test]
fn the_old_daemon_is_lost_after_it_has_let_go() {
    in_each(|rig, scope| {
        for is_settled in [false, true] {
            let successor = succeed(rig);
            greet(rig, &successor);
            let old = let_go(rig, successor);
            if is_settled {
                rig.send(&Request::Settled);
                assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
            }
            rig.signal_process(old.pid, 9);
            wait_for_end(rig, old.pid);
            rig.send(&Request::Settled);
            rig.until("strays", |seen| seen.strays.clone());
            all_live(rig);
        }
        all_is_well(rig, scope);
    });
}

#[test]
fn the_successor_is_lost_before_it_takes_over() {
    in_each(|rig, scope| {
        for has_greeted in [false, true] {
            let successor = succeed(rig);
            if has_greeted {
                greet(rig, &successor);
            }
            rig.signal_process(successor.pid, 9);
            let Successor::Failed { why } = news(rig) else { panic!("no failure") };
            assert!(why.contains("signal 9"), "{why}");
            all_live(rig);
        }
        // And another try works.
        let successor = succeed(rig);
        greet(rig, &successor);
        let old = let_go(rig, successor);
        rig.send(&Request::Settled);
        assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        all_is_well(rig, scope);
    });
}

#[test]
fn a_successor_that_is_lost_before_it_is_settled_is_replaced_without_a_kill() {
    in_each(|rig, scope| {
        let successor = succeed(rig);
        greet(rig, &successor);
        let mut old = let_go(rig, successor);
        // What it did until then is not undone.
        let (second, _) = rig.run(&["sleep", "600"]);
        rig.signal_process(rig.daemon, 9);
        assert!(failed(&old.receive()).contains("signal 9"));
        old.leash = None;
        rig.meet_next();
        assert_eq!(rig.follows, Follows::HandOver);
        assert_eq!(rig.known.len(), 2);
        rig.send(&Request::Settled);
        rig.until("strays", |seen| seen.strays.clone());
        rig.kill(second);
        all_is_well(rig, scope);
    });
}

#[test]
fn a_successor_that_fails_just_when_the_old_one_lets_go_is_replaced_without_a_kill() {
    in_each(|rig, scope| {
        let successor = succeed(rig);
        greet(rig, &successor);
        rig.signal_process(successor.pid, 9);
        wait_for_end(rig, successor.pid);
        // The old one has not heard of it.
        rig.send(&Request::HandOver);
        rig.meet_next();
        assert_eq!(rig.follows, Follows::HandOver);
        all_is_well(rig, scope);
    });
}

#[test]
fn once_it_is_settled_the_loss_of_the_successor_is_one() {
    in_each(|rig, _| {
        let successor = succeed(rig);
        greet(rig, &successor);
        let old = let_go(rig, successor);
        rig.send(&Request::Settled);
        assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        rig.lose_daemon();
        assert_eq!(rig.follows, Follows::Loss);
        rig.no_service_is_left();
        wait_for_end(rig, old.pid);
    });
}

#[test]
fn a_silent_successor_is_given_up() {
    in_each(|rig, _| {
        let successor = succeed(rig);
        let Successor::Failed { why } = news(rig) else { panic!("no failure") };
        assert_eq!(why, "it said nothing for 10 s");
        wait_for_end(rig, successor.pid);
        all_live(rig);
    });
}

#[test]
fn a_successor_that_never_settles_is_replaced_without_a_kill() {
    in_each(|rig, scope| {
        let successor = succeed(rig);
        greet(rig, &successor);
        let old = let_go(rig, successor);
        let unsettled = rig.daemon;
        assert!(failed(&old.receive()).contains("not settled"));
        wait_for_end(rig, unsettled);
        rig.meet_next();
        assert_eq!(rig.follows, Follows::HandOver);
        all_is_well(rig, scope);
    });
}

#[test]
fn an_old_daemon_that_has_let_go_and_does_not_exit_is_ended() {
    in_each(|rig, scope| {
        let successor = succeed(rig);
        greet(rig, &successor);
        let old = let_go(rig, successor);
        rig.signal_process(old.pid, 19);
        let told = Instant::now();
        rig.send(&Request::Settled);
        assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        wait_for_end(rig, old.pid);
        assert!(told.elapsed() > Duration::from_secs(8), "it is given its time");
        all_is_well(rig, scope);
    });
}

#[test]
fn a_successor_of_an_older_version_is_refused_before_anything_changes() {
    in_each(|rig, _| {
        let successor = succeed(rig);
        rig::send(&successor.link, &Request::Hello { version: VERSION - 1 });
        let Successor::Failed { why } = news(rig) else { panic!("no failure") };
        assert!(why.contains(&format!("version {}", VERSION - 1)), "{why}");
        wait_for_end(rig, successor.pid);
        all_live(rig);
    });
}

#[test]
fn a_successor_that_does_something_before_it_may_is_ended() {
    in_each(|rig, scope| {
        for has_greeted in [false, true] {
            let successor = succeed(rig);
            if has_greeted {
                greet(rig, &successor);
            }
            rig::send(&successor.link, &Request::Kill { scope });
            assert!(matches!(news(rig), Successor::Failed { .. }));
            wait_for_end(rig, successor.pid);
            all_live(rig);
        }
    });
}

#[test]
fn a_program_that_is_none_changes_nothing() {
    in_each(|rig, _| {
        let text = rig.root.join("r/text");
        std::fs::write(&text, "no program").unwrap();
        let script = rig.root.join("r/script");
        std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        for (program, expected) in [
            (text.as_path(), "cannot be started"),
            (script.as_path(), "cannot be started"),
            (rig.root.clone().as_path(), "cannot be started"),
            ("/bin/true".as_ref(), "exit code 0"),
            ("/bin/false".as_ref(), "exit code 1"),
        ] {
            let program = Some(File::open(program).unwrap().into());
            rig.send(&Request::Succeed { program });
            let Successor::Failed { why } = news(rig) else { panic!("no failure") };
            assert!(why.contains(expected), "{why}");
            all_live(rig);
        }
    });
}

#[test]
fn a_program_is_started_by_its_file_whatever_its_name_is_by_now() {
    in_each(|rig, scope| {
        let file = rig.root.join("another-kennel");
        {
            let _nobody_starts = rig::WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::fs::copy(rig::HARNESS, &file).unwrap();
        }
        let program = File::open(&file).unwrap().into();
        std::fs::remove_file(&file).unwrap();
        rig.send(&Request::Succeed { program: Some(program) });
        let successor = rig.meet_successor();
        let exe = std::fs::read_link(format!("/proc/{}/exe", successor.pid)).unwrap();
        assert!(exe.to_string_lossy().contains("another-kennel"), "{}", exe.display());
        greet(rig, &successor);
        let old = let_go(rig, successor);
        rig.send(&Request::Settled);
        assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        all_is_well(rig, scope);
    });
}

#[test]
fn who_asks_again_gets_another_successor() {
    in_each(|rig, scope| {
        let first = succeed(rig);
        let second = succeed(rig);
        wait_for_end(rig, first.pid);
        greet(rig, &second);
        let old = let_go(rig, second);
        // Not before this one is settled.
        rig.send(&Request::Succeed { program: None });
        assert!(matches!(news(rig), Successor::Failed { .. }));
        rig.send(&Request::Settled);
        assert!(matches!(old.receive(), Event::Successor(Successor::Done)));
        all_is_well(rig, scope);
    });
}

#[test]
fn a_goodbye_ends_the_successor_too() {
    in_each(|rig, _| {
        let successor = succeed(rig);
        greet(rig, &successor);
    });
}

#[test]
fn held_descriptors_go_to_the_successor() {
    in_each(|rig, scope| {
        let (reader, _writer) = std::io::pipe().unwrap();
        let inode = |fd: &std::os::fd::OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        let reader = reader.into();
        let wanted = inode(&reader);
        rig.send(&Request::Hold { name: "api".to_owned(), fd: reader });
        let successor = succeed(rig);
        greet(rig, &successor);
        let _old = let_go(rig, successor);
        assert_eq!(rig.until("descriptor", |seen| seen.held.get("api").map(inode)), wanted);
        rig.send(&Request::Settled);
        all_is_well(rig, scope);
    });
}

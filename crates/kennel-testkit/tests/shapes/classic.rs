//! The shapes of the first day.

use kennel_testkit::{Seen, Signal, send, state_of, wait_until};

use crate::{DEADLINE, Shape};

#[test]
fn ignored_term_ends_nobody() {
    let shape = Shape::start(&["ignores-term"]);
    for seen in shape.seen() {
        send(&seen, Signal::TERM);
    }
    assert_eq!(shape.seen().iter().filter(|seen| seen.living).count(), 2);
}

#[test]
fn a_wrapper_ends_and_its_child_does_not() {
    let mut shape = Shape::start(&["eats-signal"]);
    send(&shape.main_seen(), Signal::TERM);
    assert_eq!(shape.main.wait().unwrap().code(), Some(0));
    shape.own.clear();
    assert_eq!(shape.seen().len(), 1);
}

#[test]
fn a_daemon_has_another_session_and_parent() {
    for name in ["daemon", "holds-stdout"] {
        let shape = Shape::start(&[name]);
        let main = shape.main.id();
        let others = shape.others();
        assert_eq!(others.len(), 1, "{others:?}");
        assert_ne!(others[0].ppid, main);
        let stdout = std::fs::read_link(format!("/proc/{}/fd/1", others[0].pid)).unwrap();
        assert_eq!(stdout.starts_with("/dev/null"), name == "daemon");
    }
}

#[test]
fn stopped_means_both_are_stopped() {
    let shape = Shape::start(&["stopped"]);
    wait_until(DEADLINE, "both stopped", || shape.seen().iter().all(|seen| state_of(seen.pid) == Some('T')));
    assert_eq!(shape.seen().len(), 2);
}

#[test]
fn an_empty_environment_is_empty_in_both() {
    let shape = Shape::start(&["empty-env"]);
    wait_until(DEADLINE, "two bare processes", || {
        let seen = shape.seen();
        seen.len() == 2
            && seen.iter().all(|seen| std::fs::read(format!("/proc/{}/environ", seen.pid)).unwrap().is_empty())
    });
}

#[test]
fn a_lost_leader_shows_z_and_lives() {
    let shape = Shape::start(&["lost-leader"]);
    let main = shape.main_seen();
    assert_eq!(main.state, 'Z');
    assert!(main.living);
}

#[test]
fn the_finder_tells_zombies_from_the_living() {
    let shape = Shape::start(&["plain"]);
    let child = shape.others().remove(0);
    send(&child, Signal::KILL);
    wait_until(DEADLINE, "a zombie that main does not wait for", || shape.others().iter().all(Seen::zombie));
    assert_eq!(shape.others().len(), 1);
}

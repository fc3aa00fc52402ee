//! The bad children are as bad as they say, and the finder of survivors finds them: a test that looks for
//! survivors of a shape that never was would pass for nothing.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kennel_testkit::{Mark, Seen, Signal, kill_marked, reap_orphans, send, state_of, survivors, try_send, wait_until};

const DEADLINE: Duration = Duration::from_secs(20);

/// One bad child with a mark of its own; dropping it kills everything.
struct Shape {
    main: Child,
    mark: Mark,
    own: BTreeSet<u32>,
}

impl Shape {
    fn start(arguments: &[&str]) -> Self {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let mark = Mark::new();
        let program = env!("CARGO_BIN_EXE_kennel-badchild");
        let mut main = Command::new(program)
            .args(["marked", &mark.value().to_string(), "--", program, "--cell", "7"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let own = BTreeSet::from([main.id()]);
        let mut line = String::new();
        BufReader::new(main.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "{arguments:?}");
        Self { main, mark, own }
    }

    fn seen(&self) -> Vec<Seen> {
        reap_orphans(self.mark, &self.own);
        survivors(self.mark)
    }

    /// Descendants without the main process.
    fn others(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.pid != self.main.id()).collect()
    }

    fn main_seen(&self) -> Seen {
        self.seen().into_iter().find(|seen| seen.pid == self.main.id()).unwrap()
    }

    fn exits_by_itself(&mut self) {
        let main = self.main_seen();
        send(&main, Signal::USR1);
        send(&main, Signal::CONT);
        assert_eq!(self.main.wait().unwrap().code(), Some(0));
        self.own.clear();
    }

    fn left_without_main(&mut self) -> usize {
        self.exits_by_itself();
        self.seen().iter().filter(|seen| seen.living).count()
    }
}

impl Drop for Shape {
    fn drop(&mut self) {
        kill_marked(self.mark, &self.own);
        let _ = self.main.wait();
    }
}

#[test]
fn every_shape_outlives_its_main_process() {
    let port = kennel_testkit::free_port().to_string();
    for arguments in [
        &["plain"][..],
        &["eats-signal"],
        &["ignores-term"],
        &["own-group"],
        &["daemon"],
        &["holds-stdout"],
        &["stopped"],
        &["empty-env"],
        &["lost-leader"],
        &["many", "3"],
        &["port", &port],
        &["forks"],
    ] {
        let mut shape = Shape::start(arguments);
        assert!(shape.seen().iter().all(|seen| seen.cell == Some(7)), "{arguments:?}: {:?}", shape.seen());
        assert!(shape.left_without_main() > 0, "{arguments:?} left nothing");
    }
}

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
fn a_storm_replaces_its_members_and_stays_bounded() {
    let shape = Shape::start(&["forks"]);
    let before: BTreeSet<u32> = shape.others().iter().map(|seen| seen.pid).collect();
    wait_until(DEADLINE, "all replaced", || shape.others().iter().all(|seen| !before.contains(&seen.pid)));
    for seen in shape.others() {
        // A member may be gone by now, which is the point.
        try_send(&seen, Signal::TERM);
    }
    send(&shape.main_seen(), Signal::TERM);
    let living = shape.seen().iter().filter(|seen| seen.living).count();
    assert!((1..=61).contains(&living), "{living} alive");
}

#[test]
fn the_finder_tells_zombies_from_the_living() {
    let shape = Shape::start(&["plain"]);
    let child = shape.others().remove(0);
    send(&child, Signal::KILL);
    wait_until(DEADLINE, "a zombie that main does not wait for", || shape.others().iter().all(Seen::zombie));
    assert_eq!(shape.others().len(), 1);
}

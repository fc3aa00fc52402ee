//! Shapes that wait in the kernel or are held from outside: what a kill does to them and what it does not.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use kennel_testkit::{Signal, send, state_of, wait_until};

use crate::{DEADLINE, PROGRAM, Shape};

/// A program beside the shape; dropping it ends it.
struct Outsider {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Outsider {
    /// `None` if it does not get there, with the reason on its stderr.
    fn start(arguments: &[&str]) -> Option<Self> {
        let mut child = Command::new(PROGRAM).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut outsider = Self { child, out };
        (outsider.line() == "up\n").then_some(outsider)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Outsider {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn a_parent_in_vfork_waits_uninterruptibly_and_can_be_killed() {
    let shape = Shape::start(&["vfork"]);
    let parent = || shape.others().into_iter().find(|seen| seen.ppid == shape.main.id()).unwrap();
    wait_until(DEADLINE, "a parent in vfork", || parent().state == 'D');
    send(&parent(), Signal::KILL);
    wait_until(DEADLINE, "dead", || parent().zombie());
    assert_eq!(shape.others().iter().filter(|seen| seen.living).count(), 1, "its child lives on");
}

#[test]
fn a_tracer_keeps_the_dead_and_with_an_option_the_dying() {
    for option in [None, Some("--exit")] {
        let shape = Shape::start(&["traced"]);
        let child = shape.other().pid.to_string();
        let arguments: Vec<&str> = ["trace"].into_iter().chain(option).chain([child.as_str()]).collect();
        let mut tracer = Outsider::start(&arguments).expect("a tracer");
        send(&shape.other(), Signal::KILL);
        let expected = if option.is_some() { 't' } else { 'Z' };
        wait_until(DEADLINE, "held", || shape.other().state == expected);
        // Main does not wait, so only main's end sets the zombie free once the tracer has let go.
        tracer.end();
        wait_until(DEADLINE, "dead", || shape.other().zombie());
    }
}

#[test]
fn a_hung_file_system_holds_who_asks_until_it_is_gone() {
    // Dropped after the server: what hangs cannot be killed before.
    let shape;
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_string_lossy().into_owned();
    let mount = Mounted(dir.path());
    let Some(mut server) = Outsider::start(&["hung-files", &place]) else {
        return eprintln!("not possible here: no file system in user space can be mounted");
    };
    shape = Shape::start(&["asks", &format!("{place}/file")]);
    assert_eq!(server.line(), "taken\n");
    send(&shape.other(), Signal::KILL);
    wait_until(DEADLINE, "in the kernel", || shape.other().state == 'D');
    // One look proves little, but a kill that works shows at the first.
    for _ in 0..50 {
        assert_eq!(state_of(shape.other().pid), Some('D'));
    }
    server.end();
    wait_until(DEADLINE, "dead", || shape.other().zombie());
    drop(mount);
}

/// Unmounts what may be mounted there.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _none = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

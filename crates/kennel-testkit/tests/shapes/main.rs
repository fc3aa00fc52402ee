//! The bad children are as bad as they say, and the finder of survivors finds them: a test that looks for
//! survivors of a shape that never was would pass for nothing.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "says why something is not possible here")]

mod classic;
mod nests;
mod outside;
mod storms;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kennel_testkit::{Mark, Seen, Signal, kill_marked, reap_orphans, send, survivors};

const DEADLINE: Duration = Duration::from_secs(20);

const PROGRAM: &str = env!("CARGO_BIN_EXE_kennel-badchild");

/// One bad child with a mark of its own; dropping it kills everything.
struct Shape {
    main: Child,
    mark: Mark,
    own: BTreeSet<u32>,
}

impl Shape {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(&[], arguments, |_| {})
    }

    /// `options` are those of `marked`.
    fn start_with(options: &[&str], arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let mark = Mark::new();
        let mut command = Command::new(PROGRAM);
        command.arg("marked").arg(mark.value().to_string()).args(options);
        command.args(["--", PROGRAM, "--cell", "7"]).args(arguments).stdout(Stdio::piped());
        change(&mut command);
        let mut main = command.spawn().unwrap();
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

    /// The one descendant of a shape that has one.
    fn other(&self) -> Seen {
        let others = self.others();
        assert_eq!(others.len(), 1, "{others:?}");
        others[0].clone()
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
        &["double-forks"],
        &["stop-storm"],
        &["cont-storm"],
        &["killer"],
        &["kills-reaper"],
        &["stops-reaper"],
        &["vfork"],
        &["traced"],
        &["pid-namespace"],
        &["subreaper"],
        &["cloak"],
        &["bomb", "60"],
        &["leaderless", "60"],
        &["spray", "500", "100"],
    ] {
        let mut shape = Shape::start(arguments);
        assert!(shape.seen().iter().all(|seen| seen.cell == Some(7)), "{arguments:?}: {:?}", shape.seen());
        assert!(shape.left_without_main() > 0, "{arguments:?} left nothing");
    }
}

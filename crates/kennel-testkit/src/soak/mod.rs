//! Soak: kennel runs for a long time with services that fail, fork and flood, while others are started and stopped without
//! end. What daemon and keeper hold has to stay flat; no process may be left, and no line lost.

mod cycles;
mod lines;
mod look;
mod plot;
mod report;
mod stack;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::{Scratch, Signal, User};
use cycles::Cycles;
use lines::Lines;
use look::Look;
pub use report::Report;

/// What to do.
#[derive(Debug, Clone)]
pub struct Soak {
    /// The program, with the bad child beside it.
    pub kennel: PathBuf,
    /// For how long.
    pub time: Duration,
    /// Ends earlier after so many starts and stops.
    pub cycles: Option<u64>,
}

impl Soak {
    /// Runs it, as root with cgroups; shows a line for each look.
    ///
    /// # Panics
    /// If kennel cannot be started, or something that it started is left at the end.
    #[must_use]
    pub fn run(&self, mut show: impl FnMut(&str)) -> Option<Report> {
        let scratch = Scratch::new(User::Root, &self.kennel)?;
        stack::configure(&scratch);
        scratch.ok(&["up", "-d", "-q"]);
        let (daemon, keeper) = (scratch.daemon(), scratch.keeper());
        let begin = Instant::now();
        let cycles = Cycles::begin(&scratch);
        let mut follower = scratch.spawn(&["logs", "--follow", "--json", stack::FLOODING]);
        let mut lines = Lines::of(&follower);
        let mut looks: Vec<Look> = Vec::new();
        // Some hundred looks, whatever the time.
        let pause = (self.time / 300).clamp(Duration::from_secs(1), Duration::from_secs(30));
        while begin.elapsed() < self.time && self.cycles.is_none_or(|most| cycles.count() < most) {
            std::thread::sleep(pause);
            lines.read();
            let look = Look::take(begin, &scratch, [daemon.pid, keeper.pid], cycles.count(), looks.last());
            show(&look.to_string());
            looks.push(look);
        }
        let (count, failures) = cycles.end();
        let same = scratch.daemon().pid == daemon.pid && scratch.keeper().pid == keeper.pid;
        scratch.ok(&["down", "-q"]);
        follower.signal(Signal::KILL);
        follower.wait(Duration::from_secs(10));
        lines.read();
        let left = scratch.nothing_within(Duration::from_secs(30)).err().unwrap_or_default();
        let report = Report::new(looks, count, failures, &lines, crate::scratch::list(&left), same);
        scratch.kill_everything();
        Some(report)
    }
}

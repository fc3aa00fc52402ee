//! Having a tree without a cgroup stand still: every member is stopped until none moves.
//!
//! A stopped process does not fork, so once every member has been seen stopped twice the list is complete. Who is continued
//! by somebody else afterwards moves again, and nobody notices.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::members::{Members, Quarry, Rest};

/// Pauses between two passes.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The state of it; each [`Still::pass`] is short.
#[derive(Debug)]
pub(crate) struct Still {
    /// Members of the last pass, if none moved.
    at_rest: Option<HashSet<(u32, u64)>>,
    /// Number and start time of those that moved when they were seen first, and got the stop.
    stopped: HashSet<(u32, u64)>,
    next: Instant,
    pause: Duration,
}

impl Still {
    pub(crate) fn new(now: Instant) -> Self {
        Self { at_rest: None, stopped: HashSet::new(), next: now, pause: FIRST_PAUSE }
    }

    /// When the next pass is due.
    pub(crate) fn due(&self) -> Instant {
        self.next
    }

    /// Whether a process, by its number and start time, stands still because of this.
    pub(crate) fn has_stopped(&self, pid: u32, start_ticks: u64) -> bool {
        self.stopped.contains(&(pid, start_ticks))
    }

    /// Stops those descendants of this process that move; answers whether none did on two passes.
    pub(crate) fn pass(&mut self) -> bool {
        self.pass_on(&Quarry::Below(&|_| false))
    }

    /// The same for a quarry.
    ///
    /// Who is in an uninterruptible sleep does not move, for the stop that it gets here comes first at the end of that: a
    /// parent in `vfork(2)` stays there for as long as its child is stopped.
    pub(crate) fn pass_on(&mut self, quarry: &Quarry<'_>) -> bool {
        let members = Members::now(quarry);
        let rests: Vec<Rest> = members.living.iter().map(|member| member.rest()).collect();
        let none_moves = rests.iter().all(|rest| *rest != Rest::Moves);
        let seen: HashSet<(u32, u64)> = members.living.iter().map(|member| member.key()).collect();
        let moves = |at: usize| rests.get(at) != Some(&Rest::Stopped);
        let all = members.living.iter().enumerate();
        self.stopped.extend(all.filter(|(at, _)| moves(*at)).map(|(_, member)| member.key()));
        members.signal(Signal::STOP.as_raw(), moves);
        if none_moves && self.at_rest.as_ref() == Some(&seen) {
            return true;
        }
        self.at_rest = none_moves.then_some(seen);
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        false
    }
}

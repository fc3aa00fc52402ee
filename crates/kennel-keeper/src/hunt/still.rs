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
    next: Instant,
    pause: Duration,
}

impl Still {
    pub(crate) fn new(now: Instant) -> Self {
        Self { at_rest: None, next: now, pause: FIRST_PAUSE }
    }

    /// When the next pass is due.
    pub(crate) fn due(&self) -> Instant {
        self.next
    }

    /// Stops those descendants of this process that move; answers whether none did on two passes.
    ///
    /// Who is in an uninterruptible sleep does not move, for the stop that it gets here comes first at the end of that: a
    /// parent in `vfork(2)` stays there for as long as its child is stopped.
    pub(crate) fn pass(&mut self) -> bool {
        let members = Members::now(&Quarry::Below(&|_| false));
        let rests: Vec<Rest> = members.living.iter().map(|member| member.rest()).collect();
        let none_moves = rests.iter().all(|rest| *rest != Rest::Moves);
        let seen: HashSet<(u32, u64)> = members.living.iter().map(|member| member.key()).collect();
        members.signal(Signal::STOP.as_raw(), |at| rests.get(at) != Some(&Rest::Stopped));
        if none_moves && self.at_rest.as_ref() == Some(&seen) {
            return true;
        }
        self.at_rest = none_moves.then_some(seen);
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        false
    }
}

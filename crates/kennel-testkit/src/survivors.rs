//! Finds what is left, independently of kennel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::processes::{self, Marked, Seen};

/// A value of `RLIMIT_MSGQUEUE` that only one test's processes have. It is inherited over fork, exec, setsid and
/// setuid and needs no privilege; of those that start kennel, only a program that sets that limit itself loses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub(crate) u64);

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Mark {
    /// A mark that no other test running now has: odd, and below the 819,200 that an ordinary user starts with,
    /// for a limit may only be lowered.
    #[must_use]
    pub fn new() -> Self {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        // Eight beside each other for every process; whoever needs more of them is far from its neighbours with the others.
        let unique = u64::from(std::process::id()) * 8 + count % 8 + count / 8 * 120_011;
        Self(10_001 + 2 * (unique % 390_000))
    }

    /// The limit in bytes.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

/// Every process with the mark, zombies included, by process id.
#[must_use]
pub fn survivors(mark: Mark) -> Vec<Seen> {
    let mut found = BTreeMap::new();
    each(mark, |seen| {
        found.insert(seen.pid, seen);
    });
    found.into_values().collect()
}

/// Shows every process with the mark, each as soon as it is found and the youngest first.
///
/// One listing of `/proc` can miss a lineage whose member forks its successor and exits between the listing and the
/// look at it. So the list is read again, and whoever is new is looked at, until all that are new are known to be
/// somebody else's.
fn each(mark: Mark, mut show: impl FnMut(Seen)) {
    let mut looked_at = BTreeSet::new();
    for _ in 0..MOST_LISTINGS {
        let mut new: Vec<u32> = processes::all().into_iter().filter(|pid| looked_at.insert(*pid)).collect();
        new.sort_unstable_by(|a, b| b.cmp(a));
        let mut again = false;
        for pid in new {
            match processes::look_marked(pid, mark.0) {
                Marked::Yes(seen) => {
                    again = true;
                    show(seen);
                }
                Marked::No => {}
                // Perhaps with a successor.
                Marked::Gone => again = true,
            }
        }
        if !again {
            return;
        }
    }
}

/// On a machine that starts programs without pause the listings would never agree.
const MOST_LISTINGS: usize = 100;

/// Waits for zombies with the mark that were *reparented* to this process, as init does for everybody's orphans.
/// Its own children, which the caller names, keep their status for whoever started them.
pub fn reap_orphans(mark: Mark, own: &BTreeSet<u32>) {
    for pid in processes::children().into_iter().filter(|pid| !own.contains(pid)) {
        if processes::look(pid).is_some_and(|seen| seen.mark == Some(mark.0) && seen.zombie()) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let _ = rustix::process::waitpid(pid, WaitOptions::NOHANG);
        }
    }
}

/// Kills whatever carries the mark until nothing lives, and returns what had to be killed.
///
/// Everything is stopped first, until all are seen stopped in two looks: whoever forks faster than it is killed
/// forks nothing while stopped.
///
/// # Panics
/// If something cannot be killed within 20 seconds.
pub fn kill_marked(mark: Mark, own: &BTreeSet<u32>) -> Vec<Seen> {
    let mut killed = BTreeMap::new();
    let begin = Instant::now();
    let (mut empty, mut still) = (0, 0);
    while empty < 2 {
        reap_orphans(mark, own);
        // Who waits in the kernel never shows as stopped; such a one cannot fork either.
        let kill = still >= 2 || begin.elapsed() > Duration::from_secs(5);
        let signal = if kill { Signal::KILL } else { Signal::STOP };
        let (mut living, mut running) = (0, 0);
        each(mark, |seen| {
            if !seen.living {
                return;
            }
            living += 1;
            running += u32::from(seen.state != 'T');
            if kill || seen.state != 'T' {
                let held = processes::hold(&seen);
                held.map(|held| rustix::process::pidfd_send_signal(&held, signal));
            }
            killed.insert(seen.pid, seen);
        });
        let late = living > 0 && begin.elapsed() > Duration::from_secs(20);
        assert!(!late, "cannot be killed: {:?}", survivors(mark));
        empty = if living == 0 { empty + 1 } else { 0 };
        still = if running == 0 { still + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(1));
    }
    reap_orphans(mark, own);
    killed.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stories that run side by side in one program take different times: the first may still run when the hundredth begins.
    #[test]
    fn no_mark_comes_again_soon() {
        let marks: BTreeSet<u64> = (0..500).map(|_| Mark::new().value()).collect();
        assert_eq!(marks.len(), 500);
        assert!(marks.iter().all(|mark| mark % 2 == 1 && (10_001..819_200).contains(mark)), "{marks:?}");
    }
}

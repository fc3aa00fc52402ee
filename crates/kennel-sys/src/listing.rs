//! Lists every process there is, and knows whether one can have slipped through.
//!
//! A lineage whose members each fork a successor and end can pass by any number of looks at `/proc`: whoever was listed is
//! dead when it is looked at, and its successor was born behind the look. But it cannot do so without a fork, and the
//! kernel counts those. A look during which nobody was made anywhere has seen everybody who lives after it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};

/// On a machine that starts programs without pause no listing is undisturbed.
const MOST_LISTINGS: usize = 64;

/// When a listing was made: up to this very moment everybody alive was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(Option<u64>);

impl Moment {
    /// Whether no process or thread was made since, so that what was looked at meanwhile is still everybody. `false` as
    /// well where that cannot be told: no listing was undisturbed, or the kernel shows no count.
    ///
    /// Costs some 50 µs.
    #[must_use]
    pub fn lasts(self) -> bool {
        self.0.is_some() && self.0 == made()
    }
}

/// Shows every process id to `look`, each once and right after it was listed, zombies included, in no order; also told is
/// whether it was there at the first listing. Lists until nobody was made during a whole listing, and no more than
/// 64 times.
///
/// A number that is given to a second process within this time is not shown again: for that the numbers would have to
/// come round in some milliseconds.
pub fn each_process(mut look: impl FnMut(u32, bool)) -> Moment {
    let mut shown = HashSet::new();
    for listing in 0..MOST_LISTINGS {
        let before = made();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut news = false;
        for pid in pids.filter(|pid| shown.insert(*pid)) {
            news = true;
            look(pid, listing == 0);
        }
        match before {
            Some(_) if before == made() => return Moment(before),
            // Without a count two listings that agree are the best there is.
            None if !news => break,
            Some(_) | None => {}
        }
    }
    Moment(None)
}

/// Processes and threads that were made since the boot, on the whole machine. One is counted in the same instant that it
/// becomes visible, and unlike the last process id given that is no earlier.
///
/// Source: `processes` in `proc_stat(5)`. Imitations of Linux say 0 for ever.
fn made() -> Option<u64> {
    let lines = BufReader::new(File::open("/proc/stat").ok()?).lines().map_while(Result::ok);
    count(lines).filter(|count| *count > 0)
}

fn count(mut lines: impl Iterator<Item = String>) -> Option<u64> {
    lines.find_map(|line| line.strip_prefix("processes ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_ends_with_the_next_process() {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut own = false;
        let mut moment = each_process(|pid, first| own |= first && pid == std::process::id());
        assert!(own);
        // Others start things as well, but not without pause.
        while !moment.lasts() {
            assert!(std::time::Instant::now() < deadline, "it never lasts");
            moment = each_process(|_, _| {});
        }
        std::thread::spawn(|| {}).join().unwrap();
        assert!(!moment.lasts());
        assert!(!Moment(None).lasts());
    }

    #[test]
    fn the_count_is_found_between_other_lines() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
        assert_eq!(count(lines("cpu 1 2\nctxt 9\nprocesses 4711\nprocs_running 3\n")), Some(4711));
        assert_eq!(count(lines("cpu 1 2\nprocs_running 3\n")), None);
        assert_eq!(count(lines("")), None);
    }
}

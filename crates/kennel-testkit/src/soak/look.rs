//! One look at daemon and keeper, and at who is dead and waits.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use crate::Scratch;

/// What one process of kennel holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    /// Open descriptors.
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    /// Memory of its own, that is heap, stacks and relocations, KiB.
    pub(super) anonymous: u64,
    /// All that is resident, KiB.
    pub(super) resident: u64,
    /// CPU time so far, clock ticks.
    pub(super) ticks: u64,
}

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Seconds since the begin.
    pub(super) at: f64,
    /// Daemon and keeper.
    pub(super) held: [Held; 2],
    /// Starts and stops so far.
    pub(super) cycles: u64,
    /// Processes of the stack, kennel's own included.
    pub(super) processes: usize,
    /// Dead ones that were dead at the look before: number and start time.
    pub(super) zombies: usize,
    dead: BTreeSet<(u32, u64)>,
}

impl Look {
    pub(super) fn take(begin: Instant, scratch: &Scratch, pids: [u32; 2], cycles: u64, before: Option<&Self>) -> Self {
        let seen = scratch.survivors();
        let dead: BTreeSet<(u32, u64)> =
            seen.iter().filter(|seen| seen.zombie()).map(|seen| (seen.pid, seen.start_ticks)).collect();
        let zombies = before.map_or(0, |before| before.dead.intersection(&dead).count());
        let at = begin.elapsed().as_secs_f64();
        Self { at, held: pids.map(Held::read), cycles, processes: seen.len(), zombies, dead }
    }
}

impl Held {
    fn read(pid: u32) -> Self {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let count = |name: &str| std::fs::read_dir(dir.join(name)).map_or(0, |entries| entries.count() as u64);
        let memory = std::fs::read_to_string(dir.join("smaps_rollup")).unwrap_or_default();
        let figure = |name: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let stat = std::fs::read_to_string(dir.join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        // Fields 14 and 15 of `proc_pid_stat(5)`; the first here is the third.
        let ticks = fields.get(11..13).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            anonymous: figure("Anonymous:"),
            resident: figure("Rss:"),
            ticks,
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:5.0} s, {:6} cycles, {:3} processes, {} zombies",
            self.at, self.cycles, self.processes, self.zombies
        )?;
        for (name, held) in ["daemon", "keeper"].iter().zip(&self.held) {
            let Held { descriptors, threads, anonymous, resident, ticks } = held;
            write!(f, "; {name} {descriptors} fds, {threads} threads, {anonymous} of {resident} KiB, {ticks} ticks")?;
        }
        Ok(())
    }
}

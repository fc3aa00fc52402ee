//! A scope without a cgroup: everything below the process that all of it is handed to.

use std::collections::HashMap;
use std::time::Duration;

use super::sum::{Members, Traffic};
use super::{Figures, SLOW, SLOW_EACH, is_due, sum};
use crate::proc::{self, Stat};

/// All processes of the machine as they were at one time, for any number of [`Tree`]s.
#[derive(Debug, Default)]
pub struct Table {
    roots: HashMap<u32, Stat>,
    children: HashMap<u32, Vec<Stat>>,
}

impl Table {
    /// One pass over `/proc`; a process that is being forked meanwhile may be missing. Only what is below `roots` can be asked
    /// for.
    #[must_use]
    pub fn read(roots: &[u32]) -> Self {
        let mut table = Self::default();
        for stat in proc::all() {
            if roots.contains(&stat.pid) {
                table.roots.insert(stat.pid, stat.clone());
            }
            table.children.entry(stat.ppid).or_default().push(stat);
        }
        table
    }

    /// All descendants of a process, without it, zombies included.
    #[must_use]
    pub fn below(&self, root: u32) -> Vec<&Stat> {
        let (mut found, mut open) = (Vec::new(), vec![root]);
        while let Some(pid) = open.pop() {
            for child in self.children.get(&pid).into_iter().flatten() {
                open.push(child.pid);
                found.push(child);
            }
        }
        found
    }
}

/// Reads the processes below one.
#[derive(Debug)]
pub struct Tree {
    root: u32,
    pids: Members,
    last: Figures,
    slow_at: Option<Duration>,
    traffic: Traffic,
}

impl Tree {
    /// For the descendants of `root`, which adopts them when their own parents end.
    #[must_use]
    pub fn new(root: u32) -> Self {
        Self { root, pids: Members::default(), last: Figures::default(), slow_at: None, traffic: Traffic::default() }
    }

    /// The process that they are below.
    #[must_use]
    pub fn root(&self) -> u32 {
        self.root
    }

    /// Members at the last look, sorted.
    #[must_use]
    pub fn members(&self) -> &[u32] {
        self.pids.pids()
    }

    /// Looks at it in a table that was read for its root; none once that is gone.
    ///
    /// CPU time is that of the living and of all that they, and `root`, have waited for. Missing is only who was ignored by its
    /// parent in life (`SIGCHLD` ignored).
    pub fn read(&mut self, table: &Table, now: Duration) -> Option<Figures> {
        let root = table.roots.get(&self.root)?;
        let all = table.below(self.root);
        let ticks = root.waited_ticks + all.iter().map(|stat| stat.cpu_ticks + stat.waited_ticks).sum::<u64>();
        let cpu_us = ticks * (1_000_000 / proc::ticks_per_second().max(1));
        let living: Vec<&Stat> = all.into_iter().filter(|stat| !proc::has_ended(stat)).collect();
        let newcomers = self.pids.update(living.iter().map(|stat| stat.pid).collect());
        let memory = living.iter().map(|stat| stat.rss_bytes).sum();
        let mut figures = Figures {
            cpu_us: Some(cpu_us.max(self.last.cpu_us.unwrap_or(0))),
            memory: Some(memory),
            memory_peak: self.last.memory_peak.max(Some(memory)),
            processes: u32::try_from(living.len()).unwrap_or(u32::MAX),
            newcomers,
            threads: Some(living.iter().map(|stat| stat.threads).sum()),
            ..self.last
        };
        if is_due(self.slow_at, now, SLOW, SLOW_EACH, self.members().len()) {
            self.slow_at = Some(now);
            self.read_slow(&mut figures);
        }
        self.last = figures;
        Some(figures)
    }

    fn read_slow(&mut self, figures: &mut Figures) {
        let slow = sum::slow(self.members());
        figures.open_files = slow.open_files;
        let Some(disk) = slow.disk else { return };
        let (read, written) = self.traffic.update(disk);
        figures.read_bytes = Some(read);
        figures.written_bytes = Some(written);
    }
}

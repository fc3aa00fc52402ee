//! One scope and what was read of it last.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kennel_core::sample::{Pressure, Rates, Sample};
use kennel_keeper::proto::Place;
use kennel_sys::cgroup::bounds::Controller;
use kennel_sys::sample::{Figures, Group, Table, Tree};

use crate::logs::Counter;

/// Reads one scope.
#[derive(Debug)]
pub(super) struct Reader {
    place: Place,
    groups_1: Vec<(Controller, PathBuf)>,
    from: From,
    log: Arc<Counter>,
    pub(super) last: Option<Sample>,
    pub(super) rates: Option<Rates>,
}

#[derive(Debug)]
enum From {
    Group(Box<Group>),
    Tree(Box<Tree>),
}

impl Reader {
    /// None if the scope is gone already.
    pub(super) fn new(place: &Place, groups_1: Vec<(Controller, PathBuf)>, log: Arc<Counter>) -> Option<Self> {
        let from = match place {
            Place::Cgroup(leaf) => From::Group(Box::new(Group::with_version_1(leaf, &groups_1).ok()?)),
            Place::Reaper(pid) => From::Tree(Box::new(Tree::new(*pid))),
        };
        Some(Self { place: place.clone(), groups_1, from, log, last: None, rates: None })
    }

    /// Whether it reads what is there.
    pub(super) fn is_at(&self, place: &Place, groups_1: &[(Controller, PathBuf)]) -> bool {
        self.place == *place && self.groups_1 == groups_1
    }

    /// Whose descendants are to be in the table.
    pub(super) fn root(&self) -> Option<u32> {
        match &self.from {
            From::Group(_) => None,
            From::Tree(tree) => Some(tree.root()),
        }
    }

    /// Members now, where the kernel lists them; else those of the last look.
    pub(super) fn members_now(&mut self) -> Vec<u32> {
        match &mut self.from {
            From::Group(group) => group.members_now(),
            From::Tree(tree) => tree.members().to_vec(),
        }
    }

    /// Looks at it; none once it is gone.
    pub(super) fn read(&mut self, table: &Table, now: Duration) -> Option<Sample> {
        let figures = match &mut self.from {
            From::Group(group) => group.read(now)?,
            From::Tree(tree) => tree.read(table, now)?,
        };
        let sample = sample(&figures, now, self.log.bytes.load(Ordering::Relaxed));
        if let Some(rates) = self.last.and_then(|last| sample.since(&last)) {
            self.rates = Some(rates);
        }
        self.last = Some(sample);
        Some(sample)
    }
}

fn sample(figures: &Figures, at: Duration, log_bytes: u64) -> Sample {
    Sample {
        at,
        cpu_usec: figures.cpu_us,
        throttled_usec: figures.throttled_us,
        memory: figures.memory,
        reclaimable: figures.reclaimable,
        memory_peak: figures.memory_peak,
        swap: figures.swap,
        processes: figures.processes,
        newcomers: figures.newcomers,
        threads: figures.threads,
        open_files: figures.open_files,
        read_bytes: figures.read_bytes,
        written_bytes: figures.written_bytes,
        log_bytes,
        pressure: figures.pressure.map(|[cpu, memory, io]| Pressure { cpu, memory, io }),
        frozen: false,
    }
}

//! What scopes and processes use: readers that keep what they read open, so that a look at many scopes often costs little.
//!
//! A scope is read by the cgroup it is in ([`Group`]), whose totals include members that have ended, or, without
//! one, by its processes ([`Tree`]). Nothing is read that cannot have changed: as long as the CPU time of a group stands still,
//! nobody in it has run, so nobody was forked, wrote or grew.

mod glance;
mod group;
mod kept;
mod sum;
mod tree;
mod version_1;

use std::time::Duration;

pub use glance::{Glance, Glances};
pub use group::Group;
pub use sum::{disk, open_files, proportional};
pub use tree::{Table, Tree};

/// What one look at a scope gave. Totals only grow as long as the same reader reads; what cannot be read here is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// CPU time, total, microseconds, members that have ended included.
    pub cpu_us: Option<u64>,
    /// Time it was held back by a CPU limit, total, microseconds.
    pub throttled_us: Option<u64>,
    /// Memory that a controller counts, bytes, else the sum of resident memory.
    pub memory: Option<u64>,
    /// Of that what the kernel takes back before a limit ends anybody, bytes; none where no controller limits it.
    pub reclaimable: Option<u64>,
    /// The most memory that a controller has counted, else the most that was seen, bytes.
    pub memory_peak: Option<u64>,
    /// Swap in use, bytes.
    pub swap: Option<u64>,
    /// Living processes.
    pub processes: u32,
    /// Processes that were not there at the last look.
    pub newcomers: u32,
    /// Threads of all.
    pub threads: Option<u32>,
    /// Open descriptors of the process that has most.
    pub open_files: Option<u32>,
    /// Read from disks, total, bytes.
    pub read_bytes: Option<u64>,
    /// Written to disks, total, bytes.
    pub written_bytes: Option<u64>,
    /// Hundredths of a percent of the last 10 s in which some member waited for CPU, memory and I/O.
    pub pressure: Option<[u32; 3]>,
}

/// Pause between two looks at what is read process by process, at least.
const SLOW: Duration = Duration::from_secs(2);
/// The same for each process: what such a look costs stays below a thousandth of a CPU however many there are.
const SLOW_EACH: Duration = Duration::from_millis(20);
/// Resident memory is cheaper to read, and what grows is to be seen soon.
const MEMORY_EACH: Duration = Duration::from_millis(2);

/// Whether something that costs `each` for every process is due again.
fn is_due(last: Option<Duration>, now: Duration, least: Duration, each: Duration, processes: usize) -> bool {
    let pause = least.max(each.saturating_mul(u32::try_from(processes).unwrap_or(u32::MAX)));
    last.is_none_or(|last| now.saturating_sub(last) >= pause)
}

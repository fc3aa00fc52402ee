//! Zombies on the machine, by the parent that does not wait for them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use kennel_sys::proc::{self, Stat};
use kennel_wire::ZombieParent;

/// Every process is a zombie for a moment; one that still is after this time was forgotten.
const FORGOTTEN: Duration = Duration::from_millis(300);
/// Most parents that are told.
const PARENTS: usize = 20;

/// Parents with zombies that they do not wait for, most first.
pub(super) async fn find() -> Vec<ZombieParent> {
    let first = zombies();
    if first.is_empty() {
        return Vec::new();
    }
    tokio::time::sleep(FORGOTTEN).await;
    let before: HashSet<(u32, u64)> = first.iter().map(|stat| (stat.pid, stat.start_ticks)).collect();
    let still = zombies().into_iter().filter(|stat| before.contains(&(stat.pid, stat.start_ticks)));
    let mut by_parent: BTreeMap<u32, Vec<Stat>> = BTreeMap::new();
    for stat in still {
        by_parent.entry(stat.ppid).or_default().push(stat);
    }
    let mut parents: Vec<ZombieParent> = by_parent.into_iter().map(|(pid, zombies)| parent(pid, &zombies)).collect();
    parents.sort_by_key(|parent| std::cmp::Reverse(parent.count));
    parents.truncate(PARENTS);
    parents
}

fn zombies() -> Vec<Stat> {
    // Not those whose first thread alone has ended: they live.
    proc::all().into_iter().filter(proc::has_ended).collect()
}

fn parent(pid: u32, zombies: &[Stat]) -> ZombieParent {
    let oldest = zombies.iter().map(|stat| stat.start_ticks).min().unwrap_or(0);
    ZombieParent {
        pid,
        command: proc::command(pid, 200).unwrap_or_else(|| "gone".to_owned()),
        count: u32::try_from(zombies.len()).unwrap_or(u32::MAX),
        oldest_began_s: uptime_s().saturating_sub(oldest / proc::ticks_per_second().max(1)),
        instance: kennel_keeper::whose(pid).map(|whose| whose.instance),
    }
}

/// Source: `proc_uptime(5)`, whose first number is what start times are counted in.
fn uptime_s() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

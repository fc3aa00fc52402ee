//! Zombies in a scope, by the parent that does not wait for them.
//!
//! Only where somebody asks about one service: nothing tells of a zombie, so it has to be looked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use kennel_keeper::proto::Place;
use kennel_sys::proc::{self, Stat};
use kennel_wire::{EventKind, ZombieParent};

use super::Driver;

/// Every process is a zombie for a moment; one that was seen this long ago was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// So many at once are no moment.
const MANY: usize = 10;
/// Most parents that are told.
const PARENTS: usize = 10;

/// Zombies of a run that were seen, and who was told of.
#[derive(Debug, Default)]
pub(super) struct Seen {
    since: HashMap<(u32, u64), Instant>,
    told: HashSet<u32>,
}

impl Driver {
    /// Who in a slot's scope has zombies, most first. Whoever keeps them is told as an event, once in a run.
    pub(super) fn zombies_of(&mut self, name: &str) -> Vec<ZombieParent> {
        let Some(id) = self.slots.get(name).and_then(|slot| slot.run) else { return Vec::new() };
        let Some(run) = self.runs.get_mut(&id) else { return Vec::new() };
        let Some(place) = &run.place else { return Vec::new() };
        let zombies = zombies_in(place);
        let now = Instant::now();
        let known: HashSet<(u32, u64)> = zombies.iter().map(|stat| (stat.pid, stat.start_ticks)).collect();
        run.zombies.since.retain(|zombie, _| known.contains(zombie));
        let mut by_parent: BTreeMap<u32, Vec<Stat>> = BTreeMap::new();
        for stat in zombies {
            by_parent.entry(stat.ppid).or_default().push(stat);
        }
        let mut news = Vec::new();
        let mut parents = Vec::new();
        for (pid, zombies) in by_parent {
            let parent = parent(pid, &zombies);
            let is_old = zombies.iter().any(|stat| {
                let since = run.zombies.since.entry((stat.pid, stat.start_ticks)).or_insert(now);
                now.duration_since(*since) >= FORGOTTEN
            });
            if (is_old || zombies.len() >= MANY) && run.zombies.told.insert(pid) {
                let (command, count) = (parent.command.clone(), parent.count);
                news.push(EventKind::ZombiesFound { parent: pid, command, count });
            }
            parents.push(parent);
        }
        for kind in news {
            self.events.publish(Some(name), Some(id), kind);
        }
        parents.sort_by_key(|parent| std::cmp::Reverse(parent.count));
        parents.truncate(PARENTS);
        parents
    }
}

/// What has ended in a scope and was not waited for.
fn zombies_in(place: &Place) -> Vec<Stat> {
    match place {
        // A cgroup does not list them, so they are the children of those that it lists.
        Place::Cgroup(leaf) => proc::cgroup_members(leaf).into_iter().flat_map(proc::zombie_children).collect(),
        // Its own are waited for at once.
        Place::Reaper(reaper) => {
            let below = proc::descendants(*reaper).into_iter();
            below.filter(|stat| proc::has_ended(stat) && stat.ppid != *reaper).collect()
        }
    }
}

fn parent(pid: u32, zombies: &[Stat]) -> ZombieParent {
    let oldest = zombies.iter().map(|stat| stat.start_ticks).min().unwrap_or(0);
    let ticks = proc::ticks_per_second().max(1);
    ZombieParent {
        pid,
        command: proc::command(pid, 200).unwrap_or_else(|| "gone".to_owned()),
        count: u32::try_from(zombies.len()).unwrap_or(u32::MAX),
        oldest_began_s: proc::uptime().map_or(0, |uptime| uptime.as_secs().saturating_sub(oldest / ticks)),
        instance: None,
    }
}

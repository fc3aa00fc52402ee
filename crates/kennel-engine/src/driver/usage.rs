//! What the processes of services use, and the lines of `ps` with it. For many services it is read by other threads: a look at a thousand takes
//! tens of milliseconds, in which the driver would hear of no death.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kennel_keeper::proto::{self, Place};
use kennel_sys::cgroup::bounds::Controller;
use kennel_sys::proc;
use kennel_sys::sample::{Glance, Glances};
use kennel_wire::{Process, ServiceStatus};

use super::{Driver, Input, Reply};
use crate::receipt::identity;

/// Characters of a command line that are shown.
pub(super) const COMMAND_CHARS: usize = 400;
/// So many services the driver looks at itself.
const FEW: usize = 4;
/// With fewer for each, another thread is not worth its while.
const SHARE: usize = 100;

/// When somebody looked last, and the CPU time by then, microseconds.
pub(super) type CpuSeen = Arc<Mutex<Option<(Instant, u64)>>>;

/// What is used now.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) processes: u32,
    pub(super) memory_bytes: u64,
    pub(super) cpu_percent: Option<f64>,
    /// With detail only.
    pub(super) tree: Vec<Process>,
    /// The main process is not among those that live, although its end is not known yet.
    is_main_missing: bool,
}

/// What several looks share.
#[derive(Debug, Default)]
pub(super) struct Machine {
    groups: Glances,
    /// Read where somebody needs it.
    tree: Option<proc::Tree>,
}

/// A run whose processes can be looked at by any thread.
#[derive(Debug)]
pub(super) struct Look {
    run: u64,
    place: Place,
    groups_1: Vec<(Controller, PathBuf)>,
    begun: Instant,
    seen: CpuSeen,
    main: Option<proto::Identity>,
}

impl Look {
    /// Reads what the scope uses. The share of the CPU is that since the last look, or since the start. `machine` may have been used
    /// for others; with `detail` also the processes one by one.
    pub(super) fn now(&self, machine: &mut Machine, detail: bool) -> Usage {
        let mut glance = Glance::default();
        let mut stats = match &self.place {
            Place::Cgroup(leaf) => {
                glance = machine.groups.at(leaf, &self.groups_1);
                // Where the kernel counts everything, nobody has to be looked at.
                let is_counted = glance.memory.is_some() && glance.cpu_us.is_some();
                if is_counted && !detail {
                    let is_missing = |main: proto::Identity| !glance.members.contains(&main.pid);
                    return self.usage(&glance, glance.members.len(), self.main.is_some_and(is_missing));
                }
                glance.members.iter().copied().filter_map(proc::stat).collect()
            }
            Place::Reaper(reaper) => machine.tree.get_or_insert_with(proc::Tree::read).below(*reaper),
        };
        stats.retain(|stat| !proc::has_ended(stat));
        stats.sort_by_key(|stat| (stat.start_ticks, stat.pid));
        let is_main = |main: proto::Identity| {
            stats.iter().any(|stat| (stat.pid, stat.start_ticks) == (main.pid, main.start_ticks))
        };
        let ticks_us = 1_000_000 / proc::ticks_per_second().max(1);
        glance.memory.get_or_insert_with(|| stats.iter().map(|stat| stat.rss_bytes).sum());
        glance.cpu_us.get_or_insert_with(|| stats.iter().map(|stat| stat.cpu_ticks * ticks_us).sum());
        let mut usage = self.usage(&glance, stats.len(), self.main.is_some_and(|main| !is_main(main)));
        if detail {
            usage.tree = stats.iter().map(process).collect();
        }
        usage
    }

    fn usage(&self, glance: &Glance, processes: usize, is_main_missing: bool) -> Usage {
        Usage {
            processes: u32::try_from(processes).unwrap_or(u32::MAX),
            memory_bytes: glance.memory.unwrap_or(0),
            cpu_percent: Some(self.cpu_percent(glance.cpu_us.unwrap_or(0))),
            tree: Vec::new(),
            is_main_missing,
        }
    }

    fn cpu_percent(&self, cpu_us: u64) -> f64 {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = seen.replace((now, cpu_us)).unwrap_or((self.begun, 0));
        let elapsed_us = now.saturating_duration_since(since).as_micros().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
        let percent = cpu_us.saturating_sub(before) as f64 * 100.0 / elapsed_us as f64;
        (percent * 10.0).round() / 10.0
    }
}

fn process(stat: &proc::Stat) -> Process {
    Process {
        pid: stat.pid,
        ppid: stat.ppid,
        start_ticks: stat.start_ticks,
        inode: identity(stat.pid).and_then(|(_, inode)| inode),
        state: stat.state,
        memory_bytes: stat.rss_bytes,
        command: proc::command(stat.pid, COMMAND_CHARS).unwrap_or_else(|| format!("[{}]", stat.comm)),
    }
}

impl Driver {
    /// A run that has processes.
    pub(super) fn to_look_at(&self, id: u64) -> Option<Look> {
        let run = self.runs.get(&id)?;
        let place = run.place.clone()?;
        Some(Look {
            run: id,
            groups_1: self.groups_1(id, &place),
            place,
            begun: run.begun,
            seen: Arc::clone(&run.cpu_seen),
            main: run.identity.filter(|_| run.exit.is_none()),
        })
    }

    /// Answers with the lines of `ps`: what the driver knows now, and what is used a moment later.
    pub(super) fn tell_services(&self, reply: Reply<Vec<ServiceStatus>>) {
        let mut statuses = Vec::with_capacity(self.slots.len());
        let mut looks = Vec::new();
        for (name, slot) in &self.slots {
            let Some(status) = self.status_with(name, false, Usage::default()) else { continue };
            looks.extend(slot.run.and_then(|id| self.to_look_at(id)).map(|look| (statuses.len(), look)));
            statuses.push(status);
        }
        // Of those no record is left; a configuration that is loaded says what there is.
        statuses.extend(self.lost.iter().filter(|_| self.loaded.is_none()).cloned());
        let inbox = self.inbox_sender.clone();
        let missing = move |missing: Vec<u64>| {
            if !missing.is_empty() {
                let _driver_ended = inbox.send(Input::MainsMissing(missing));
            }
        };
        if looks.len() <= FEW {
            missing(fill(&mut statuses, look_at(looks)));
            // Whoever asked may have gone.
            let _unheard = reply.send(statuses);
            return;
        }
        tokio::spawn(async move {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
            let share = looks.len().div_ceil(threads).max(SHARE);
            let mut parts = Vec::new();
            while !looks.is_empty() {
                let rest = looks.split_off(share.min(looks.len()));
                let part = std::mem::replace(&mut looks, rest);
                parts.push(tokio::task::spawn_blocking(|| look_at(part)));
            }
            for part in parts {
                missing(fill(&mut statuses, part.await.unwrap_or_default()));
            }
            let _unheard = reply.send(statuses);
        });
    }
}

fn look_at(looks: Vec<(usize, Look)>) -> Vec<(usize, u64, Usage)> {
    let mut machine = Machine::default();
    looks.into_iter().map(|(at, look)| (at, look.run, look.now(&mut machine, false))).collect()
}

/// Puts what is used where it belongs; answers with the runs whose main process is not among the living.
fn fill(statuses: &mut [ServiceStatus], usages: Vec<(usize, u64, Usage)>) -> Vec<u64> {
    let mut missing = Vec::new();
    for (at, run, usage) in usages {
        if usage.is_main_missing {
            missing.push(run);
        }
        if let Some(status) = statuses.get_mut(at) {
            // Without a process there is nothing to count.
            status.processes = status.processes.map(|_| usage.processes);
            status.memory_bytes = status.memory_bytes.map(|_| usage.memory_bytes);
            status.cpu_percent = usage.cpu_percent;
        }
    }
    missing
}

//! The processes of a scope one by one, for somebody who looks.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use kennel_sys::{proc, sample};
use kennel_wire::ProcessUsage;

/// Longest command line that is told.
const COMMAND_CHARS: usize = 400;
/// Shortest time over which a share of the CPU says something: the clock ticks every 10 ms.
const LEAST: Duration = Duration::from_millis(200);
/// Who was not looked at for so long is forgotten.
const FORGET: Duration = Duration::from_secs(10);

/// What is known of processes from the look before: which they are by number and begin.
#[derive(Debug, Default)]
pub(super) struct Detail {
    known: HashMap<(u32, u64), Known>,
    /// When the machine was booted.
    booted: Option<Timestamp>,
}

#[derive(Debug)]
struct Known {
    command: String,
    /// Its name in the kernel when that was read.
    comm: String,
    /// CPU time and when it was that.
    seen: (Duration, u64),
    percent: Option<f64>,
    looked_at: Duration,
}

impl Detail {
    /// Forgets who was not looked at for a while; others may have asked for other scopes in between.
    pub(super) fn forget(&mut self, now: Duration) {
        self.known.retain(|_, known| now.saturating_sub(known.looked_at) < FORGET);
    }

    /// Processes of one scope, parents before their children.
    pub(super) fn read(&mut self, pids: &[u32], now: Duration, pss: bool) -> Vec<ProcessUsage> {
        let stats: Vec<proc::Stat> = pids.iter().filter_map(|pid| proc::stat(*pid)).collect();
        let mut found: Vec<ProcessUsage> = Vec::with_capacity(stats.len());
        for (stat, depth) in in_order(stats) {
            found.push(self.one(&stat, depth, now, pss));
        }
        found
    }

    fn one(&mut self, stat: &proc::Stat, depth: u32, now: Duration, pss: bool) -> ProcessUsage {
        let ticks = proc::ticks_per_second().max(1);
        let cpu_ms = stat.cpu_ticks * (1000 / ticks);
        let (command, cpu_percent) = self.known(stat, cpu_ms, now);
        let disk = sample::disk(stat.pid);
        let booted = *self.booted.get_or_insert_with(booted);
        let since = i64::try_from(stat.start_ticks * 1000 / ticks).unwrap_or(i64::MAX);
        ProcessUsage {
            pid: stat.pid,
            ppid: stat.ppid,
            depth,
            start_ticks: stat.start_ticks,
            started_at: booted.checked_add(since.milliseconds()).unwrap_or(booted),
            state: stat.state,
            cpu_percent,
            cpu_ms,
            memory_bytes: stat.rss_bytes,
            pss_bytes: if pss { sample::proportional(stat.pid) } else { None },
            threads: stat.threads,
            open_files: sample::open_files(stat.pid),
            read_bytes: disk.map(|(read, _)| read),
            written_bytes: disk.map(|(_, written)| written),
            command,
        }
    }

    /// Its command line, which is read once for each program it executes, and its share of a CPU since the look before.
    fn known(&mut self, stat: &proc::Stat, cpu_ms: u64, now: Duration) -> (String, Option<f64>) {
        let read = || proc::command(stat.pid, COMMAND_CHARS).unwrap_or_else(|| format!("[{}]", stat.comm));
        let known = self.known.entry((stat.pid, stat.start_ticks)).or_insert_with(|| Known {
            command: read(),
            comm: stat.comm.clone(),
            seen: (now, cpu_ms),
            percent: None,
            looked_at: now,
        });
        known.looked_at = now;
        // It has executed something since: a script that becomes its program, a copy of its parent. The old line may have the new name in it.
        if known.comm != stat.comm {
            known.command = read();
            known.comm.clone_from(&stat.comm);
        }
        let (at, before) = known.seen;
        let over = now.saturating_sub(at);
        if over >= LEAST {
            #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
            let percent = cpu_ms.saturating_sub(before) as f64 / over.as_secs_f64() / 10.0;
            known.percent = Some((percent * 10.0).round() / 10.0);
            known.seen = (now, cpu_ms);
        }
        (known.command.clone(), known.percent)
    }
}

/// Parents before their children, each with its depth, siblings by begin.
fn in_order(mut stats: Vec<proc::Stat>) -> Vec<(proc::Stat, u32)> {
    stats.sort_by_key(|stat| (stat.start_ticks, stat.pid));
    let pids: std::collections::HashSet<u32> = stats.iter().map(|stat| stat.pid).collect();
    let mut children: HashMap<u32, Vec<proc::Stat>> = HashMap::new();
    let mut open = Vec::new();
    for stat in stats {
        if pids.contains(&stat.ppid) && stat.ppid != stat.pid {
            children.entry(stat.ppid).or_default().push(stat);
        } else {
            open.push((stat, 0));
        }
    }
    open.reverse();
    let mut found = Vec::with_capacity(pids.len());
    while let Some((stat, depth)) = open.pop() {
        let below = children.remove(&stat.pid).unwrap_or_default();
        open.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
        found.push((stat, depth));
    }
    found
}

fn booted() -> Timestamp {
    let seconds = proc::boot_time().and_then(|seconds| i64::try_from(seconds).ok());
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, ppid: u32, start_ticks: u64) -> proc::Stat {
        let comm = "x".to_owned();
        proc::Stat { pid, ppid, start_ticks, comm, state: 'S', cpu_ticks: 0, waited_ticks: 0, threads: 1, rss_bytes: 0 }
    }

    #[test]
    fn parents_come_before_their_children() {
        let order = in_order(vec![stat(9, 4, 30), stat(4, 1, 10), stat(7, 4, 20), stat(8, 9, 40), stat(5, 1, 15)]);
        let shown: Vec<(u32, u32)> = order.iter().map(|(stat, depth)| (stat.pid, *depth)).collect();
        assert_eq!(shown, [(4, 0), (7, 1), (9, 1), (8, 2), (5, 0)]);
    }

    #[test]
    fn this_process_is_told() {
        let mut detail = Detail::default();
        let own = std::process::id();
        let first = detail.read(&[own], Duration::from_secs(1), true);
        detail.forget(Duration::from_secs(1));
        let [first] = first.as_slice() else { panic!("{first:?}") };
        assert!(first.pss_bytes.is_some() && first.open_files.is_some() && first.cpu_percent.is_none(), "{first:?}");
        let ago = Timestamp::now().duration_since(first.started_at).as_secs();
        assert!((-2..3600).contains(&ago), "{ago}");
        let second = detail.read(&[own], Duration::from_secs(2), false);
        assert!(second[0].cpu_percent.is_some() && second[0].pss_bytes.is_none());
    }

    #[test]
    fn what_has_executed_something_is_read_again() {
        let mut detail = Detail::default();
        let own = std::process::id();
        let told = detail.read(&[own], Duration::from_secs(1), false);
        // A script whose line had the name of the program that it has become.
        for known in detail.known.values_mut() {
            known.command = format!("sh /opt/start {}", known.comm);
            known.comm = "sh".to_owned();
        }
        assert_eq!(detail.read(&[own], Duration::from_secs(2), false)[0].command, told[0].command);
    }
}

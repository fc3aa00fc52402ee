//! Everything about one service.

use std::fmt::Write;

use kennel_wire::{Health, Process, ServiceStatus, State};

use super::paint::{BOLD, Paint};
use super::table::cut;
use super::{limits, owners, ps, receipt, units};

/// Longest command of who has zombies, characters.
const ZOMBIES_OF: usize = 60;

/// A block of lines.
pub(crate) fn block(one: &ServiceStatus, paint: Paint) -> String {
    let (is, style) = ps::word(one);
    let mut text = format!("{}  {}\n", paint.paint(BOLD, &one.name), paint.paint(style, is));
    let mut field = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _infallible = writeln!(text, "  {name:<10} {value}");
        }
    };
    field("why", ps::note(one));
    field("health", health(one));
    field("doing", activity(one));
    field("pid", one.pid.map(|pid| pid.to_string()));
    field("run", one.instance.map(|number| format!("#{number}")));
    field("scope", Some(scope(one)));
    field("owner", one.ad_hoc.as_ref().and_then(|ad_hoc| ad_hoc.owner.clone()));
    field("lifetime", one.ad_hoc.as_ref().map(|ad_hoc| owners::lifetime(ad_hoc.lifetime).to_owned()));
    field("uptime", one.uptime_ms.filter(|_| one.pid.is_some()).map(units::duration));
    field("ready in", one.ready_after_ms.map(units::duration));
    field("cpu", one.cpu_percent.map(units::percent));
    field("memory", one.memory_bytes.map(units::bytes));
    field("restarts", (one.restarts > 0).then(|| one.restarts.to_string()));
    field("ports", Some(ps::ports(one)));
    field("last exit", one.last_exit.map(|exit| exit.to_string()));
    for (index, limit) in one.limits.iter().enumerate() {
        let title = if index == 0 { "limits" } else { "" };
        let _infallible = writeln!(text, "  {title:<10} {}", limits::one(limit));
    }
    if !one.tree.is_empty() {
        let _infallible = writeln!(text, "  {}", units::processes(one.tree.len()));
        branch(&mut text, &one.tree, None, 0);
    }
    for parent in &one.zombies {
        let (count, command) = (units::zombies(parent.count), cut(&parent.command, ZOMBIES_OF));
        let _infallible = writeln!(text, "  {count} not waited for by {} ({command})", parent.pid);
    }
    if let Some(last) = &one.last_receipt {
        let title = if one.state == State::Stuck { "this stop" } else { "last stop" };
        let _infallible = writeln!(text, "  {title}  {}", receipt::one_line(last));
        text.push_str(&receipt::processes(last, paint));
        text.push_str(&receipt::survivors(&last.survivors, paint));
    }
    text
}

/// `unhealthy since 10:20:30, no answer within 1s; the last probe took 0.3 ms`
fn health(one: &ServiceStatus) -> Option<String> {
    // The line above says those already.
    if matches!(one.health, Health::None | Health::Completed | Health::Failed) {
        return None;
    }
    let since = one.health_since.map_or_else(String::new, |at| format!(" since {}", at.strftime("%Y-%m-%dT%H:%M:%SZ")));
    let reason = one.health_reason.as_ref().filter(|reason| one.reason.as_ref() != Some(*reason));
    let reason = reason.map_or_else(String::new, |reason| format!(", {reason}"));
    let took = one.probe_ms.map_or_else(String::new, |ms| format!(", probe took {ms:.1} ms"));
    Some(format!("{}{since}{reason}{took}", one.health.as_str()))
}

/// `stalled since 10:20:30`
fn activity(one: &ServiceStatus) -> Option<String> {
    let since = |at: jiff::Timestamp| format!(" since {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    one.activity.map(|activity| format!("{}{}", activity.as_str(), one.activity_since.map_or_else(String::new, since)))
}

/// `web.1 (cgroup)`: what holds its processes together, and its name there.
fn scope(one: &ServiceStatus) -> String {
    match &one.identity {
        Some(identity) => format!("{} ({})", identity.scope, one.containment),
        None => one.containment.clone(),
    }
}

/// Children below their parents; those whose parent is not of the scope stand at the top.
fn branch(text: &mut String, tree: &[Process], parent: Option<u32>, depth: usize) {
    let known = |pid: u32| tree.iter().any(|process| process.pid == pid);
    for process in tree {
        let here = match parent {
            Some(pid) => process.ppid == pid && process.pid != pid,
            None => !known(process.ppid) || process.ppid == process.pid,
        };
        // A loop cannot be, but what is read while it changes may look like one.
        if here && depth <= tree.len() {
            let memory = units::bytes(process.memory_bytes);
            let indent = "  ".repeat(depth);
            let _infallible =
                writeln!(text, "{:>9} {} {memory:>9}  {indent}{}", process.pid, process.state, process.command);
            branch(text, tree, Some(process.pid), depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn what_cannot_be_ended() {
        insta::assert_snapshot!(block(&samples::unkillable("db"), Paint::PLAIN), @r"
        db  stuck
          why        cannot be ended: 4711 (dd of=/mnt/x), held by tracer 99 (gdb -p 4711)
          pid        4242
          run        #1
          scope      web.1 (cgroup)
          uptime     3 min 5 s
          ready in   1.2 s
          cpu        3.1%
          memory     12.3 MiB
          ports      8080
          this stop  not down after 20 s  TERM → KILL → KILL sweep → stuck · 1 process · left 1
             4711 * still lives  dd of=/mnt/x
             4711   left, in uninterruptible sleep, waits in nfs_wait_bit_killable, traced by 99 (gdb -p 4711)  dd of=/mnt/x
                    nfs_wait_bit_killable < nfs_file_fsync < do_exit
        ");
    }

    #[test]
    fn a_running_service() {
        insta::assert_snapshot!(block(&samples::detailed("web"), Paint::PLAIN), @r"
        web  ready
          health     healthy since 2026-01-02T03:04:05Z, probe took 0.3 ms
          pid        4242
          run        #1
          scope      web.1 (cgroup)
          uptime     3 min 5 s
          ready in   1.2 s
          cpu        3.1%
          memory     12.3 MiB
          ports      8080
          limits     memory 512 MiB (cgroup)
                     cpus 1.5 CPUs (nobody): no `cpu` controller can be used here
          4 processes
              100 S   4.0 MiB  npm run dev
              101 S   4.0 MiB    sh -c vite
              102 S   4.0 MiB      node vite
              103 S   4.0 MiB  escaped --daemon
          last stop  stopped in 0.3 s  TERM · 3 processes · left 0
              100 * exit 0 at TERM   npm run dev
              101   SIGTERM at TERM  node server.js
              102   SIGKILL at KILL  (gone before it could be read)
        ");
    }
}

//! One line for each event.

use anstyle::Style;
use kennel_wire::{
    Activity, DashboardEvent, DashboardKind, DashboardStatus, Event, EventKind, Health, LogPolicy, Orphan, WatchAct,
};

use super::alerts;
use super::limits;
use super::owners;
use super::paint::{BOLD, CYAN, DIM, Paint, RED};
use super::phase::Phase;
use super::receipt;
use super::shutdown;
use super::table::cut;
use super::units;

/// Longest command that is shown, characters.
const COMMAND: usize = 60;

/// `12  2026-01-02T03:04:05.678Z  web  ready in 1.2 s`
pub(crate) fn line(event: &Event, paint: Paint) -> String {
    let (words, style) = words(event);
    let who = event.service.as_deref().unwrap_or("kennel");
    let time = event.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    format!(
        "{:>6}  {}  {}  {}\n",
        event.seq,
        paint.paint(DIM, &time),
        paint.paint(BOLD, who),
        paint.paint(style, &words)
    )
}

/// `ready in 1.2 s`
pub(crate) fn words(event: &Event) -> (String, Style) {
    match Phase::of(event, None) {
        None if let Some(remark) = remark(&event.kind) => {
            let usual = matches!(
                event.kind,
                EventKind::ScheduleFired { .. } | EventKind::WatchBegun {} | EventKind::WatchChanged { .. }
            );
            (remark, if usual { CYAN } else { RED })
        }
        Some(Phase::Down(receipt)) => (receipt::one_line(&receipt), DIM),
        Some(phase) => (phase.text(), phase.mark().1),
        None if matches!(event.kind, EventKind::StoreRecovered { .. }) => (daemon(&event.kind), RED),
        None => (daemon(&event.kind), BOLD),
    }
}

/// `12  2026-01-02T03:04:05.678Z  web  processExit  code 1`
pub(crate) fn dashboard_line(event: &DashboardEvent, paint: Paint) -> String {
    let with = match &event.kind {
        DashboardKind::ProcessStarted { pid }
        | DashboardKind::Initialized { pid }
        | DashboardKind::OrphanKilled { pid }
        | DashboardKind::ProcessDied { pid: Some(pid) } => format!("pid {pid}"),
        DashboardKind::ProcessDied { pid: None }
        | DashboardKind::ServerStarted {}
        | DashboardKind::ServerStopped {} => String::new(),
        DashboardKind::ProcessExit { code: Some(code), .. } => format!("code {code}"),
        DashboardKind::ProcessExit { signal: Some(signal), .. } => format!("signal {signal}"),
        DashboardKind::ProcessExit { code: None, signal: None, .. } => "unknown".to_owned(),
        DashboardKind::ProcessError { error } => error.clone(),
        DashboardKind::HealthCheck { healthy: true, .. } => "healthy".to_owned(),
        DashboardKind::HealthCheck { healthy: false, reason } => {
            format!("unhealthy: {}", reason.as_deref().unwrap_or("no reason given"))
        }
        DashboardKind::StatusChange { status } => match status {
            DashboardStatus::Running => "running",
            DashboardStatus::Stopped => "stopped",
            DashboardStatus::Crashed => "crashed",
            DashboardStatus::Unknown => "unknown",
        }
        .to_owned(),
    };
    let time = event.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let who = event.id.as_deref().unwrap_or("kennel");
    let name = event.kind.name();
    let line = format!("{:>6}  {}  {}  {name}  {with}", event.seq, paint.paint(DIM, &time), paint.paint(BOLD, who));
    format!("{}\n", line.trim_end())
}

/// What is said of a service that does not say where it stands.
pub(crate) fn remark(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::Escaped { pid, command, cgroup } => {
            Some(format!("process {pid} left its cgroup for {cgroup}: {}", cut(command, COMMAND)))
        }
        EventKind::OutOfMemory { what, .. } => Some(limits::out_of_memory(what)),
        EventKind::LimitExceeded { limit, value, bound, action, of } => {
            let (value, bound) = (limits::amount(limit, *value), limits::amount(limit, *bound));
            Some(match of {
                None => format!("beyond its limit of `{limit}`: {value} of {bound}; {action}"),
                Some(of) => format!("grew beyond the limit of `{limit}` of {of}: {value} of {bound}; {action}"),
            })
        }
        EventKind::Frozen { by } => Some(format!("frozen by {by}")),
        EventKind::Thawed { by } => Some(format!("thawed by {by}")),
        EventKind::ZombiesFound { parent, command, count } => {
            Some(format!("{} not waited for by {parent} ({})", units::zombies(*count), cut(command, COMMAND)))
        }
        EventKind::WatchBegun {} => Some("its files are watched".to_owned()),
        EventKind::WatchChanged { paths, count, action } => {
            let told = u64::try_from(paths.len()).unwrap_or(u64::MAX);
            let more = if *count > told { ", …" } else { "" };
            let act = match action {
                WatchAct::Restart => "it is started anew",
                WatchAct::Signal => "it gets its signal",
                WatchAct::Run => "its command is run",
            };
            Some(format!("changed: {}{more}; {act}", cut(&paths.join(", "), COMMAND)))
        }
        EventKind::WatchHeld { for_ms } => Some(format!(
            "its files change too often, perhaps by itself; nothing is done for {}",
            units::duration(*for_ms)
        )),
        EventKind::WatchBlind { reason } => Some(format!("not all of its files are watched: {reason}")),
        EventKind::WatchFailed { reason } => Some(format!("the command for changed files failed: {reason}")),
        EventKind::LogsLost { reason, .. } => Some(format!("output is lost, it cannot be written: {reason}")),
        EventKind::LogsRecovered { lost_bytes } => {
            Some(format!("output is recorded again; {lost_bytes} bytes are missing"))
        }
        EventKind::LogsSinkFailed { to, reason } => Some(format!("output is not taken by {to}: {reason}")),
        EventKind::LogsSinkRecovered { to, lost_bytes: 0 } => Some(format!("output is taken again by {to}")),
        EventKind::LogsSinkRecovered { to, lost_bytes } => {
            Some(format!("output is taken again by {to}; {lost_bytes} bytes were gone before that"))
        }
        EventKind::LogsBound { policy, bytes } => Some(full(*policy, *bytes)),
        EventKind::ScheduleFired { next_at } => Some(format!("its time has come; {}", units::next_time(*next_at))),
        EventKind::ScheduleSkipped { why, next_at } => {
            Some(format!("its time has come and is left out, {why}; {}", units::next_time(*next_at)))
        }
        EventKind::OrphanFound { orphan } => {
            let Orphan { pid, command, why, .. } = &**orphan;
            Some(format!("orphan found, pid {pid} ({}): {why}", cut(command, COMMAND)))
        }
        EventKind::Health { health: Health::Healthy, .. } => Some("healthy again".to_owned()),
        EventKind::Health { health, reason } => {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            Some(format!("{}{reason}", health.as_str()))
        }
        EventKind::Activity { activity, silent_ms, detail } => {
            let since = match activity {
                Activity::Active | Activity::Quiet => String::new(),
                Activity::WaitingForInput | Activity::Stalled | Activity::Spinning => {
                    format!(", no sign of life for {}", units::duration(*silent_ms))
                }
            };
            let detail = detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
            Some(format!("{}{since}{detail}", activity.as_str()))
        }
        EventKind::OrphanKilled { process } => {
            let command = cut(process.command.as_deref().unwrap_or("no command"), COMMAND);
            let exit = process.exit.map_or_else(String::new, |exit| format!(": {exit}"));
            Some(format!("orphan ended, pid {} ({command}){exit}", process.pid))
        }
        other => alerts::event(other),
    }
}

fn daemon(kind: &EventKind) -> String {
    match kind {
        EventKind::DaemonStarted { pid } => format!("daemon started, pid {pid}"),
        EventKind::DaemonRecovered { scopes } => format!("daemon recovered, {scopes} scopes of the lost one"),
        EventKind::DaemonReplaced { version, scopes } => {
            format!("another daemon took over, version {version}, {scopes} scopes run on")
        }
        EventKind::HandoverFailed { reason } => format!("another daemon could not take over, {reason}"),
        EventKind::Adopted { pid } => format!("adopted, pid {pid}"),
        EventKind::StoreRecovered { file, kept, lost_from, lost_to } => {
            let lost = match (lost_from, lost_to) {
                (Some(from), Some(to)) => format!(", {from} to {to} may be missing"),
                _ => String::new(),
            };
            match file {
                Some(file) => format!("events recovered from a damaged store: {kept} kept{lost}; it is now {file}"),
                None => format!("events recovered: {kept} kept{lost}"),
            }
        }
        EventKind::OwnerOpened { owner, parent: None } => format!("owner `{owner}` began"),
        EventKind::OwnerOpened { owner, parent: Some(parent) } => format!("owner `{owner}` of `{parent}` began"),
        EventKind::LeaseTaken { owner, lease } => format!("owner `{owner}` has the lease {lease}"),
        EventKind::LeaseLost { owner, lease, why } => format!("owner `{owner}` has lost the lease {lease}: {why}"),
        EventKind::OwnerGrace { owner, ends_in_ms } => {
            format!("owner `{owner}` ends in {} without a lease", units::duration(*ends_in_ms))
        }
        EventKind::OwnerHeld { owner } => format!("owner `{owner}` has a lease again"),
        EventKind::OwnerEnded { owner, why } => format!("owner `{owner}` ended: {}", owners::end(why)),
        EventKind::Unreadable {} => "an event that cannot be read".to_owned(),
        EventKind::WebhookDead { webhook, kind, tries, reason, .. } => {
            let tries = if *tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
            format!("webhook `{webhook}` did not get {kind} with {tries}: {reason}")
        }
        EventKind::WebhookDisabled { webhook } => {
            format!(
                "the receiver of webhook `{webhook}` wants nothing any more; `kennel webhook retry {webhook}` begins again"
            )
        }
        EventKind::KeeperLost {} => "keeper lost, everything is being stopped".to_owned(),
        EventKind::DaemonTerminated { pid, during, .. } => {
            let during = during.as_ref().map_or_else(String::new, |why| format!(" while it was shutting down ({why})"));
            format!("daemon {pid} was ended by force{during}; what it left is being seen to")
        }
        EventKind::DaemonPanicked { message, place } => format!("daemon panicked: {message} ({place})"),
        EventKind::ConfigReloaded { added, removed, changed } => {
            let part =
                |word: &str, names: &[String]| (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")));
            let parts = [part("added", added), part("removed", removed), part("changed", changed)];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let what = if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") };
            format!("configuration reloaded: {what}")
        }
        EventKind::ShutdownCompleted { left, report } => {
            let failed = report.as_ref().map(|report| shutdown::failures(report)).unwrap_or_default();
            let failed: String = failed.iter().map(|text| format!("; {text}")).collect();
            format!("shutdown completed, left {left}{failed}")
        }
        // Everything else is about a service and has a phase.
        _ => String::new(),
    }
}

/// What follows from a bound of a log.
fn full(policy: LogPolicy, bytes: u64) -> String {
    let follows = match policy {
        LogPolicy::DropOldest => "the oldest goes",
        LogPolicy::Block => "it waits until there is room",
        LogPolicy::Stop => "it is stopped",
    };
    format!("its log is full ({bytes} bytes); {follows}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn every_kind_has_words() {
        let text: String = samples::events().iter().map(|event| line(event, Paint::PLAIN)).collect();
        insta::assert_snapshot!(text, @"
         1  2026-01-02T03:04:05.678Z  kennel  daemon started, pid 20
         2  2026-01-02T03:04:05.678Z  web  waiting for db healthy, migrate completed
         3  2026-01-02T03:04:05.678Z  web  pending
         4  2026-01-02T03:04:05.678Z  web  starting, pid 100
         5  2026-01-02T03:04:05.678Z  web  ready in 1.2 s
         6  2026-01-02T03:04:05.678Z  web  unhealthy: GET / answers 503
         7  2026-01-02T03:04:05.678Z  web  exit 1
         8  2026-01-02T03:04:05.678Z  web  restart 2 in 0.4 s
         9  2026-01-02T03:04:05.678Z  web  stopping
        10  2026-01-02T03:04:05.678Z  web  stopping, TERM
        11  2026-01-02T03:04:05.678Z  web  1 process cannot be ended
        12  2026-01-02T03:04:05.678Z  web  stopped in 0.3 s  TERM · 3 processes · left 0
        13  2026-01-02T03:04:05.678Z  web  completed
        14  2026-01-02T03:04:05.678Z  web  failed: exit 1
        15  2026-01-02T03:04:05.678Z  web  given up: 6 restarts within 60 s
        16  2026-01-02T03:04:05.678Z  web  stopped
        17  2026-01-02T03:04:05.678Z  kennel  daemon recovered, 3 scopes of the lost one
        18  2026-01-02T03:04:05.678Z  kennel  keeper lost, everything is being stopped
        19  2026-01-02T03:04:05.678Z  kennel  shutdown completed, left 0
        20  2026-01-02T03:04:05.678Z  web  process 103 left its cgroup for /: escaped --daemon
        21  2026-01-02T03:04:05.678Z  kennel  events recovered from a damaged store: 90 kept, 91 to 95 may be missing; it is now /s/store.db.damaged-20260102T030405.000Z
        22  2026-01-02T03:04:05.678Z  kennel  events recovered: 90 kept
        23  2026-01-02T03:04:05.678Z  kennel  an event that cannot be read
        24  2026-01-02T03:04:05.678Z  web  orphan found, pid 100 (node server.js): it is in the cgroup of web.1
        25  2026-01-02T03:04:05.678Z  web  orphan ended, pid 100 (node server.js): SIGKILL
        26  2026-01-02T03:04:05.678Z  kennel  daemon 19 was ended by force; what it left is being seen to
        27  2026-01-02T03:04:05.678Z  kennel  daemon 19 was ended by force while it was shutting down (SIGTERM); what it left is being seen to
        28  2026-01-02T03:04:05.678Z  kennel  daemon panicked: index out of bounds (driver/runs.rs:12)
        29  2026-01-02T03:04:05.678Z  kennel  configuration reloaded: added a, b; changed web
        30  2026-01-02T03:04:05.678Z  kennel  configuration reloaded: nothing changed
        31  2026-01-02T03:04:05.678Z  kennel  owner `job-1` began
        32  2026-01-02T03:04:05.678Z  kennel  owner `job-1.a` of `job-1` began
        33  2026-01-02T03:04:05.678Z  kennel  owner `job-1` has the lease job-1/held.1
        34  2026-01-02T03:04:05.678Z  kennel  owner `job-1` has lost the lease job-1/held.1: closed
        35  2026-01-02T03:04:05.678Z  kennel  owner `job-1` ends in 10 s without a lease
        36  2026-01-02T03:04:05.678Z  kennel  owner `job-1` has a lease again
        37  2026-01-02T03:04:05.678Z  kennel  owner `job-1.a` ended: `job-1` ended
        38  2026-01-02T03:04:05.678Z  kennel  shutdown completed, left 0; cleanup `logs` was given up after 1.0 s; cleanup `keeper` failed: broken pipe
        39  2026-01-02T03:04:05.678Z  web  frozen by request
        40  2026-01-02T03:04:05.678Z  web  thawed by stop
        41  2026-01-02T03:04:05.678Z  web  1 process killed, out of memory (limit 64.0 MiB, peak 64.0 MiB)
        42  2026-01-02T03:04:05.678Z  web  beyond its limit of `pids`: 120 of 100; freeze
        43  2026-01-02T03:04:05.678Z  web  next at 2026-01-02T03:04:05Z
        44  2026-01-02T03:04:05.678Z  web  its time has come; next at 2026-01-02T03:04:05Z
        45  2026-01-02T03:04:05.678Z  web  its time has come and is left out, the run before has not ended; no time is left
        46  2026-01-02T03:04:05.678Z  web  its files are watched
        47  2026-01-02T03:04:05.678Z  web  3 zombies not waited for by 100 (node server.js)
        48  2026-01-02T03:04:05.678Z  web  changed: src/a.rs, …; it is started anew
        49  2026-01-02T03:04:05.678Z  web  its files change too often, perhaps by itself; nothing is done for 30 s
        50  2026-01-02T03:04:05.678Z  web  not all of its files are watched: the user's watches are used up
        51  2026-01-02T03:04:05.678Z  web  the command for changed files failed: exit 1
        52  2026-01-02T03:04:05.678Z  web  unhealthy: no answer within 1s
        53  2026-01-02T03:04:05.678Z  web  healthy again
        54  2026-01-02T03:04:05.678Z  web  stalled, no sign of life for 2 min: pid 812 (cc1), state D, in io_schedule
        55  2026-01-02T03:04:05.678Z  web  active
        56  2026-01-02T03:04:05.678Z  web  output is lost, it cannot be written: no space left on device
        57  2026-01-02T03:04:05.678Z  web  output is recorded again; 123456 bytes are missing
        58  2026-01-02T03:04:05.678Z  web  its log is full (67108864 bytes); it waits until there is room
        59  2026-01-02T03:04:05.678Z  web  rule stack-processes: 112 processes, more than 100: node vitest run (pid 812, 84 below it)
        60  2026-01-02T03:04:05.678Z  web  rule stack-memory: 6.0 GiB of memory, more than 8.0 GiB in 40 s at this rate
        61  2026-01-02T03:04:05.678Z  web  rule pool: 112 processes, frozen
        62  2026-01-02T03:04:05.678Z  web  rule spin: 180% CPU, cannot throttle: there is no controller for it
        63  2026-01-02T03:04:05.678Z  web  rule pool: over after 1 min 30 s, 12 processes
        64  2026-01-02T03:04:05.678Z  web  rule pool: over after 1 min 30 s, it is down
        65  2026-01-02T03:04:05.678Z  web  storm brake: 60 restarts of all services within 1 min, the next one in 3.0 s
        66  2026-01-02T03:04:05.678Z  web  output is not taken by /srv/web.log: no space left on device
        67  2026-01-02T03:04:05.678Z  web  output is taken again by journald; 123 bytes were gone before that
        68  2026-01-02T03:04:05.678Z  kennel  webhook `ops` did not get service.failed with 3 tries: cannot connect to 127.0.0.1:9: connection refused
        69  2026-01-02T03:04:05.678Z  kennel  the receiver of webhook `ops` wants nothing any more; `kennel webhook retry ops` begins again
        ");
    }

    #[test]
    fn every_kind_has_words_for_dashboards() {
        let events = samples::events();
        let lines = events.iter().flat_map(DashboardEvent::of);
        let text: String = lines.map(|event| dashboard_line(&event, Paint::PLAIN)).collect();
        insta::assert_snapshot!(text, @r"
         1  2026-01-02T03:04:05.678Z  kennel  initialized  pid 20
         4  2026-01-02T03:04:05.678Z  web  processStarted  pid 100
         4  2026-01-02T03:04:05.678Z  web  statusChange  running
         5  2026-01-02T03:04:05.678Z  web  healthCheck  healthy
         5  2026-01-02T03:04:05.678Z  web  serverStarted
         6  2026-01-02T03:04:05.678Z  web  healthCheck  unhealthy: GET / answers 503
         7  2026-01-02T03:04:05.678Z  web  processExit  code 1
         8  2026-01-02T03:04:05.678Z  web  statusChange  crashed
        11  2026-01-02T03:04:05.678Z  web  processError  1 process cannot be ended
        13  2026-01-02T03:04:05.678Z  web  statusChange  stopped
        13  2026-01-02T03:04:05.678Z  web  serverStopped
        14  2026-01-02T03:04:05.678Z  web  processError  exit 1
        14  2026-01-02T03:04:05.678Z  web  statusChange  crashed
        15  2026-01-02T03:04:05.678Z  web  processError  6 restarts within 60 s
        15  2026-01-02T03:04:05.678Z  web  statusChange  crashed
        16  2026-01-02T03:04:05.678Z  web  statusChange  stopped
        16  2026-01-02T03:04:05.678Z  web  serverStopped
        25  2026-01-02T03:04:05.678Z  web  orphanKilled  pid 100
        52  2026-01-02T03:04:05.678Z  web  healthCheck  unhealthy: no answer within 1s
        53  2026-01-02T03:04:05.678Z  web  healthCheck  healthy
        ");
    }
}

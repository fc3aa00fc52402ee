//! Every event, as one would be.

use kennel_wire::{
    Activity, Ancestor, Culprit, Event, EventKind, Exit, Health, KnownBy, MemoryPoint, OutOfMemory, OwnerEnd,
    StopReason, WatchAct,
};

use super::{ended, identity, orphan, receipt, shutdown_report, stuck, time};

pub(crate) fn event(seq: u64, kind: EventKind) -> Event {
    Event { seq, time: time(), service: Some("web".into()), instance: Some(1), kind }
}

const GIB: f64 = 1_073_741_824.0;

/// The one to blame for too many processes.
pub(crate) fn culprit(pid: u32) -> Culprit {
    Culprit {
        pid,
        start_ticks: 5000,
        service: "web".into(),
        command: "node vitest run".into(),
        ancestry: vec![Ancestor { pid: 100, command: "npm test".into() }],
        descendants: 84,
        cpu_percent: Some(310.0),
        memory_bytes: 6 << 30,
        open_files: Some(120),
    }
}

/// One of every kind.
pub(crate) fn events() -> Vec<Event> {
    let exit = Exit::Code { code: 1 };
    let kinds = vec![
        EventKind::DaemonStarted { pid: 20 },
        EventKind::Pending { waiting_for: vec!["db healthy".into(), "migrate completed".into()] },
        EventKind::Pending { waiting_for: vec![] },
        EventKind::Started { pid: 100, identity: Some(identity(100)) },
        EventKind::Ready { after_ms: 1234 },
        EventKind::Unhealthy { reason: "GET / answers 503".into() },
        EventKind::Exited { pid: 100, exit },
        EventKind::RestartScheduled { in_ms: 400, attempt: 2 },
        EventKind::Stopping { reason: StopReason::Requested },
        EventKind::Stage { stage: "TERM".into() },
        EventKind::Stuck { receipt: Box::new(stuck("web")) },
        EventKind::Down { receipt: Box::new(receipt("web")) },
        EventKind::Completed {},
        EventKind::Failed { reason: "exit 1".into() },
        EventKind::GivenUp { reason: "6 restarts within 60 s".into() },
        EventKind::Stopped {},
        EventKind::DaemonRecovered { scopes: 3 },
        EventKind::KeeperLost {},
        EventKind::ShutdownCompleted { left: 0, report: None },
        EventKind::Escaped { pid: 103, command: "escaped --daemon".into(), cgroup: "/".into() },
        EventKind::StoreRecovered {
            file: Some("/s/store.db.damaged-20260102T030405.000Z".into()),
            kept: 90,
            lost_from: Some(91),
            lost_to: Some(95),
        },
        EventKind::StoreRecovered { file: None, kept: 90, lost_from: None, lost_to: None },
        EventKind::Unreadable {},
        EventKind::OrphanFound { orphan: Box::new(orphan(100, KnownBy::Scope)) },
        EventKind::OrphanKilled { process: ended(100) },
        EventKind::DaemonTerminated { pid: 19, started_at: time(), during: None },
        EventKind::DaemonTerminated { pid: 19, started_at: time(), during: Some("SIGTERM".into()) },
        EventKind::DaemonPanicked { message: "index out of bounds".into(), place: "driver/runs.rs:12".into() },
        EventKind::ConfigReloaded { added: vec!["a".into(), "b".into()], removed: vec![], changed: vec!["web".into()] },
        EventKind::ConfigReloaded { added: vec![], removed: vec![], changed: vec![] },
        EventKind::OwnerOpened { owner: "job-1".into(), parent: None },
        EventKind::OwnerOpened { owner: "job-1.a".into(), parent: Some("job-1".into()) },
        EventKind::LeaseTaken { owner: "job-1".into(), lease: "job-1/held.1".into() },
        EventKind::LeaseLost { owner: "job-1".into(), lease: "job-1/held.1".into(), why: "closed".into() },
        EventKind::OwnerGrace { owner: "job-1".into(), ends_in_ms: 10_000 },
        EventKind::OwnerHeld { owner: "job-1".into() },
        EventKind::OwnerEnded { owner: "job-1.a".into(), why: OwnerEnd::ParentEnded { ancestor: "job-1".into() } },
        EventKind::ShutdownCompleted { left: 0, report: Some(Box::new(shutdown_report())) },
        EventKind::Frozen { by: "request".into() },
        EventKind::Thawed { by: "stop".into() },
        EventKind::OutOfMemory { what: out_of_memory(), curve: vec![MemoryPoint { before_ms: 900, bytes: 60 << 20 }] },
        EventKind::LimitExceeded { limit: "pids".into(), value: 120, bound: 100, action: "freeze".into(), of: None },
        EventKind::ScheduleArmed { next_at: Some(time()) },
        EventKind::ScheduleFired { next_at: Some(time()) },
        EventKind::ScheduleSkipped { why: "the run before has not ended".into(), next_at: None },
        EventKind::WatchBegun {},
        EventKind::ZombiesFound { parent: 100, command: "node server.js".into(), count: 3 },
        EventKind::WatchChanged { paths: vec!["src/a.rs".into()], count: 3, action: WatchAct::Restart },
        EventKind::WatchHeld { for_ms: 30_000 },
        EventKind::WatchBlind { reason: "the user's watches are used up".into() },
        EventKind::WatchFailed { reason: "exit 1".into() },
        EventKind::Health { health: Health::Unhealthy, reason: Some("no answer within 1s".into()) },
        EventKind::Health { health: Health::Healthy, reason: None },
        EventKind::Activity {
            activity: Activity::Stalled,
            silent_ms: 120_000,
            detail: Some("pid 812 (cc1), state D, in io_schedule".into()),
        },
        EventKind::Activity { activity: Activity::Active, silent_ms: 0, detail: None },
        EventKind::LogsLost { bytes: 4096, reason: "no space left on device".into() },
        EventKind::LogsRecovered { lost_bytes: 123_456 },
        EventKind::LogsBound { policy: kennel_wire::LogPolicy::Block, bytes: 64 << 20 },
        EventKind::AlertRaised {
            rule: "stack-processes".into(),
            measure: "processes".into(),
            value: 112.0,
            threshold: 100.0,
            predicted_ms: None,
            action: "warn".into(),
            culprits: vec![culprit(812)],
        },
        EventKind::AlertRaised {
            rule: "stack-memory".into(),
            measure: "memory".into(),
            value: 6.0 * GIB,
            threshold: 8.0 * GIB,
            predicted_ms: Some(40_000),
            action: "event".into(),
            culprits: vec![],
        },
        EventKind::AlertEscalated {
            rule: "pool".into(),
            measure: "processes".into(),
            value: 112.0,
            threshold: 80.0,
            action: "freeze".into(),
            refused: None,
        },
        EventKind::AlertEscalated {
            rule: "spin".into(),
            measure: "cpu".into(),
            value: 180.0,
            threshold: 90.0,
            action: "throttle".into(),
            refused: Some("there is no controller for it".into()),
        },
        EventKind::AlertCleared {
            rule: "pool".into(),
            measure: "processes".into(),
            value: Some(12.0),
            lasted_ms: 90_000,
        },
        EventKind::AlertCleared { rule: "pool".into(), measure: "processes".into(), value: None, lasted_ms: 90_000 },
        EventKind::StormBrake { restarts: 60, window_ms: 60_000, held_ms: 3_000 },
        EventKind::LogsSinkFailed { to: "/srv/web.log".into(), reason: "no space left on device".into() },
        EventKind::LogsSinkRecovered { to: "journald".into(), lost_bytes: 123 },
        EventKind::WebhookDead {
            webhook: "ops".into(),
            id: "msg_4f1c_7".into(),
            kind: "service.failed".into(),
            tries: 3,
            reason: "cannot connect to 127.0.0.1:9: connection refused".into(),
        },
        EventKind::WebhookDisabled { webhook: "ops".into() },
    ];
    let about_daemon = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::DaemonStarted { .. }
                | EventKind::StoreRecovered { .. }
                | EventKind::Unreadable {}
                | EventKind::DaemonRecovered { .. }
                | EventKind::DaemonTerminated { .. }
                | EventKind::DaemonPanicked { .. }
                | EventKind::ConfigReloaded { .. }
                | EventKind::KeeperLost {}
                | EventKind::WebhookDead { .. }
                | EventKind::WebhookDisabled { .. }
                | EventKind::OwnerOpened { .. }
                | EventKind::LeaseTaken { .. }
                | EventKind::LeaseLost { .. }
                | EventKind::OwnerGrace { .. }
                | EventKind::OwnerHeld { .. }
                | EventKind::OwnerEnded { .. }
                | EventKind::ShutdownCompleted { .. }
        )
    };
    (1..)
        .zip(kinds)
        .map(|(seq, kind)| {
            let service = (!about_daemon(&kind)).then(|| "web".to_owned());
            Event { service, ..event(seq, kind) }
        })
        .collect()
}

fn out_of_memory() -> OutOfMemory {
    OutOfMemory { kills: 1, limit: Some(64 << 20), peak: Some(64 << 20), of: None }
}

//! Values of the protocol for the tests of how they look.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_wire::{
    Activity, Advice, Ancestor, CleanupOutcome, CleanupPhase, CleanupReport, Containment, Culprit, DaemonInfo,
    Declared, Doctor, EndedProcess, EnforcedBy, Event, EventKind, Exit, Fate, Feature, FeatureCounts, Finding, Health,
    Identity, KnownBy, Leftover, LeftoverKind, LimitStatus, LogLine, LogStream, MachineUsage, MemoryPoint, Orphan,
    OutOfMemory, OwnUsage, OwnerEnd, PlacePlan, Process, ProcessUsage, Receipt, ReloadReport, ServicePlan,
    ServiceStatus, ServiceUsage, ShutdownReport, SignalReport, Stage, State, StopReason, Sure, Survivor, Usage,
    UsageReport, WatchAct, Will, Works, ZombieParent,
};

pub(crate) fn time() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

pub(crate) fn usage_report() -> UsageReport {
    let web = Usage {
        cpu_percent: Some(12.5),
        cpu_ms: Some(83_000),
        memory_bytes: Some(120 << 20),
        memory_limit_bytes: Some(512 << 20),
        memory_peak_bytes: Some(200 << 20),
        processes: 3,
        threads: Some(14),
        read_rate: Some(0.0),
        write_rate: Some(40_960.0),
        log_rate: 812.0,
        log_bytes: 5_000_000,
        ..Usage::default()
    };
    let worker = Usage { cpu_percent: Some(104.2), processes: 1, ..Usage::default() };
    let service = |name: &str, usage, frozen| ServiceUsage {
        name: name.into(),
        instance: 7,
        state: State::Ready,
        health: Health::None,
        frozen,
        usage,
        cpu_recent: Vec::new(),
        source: "cgroup".into(),
        processes_detail: Vec::new(),
    };
    let total = Usage { cpu_percent: Some(116.7), processes: 4, ..web };
    let services = vec![service("web", web, false), service("worker.1", worker, true)];
    UsageReport { time: time(), services, total, own: OwnUsage::default(), machine: MachineUsage::default() }
}

pub(crate) fn healthy() -> Doctor {
    let containment = Containment {
        backend: "cgroup".into(),
        promise: "every descendant of a service is found and ended, daemonised or not".into(),
        limits: vec!["a process in uninterruptible sleep".into()],
        because: None,
        reason: None,
        advice: None,
    };
    let feature = |name: &str| Feature { name: name.into(), works: Works::Yes, note: String::new() };
    Doctor {
        ok: true,
        findings: Vec::new(),
        cgroups: "version 2 at /sys/fs/cgroup (memory, pids, cpu)".into(),
        kernel: "6.18.44".into(),
        features: vec![feature("clone3"), feature("pidfd_inodes")],
        feature_counts: FeatureCounts { yes: 2, no: 0, unknown: 0 },
        zombies: Vec::new(),
        leftovers: Vec::new(),
        instance: "shop-1234abcd".into(),
        state_dir: "/var/state/kennel/shop-1234abcd".into(),
        runtime_dir: "/run/user/1000/kennel/shop-1234abcd".into(),
        version: "0.1.0".into(),
        daemon: Some(DaemonInfo { containment: containment.clone(), ..info() }),
        containment,
    }
}

pub(crate) fn doctor() -> Doctor {
    let command = "kennel --instance blog-99 down";
    let mut doctor = Doctor { ok: false, daemon: None, containment: info().containment, ..healthy() };
    doctor.findings.push(Finding {
        code: "leftovers".into(),
        text: "2 processes of the lost kennel `blog-99` still run".into(),
        advice: Some(Advice { text: "ends them".into(), command: Some(command.into()) }),
    });
    doctor.features.push(Feature {
        name: "cgroup_kill".into(),
        works: Works::Unknown,
        note: "no cgroup to try it in".into(),
    });
    doctor.feature_counts = FeatureCounts::of(&doctor.features);
    doctor.zombies = vec![
        ZombieParent {
            pid: 812,
            command: "node server.js".into(),
            count: 12,
            oldest_began_s: 11_000,
            instance: Some("shop-1234abcd".into()),
        },
        ZombieParent { pid: 1, command: "/sbin/init".into(), count: 1, oldest_began_s: 3, instance: None },
    ];
    let leftover = |kind, name: &str, processes: Vec<u32>| Leftover {
        kind,
        here: true,
        instance: Some(name.into()),
        path: Some(format!("/sys/fs/cgroup/kennel/{name}").into()),
        processes,
        command: format!("kennel --instance {name} down"),
    };
    doctor.leftovers = vec![
        leftover(LeftoverKind::Scope, "blog-99", vec![4711, 4712]),
        leftover(LeftoverKind::Instance, "shop-0", Vec::new()),
    ];
    doctor
}

const BOOT: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

pub(crate) fn identity(pid: u32) -> Identity {
    let inode = Some(5_000_000 + u64::from(pid));
    Identity { boot_id: BOOT.into(), pid, start_ticks: 123_456, inode, scope: "web.1".into() }
}

pub(crate) fn signalled() -> SignalReport {
    SignalReport {
        process: identity(4243),
        command: "node worker.js".into(),
        signal: 9,
        service: "web".into(),
        instance: 1,
        main: false,
    }
}

/// Held by a tracer since its stop.
pub(crate) fn unkillable(name: &str) -> ServiceStatus {
    let receipt = stuck(name);
    ServiceStatus {
        state: State::Stuck,
        wanted: false,
        health: Health::None,
        reason: Some("cannot be ended: 4711 (dd of=/mnt/x), held by tracer 99 (gdb -p 4711)".into()),
        survivors: receipt.survivors.clone(),
        last_receipt: Some(receipt),
        ..ready(name)
    }
}

/// With a tree of processes.
pub(crate) fn usage(name: &str) -> ServiceUsage {
    let process = |pid: u32, ppid: u32, depth: u32, state: char, command: &str| ProcessUsage {
        pid,
        ppid,
        depth,
        start_ticks: 123_456,
        started_at: time() - jiff::SignedDuration::from_secs(185),
        state,
        cpu_percent: Some(f64::from(depth) * 1.5),
        cpu_ms: 1234,
        memory_bytes: u64::from(pid) << 15,
        pss_bytes: None,
        threads: depth + 1,
        open_files: (state != 'Z').then_some(12),
        read_bytes: None,
        written_bytes: None,
        command: command.into(),
    };
    let processes_detail = vec![
        process(4242, 1, 0, 'S', "npm run dev"),
        process(4250, 4242, 1, 'S', "sh -c vite"),
        process(4251, 4250, 2, 'R', "node vite"),
        process(4252, 4250, 2, 'D', "esbuild --service"),
        process(4260, 4242, 1, 'T', "node watch.js"),
        process(4299, 1, 0, 'Z', "[escaped]"),
    ];
    let usage = Usage {
        cpu_percent: Some(3.12),
        memory_bytes: Some(12_897_484),
        processes: 6,
        threads: Some(12),
        ..Usage::default()
    };
    ServiceUsage {
        name: name.into(),
        instance: 1,
        state: State::Ready,
        health: Health::Healthy,
        frozen: false,
        usage,
        cpu_recent: Vec::new(),
        source: "cgroup".into(),
        processes_detail,
    }
}

pub(crate) fn ready(name: &str) -> ServiceStatus {
    ServiceStatus {
        name: name.into(),
        service: name.split('.').next().unwrap_or(name).into(),
        wanted: true,
        state: State::Ready,
        health: Health::Healthy,
        health_reason: None,
        health_since: Some(time()),
        activity: None,
        activity_since: None,
        probe_ms: Some(0.31),
        reason: None,
        frozen: false,
        log_bytes: None,
        log_lost_bytes: None,
        alerts: Vec::new(),
        instance: Some(1),
        pid: Some(4242),
        identity: Some(identity(4242)),
        containment: "cgroup".into(),
        processes: Some(3),
        cpu_percent: Some(3.12),
        memory_bytes: Some(12_897_484),
        started_at: Some(time()),
        uptime_ms: Some(185_000),
        ready_after_ms: Some(1234),
        restarts: 0,
        retry_in_ms: None,
        next_at: None,
        next_in_ms: None,
        last_exit: None,
        ports: IndexMap::from([("http".to_owned(), 8080)]),
        color: None,
        command: vec!["npm".into(), "run".into(), "dev".into()],
        working_dir: Some("/srv/shop".into()),
        ad_hoc: None,
        limits: Vec::new(),
        survivors: Vec::new(),
        tree: Vec::new(),
        zombies: Vec::new(),
        last_receipt: None,
    }
}

pub(crate) fn waiting(name: &str) -> ServiceStatus {
    ServiceStatus {
        state: State::Waiting,
        health: Health::None,
        pid: None,
        identity: None,
        processes: None,
        cpu_percent: None,
        memory_bytes: None,
        uptime_ms: None,
        restarts: 3,
        retry_in_ms: Some(3_000),
        next_at: None,
        next_in_ms: None,
        last_exit: Some(Exit::Code { code: 1 }),
        ports: IndexMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]),
        ..ready(name)
    }
}

pub(crate) fn failed(name: &str) -> ServiceStatus {
    ServiceStatus {
        state: State::Failed,
        reason: Some("cannot execute `./dbd`: no such file".into()),
        restarts: 0,
        retry_in_ms: None,
        next_at: None,
        next_in_ms: None,
        ports: IndexMap::new(),
        ..waiting(name)
    }
}

pub(crate) fn detailed(name: &str) -> ServiceStatus {
    let process = |pid, ppid, command: &str| Process {
        pid,
        ppid,
        start_ticks: 123_456,
        inode: Some(5_000_000 + u64::from(pid)),
        state: 'S',
        memory_bytes: 4 << 20,
        command: command.into(),
    };
    ServiceStatus {
        limits: vec![
            LimitStatus { name: "memory".into(), value: 512 << 20, enforced_by: EnforcedBy::Cgroup, note: None },
            LimitStatus {
                name: "cpus".into(),
                value: 1500,
                enforced_by: EnforcedBy::Nobody,
                note: Some("no `cpu` controller can be used here".into()),
            },
        ],
        tree: vec![
            process(100, 1, "npm run dev"),
            process(101, 100, "sh -c vite"),
            process(102, 101, "node vite"),
            process(103, 1, "escaped --daemon"),
        ],
        last_receipt: Some(receipt(name)),
        ..ready(name)
    }
}

pub(crate) fn log(service: &str, line: &str) -> LogLine {
    LogLine {
        time: time(),
        service: service.into(),
        stream: LogStream::Stdout,
        line: line.into(),
        bytes: None,
        complete: true,
        lost: None,
    }
}

pub(crate) fn receipt(service: &str) -> Receipt {
    let process = |pid, command: Option<&str>, exit, stage: &str| EndedProcess {
        pid,
        start_ticks: command.map(|_| 123_456),
        inode: command.map(|_| 5_000_000 + u64::from(pid)),
        command: command.map(str::to_owned),
        exit: Some(exit),
        stage: Some(stage.into()),
        main: pid == 100,
        escaped_to: None,
    };
    Receipt {
        service: service.into(),
        instance: 1,
        scope: format!("{service}.1"),
        boot_id: BOOT.into(),
        reason: StopReason::Requested,
        started_at: time(),
        duration_ms: 312,
        exit: Exit::Code { code: 0 },
        out_of_memory: None,
        stages: vec![Stage { name: "TERM".into(), duration_ms: 312, ended: 3 }],
        processes: vec![
            process(100, Some("npm run dev"), Exit::Code { code: 0 }, "TERM"),
            process(101, Some("node server.js"), Exit::Signal { signal: 15 }, "TERM"),
            process(102, None, Exit::Signal { signal: 9 }, "KILL"),
        ],
        left: 0,
        survivors: Vec::new(),
    }
}

pub(crate) fn stuck(service: &str) -> Receipt {
    let stage = |name: &str| Stage { name: name.into(), duration_ms: 10_000, ended: 0 };
    Receipt {
        duration_ms: 20_000,
        stages: vec![stage("TERM"), stage("KILL"), stage("KILL sweep"), stage("stuck")],
        processes: vec![EndedProcess {
            pid: 4711,
            start_ticks: Some(123_456),
            inode: None,
            command: Some("dd of=/mnt/x".into()),
            exit: None,
            stage: None,
            main: true,
            escaped_to: None,
        }],
        left: 1,
        survivors: vec![Survivor {
            pid: 4711,
            command: "dd of=/mnt/x".into(),
            state: 'D',
            wchan: "nfs_wait_bit_killable".into(),
            stack: vec!["nfs_wait_bit_killable".into(), "nfs_file_fsync".into(), "do_exit".into()],
            tracer: 99,
            tracer_command: Some("gdb -p 4711".into()),
        }],
        ..receipt(service)
    }
}

pub(crate) fn info() -> DaemonInfo {
    DaemonInfo {
        version: "0.1.0".into(),
        pid: 20,
        keeper_pid: 19,
        instance: "shop-1234abcd".into(),
        directory: Some("/srv/shop".into()),
        config: Some("/srv/shop/kennel.yaml".into()),
        state_dir: "/var/state/kennel/shop-1234abcd".into(),
        started_at: time(),
        containment: Containment {
            backend: "reaper".into(),
            promise: "every descendant is found and ended while its scope's reaper lives".into(),
            limits: vec!["setuid-root children".into(), "uninterruptible sleep".into()],
            because: Some("no writable cgroup v2 directory".into()),
            reason: Some("not_delegated".into()),
            advice: Some(Advice {
                text: "starts kennel in a group that alice may divide".into(),
                command: Some("systemd-run --user --scope -p Delegate=yes kennel up".into()),
            }),
        },
        trouble: None,
    }
}

/// `KnownBy::Stamp`: one that has left everything else behind, and runs as somebody else.
pub(crate) fn orphan(pid: u32, known_by: KnownBy) -> Orphan {
    let in_scope = known_by == KnownBy::Scope;
    let sure = if in_scope { Sure::Certain } else { Sure::Likely };
    Orphan {
        pid,
        start_ticks: 123_456,
        inode: Some(5_000_000 + u64::from(pid)),
        command: if in_scope { "node server.js" } else { "sleep 600" }.into(),
        user: if in_scope { "deploy" } else { "root" }.into(),
        since: Some(time()),
        instance: "shop-1234abcd".into(),
        service: in_scope.then(|| "web".into()),
        run: in_scope.then_some(1),
        scope: in_scope.then(|| "web.1".into()),
        known_by: vec![known_by],
        sure,
        why: if in_scope { "it is in the cgroup of web.1" } else { "it carries the tag of this kennel" }.into(),
        on_stop: if in_scope { Fate::Ended } else { Fate::Refused },
        on_start: if in_scope { Fate::Adopted } else { Fate::Refused },
    }
}

pub(crate) fn ended(pid: u32) -> EndedProcess {
    EndedProcess {
        pid,
        start_ticks: Some(123_456),
        inode: Some(5_000_000 + u64::from(pid)),
        command: Some("node server.js".into()),
        exit: Some(Exit::Signal { signal: 9 }),
        stage: Some("KILL".into()),
        main: false,
        escaped_to: None,
    }
}

pub(crate) fn event(seq: u64, kind: EventKind) -> Event {
    Event { seq, time: time(), service: Some("web".into()), instance: Some(1), kind }
}

/// A file with a change of every kind.
pub(crate) fn reload_report() -> ReloadReport {
    let one = |service: &str, change, keys: &[&str], will| ServicePlan {
        service: service.into(),
        change,
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        will,
        places: vec![PlacePlan { name: service.into(), will }],
    };
    ReloadReport {
        ok: true,
        dry_run: false,
        config: "/srv/shop/kennel.yaml".into(),
        services: vec![
            one("web", Declared::Changed, &["command", "environment.PORT"], Will::Restart),
            one("database", Declared::Unchanged, &[], Will::Nothing),
            one("cache", Declared::Added, &[], Will::Start),
            one("worker", Declared::Changed, &["color"], Will::Nothing),
            one("old", Declared::Removed, &[], Will::Stop),
        ],
        left: 0,
        receipts: Vec::new(),
        started: Vec::new(),
    }
}

/// A shutdown in which not everything went well.
pub(crate) fn shutdown_report() -> ShutdownReport {
    let one =
        |name: &str, phase, outcome, duration_ms| CleanupReport { name: name.into(), phase, outcome, duration_ms };
    ShutdownReport {
        timestamp: time(),
        reason: "SIGTERM".into(),
        ok: false,
        left: 0,
        duration_ms: 1320,
        cleanups: vec![
            one("state", CleanupPhase::Persist, CleanupOutcome::Ok, 2),
            one("services", CleanupPhase::Cleanup, CleanupOutcome::Ok, 310),
            one("logs", CleanupPhase::Drain, CleanupOutcome::TimedOut, 1000),
            one("keeper", CleanupPhase::End, CleanupOutcome::Failed { error: "broken pipe".into() }, 1),
        ],
    }
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
        EventKind::LimitExceeded { limit: "pids".into(), value: 120, bound: 100, action: "freeze".into() },
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
        EventKind::LogsBound { policy: kennel_wire::LogPolicy::Block, bytes: 64 << 20, rate: false },
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
    OutOfMemory { kills: 1, limit: Some(64 << 20), peak: Some(64 << 20) }
}

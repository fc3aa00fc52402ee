//! Values of the protocol for the tests of how they look.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod events;

use indexmap::IndexMap;
use jiff::Timestamp;
use kennel_wire::{
    AdoptReport, Advice, CleanupOutcome, CleanupPhase, CleanupReport, Containment, DaemonInfo, Declared,
    DesktopSupport, Doctor, EndedProcess, EnforcedBy, Exit, Fate, Feature, FeatureCounts, Finding, Health, Identity,
    KnownBy, Leftover, LeftoverKind, LimitStatus, LimitSupport, LogLine, LogStream, MachineUsage, Orphan, OwnUsage,
    PlacePlan, Process, ProcessUsage, Receipt, ReloadReport, ServicePlan, ServiceStatus, ServiceUsage, ShutdownReport,
    SignalReport, Stage, State, StopReason, Sure, Survivor, Usage, UsageReport, Will, Works, ZombieParent,
};

pub(crate) use self::events::{culprit, event, events};

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
        limits: ["memory", "cpus"].map(|name| limit_support(name, EnforcedBy::Cgroup)).to_vec(),
        limits_advice: None,
        desktop: DesktopSupport { works: true, note: "plasma 6.1 shows notifications".into() },
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

fn limit_support(name: &str, enforced_by: EnforcedBy) -> LimitSupport {
    let note = (enforced_by != EnforcedBy::Cgroup).then(|| "no cgroup can be used".to_owned());
    LimitSupport { name: name.into(), enforced_by, note }
}

pub(crate) fn doctor() -> Doctor {
    let command = "kennel --instance blog-99 down";
    let mut doctor = Doctor { ok: false, daemon: None, containment: info().containment, ..healthy() };
    doctor.limits = vec![limit_support("memory", EnforcedBy::Sampling), limit_support("cpus", EnforcedBy::Nobody)];
    doctor.desktop =
        DesktopSupport { works: false, note: "no notification can be shown: there is no session bus".into() };
    doctor.limits_advice.clone_from(&doctor.containment.advice);
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
        foreseen: None,
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
        depends_on: Vec::new(),
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
            LimitStatus {
                name: "memory".into(),
                value: 512 << 20,
                of: None,
                enforced_by: EnforcedBy::Cgroup,
                note: None,
            },
            LimitStatus {
                name: "cpus".into(),
                value: 1500,
                of: None,
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
        limit: None,
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

pub(crate) fn adopted() -> AdoptReport {
    AdoptReport {
        name: "web".into(),
        instance: 17,
        pid: 812,
        identity: identity(812),
        processes: vec![812, 815],
        moved: false,
        output: true,
        kept: true,
        ad_hoc: None,
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

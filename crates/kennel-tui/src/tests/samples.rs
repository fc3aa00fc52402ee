//! A stack: a web server with a tree, a hog beside its limit, replicas, one that is frozen, and those that do not run.

use kennel_wire::{
    Activity, Alert, EnforcedBy, Event, EventKind, Exit, Health, LimitStatus, MachineUsage, OwnUsage, ProcessUsage,
    ServiceStatus, ServiceUsage, State, Usage, UsageHistory, UsageReport,
};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::draw;
use crate::order::Order;
use crate::plain::lines;
use crate::state::State as Shown;
use crate::theme::Theme;
use crate::{Color, Look, Words};

pub(crate) const WORDS: Words = Words {
    note: |one| one.reason.clone(),
    event: |event| match &event.kind {
        EventKind::Ready { after_ms } => format!("ready in {after_ms} ms"),
        other => format!("{other:?}"),
    },
    color: |_, _| Color::Cyan,
    limit: |limit| format!("{} {} ({})", limit.name, limit.value, limit.enforced_by.as_str()),
    alert: |alert| format!("rule {}: {} {}, {}", alert.rule, alert.value, alert.measure, alert.action),
    started: |report, name| format!("{name} started: {}", report.ok),
    ended: |report| format!("ended: {}", report.ok),
    frozen: |report| format!("frozen: {}", report.ok),
    signalled: |report| format!("sent {}", report.signal),
    receipt: |receipt| vec![format!("{} stopped, left {}", receipt.service, receipt.left)],
    tame: |line, color| if color { line.to_owned() } else { line.replace("\u{1b}[31m", "").replace("\u{1b}[0m", "") },
};

pub(crate) fn time() -> jiff::Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

fn status(name: &str, state: State) -> ServiceStatus {
    let runs = matches!(state, State::Ready | State::Up | State::Starting);
    let service = name.split('.').next().unwrap();
    let text = serde_json::json!({
        "name": name, "service": service, "wanted": true, "state": state, "health": Health::None, "reason": null,
        "instance": 7, "pid": runs.then_some(4242), "processes": null, "cpu_percent": null, "memory_bytes": null,
        "started_at": null, "uptime_ms": runs.then_some(11_520_000), "ready_after_ms": null, "restarts": 0,
        "retry_in_ms": null, "last_exit": null, "ports": {}, "color": null,
    });
    serde_json::from_value(text).unwrap()
}

fn process(pid: u32, ppid: u32, depth: u32, cpu: f64, memory: u64, command: &str) -> ProcessUsage {
    ProcessUsage {
        pid,
        ppid,
        depth,
        start_ticks: u64::from(pid) * 10,
        started_at: time(),
        state: 'S',
        cpu_percent: Some(cpu),
        cpu_ms: 12_300,
        memory_bytes: memory,
        pss_bytes: None,
        threads: 1 + pid % 3,
        open_files: Some(12),
        read_bytes: None,
        written_bytes: None,
        command: command.into(),
    }
}

/// An alert about a service; with seconds, one that is foreseen.
pub(crate) fn alert(service: &str, seconds: Option<u64>) -> Alert {
    serde_json::from_value(serde_json::json!({
        "rule": "stack-memory", "scope": "stack", "service": service, "measure": "memory", "value": 9.0, "threshold": 8.0,
        "action": "freeze", "raised_at": time(), "due_in_ms": seconds.map(|seconds| seconds * 1000),
    }))
    .unwrap()
}

/// A recorded time in which `web` had ever more to do, from its middle on.
pub(crate) fn history(seconds: i64) -> UsageHistory {
    let points = (0..30).map(|step| {
        let ago = seconds / 2 - step * seconds / 60;
        serde_json::json!({
            "time": time().checked_sub(jiff::SignedDuration::from_secs(ago)).unwrap(), "processes": 1, "log_bytes": 0,
            "cpu_percent": step * 3, "memory_bytes": step * 10_000_000,
        })
    });
    let points: Vec<_> = points.collect();
    let series = [serde_json::json!({ "name": "web", "points": points })];
    serde_json::from_value(serde_json::json!({ "step_ms": seconds * 1000 / 60, "series": series })).unwrap()
}

fn usage(name: &str, cpu: f64, memory: u64, processes_detail: Vec<ProcessUsage>) -> ServiceUsage {
    let usage = Usage {
        cpu_percent: Some(cpu),
        cpu_ms: Some(61_000),
        memory_bytes: Some(memory),
        processes: u32::try_from(processes_detail.len()).unwrap().max(1),
        threads: Some(processes_detail.iter().map(|one| one.threads).sum::<u32>().max(1)),
        read_rate: Some(0.0),
        write_rate: Some(1_258_291.0),
        read_bytes: Some(4096),
        written_bytes: Some(3 << 30),
        log_rate: 210.0,
        log_bytes: 1 << 20,
        cpu_pressure: Some(0.4),
        memory_pressure: Some(0.0),
        io_pressure: Some(12.5),
        ..Usage::default()
    };
    ServiceUsage {
        name: name.into(),
        instance: 7,
        state: State::Ready,
        health: Health::None,
        frozen: false,
        usage,
        cpu_recent: vec![0.0, 3.0, 20.0, 60.0, 130.0, 90.0, 40.0, 12.3],
        source: "cgroup".into(),
        processes_detail,
    }
}

pub(crate) fn look() -> Look {
    let mut web = status("web", State::Ready);
    web.ports.insert("http".into(), 8080);
    web.command = vec!["npm".into(), "run".into(), "dev".into()];
    let limit =
        LimitStatus { name: "memory".into(), value: 512 << 20, of: None, enforced_by: EnforcedBy::Cgroup, note: None };
    let hog = ServiceStatus {
        activity: Some(Activity::Spinning),
        limits: vec![limit],
        reason: Some("memory limit in 40 s at this rate".into()),
        ..status("hog", State::Up)
    };
    let waiting = ServiceStatus {
        reason: Some("exit 3, retry in 3.0 s".into()),
        restarts: 4,
        last_exit: Some(Exit::Code { code: 3 }),
        ..status("flaky", State::Waiting)
    };
    let failed =
        ServiceStatus { reason: Some("cannot execute `./dbd`: no such file".into()), ..status("db", State::Failed) };
    let services = vec![
        web,
        hog,
        status("worker.1", State::Ready),
        ServiceStatus { frozen: true, ..status("worker.2", State::Ready) },
        waiting,
        failed,
        status("migrate", State::Completed),
    ];
    let tree = vec![
        process(4242, 1, 0, 0.0, 50 << 20, "npm run dev"),
        process(4250, 4242, 1, 0.1, 1 << 20, "sh -c vite --port 8080"),
        process(4251, 4250, 2, 12.2, 120 << 20, "node /srv/shop/node_modules/.bin/vite --port 8080 --host"),
        process(4260, 4251, 3, 0.0, 30 << 20, "esbuild --service=0.21.5 --ping"),
        process(4255, 4242, 1, 0.0, 9 << 20, "node watch.js"),
        ProcessUsage { state: 'Z', ..process(4299, 1, 0, 0.0, 0, "[escaped]") },
    ];
    let mut heavy = usage("hog", 203.0, 500 << 20, vec![process(5000, 1, 0, 203.0, 500 << 20, "./hog")]);
    heavy.usage.memory_limit_bytes = Some(512 << 20);
    heavy.usage.memory_peak_bytes = Some(505 << 20);
    let cold = ServiceUsage {
        frozen: true,
        ..usage("worker.2", 0.0, 8 << 20, vec![process(6002, 1, 0, 0.0, 8 << 20, "worker")])
    };
    let services_usage = vec![
        usage("web", 12.3, 201 << 20, tree),
        heavy,
        usage("worker.1", 0.0, 8 << 20, vec![process(6001, 1, 0, 0.0, 8 << 20, "worker")]),
        cold,
    ];
    let total = Usage {
        cpu_percent: Some(215.3),
        memory_bytes: Some(717 << 20),
        processes: 9,
        threads: Some(17),
        ..Usage::default()
    };
    let own = OwnUsage { daemon_memory_bytes: 5 << 20, keeper_memory_bytes: 2 << 20, ..OwnUsage::default() };
    let machine = MachineUsage { cpus: 4, load: 2.31, memory_bytes: 16 << 30, available_bytes: 9 << 30 };
    Look {
        services,
        usage: UsageReport { time: time(), services: services_usage, total, own, machine },
        alerts: Vec::new(),
    }
}

pub(crate) fn shown() -> Shown {
    let mut state = Shown::new(WORDS, "shop".into(), Order::Declared, time());
    state.room = 100;
    state.looked(look());
    let kind = EventKind::Ready { after_ms: 210 };
    state.happened(Event { seq: 1, time: time(), service: Some("web".into()), instance: Some(7), kind });
    state
}

/// The picture without colours, in UTC: the clock is cut out since it is local.
pub(crate) fn picture(state: &mut Shown, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw::draw(state, Theme { color: false }, area, &mut buffer);
    lines(&buffer)
}

/// Of a stop of its run 7.
pub(crate) fn receipt(service: &str) -> kennel_wire::Receipt {
    let text = serde_json::json!({
        "service": service, "instance": 7, "reason": "requested", "started_at": time(), "duration_ms": 300,
        "exit": { "kind": "signal", "signal": 15 }, "stages": [], "processes": [], "left": 0, "survivors": [],
    });
    serde_json::from_value(text).unwrap()
}

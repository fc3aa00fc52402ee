//! `GET /metrics`: what Prometheus and its kin read.
//!
//! Text of OpenMetrics 1.0 for whoever asks for it, else of the older Prometheus format 0.0.4; they differ in the names of counters'
//! families alone. Sources: "OpenMetrics, a cloud-native, highly scalable metrics protocol"; Prometheus, "Exposition formats".

use std::collections::HashMap;
use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use kennel_engine::Handle;
use kennel_wire::{DaemonInfo, Health, ServiceStatus, ServiceUsage, State as Shown, UsageReport, UsageRequest};

use crate::reply::Refusal;

/// A family of metrics: its name without `_total`, its kind, and what it is.
type Family = (&'static str, Kind, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Only grows, until its service or daemon begins anew.
    Counter,
    Gauge,
}

/// What is told of one service.
struct Subject<'a> {
    status: &'a ServiceStatus,
    /// None if it does not run.
    usage: Option<&'a ServiceUsage>,
}

/// A figure of a service; none where it has none.
type Figure = fn(&Subject<'_>) -> Option<f64>;

const SERVICES: &[(Family, Figure)] = &[
    (("kennel_service_wanted", Kind::Gauge, "Whether it is to be up"), |of| Some(flag(of.status.wanted))),
    (("kennel_service_up", Kind::Gauge, "Whether its main process runs"), |of| Some(flag(of.status.pid.is_some()))),
    (("kennel_service_ready", Kind::Gauge, "Whether it can serve"), |of| Some(flag(of.status.state == Shown::Ready))),
    (("kennel_service_healthy", Kind::Gauge, "Whether its probes pass; absent without any"), |of| {
        match of.status.health {
            Health::None => None,
            health => Some(flag(health == Health::Healthy)),
        }
    }),
    (("kennel_service_probe_duration_seconds", Kind::Gauge, "How long its last probe took"), |of| {
        of.status.probe_ms.map(|ms| ms / 1000.0)
    }),
    (("kennel_service_restarts", Kind::Counter, "Restarts that nobody asked for"), |of| {
        Some(f64::from(of.status.restarts))
    }),
    (("kennel_service_start_time_seconds", Kind::Gauge, "When its run began, seconds since 1970"), |of| {
        of.status.started_at.map(|time| time.as_millisecond() as f64 / 1000.0)
    }),
    (("kennel_service_frozen", Kind::Gauge, "Whether it is stopped where it is"), |of| Some(flag(of.usage?.frozen))),
    (("kennel_service_cpu_seconds", Kind::Counter, "CPU time of its run, ended processes included"), |of| {
        of.usage?.usage.cpu_ms.map(seconds)
    }),
    (("kennel_service_cpu_throttled_seconds", Kind::Counter, "Time it was held back by its CPU limit"), |of| {
        of.usage?.usage.throttled_ms.map(seconds)
    }),
    (("kennel_service_memory_bytes", Kind::Gauge, "Memory"), |of| of.usage?.usage.memory_bytes.map(count)),
    (("kennel_service_memory_peak_bytes", Kind::Gauge, "The most memory its run has used"), |of| {
        of.usage?.usage.memory_peak_bytes.map(count)
    }),
    (("kennel_service_memory_limit_bytes", Kind::Gauge, "Its limit of memory; absent without any"), |of| {
        of.usage?.usage.memory_limit_bytes.map(count)
    }),
    (("kennel_service_swap_bytes", Kind::Gauge, "Swap"), |of| of.usage?.usage.swap_bytes.map(count)),
    (("kennel_service_processes", Kind::Gauge, "Living processes"), |of| {
        of.usage.map(|it| f64::from(it.usage.processes))
    }),
    (("kennel_service_processes_limit", Kind::Gauge, "Their limit; absent without any"), |of| {
        of.usage?.usage.processes_limit.map(count)
    }),
    (("kennel_service_threads", Kind::Gauge, "Threads of all its processes"), |of| {
        of.usage?.usage.threads.map(f64::from)
    }),
    (("kennel_service_disk_read_bytes", Kind::Counter, "Read from disks"), |of| of.usage?.usage.read_bytes.map(count)),
    (("kennel_service_disk_written_bytes", Kind::Counter, "Written to disks"), |of| {
        of.usage?.usage.written_bytes.map(count)
    }),
    (("kennel_service_log_bytes", Kind::Counter, "Written to stdout and stderr"), |of| {
        of.usage.map(|it| count(it.usage.log_bytes))
    }),
    (
        ("kennel_service_log_lost_bytes", Kind::Counter, "Of that, what is in no log: no room, or over its bound"),
        |of| of.usage.map(|it| count(it.usage.log_lost_bytes)),
    ),
    (
        (
            "kennel_service_cpu_pressure_ratio",
            Kind::Gauge,
            "Share of the last 10 s in which somebody in it waited for CPU",
        ),
        |of| of.usage?.usage.cpu_pressure.map(ratio),
    ),
    (("kennel_service_memory_pressure_ratio", Kind::Gauge, "The same for memory"), |of| {
        of.usage?.usage.memory_pressure.map(ratio)
    }),
    (("kennel_service_io_pressure_ratio", Kind::Gauge, "The same for I/O"), |of| {
        of.usage?.usage.io_pressure.map(ratio)
    }),
];

/// With the label `state`: 1 for the one that it is in.
const STATE: Family = ("kennel_service_state", Kind::Gauge, "1 for the state that it is in");
/// With the label `version`.
const INFO: Family = ("kennel_daemon_info", Kind::Gauge, "1, with the version");

/// With the label `process`: `daemon` or `keeper`.
const OWN: [Family; 3] = [
    ("kennel_process_resident_memory_bytes", Kind::Gauge, "Resident memory of kennel itself"),
    ("kennel_process_cpu_seconds", Kind::Counter, "CPU time of kennel itself"),
    ("kennel_process_open_files", Kind::Gauge, "Open descriptors of kennel itself"),
];

/// A figure of the daemon or of the machine; the last is the number of the newest event.
type Whole = fn(&UsageReport, &DaemonInfo, u64) -> f64;

const DAEMON: [(Family, Whole); 7] = [
    (("kennel_daemon_start_time_seconds", Kind::Gauge, "When this daemon began, seconds since 1970"), |_, info, _| {
        info.started_at.as_millisecond() as f64 / 1000.0
    }),
    (("kennel_daemon_threads", Kind::Gauge, "Threads of the daemon"), |it, _, _| f64::from(it.own.daemon_threads)),
    (("kennel_events", Kind::Counter, "Events so far: the number of the newest"), |_, _, newest| count(newest)),
    (("kennel_machine_cpus", Kind::Gauge, "CPUs of the machine"), |it, _, _| f64::from(it.machine.cpus)),
    (("kennel_machine_load", Kind::Gauge, "Load of the last minute"), |it, _, _| it.machine.load),
    (("kennel_machine_memory_bytes", Kind::Gauge, "Memory of the machine"), |it, _, _| count(it.machine.memory_bytes)),
    (("kennel_machine_memory_available_bytes", Kind::Gauge, "Memory that could still be given out"), |it, _, _| {
        count(it.machine.available_bytes)
    }),
];

/// Metrics for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "monitoring",
    responses(
        (
            status = 200, description = "OpenMetrics 1.0 where it is asked for", body = String,
            content_type = "text/plain"
        ),
        Refusal,
    ),
)]
pub(crate) async fn metrics(State(engine): State<Handle>, headers: HeaderMap) -> Result<Response, Refusal> {
    let statuses = engine.facts().await?;
    // Counters need no second look, and whoever scrapes makes rates of them.
    let usage = engine.usage(UsageRequest { at_once: true, ..UsageRequest::default() }).await?;
    let info = engine.info().await?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let open = accept.contains("application/openmetrics-text");
    let text = Text::new(open).all(&statuses, &usage, &info, engine.events().newest());
    let kind = match open {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

struct Text {
    text: String,
    /// In the words of OpenMetrics.
    open: bool,
}

impl Text {
    fn new(open: bool) -> Self {
        Self { text: String::new(), open }
    }

    fn all(mut self, statuses: &[ServiceStatus], usage: &UsageReport, info: &DaemonInfo, newest: u64) -> String {
        let by_name: HashMap<&str, &ServiceUsage> = usage.services.iter().map(|one| (one.name.as_str(), one)).collect();
        let subjects: Vec<Subject<'_>> = statuses
            .iter()
            .map(|status| Subject { status, usage: by_name.get(status.name.as_str()).copied() })
            .collect();
        for (family, figure) in SERVICES {
            self.family(family);
            for subject in &subjects {
                if let Some(value) = figure(subject) {
                    let labels = [("service", subject.status.service.as_str()), ("name", &subject.status.name)];
                    self.sample(family, &labels, value);
                }
            }
        }
        self.family(&STATE);
        for Subject { status, .. } in &subjects {
            let state = serde_json::to_value(status.state).ok();
            let state = state.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown");
            self.sample(&STATE, &[("service", &status.service), ("name", &status.name), ("state", state)], 1.0);
        }
        self.family(&INFO);
        self.sample(&INFO, &[("version", &info.version)], 1.0);
        let own = &usage.own;
        let figures = [
            [count(own.daemon_memory_bytes), count(own.keeper_memory_bytes)],
            [seconds(own.daemon_cpu_ms), seconds(own.keeper_cpu_ms)],
            [f64::from(own.daemon_open_files), f64::from(own.keeper_open_files)],
        ];
        for (family, [daemon, keeper]) in OWN.iter().zip(figures) {
            self.family(family);
            self.sample(family, &[("process", "daemon")], daemon);
            self.sample(family, &[("process", "keeper")], keeper);
        }
        for (family, figure) in &DAEMON {
            self.family(family);
            self.sample(family, &[], figure(usage, info, newest));
        }
        if self.open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn family(&mut self, family: &Family) {
        let (name, kind, help) = family;
        let (kind, end) = match kind {
            Kind::Counter => ("counter", if self.open { "" } else { "_total" }),
            Kind::Gauge => ("gauge", ""),
        };
        let _never = writeln!(self.text, "# HELP {name}{end} {help}\n# TYPE {name}{end} {kind}");
    }

    fn sample(&mut self, (name, kind, _): &Family, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        if *kind == Kind::Counter {
            self.text.push_str("_total");
        }
        for (at, (label, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let _never = write!(self.text, "{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _never = writeln!(self.text, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[expect(clippy::cast_precision_loss, reason = "the format has nothing but floating point")]
fn count(number: u64) -> f64 {
    number as f64
}

fn seconds(ms: u64) -> f64 {
    count(ms) / 1000.0
}

fn ratio(percent: f64) -> f64 {
    percent / 100.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use std::collections::BTreeSet;

    use super::*;

    /// Names as they are queried.
    fn names() -> BTreeSet<String> {
        let all = SERVICES.iter().map(|(family, _)| family).chain([&STATE, &INFO]).chain(&OWN);
        let all = all.chain(DAEMON.iter().map(|(family, _)| family));
        all.map(|(name, kind, _)| format!("{name}{}", if *kind == Kind::Counter { "_total" } else { "" })).collect()
    }

    /// Words of a text that are names of ours.
    fn words(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| word.starts_with("kennel_")).map(str::to_owned).collect()
    }

    #[test]
    fn every_metric_is_documented_and_every_query_names_one() {
        let documented = words(include_str!("../../../docs/monitoring.md"));
        assert_eq!(documented, names(), "docs/monitoring.md");
        let dashboard = include_str!("../../../docs/grafana/kennel.json");
        let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        assert!(parsed["panels"].as_array().unwrap().len() > 5);
        let queried = words(dashboard);
        let unknown: Vec<_> = queried.difference(&names()).cloned().collect();
        assert!(queried.len() > 10 && unknown.is_empty(), "docs/grafana/kennel.json: {unknown:?}");
    }

    #[test]
    fn both_formats_are_as_they_are_to_be() {
        let family: Family = ("kennel_x", Kind::Counter, "What it is");
        for (open, name) in [(true, "kennel_x"), (false, "kennel_x_total")] {
            let mut text = Text::new(open);
            text.family(&family);
            text.sample(&family, &[("a", "b\"\\\n"), ("c", "d")], 1.5);
            let sample = "kennel_x_total{a=\"b\\\"\\\\\\n\",c=\"d\"} 1.5\n";
            assert_eq!(text.text, format!("# HELP {name} What it is\n# TYPE {name} counter\n{sample}"));
        }
    }
}

//! What services use, as metrics.

use jiff::Timestamp;
use kennel_wire::{ServiceStatus, State, Usage, UsageReport};
use serde_json::{Value, json};

use super::json::{Resource, nanos, number, scope, text};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// What a metric is.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// It goes up and down.
    Gauge,
    /// It only grows, within one run of its service.
    Sum,
}

/// One of them: name, unit by UCUM, what it is, and how it is had from usage.
type Metric = (&'static str, &'static str, Shape, &'static str, fn(&Usage) -> Option<Number>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(u64),
    Real(f64),
}

/// Of each service that runs.
const METRICS: [Metric; 13] = [
    ("kennel.service.cpu.time", "s", Shape::Sum, "CPU time, processes that have ended included", |usage| {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of some years")]
        usage.cpu_ms.map(|ms| Number::Real(ms as f64 / 1000.0))
    }),
    ("kennel.service.cpu.utilization", "1", Shape::Gauge, "Share of one CPU", |usage| {
        usage.cpu_percent.map(|percent| Number::Real(percent / 100.0))
    }),
    ("kennel.service.memory.usage", "By", Shape::Gauge, "Memory", |usage| usage.memory_bytes.map(Number::Whole)),
    ("kennel.service.memory.limit", "By", Shape::Gauge, "Limit of memory", |usage| {
        usage.memory_limit_bytes.map(Number::Whole)
    }),
    ("kennel.service.memory.peak", "By", Shape::Gauge, "The most memory of this run", |usage| {
        usage.memory_peak_bytes.map(Number::Whole)
    }),
    ("kennel.service.processes", "{process}", Shape::Gauge, "Living processes", |usage| {
        Some(Number::Whole(usage.processes.into()))
    }),
    ("kennel.service.threads", "{thread}", Shape::Gauge, "Threads", |usage| {
        usage.threads.map(|count| Number::Whole(count.into()))
    }),
    ("kennel.service.disk.read", "By", Shape::Sum, "Read from disks", |usage| usage.read_bytes.map(Number::Whole)),
    ("kennel.service.disk.written", "By", Shape::Sum, "Written to disks", |usage| {
        usage.written_bytes.map(Number::Whole)
    }),
    ("kennel.service.output", "By", Shape::Sum, "Written to standard output and error", |usage| {
        Some(Number::Whole(usage.log_bytes))
    }),
    (
        "kennel.service.pressure.cpu",
        "1",
        Shape::Gauge,
        "Share of ten seconds in which somebody waited for CPU",
        |usage| usage.cpu_pressure.map(|percent| Number::Real(percent / 100.0)),
    ),
    ("kennel.service.pressure.memory", "1", Shape::Gauge, "The same for memory", |usage| {
        usage.memory_pressure.map(|percent| Number::Real(percent / 100.0))
    }),
    ("kennel.service.pressure.io", "1", Shape::Gauge, "The same for I/O", |usage| {
        usage.io_pressure.map(|percent| Number::Real(percent / 100.0))
    }),
];

/// The body of one export. `began` is when kennel began to count what is no service's own.
pub(super) fn document(
    resource: &Resource,
    began: Timestamp,
    services: &[ServiceStatus],
    usage: &UsageReport,
) -> Value {
    let now = nanos(usage.time);
    let mut metrics: Vec<Value> = Vec::new();
    for (name, unit, shape, description, figure) in METRICS {
        let points: Vec<Value> = usage
            .services
            .iter()
            .filter_map(|one| {
                let status = services.iter().find(|status| status.name == one.name);
                // A sum begins anew with each run.
                let start = status.and_then(|status| status.started_at).unwrap_or(began);
                let attributes = of_service(&one.name, Some(one.instance));
                Some(point(figure(&one.usage)?, shape, &attributes, start, &now))
            })
            .collect();
        metrics.extend(metric(name, unit, shape, description, points));
    }
    let all = |figure: fn(&ServiceStatus) -> u64, shape| {
        let points = services
            .iter()
            .map(|one| point(Number::Whole(figure(one)), shape, &of_service(&one.name, None), began, &now));
        points.collect::<Vec<_>>()
    };
    let restarts = all(|one| one.restarts.into(), Shape::Gauge);
    let text = "Restarts that nobody asked for since the last start by hand";
    metrics.extend(metric("kennel.service.restarts", "{restart}", Shape::Gauge, text, restarts));
    let up = all(|one| u64::from(matches!(one.state, State::Ready | State::Up)), Shape::Gauge);
    metrics.extend(metric("kennel.service.up", "1", Shape::Gauge, "1 if it runs and is not unhealthy", up));
    let own = &usage.own;
    for (name, memory) in [("daemon", own.daemon_memory_bytes), ("keeper", own.keeper_memory_bytes)] {
        let point = point(Number::Whole(memory), Shape::Gauge, &Value::Array(Vec::new()), began, &now);
        let name = format!("kennel.{name}.memory.usage");
        metrics.extend(metric(&name, "By", Shape::Gauge, "Resident memory of a process of kennel", vec![point]));
    }
    json!({ "resourceMetrics": [{
        "resource": resource.json(),
        "scopeMetrics": [{ "scope": scope(), "metrics": metrics }],
    }] })
}

fn of_service(name: &str, run: Option<u64>) -> Value {
    let run = run.and_then(|run| i64::try_from(run).ok()).map(|run| number("kennel.run", run));
    Value::Array(std::iter::once(text("kennel.service", name)).chain(run).collect())
}

fn point(value: Number, shape: Shape, attributes: &Value, start: Timestamp, now: &str) -> Value {
    let mut point = json!({ "attributes": attributes, "timeUnixNano": now });
    if let Shape::Sum = shape {
        point["startTimeUnixNano"] = nanos(start).into();
    }
    match value {
        Number::Whole(value) => point["asInt"] = value.to_string().into(),
        Number::Real(value) => point["asDouble"] = value.into(),
    }
    point
}

/// A metric that has points.
fn metric(name: &str, unit: &str, shape: Shape, description: &str, points: Vec<Value>) -> Option<Value> {
    if points.is_empty() {
        return None;
    }
    let mut metric = json!({ "name": name, "unit": unit, "description": description });
    match shape {
        Shape::Gauge => metric["gauge"] = json!({ "dataPoints": points }),
        Shape::Sum => {
            metric["sum"] = json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true });
        }
    }
    Some(metric)
}

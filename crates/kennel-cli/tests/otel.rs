//! Metrics and spans reach an OpenTelemetry collector. With the feature `otel` only.
//!
//! covers: A10, E8

#![cfg(feature = "otel")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kennel_testkit::Scratch;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// Stands in for a collector: gives on each path, key and document that it gets.
fn collector() -> (u16, Receiver<(String, String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = Vec::new();
            while head.last().is_none_or(|line: &String| !line.trim().is_empty()) {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                head.push(line);
            }
            let header = |name: &str| {
                let line = head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.unwrap_or_default().trim().to_owned()
            };
            let mut body = vec![0; header("content-length").parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            let path = head[0].split(' ').nth(1).unwrap().to_owned();
            let document = serde_json::from_slice(&body).unwrap();
            if sender.send((path, header("api-key"), document)).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

#[test]
fn a_collector_gets_metrics_and_a_trace_of_each_run() {
    let (port, documents) = collector();
    let mut scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}/otlp/"));
    scratch.env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b");
    scratch.env("OTEL_METRIC_EXPORT_INTERVAL", "200");
    scratch.config("services: { web: { command: [sleep, '1000'] } }\n");
    scratch.ok(&["up", "-d"]);
    let end = Instant::now() + kennel_testkit::patience(DEADLINE);
    let next = |wanted: &str, has: &dyn Fn(&Value) -> bool| {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (path, key, document) = documents.recv_timeout(left).expect(wanted);
            assert_eq!(key, "a b");
            if path == wanted && has(&document) {
                return document;
            }
        }
    };
    let metric = |document: &Value, name: &str| -> Option<Value> {
        let all = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array()?;
        all.iter().find(|one| one["name"] == name).cloned()
    };
    let metrics = next("/otlp/v1/metrics", &|document| metric(document, "kennel.service.cpu.time").is_some());
    let cpu = metric(&metrics, "kennel.service.cpu.time").unwrap();
    assert_eq!((&cpu["sum"]["aggregationTemporality"], &cpu["sum"]["isMonotonic"]), (&2.into(), &true.into()));
    let point = &metric(&metrics, "kennel.service.processes").unwrap()["gauge"]["dataPoints"][0];
    assert_eq!((&point["asInt"], &point["attributes"][0]["value"]["stringValue"]), (&"1".into(), &"web".into()));

    scratch.ok(&["stop", "web"]);
    scratch.down();
    let traces = next("/otlp/v1/traces", &|_| true);
    let spans = traces["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let names: Vec<&Value> = spans.iter().map(|span| &span["name"]).collect();
    assert_eq!(names, ["run web", "start web", "stop web"], "{traces}");
    assert_eq!(spans[0]["status"]["code"], 1, "{traces}");
}

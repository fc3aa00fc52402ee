//! Metrics and spans for OpenTelemetry collectors, over OTLP/HTTP in its JSON encoding. Only with the feature `otel`, and
//! only where the environment of the daemon names an endpoint.
//!
//! A reader of the event stream and of usage like every other. Nothing waits for a collector: what it does not take within
//! its time is dropped, counted, and said in the log of the daemon.

mod endpoint;
mod json;
mod metrics;
mod spans;

use std::time::Duration;

use jiff::Timestamp;
use kennel_engine::{Events, Handle};
use kennel_wire::UsageRequest;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use self::endpoint::Endpoint;
use self::json::Resource;
use self::spans::Spans;

/// Spans are sent once so long has passed since the first of them ended.
const GATHERED: Duration = Duration::from_secs(5);
/// Events that are read at a time.
const PAGE: usize = 200;

/// Begins to export if the environment asks for it. What it answers with ends once everything is sent after the end of
/// the engine.
pub(crate) fn begin(engine: &Handle, instance: &str) -> Option<JoinHandle<()>> {
    let settings = match endpoint::settings(|name| std::env::var(name).ok().filter(|value| !value.is_empty())) {
        Ok(None) => return None,
        Ok(Some(settings)) => settings,
        Err(problem) => {
            tracing::warn!(problem, "nothing is exported to OpenTelemetry");
            return None;
        }
    };
    tracing::info!(endpoint = %settings.endpoint, "exporting to OpenTelemetry");
    let resource = Resource::new(instance, &settings.attributes);
    tokio::spawn(metrics(engine.clone(), settings.endpoint.clone(), resource.clone(), settings.every));
    Some(tokio::spawn(spans(engine.clone(), settings.endpoint, resource)))
}

async fn metrics(engine: Handle, endpoint: Endpoint, resource: Resource, every: Duration) {
    let began = Timestamp::now();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sender = Sender::new(endpoint, "/v1/metrics");
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = engine.finished() => return,
        }
        let (Ok(services), Ok(usage)) = tokio::join!(engine.services(), engine.usage(UsageRequest::default())) else {
            return;
        };
        sender.send(&metrics::document(&resource, began, &services, &usage)).await;
    }
}

async fn spans(engine: Handle, endpoint: Endpoint, resource: Resource) {
    let mut spans = Spans::new(&resource.instance);
    let mut sender = Sender::new(endpoint, "/v1/traces");
    let events: Events = engine.events().clone();
    let mut published = events.watch();
    let mut since = events.newest();
    let mut ended: Vec<Value> = Vec::new();
    let mut due = None;
    loop {
        published.borrow_and_update();
        let over = engine.has_ended();
        loop {
            let page = events.after(since, PAGE).await;
            let Some(last) = page.last() else { break };
            since = last.seq;
            page.iter().for_each(|event| ended.extend(spans.take(event)));
        }
        if !ended.is_empty() && due.is_none() {
            due = Some(Instant::now() + GATHERED);
        }
        if over {
            if !ended.is_empty() {
                sender.send(&spans::document(&resource, ended)).await;
            }
            return;
        }
        tokio::select! {
            _changed = published.changed() => {}
            () = engine.finished() => {}
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                sender.send(&spans::document(&resource, std::mem::take(&mut ended))).await;
            }
        }
    }
}

/// Sends documents to one address, and says when that begins to fail and when it works again.
struct Sender {
    endpoint: Endpoint,
    path: &'static str,
    failing: bool,
    dropped: u64,
}

impl Sender {
    fn new(endpoint: Endpoint, path: &'static str) -> Self {
        Self { endpoint, path, failing: false, dropped: 0 }
    }

    async fn send(&mut self, document: &Value) {
        match self.endpoint.post(self.path, document).await {
            Ok(()) if self.failing => {
                tracing::info!(
                    path = self.path,
                    dropped = self.dropped,
                    "the OpenTelemetry collector takes data again"
                );
                self.failing = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.dropped += 1;
                if !self.failing {
                    tracing::warn!(%error, path = self.path, "the OpenTelemetry collector takes no data now");
                    self.failing = true;
                }
            }
        }
    }
}

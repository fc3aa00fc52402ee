//! What is sent: the event as the API gives it, in the envelope of Standard Webhooks.

use jiff::Timestamp;
use kennel_wire::Event;
use serde_json::{Value, json};

/// Of an event. `instance` is the name of the kennel instance.
pub(super) fn of(event: &Event, instance: &str) -> Value {
    let data = serde_json::to_value(event).unwrap_or_default();
    envelope(event.kind.name(), event.time, instance, data)
}

/// Of a test.
pub(super) fn test(webhook: &str, instance: &str, now: Timestamp) -> Value {
    let data = json!({ "webhook": webhook, "message": "this is a test: nothing has happened" });
    envelope("webhook.test", now, instance, data)
}

fn envelope(kind: &str, time: Timestamp, instance: &str, data: Value) -> Value {
    json!({ "type": kind, "timestamp": time, "kennel": instance, "data": data })
}

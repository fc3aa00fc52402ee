//! What metrics and spans share in the JSON encoding of OTLP.
//!
//! Source: OTLP specification, "JSON Protobuf Encoding": ids in hexadecimal, 64-bit integers and times as strings of
//! decimals, enumerations as numbers.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Who exports.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    /// Name of the kennel instance.
    pub(super) instance: String,
    attributes: Value,
}

impl Resource {
    pub(super) fn new(instance: &str, given: &[(String, String)]) -> Self {
        let mut all = vec![
            ("service.name".to_owned(), "kennel".to_owned()),
            ("service.instance.id".to_owned(), instance.to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        all.retain(|(key, _)| given.iter().all(|(other, _)| other != key));
        all.extend_from_slice(given);
        let attributes = all.into_iter().map(|(key, value)| text(&key, &value)).collect();
        Self { instance: instance.to_owned(), attributes: Value::Array(attributes) }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "attributes": self.attributes })
    }
}

/// The part of kennel that it comes from.
pub(super) fn scope() -> Value {
    json!({ "name": "kennel", "version": env!("CARGO_PKG_VERSION") })
}

/// An attribute.
pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// An attribute.
pub(super) fn number(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// Nanoseconds since 1970.
pub(super) fn nanos(time: Timestamp) -> String {
    time.as_nanosecond().to_string()
}

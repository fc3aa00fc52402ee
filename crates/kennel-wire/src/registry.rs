use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Stands for a value of an environment where those are not told.
pub const HIDDEN: &str = "***";

/// A service as the configuration file declares it: the same keys, in JSON.
pub type Definition = Map<String, Value>;

/// Services that were registered over the API, beside those of the configuration file. `GET` and `PUT /v1/registry`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// By their names.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub services: BTreeMap<String, Definition>,
}

impl Registry {
    /// The same with [`HIDDEN`] for every value of an environment, which may be a secret.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        let keys = |definition: &Definition| {
            let is_it = |key: &&String| ["environment", "env"].contains(&key.as_str());
            definition.keys().filter(is_it).cloned().collect::<Vec<_>>()
        };
        for definition in self.services.values_mut() {
            for key in keys(definition) {
                definition.entry(key).and_modify(hide);
            }
        }
        self
    }
}

/// A map of values, or a list of `NAME=value`.
fn hide(environment: &mut Value) {
    match environment {
        Value::Object(map) => map.values_mut().for_each(|value| *value = HIDDEN.into()),
        Value::Array(list) => list.iter_mut().for_each(|entry| {
            let name = entry.as_str().and_then(|text| text.split_once('=')).map(|(name, _)| name);
            *entry = name.map_or_else(|| HIDDEN.into(), |name| format!("{name}={HIDDEN}").into());
        }),
        other => *other = HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn values_of_an_environment_are_hidden_however_they_are_written() {
        let text = r#"{"services": {
            "a": {"command": "x", "environment": {"KEY": "secret", "N": 1}},
            "b": {"env": ["KEY=secret", "PLAIN"]},
            "c": {"env": "KEY=secret"}
        }}"#;
        let registry: Registry = serde_json::from_str(text).unwrap();
        let hidden = serde_json::to_value(registry.without_values()).unwrap();
        let expected = serde_json::json!({"services": {
            "a": {"command": "x", "environment": {"KEY": "***", "N": "***"}},
            "b": {"env": ["KEY=***", "***"]},
            "c": {"env": "***"},
        }});
        assert_eq!(hidden, expected);
    }
}

//! The JSON Schema of a configuration, for editors: draft 7, because editors of TOML know little beyond it.
//!
//! It accepts whatever loads, except where only the loader can tell (two spellings of one key, names of services).
//! Types with their descriptions stand in `types`; spellings come from the tables the loader itself uses.

mod types;
mod values;

use kennel_core::model::RESOURCE_LIMITS;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::reader::Key;
use crate::{
    address, command, depends, environment, limits, liveness, load, logs, notify, privileges, probe, restart, rules,
    sampling, schedule, service, stop, watch, webhooks,
};

/// The JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut root = SchemaSettings::draft07().into_generator().into_root_schema_for::<types::File>().to_value();
    finish(&mut root, load::KEYS);
    root["anyOf"] = json!([{ "required": ["services"] }, { "required": ["processes"] }]);
    for (name, keys) in tables() {
        finish(&mut root["definitions"][name], keys);
    }
    // A mapping without keys may be written as nothing at all.
    root["definitions"]["RestartPolicy"]["type"] = json!(["object", "null"]);
    root["definitions"]["Service"]["required"] = json!(["command"]);
    let names = &mut root["definitions"]["Services"];
    names["propertyNames"] = json!({ "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$" });
    root["definitions"]["LimitsByName"]["propertyNames"] = json!({ "enum": RESOURCE_LIMITS });
    unwrap_lines(&mut root);
    root
}

/// The mappings with fixed keys, by the names of their definitions.
fn tables() -> [(&'static str, &'static [Key]); 30] {
    [
        ("Service", service::KEYS),
        ("CommandWithShell", command::KEYS),
        ("EnvFile", environment::ENV_FILE),
        ("Dependency", depends::DEPENDENCY),
        ("RestartPolicy", restart::POLICY),
        ("Schedule", schedule::KEYS),
        ("Watch", watch::KEYS),
        ("Readiness", probe::READINESS),
        ("HttpGet", address::HTTP_GET),
        ("Tcp", address::TCP),
        ("Healthcheck", probe::HEALTHCHECK),
        ("Liveness", liveness::LIVENESS),
        ("Heartbeat", liveness::HEARTBEAT),
        ("Hang", liveness::HANG),
        ("StopStage", stop::STAGE),
        ("Limit", privileges::LIMIT),
        ("UseLimits", limits::KEYS),
        ("StackLimits", limits::TOGETHER),
        ("Deploy", limits::DEPLOY),
        ("DeployResources", limits::RESOURCES),
        ("DeployLimits", limits::DEPLOY_LIMITS),
        ("Sampling", sampling::SAMPLING),
        ("Logs", logs::KEYS),
        ("ProjectLogs", logs::PROJECT_KEYS),
        ("Rule", rules::RULE),
        ("Rung", rules::RUNG),
        ("StormBrake", rules::STORM_BRAKE),
        ("Webhook", webhooks::KEYS),
        ("Notify", notify::KEYS),
        ("Desktop", notify::DESKTOP),
    ]
}

/// Adds the other spellings of each key, lets `x-` keys through and nothing else.
fn finish(schema: &mut Value, keys: &[Key]) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    // Every field of the Rust type is there; hardly any key of the file has to be.
    object.remove("required");
    object.insert("additionalProperties".to_owned(), json!(false));
    object.insert("patternProperties".to_owned(), json!({ "^x-": {} }));
    let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for key in keys {
        for alias in key.aliases {
            let same = properties.get(key.name).cloned().unwrap_or_default();
            properties.insert((*alias).to_owned(), spelling(same, key.name, alias));
        }
    }
}

/// Descriptions are broken into lines for the source alone.
fn unwrap_lines(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "description" => *text = text.replace('\n', " "),
                    value => unwrap_lines(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

/// The schema of another spelling. One that ends in `_seconds` takes a bare number too.
fn spelling(same: Value, name: &str, alias: &str) -> Value {
    let mut map = Map::new();
    map.insert("description".to_owned(), json!(format!("Another spelling of `{name}`.")));
    let mut choices = vec![same];
    if alias.ends_with("_seconds") {
        choices.push(json!({ "type": "number", "minimum": 0 }));
    }
    map.insert("anyOf".to_owned(), Value::Array(choices));
    Value::Object(map)
}

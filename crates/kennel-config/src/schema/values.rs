//! Values that are no mappings. Every one of them may be written with variables.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::size;

/// A text with a variable in it, which may stand for any single value.
fn variable() -> Value {
    json!({ "type": "string", "pattern": "\\$" })
}

/// `ALL` and the names as they are usually written.
fn capabilities() -> Vec<&'static str> {
    kennel_core::capability::NAMES.into_iter().chain(["ALL"]).collect()
}

/// Declares a type that has nothing but a schema.
macro_rules! value {
    ($($name:ident: $schema:expr;)*) => {$(
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                Schema::try_from($schema).unwrap_or_else(|_| json_schema!(true))
            }
        }
    )*};
}

value! {
    Anything: json!({});
    Size: json!({ "anyOf": [
        { "type": "string", "pattern": format!("^ *{} *$|\\$", size::PATTERN), "examples": ["512MiB", "8GiB", "512m"] },
        { "const": 0 },
    ] });
    Rate: json!({ "anyOf": [
        { "type": "string", "pattern": format!("^ *{} */s *$|\\$", size::PATTERN), "examples": ["10MiB/s"] },
        { "const": 0 },
    ] });
    ComposeSize: json!({ "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": format!("^ *{} *$|\\$", size::COMPOSE_PATTERN), "examples": ["512m", "2g"] },
    ] });
    ComposeCount: json!({ "anyOf": [{ "type": "integer", "minimum": -1 }, variable()] });
    CpuTime: json!({ "anyOf": [
        { "type": "number", "minimum": 0.01, "maximum": 8192 },
        { "type": "string", "pattern": "^ *[0-9]*\\.?[0-9]+ *$|\\$" },
    ] });
    Weight: json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 10_000 }, variable()] });
    LimitAction: json!({ "anyOf": [{ "enum": ["warn", "freeze", "restart", "stop", "kill"] }, variable()] });
    Duration: json!({
        "type": "string",
        "pattern": "^ *([0-9]+(\\.[0-9]+)?(d|h|m|s|ms|us|µs|ns))+ *$|\\$",
        "examples": ["500ms", "10s", "1m30s"],
    });
    LogSinks: json!({ "anyOf": [
        { "enum": ["journald"] },
        { "type": "array", "items": { "anyOf": [{ "enum": ["journald"] }, variable()] } },
        variable(),
    ] });
    OnFull: json!({ "anyOf": [{ "enum": ["drop_oldest", "block", "stop"] }, variable()] });
    Address: json!({ "type": "string", "pattern": "^https?://|\\$", "examples": ["https://example.com/hook"] });
    HeaderValue: json!({ "type": ["string", "number", "boolean"] });
    Retries: json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 1000 }, variable()] });
    Off: json!({ "enum": ["off", "no", "false", false] });
    Switch: json!({ "enum": ["off", "no", "on", "yes", false, true] });
    DurationOrOff: json!({ "anyOf": [
        { "type": "string", "pattern": "^ *([0-9]+(\\.[0-9]+)?(d|h|m|s|ms|us|µs|ns))+ *$|^off$|^no$|\\$" },
        { "const": false },
    ] });
    Cpu: json!({ "anyOf": [
        { "type": "number", "minimum": 0.01, "maximum": 4096 },
        { "type": "string", "pattern": "^ *[0-9.]+ *%? *$|\\$" },
    ], "examples": ["90%", 1.5] });
    Number: json!({ "anyOf": [{ "type": "number", "minimum": 0 }, variable()] });
    Scope: json!({ "anyOf": [{ "enum": ["service", "stack"] }, variable()] });
    Action: json!({ "anyOf": [{ "enum": ["event", "warn", "throttle", "freeze", "stop", "kill"] }, variable()] });
    Boolean: json!({ "anyOf": [{ "type": "boolean" }, { "enum": ["yes", "no", "on", "off"] }, variable()] });
    Signal: json!({
        "anyOf": [
            { "type": "string", "pattern": "^(([Ss][Ii][Gg])?[A-Za-z]+[0-9]?([+-][0-9]+)?|[0-9]+)$|\\$" },
            { "type": "integer", "minimum": 1, "maximum": 64 },
        ],
        "examples": ["SIGTERM", "SIGINT"],
    });
    Strings: json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }, { "type": "null" }] });
    Command: json!({ "anyOf": [
        { "type": "string", "pattern": "\\S" },
        { "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] } },
    ] });
    Shell: json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": "\\S" }] });
    PortOrName: json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string", "pattern": "\\S" }] });
    Count: json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 1_000_000 }, variable()] });
    Replicas: json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 1000 }, variable()] });
    MaxRestarts: json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 1_000_000 }, variable()] });
    Factor: json!({ "anyOf": [{ "type": "number", "minimum": 1, "maximum": 1000 }, variable()] });
    Share: json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, variable()] });
    ExitCodes: json!({ "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 255 },
        { "type": "array", "items": { "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 255 }, variable()] } },
        variable(),
        { "type": "null" },
    ] });
    Identity: json!({ "type": ["string", "integer"] });
    Umask: json!({ "anyOf": [
        { "type": "string", "pattern": "^ *(0o)?[0-7]+ *$|\\$" },
        // `0o22` is a number to whoever parsed it.
        { "type": "integer", "minimum": 0, "maximum": 511 },
    ] });
    Texts: json!({ "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "null" }] });
    CapabilitySet: json!({ "anyOf": [
        { "enum": capabilities() },
        { "type": "string", "pattern": "^ *([Cc][Aa][Pp]_)?[A-Za-z_]+ *$|\\$" },
        { "type": "array", "items": { "anyOf": [
            { "enum": capabilities() },
            { "type": "string", "pattern": "^ *([Cc][Aa][Pp]_)?[A-Za-z_]+ *$|\\$" },
        ] } },
        { "type": "null" },
    ] });
    Amount: json!({ "anyOf": [{ "type": "integer", "minimum": -1 }, { "enum": ["unlimited", "-1"] }, variable()] });
    Nice: json!({ "anyOf": [{ "type": "integer", "minimum": -20, "maximum": 19 }, variable()] });
    OomScore: json!({ "anyOf": [{ "type": "integer", "minimum": -1000, "maximum": 1000 }, variable()] });
    Cpus: json!({ "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 8191 },
        { "type": "string", "pattern": "^[0-9 ,-]+$|\\$" },
        { "type": "array", "items": { "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 8191 },
            { "type": "string", "pattern": "^[0-9 ,-]+$|\\$" },
        ] } },
    ] });
    IoPriority: json!({ "anyOf": [
        { "enum": ["idle", "best-effort", "realtime"] },
        { "type": "string", "pattern": "^ *(idle|(best[-_]effort|realtime)( *: *[0-7])?) *$|\\$" },
    ] });
    Color: json!({ "anyOf": [
        { "enum": crate::who::COLORS },
        { "type": "string", "pattern": "^#[0-9A-Fa-f]{6}$|^[A-Za-z]+([-_][A-Za-z]+)?$|\\$" },
    ] });
    Restart: json!({ "anyOf": [
        { "enum": ["no", "on-failure", "always", "unless-stopped"] },
        { "type": "string", "pattern": "^(on[-_]failure(:[0-9]+)?|unless_stopped|[Oo]ff|OFF|[Ff]alse|FALSE|No|NO)$|\\$" },
        { "const": false },
    ] });
    LivenessAction: json!({ "anyOf": [{ "enum": ["warn", "restart", "stop"] }, variable()] });
    HangAction: json!({ "anyOf": [{ "enum": ["event", "warn", "restart", "stop"] }, variable()] });
    Condition: json!({ "anyOf": [
        { "enum": ["started", "healthy", "completed", "completed_successfully", "log_ready"] },
        { "type": "string", "pattern": "^(service|process)[-_](started|healthy|completed([-_]successfully)?|log[-_]ready)$|^(completed-successfully|log-ready)$|\\$" },
    ] });
    KillMode: json!({ "anyOf": [
        { "enum": ["control-group", "mixed"] },
        { "type": "string", "pattern": "^control_group$|\\$" },
    ] });
    Target: json!({ "anyOf": [{ "enum": ["scope", "main"] }, variable()] });
    Isolation: json!({ "anyOf": [
        { "enum": ["none", "pid"] },
        variable(),
        { "type": "array", "items": { "anyOf": [{ "enum": ["pid", "proc"] }, variable()] } },
        { "type": "null" },
    ] });
    RequireContainment: json!({ "anyOf": [{ "enum": ["any", "kernel"] }, variable()] });
    LogEvents: json!({ "anyOf": [{ "enum": ["none", "journald", "syslog"] }, variable()] });
    Overlap: json!({ "anyOf": [{ "enum": ["skip", "queue", "replace"] }, variable()] });
    Missed: json!({ "anyOf": [{ "enum": ["skip", "run"] }, variable()] });
    ScheduledAction: json!({ "anyOf": [{ "enum": ["run", "restart"] }, variable()] });
    WatchAction: json!({ "anyOf": [{ "enum": ["restart", "signal", "run"] }, variable()] });
    WatchPaths: json!({ "anyOf": [
        { "type": "boolean" },
        { "type": "string", "pattern": "\\S" },
        { "type": "array", "minItems": 1, "items": { "type": "string" } },
    ] });
    OnDaemonLoss: json!({ "anyOf": [{ "enum": ["stop", "keep"] }, variable()] });
    OnEscape: json!({ "anyOf": [{ "enum": ["kill", "report"] }, variable()] });
    Test: json!({ "anyOf": [
        { "type": "string", "pattern": "\\S" },
        { "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] } },
    ] });
    Pairs: json!({ "anyOf": [
        { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
        { "type": "array", "items": { "type": "string" } },
        { "type": "null" },
    ] });
    Ports: json!({ "anyOf": [
        {
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_-]+$" },
            "additionalProperties": { "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "const": "auto" },
                { "type": "string", "pattern": "\\$" },
            ] },
        },
        { "type": "array", "items": { "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string", "pattern": "\\$" }] } },
        { "type": "null" },
    ] });
}

//! `readiness`, `liveness`, `hang` and `healthcheck`.

use schemars::JsonSchema;

use super::Exec;
use crate::schema::values::{Boolean, Count, Duration, HangAction, LivenessAction, PortOrName, Test};

/// Exactly one of `exec`, `http_get`, `tcp`, `log_line`, `notify`, `file`, and its pace.
#[derive(JsonSchema)]
pub(in crate::schema) struct Readiness {
    /// Ready when this command ends with 0.
    exec: Exec,
    /// Ready when a GET answers 200 to 399.
    http_get: HttpGetOrUrl,
    /// Ready when a connection is accepted: a port, the name of one, `host:port`, or both apart.
    tcp: TcpOrPort,
    /// Ready when a line of its output matches this regular expression.
    log_line: String,
    /// Ready when it sends `READY=1` to the socket named in `NOTIFY_SOCKET`.
    notify: Boolean,
    /// Ready when this path exists, relative to its `working_dir`.
    file: String,
    /// Pause between attempts while not ready. Default 250ms.
    interval: Duration,
    /// Pause between attempts once ready. Default 10s.
    ready_interval: Duration,
    /// Longest time one attempt may take. Default 1s.
    timeout: Duration,
    /// Pause before the first attempt. Default 0s.
    initial_delay: Duration,
    /// Successes in a row that make it ready. Default 1.
    success_threshold: Count,
    /// Failures in a row that make a ready one unhealthy. Default 3.
    failure_threshold: Count,
}

/// Exactly one of `exec`, `http_get`, `tcp`, `file`, `heartbeat`, `watchdog`, `log_silence`, its pace, and what follows.
#[derive(JsonSchema)]
pub(in crate::schema) struct Liveness {
    /// Alive when this command ends with 0.
    exec: Exec,
    /// Alive when a GET answers 200 to 399.
    http_get: HttpGetOrUrl,
    /// Alive when a connection is accepted: a port, the name of one, `host:port`, or both apart.
    tcp: TcpOrPort,
    /// Alive while this path exists, relative to its `working_dir`.
    file: String,
    /// Alive while this file is modified again and again.
    heartbeat: HeartbeatOrPath,
    /// Alive while it sends `WATCHDOG=1` to the socket named in `NOTIFY_SOCKET` at least this often.
    watchdog: Duration,
    /// Alive while it writes something to its output at least this often.
    log_silence: Duration,
    /// Pause between two looks, varied by a tenth. Default 3s.
    interval: Duration,
    /// Longest time one look may take. Default 1s.
    timeout: Duration,
    /// Pause before the first look, after it is ready. Default 0s.
    initial_delay: Duration,
    /// Successes in a row after which one that failed is well again. Default 1.
    success_threshold: Count,
    /// Failures in a row after which it counts as failed. Default 3.
    failure_threshold: Count,
    /// `restart` (the default): it is stopped, which counts as a failure, and `restart` says what follows. `stop`: the service is
    /// stopped. `warn`: it is unhealthy, and nothing more.
    action: LivenessAction,
}

/// A path, or one with its time.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum HeartbeatOrPath {
    Path(String),
    Parts(Heartbeat),
}

/// A file that is modified again and again.
#[derive(JsonSchema)]
pub(in crate::schema) struct Heartbeat {
    /// Relative to the `working_dir`.
    file: String,
    /// The oldest it may be. Default 30s.
    max_age: Duration,
}

/// How long, or that with what follows.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum HangOrTime {
    Time(Duration),
    Parts(Hang),
}

/// When silence counts as a hang.
#[derive(JsonSchema)]
pub(in crate::schema) struct Hang {
    /// How long it may be silent, at least 1s.
    after: Duration,
    /// `warn` (the default): it is unhealthy. `event`: it is told and nothing more. `restart`: it is stopped, which counts as a
    /// failure, and `restart` says what follows. `stop`: the service is stopped.
    action: HangAction,
}

/// A URL that begins with `http://`, or its parts.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum HttpGetOrUrl {
    Url(String),
    Parts(HttpGet),
}

/// The parts of a URL.
#[derive(JsonSchema)]
pub(in crate::schema) struct HttpGet {
    /// Default 127.0.0.1.
    host: String,
    /// A number, or a name from `ports`.
    port: PortOrName,
    /// Path with its query. Default `/`.
    path: String,
    /// Only `http` for now.
    scheme: String,
}

/// A port, or one with its host.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum TcpOrPort {
    Port(PortOrName),
    Parts(Tcp),
}

/// A host and a port.
#[derive(JsonSchema)]
pub(in crate::schema) struct Tcp {
    /// Default 127.0.0.1.
    host: String,
    /// A number, or a name from `ports`.
    port: PortOrName,
}

/// Compose's health check: asked every `start_interval` until it is ready, then every `interval`.
#[derive(JsonSchema)]
pub(in crate::schema) struct Healthcheck {
    /// A string for the shell, or a list that begins with `CMD`, `CMD-SHELL` or `NONE`.
    test: Test,
    /// Pause between attempts once ready. Default 30s.
    interval: Duration,
    /// Longest time one attempt may take. Default 30s.
    timeout: Duration,
    /// Failures in a row that make a ready one unhealthy. Default 3.
    retries: Count,
    /// The start may take at least this long: raises the default of `start_timeout`.
    start_period: Duration,
    /// Pause between attempts while not ready. Default 250ms.
    start_interval: Duration,
    /// `true`: as if it were not there.
    disable: Boolean,
}

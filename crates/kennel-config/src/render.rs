//! The resolved model as a configuration again: what `kennel config` prints.
//!
//! Loaded again, it gives the same project: variables, aliases and relative paths are gone, every default is spelled
//! out, and a `$` is written `$$`.

use std::path::Path;

use kennel_core::liveness::{Check, Hang, Liveness, Remedy};
use kennel_core::model::{
    Condition, Dependency, LogEvents, OnDaemonLoss, OnEscape, Probe, ProbeKind, Project, RequireContainment,
    RestartMode, RestartPolicy, Service, StopStage, StopStep, Target,
};
use kennel_core::ports::{self, AUTO};
use serde_json::{Map, Value, json};

use crate::{duration, isolation, limits, logs, notify, privileges, rules, schedule, signal, watch, webhooks};

/// The project in the shape of the file, keys in a fixed order and services in the file's order.
#[must_use]
pub fn render(project: &Project) -> Value {
    let services = project.services.iter();
    let services: Map<_, _> = services.map(|(name, service)| (name.clone(), render_service(service))).collect();
    let require = match project.require_containment {
        RequireContainment::Any => "any",
        RequireContainment::Kernel => "kernel",
    };
    let log_events = match project.log_events {
        LogEvents::None => "none",
        LogEvents::Journald => "journald",
        LogEvents::Syslog => "syslog",
    };
    let name = text(&project.name);
    let mut file = json!({ "name": name, "require_containment": require, "log_events": log_events });
    if let Some(sampling) = &project.sampling {
        file["sampling"] = json!({ "interval": duration::format(sampling.interval) });
    }
    if let Some(logs) = logs::rendered_project(&project.logs) {
        file["logs"] = logs;
    }
    file["rules"] = rules::rendered_project(&project.rules);
    if let limits @ Value::Object(_) = limits::rendered(&project.limits) {
        file["limits"] = limits;
    }
    file["storm_brake"] = rules::rendered_brake(&project.storm_brake);
    if !project.webhooks.is_empty() {
        file["webhooks"] = webhooks::rendered(&project.webhooks);
    }
    if let Some(notify) = notify::rendered(&project.notify) {
        file["notify"] = notify;
    }
    file["services"] = Value::Object(services);
    file
}

/// One service in the shape of the file, for whoever may look at it: of its environment there are the names alone, as a list.
#[must_use]
pub fn render_without_environment(service: &Service) -> Value {
    let mut settings = render_service(service);
    if !service.environment.is_empty() {
        settings["environment"] = service.environment.keys().map(|name| json!(name)).collect();
    }
    settings
}

/// The same as YAML text that ends with a line break.
#[must_use]
pub fn render_yaml(project: &Project) -> String {
    yaml_of(&render(project))
}

/// A document in the shape of the file as YAML text.
pub(crate) fn yaml_of(document: &Value) -> String {
    let mut out = String::new();
    block(document, 0, &mut out);
    out
}

fn render_service(service: &Service) -> Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            // An empty `stop` means the kill at once; other empty lists mean nothing.
            Value::Array(items) => items.is_empty() && name != "stop",
            _ => false,
        };
        if !empty {
            map.insert(name.to_owned(), value);
        }
    };
    put("command", texts(&service.command));
    put("working_dir", path(&service.working_dir));
    put("environment", service.environment.iter().map(|(k, v)| (k.clone(), text(v))).collect());
    put("depends_on", service.depends_on.iter().map(|edge| (edge.service.clone(), dependency(edge))).collect());
    put("restart", json!(restart(service.restart)));
    put("restart_policy", policy(&service.restart_policy));
    put("readiness", service.readiness.as_ref().map_or(Value::Null, probe));
    put("liveness", service.liveness.as_ref().map_or(Value::Null, liveness));
    put("hang", service.hang.as_ref().map_or(Value::Null, hang));
    put("start_timeout", json!(duration::format(service.start_timeout)));
    put("stop", service.stop.iter().map(stage).collect());
    put("success_exit_codes", json!(service.success_exit_codes));
    let port = |port: &u16| if *port == AUTO { json!("auto") } else { json!(port) };
    put("ports", service.ports.iter().map(|(name, number)| (name.clone(), port(number))).collect());
    put("replicas", json!(service.replicas));
    put("user", service.user.as_deref().map_or(Value::Null, text));
    put("group", service.group.as_deref().map_or(Value::Null, text));
    put("umask", service.umask.map_or(Value::Null, |mask| json!(format!("{mask:03o}"))));
    for (name, value) in privileges::rendered(&service.privileges) {
        put(name, value);
    }
    put("limits", limits::rendered(&service.limits));
    put("isolation", isolation::rendered(service.isolation));
    put(
        "on_daemon_loss",
        match service.on_daemon_loss {
            OnDaemonLoss::Stop => json!("stop"),
            OnDaemonLoss::Keep => json!("keep"),
        },
    );
    put(
        "on_escape",
        match service.on_escape {
            OnEscape::Kill => json!("kill"),
            OnEscape::Report => json!("report"),
        },
    );
    let limit = |limit: Option<std::time::Duration>| limit.map_or(Value::Null, |time| json!(duration::format(time)));
    put("max_runtime", limit(service.max_runtime));
    put("idle_timeout", limit(service.idle_timeout));
    put("watch", service.watch.as_ref().map_or(Value::Null, watch::rendered));
    put("schedule", service.schedule.as_ref().map_or(Value::Null, schedule::rendered));
    put("rules", rules::rendered_service(&service.rules, &service.limits));
    put("dedicated_user", if service.privileges.dedicated_user { json!(true) } else { Value::Null });
    put("profiles", texts(&service.profiles));
    put("labels", service.labels.iter().map(|(k, v)| (k.clone(), text(v))).collect());
    put("color", service.color.as_deref().map_or(Value::Null, text));
    put("logs", logs::rendered(&service.logs));
    Value::Object(map)
}

fn text(text: &str) -> Value {
    Value::String(escaped(text))
}

/// With each `$` as `$$`, but where it begins the number of a port.
pub(crate) fn escaped(text: &str) -> String {
    const BEGIN: &str = "${ports.";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let inside = after.strip_prefix(BEGIN).and_then(|inside| inside.split_once('}'));
        match inside.filter(|(inside, _)| ports::reference(inside).is_some()) {
            Some((inside, next)) => {
                out.push_str(&format!("{BEGIN}{inside}}}"));
                rest = next;
            }
            None => {
                out.push_str("$$");
                rest = &after[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The port of a probe, by its name where kennel chooses it.
fn asked(port: u16, auto: &Option<String>) -> Value {
    auto.as_ref().map_or_else(|| json!(port), |name| json!(name))
}

fn texts(list: &[String]) -> Value {
    list.iter().map(|item| text(item)).collect()
}

/// Paths came out of text, so nothing is lost here.
fn path(path: &Path) -> Value {
    text(&path.to_string_lossy())
}

fn dependency(edge: &Dependency) -> Value {
    match edge.restart {
        true => json!({ "condition": condition(edge.condition), "restart": true }),
        false => json!({ "condition": condition(edge.condition) }),
    }
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::Completed => "completed",
        Condition::CompletedSuccessfully => "completed_successfully",
    }
}

fn restart(mode: RestartMode) -> &'static str {
    match mode {
        RestartMode::No => "no",
        RestartMode::OnFailure => "on-failure",
        RestartMode::Always => "always",
        RestartMode::UnlessStopped => "unless-stopped",
    }
}

fn policy(policy: &RestartPolicy) -> Value {
    json!({
        "delay": duration::format(policy.delay),
        "factor": policy.factor,
        "max_delay": duration::format(policy.max_delay),
        "jitter": policy.jitter,
        "reset_after": duration::format(policy.reset_after),
        "max_restarts": policy.max_restarts,
        "window": duration::format(policy.window),
    })
}

fn probe(probe: &Probe) -> Value {
    let (name, value) = ask(&probe.kind);
    let mut map = Map::new();
    map.insert(name.to_owned(), value);
    map.insert("interval".to_owned(), json!(duration::format(probe.interval)));
    map.insert("ready_interval".to_owned(), json!(duration::format(probe.ready_interval)));
    map.insert("timeout".to_owned(), json!(duration::format(probe.timeout)));
    map.insert("initial_delay".to_owned(), json!(duration::format(probe.initial_delay)));
    map.insert("success_threshold".to_owned(), json!(probe.success_threshold));
    map.insert("failure_threshold".to_owned(), json!(probe.failure_threshold));
    Value::Object(map)
}

fn ask(kind: &ProbeKind) -> (&'static str, Value) {
    match kind {
        ProbeKind::Exec(command) => ("exec", texts(command)),
        ProbeKind::HttpGet { host, port, path, auto } => {
            ("http_get", json!({ "host": host, "port": asked(*port, auto), "path": text(path) }))
        }
        ProbeKind::Tcp { host, port, auto } => ("tcp", json!({ "host": host, "port": asked(*port, auto) })),
        ProbeKind::LogLine(pattern) => ("log_line", text(pattern)),
        ProbeKind::Notify => ("notify", json!(true)),
        ProbeKind::File(file) => ("file", path(file)),
    }
}

fn liveness(liveness: &Liveness) -> Value {
    let (name, value) = match &liveness.check {
        Check::Ask(kind) => ask(kind),
        Check::Heartbeat { file, max_age } => {
            ("heartbeat", json!({ "file": path(file), "max_age": duration::format(*max_age) }))
        }
        Check::Watchdog(patience) => ("watchdog", json!(duration::format(*patience))),
        Check::LogSilence(patience) => ("log_silence", json!(duration::format(*patience))),
    };
    let mut map = Map::new();
    map.insert(name.to_owned(), value);
    map.insert("interval".to_owned(), json!(duration::format(liveness.interval)));
    map.insert("timeout".to_owned(), json!(duration::format(liveness.timeout)));
    map.insert("initial_delay".to_owned(), json!(duration::format(liveness.initial_delay)));
    map.insert("success_threshold".to_owned(), json!(liveness.success_threshold));
    map.insert("failure_threshold".to_owned(), json!(liveness.failure_threshold));
    map.insert("action".to_owned(), json!(remedy(liveness.action)));
    Value::Object(map)
}

fn hang(hang: &Hang) -> Value {
    json!({ "after": duration::format(hang.after), "action": remedy(hang.action) })
}

fn remedy(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Event => "event",
        Remedy::Warn => "warn",
        Remedy::Restart => "restart",
        Remedy::Stop => "stop",
    }
}

fn stage(stage: &StopStage) -> Value {
    let wait = duration::format(stage.wait);
    match &stage.step {
        StopStep::Signal { signal, target } => {
            let target = match target {
                Target::Scope => "scope",
                Target::Main => "main",
            };
            json!({ "signal": signal::name(*signal), "target": target, "wait": wait })
        }
        StopStep::Command(command) => json!({ "command": texts(command), "wait": wait }),
    }
}

/// Writes a mapping or list as an indented block, with everything short on one line.
fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("{indent}{}:", scalar(key)));
                let begin = out.len();
                inner(value, depth, out);
                // Services are the paragraphs of the text.
                let is_long = out[begin..].lines().count() > 1;
                if depth == 1 && is_long && map.keys().next_back() != Some(key) {
                    out.push('\n');
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                inner(item, depth, out);
            }
        }
        value => out.push_str(&format!("{indent}{}\n", flow(value))),
    }
}

fn inner(value: &Value, depth: usize, out: &mut String) {
    let nested = |value: &Value| value.is_array() || value.is_object();
    let deep = match value {
        Value::Object(map) => map.values().any(nested),
        Value::Array(items) => items.iter().any(nested),
        _ => false,
    };
    let line = flow(value);
    if deep || (nested(value) && line.chars().count() > 80) {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push_str(&format!(" {line}\n"));
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A string as it is where no reader of YAML, old or new, takes it for something else; in JSON's quotes elsewhere.
fn scalar(text: &str) -> String {
    const TAKEN: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '$' | '+');
    let first = text.trim_start_matches('-').chars().next();
    let starts = first.is_some_and(|c| c.is_ascii_alphabetic())
        || text.starts_with(['_', '/'])
        || text.starts_with("./")
        || text.starts_with("../");
    let is_word = starts && text.chars().all(plain) && !TAKEN.contains(&&*text.to_ascii_lowercase());
    // Durations begin with a digit and are no number in any version.
    let is_duration = duration::parse(text).is_some();
    if is_word || is_duration { text.to_owned() } else { quoted(text) }
}

/// JSON's quoting, plus what YAML does not take unescaped in double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

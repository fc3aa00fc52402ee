//! The schema lets through what loads.

use kennel_config::{render, schema, template};
use regex::Regex;
use serde_json::Value;

use crate::yaml;

/// Checks `value` against the few keywords that the schema uses; the path of the first mismatch, if any.
fn check(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return Ok(());
    };
    for (keyword, argument) in keywords {
        let each = |list: &Value| -> Vec<Result<(), String>> {
            list.as_array().unwrap().iter().map(|one| check(root, one, value, path)).collect()
        };
        let fine = match keyword.as_str() {
            "$ref" => {
                let name = argument.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                check(root, &root["definitions"][name], value, path)?;
                true
            }
            "allOf" => each(argument).into_iter().collect::<Result<Vec<()>, _>>().map(|_| true)?,
            "anyOf" => each(argument).iter().any(Result::is_ok),
            "type" => match argument {
                Value::Array(types) => types.iter().any(|one| is_type(one.as_str().unwrap(), value)),
                one => is_type(one.as_str().unwrap(), value),
            },
            "enum" => argument.as_array().unwrap().contains(value),
            "const" => argument == value,
            "pattern" => {
                let pattern = Regex::new(argument.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap()),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, argument, item, &format!("{path}[]"))?;
                }
                true
            }
            "required" => value.as_object().is_none_or(|map| {
                argument.as_array().unwrap().iter().all(|name| map.contains_key(name.as_str().unwrap()))
            }),
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(|map| map.keys()) {
                    check(root, argument, &Value::String(name.clone()), path)?;
                }
                true
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    check(root, &argument[name], inner, &format!("{path}.{name}"))?;
                }
                true
            }
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    let known = keywords.get("properties").is_some_and(|all| all.get(name).is_some());
                    let free = keywords.contains_key("patternProperties") && name.starts_with("x-");
                    if !known && !free {
                        if argument == &Value::Bool(false) {
                            return Err(format!("{path}.{name} is not known"));
                        }
                        check(root, argument, inner, &format!("{path}.{name}"))?;
                    }
                }
                true
            }
            "patternProperties" | "definitions" | "title" | "description" | "examples" | "$schema" => true,
            other => panic!("the schema uses `{other}`, which this test does not know"),
        };
        if !fine {
            return Err(format!("{path}: {value} against {keyword} {argument}"));
        }
    }
    Ok(())
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("unknown type {other}"),
    }
}

fn accepts(text: &str) -> Result<(), String> {
    let schema = schema();
    check(&schema, &schema, &serde_json::from_str(text).unwrap(), "")
}

/// Every key, every alias and every form, each in a service of its own: what loads must be accepted.
#[test]
fn whatever_loads_is_accepted() {
    let forms = [
        r#""command": ["x", 1, true]"#,
        r#""command": "x | y", "shell": true"#,
        r#""command": "x", "shell": "bash -e""#,
        r#""cwd": "a", "env": {"A": 1, "B": null, "C": true, "D": "x"}"#,
        r#""directory": "a", "environment": ["A=1", "HOME"]"#,
        r#""dir": "${HOME}", "env_file": []"#,
        r#""env_file": [{"path": "no", "required": false}]"#,
        r#""env_file": {"path": "no", "required": "no"}"#,
        r#""depends_on": ["db"]"#,
        r#""depends_on": {"db": "service_healthy"}"#,
        r#""depends_on": {"db": null}"#,
        r#""depends_on": {"db": {"condition": "process_log_ready", "restart": false, "required": true}}"#,
        r#""depends_on": null, "environment": null, "labels": null, "profiles": null, "ports": null"#,
        r#""restart": false"#,
        r#""restart": "on_failure:5""#,
        r#""restart": "off""#,
        r#""restart_policy": {"backoff_seconds": 1.5, "factor": 2, "max_attempts": 3, "window_seconds": 3, "jitter": 0.5}"#,
        r#""restart_policy": {"delay": "0s", "max_delay_seconds": "5s", "reset_after": "1m30s", "max_restarts": 0}"#,
        r#""readiness": {"exec": {"command": "a", "shell": "yes"}, "period_seconds": 3}"#,
        r#""readiness": {"exec": ["a"], "period": "3s", "retries": 4}"#,
        r#""readiness_probe": {"http_get": {"host": "h", "port": "8080", "path": "/", "scheme": "HTTP"}, "timeout_seconds": 1}"#,
        r#""readiness": {"http": "http://127.0.0.1:1/x", "initial_delay_seconds": 1, "success_threshold": 1}"#,
        r#""readiness": {"tcp": 1, "failure_threshold": 2, "ready_interval": "1s"}"#,
        r#""readiness": {"tcp_socket": {"port": 1}, "interval_seconds": 1, "ready_interval_seconds": 2}"#,
        r#""readiness": {"log_line": "x"}"#,
        r#""readiness": {"notify": true}"#,
        r#""readiness": {"file": "x", "x-note": 1}"#,
        r#""healthcheck": {"test": "a || b", "interval": "1s", "timeout": "1s", "retries": 3, "start_period": "1s", "start_interval": "1s"}"#,
        r#""healthcheck": {"test": ["CMD", "a"], "disable": true}"#,
        r#""start_timeout": "1m", "stop_signal": "SIGRTMIN+3", "stop_grace_period": "1.5s""#,
        r#""start_timeout_seconds": 3, "stop_signal": 15, "stop_grace_period_seconds": 3, "kill_mode": "control_group""#,
        r#""stop": [{"signal": "usr1", "wait": "1s", "target": "main"}, {"command": "x y", "shell": false, "wait_seconds": 1}, "INT", 3]"#,
        r#""success_exit_codes": [1, 2], "ports": {"a": 1, "b": "${PORT}"}, "replicas": 3"#,
        r#""success_exit_codes": 1, "ports": [2], "scale": "${NO:-3}", "user": 0, "group": "x""#,
        r#""instances": 2, "user": "a:b", "umask": "022", "on_daemon_loss": "stop", "profiles": "x", "colour": "Bright_Red""#,
        r#""max_runtime": "4h", "idle_timeout": "${NO:-30m}""#,
        r#""liveness": {"exec": {"command": "a", "shell": "yes"}, "period_seconds": 3, "action": "warn"}, "hang": "2m""#,
        r#""liveness_probe": {"http": "http://127.0.0.1:1/x", "retries": 3, "success_threshold": 2}, "hang": {"after": "${NO:-3s}", "action": "event"}"#,
        r#""liveness": {"tcp_socket": {"port": 1}, "timeout_seconds": 1, "action": "${NO:-stop}"}, "hang": {"after_seconds": 3, "action": "restart"}"#,
        r#""liveness": {"heartbeat": "a", "initial_delay": "1s"}"#,
        r#""liveness": {"heartbeat": {"path": "a", "max_age_seconds": 3}, "interval": "1s"}"#,
        r#""liveness": {"watchdog_seconds": 3}"#,
        r#""liveness": {"log_silence": "5m", "failure_threshold": 1}"#,
        r#""liveness": {"file": "run/alive"}"#,
        r#""max_runtime_seconds": 3, "idle_timeout_seconds": 2"#,
        r#""watch": true, "schedule": "0 3 * * *", "max_runtime": "1h""#,
        r#""watch": ["src", "*.toml"]"#,
        r#""ports": {"http": "auto", "b": 3}, "readiness": {"tcp": "http"}, "environment": {"A": "${ports.http}"}"#,
        r#""watch": {"path": "src", "exclude": "*.md", "delay": "1s", "action": "signal", "signal": "HUP"}"#,
        r#""watch": {"paths": ["a"], "ignore": ["b/", "!c"], "debounce_seconds": 1, "command": "make x", "shell": true}"#,
        r#""limits": {"memory": "512MiB", "swap": 0, "pids": 100, "cpus": 1.5, "io_read": "10 MiB/s", "action": "freeze"}"#,
        r#""mem_limit": "512m", "cpus": "0.5", "pids_limit": -1"#,
        r#""deploy": {"resources": {"limits": {"memory": 100000000, "cpus": "1.50", "pids": 10}}}"#,
        r#""schedule": {"cron": "@daily", "tz": "UTC", "overlap": "queue", "missed": "run", "action": "restart"}"#,
        r#""schedule": {"interval_seconds": 90, "overlap": "${NO:-skip}"}"#,
        r#""logs": {"max_size": "2 GiB", "max_age": "7d", "segment_size": "1MiB", "compress": "no", "on_full": "stop"}"#,
        r#""logs": {"path": "a.log", "to": ["journald"]}"#,
        r#""logs": {"to": "journald"}"#,
        r#""logs": {"max_size": "${NO:-64MiB}", "on_full": "${NO:-block}"}"#,
        r#""rules": {"a": {"processes": 3, "for": "1s", "cooldown": "1m", "predict": "off"}, "b": {"cpu": "90%", "action": "stop"}}"#,
        r#""rules": {"a": {"pids": "${NO:-3}", "ladder": ["warn", {"action": "freeze", "after": "1s"}]}, "b": {"memory": "1.5 GiB"}}"#,
        r#""rules": {"a": {"log_rate": "1MB/s"}, "b": {"write_rate": "1MiB/s"}, "c": {"written": "1GiB"}, "d": {"forks": 0.5}, "e": {"cpu": 1.5}}"#,
        r#""rules": null"#,
        r#""on_escape": "report", "dedicated_user": true, "user": "x""#,
        r##""labels": {"a": 1}, "color": "#ffFF00", "profiles": ["x"], "umask": "0o22", "x-mine": [1]"##,
        r#""isolation": ["pid", "proc"], "user": "a""#,
        r#""isolation": "none""#,
        r#""isolation": "${NO:-pid}""#,
        r#""no_new_privileges": true, "cap_drop": ["ALL"], "cap_add": ["cap_net_raw", "${NO:-KILL}"], "nice": -5, "cpuset": "0-3,6""#,
        r#""security_opt": ["no-new-privileges:true"], "cap_drop": "all", "cap_add": null, "cpu_affinity": [0, "1-2"]"#,
        r#""ulimits": {"nofile": {"soft": 1, "hard": "unlimited"}, "core": 0, "as": -1, "cpu": "${NO:-5}"}, "io_priority": "idle""#,
        r#""ulimits": null, "io_priority": "best_effort:7", "oom_score_adjust": -1000, "cpu_affinity": 1"#,
        r#""io_priority": "realtime", "oom_score_adj": 1000, "nice": "${NO:-3}", "no_new_privileges": "off""#,
        r#""labels": ["a=b"], "start_timeout": "${NO:-1s}", "kill_mode": "mixed""#,
    ];
    for form in forms {
        let command = if form.contains("\"command\": [\"x\", 1") || form.starts_with("\"command\": \"x") {
            ""
        } else {
            "\"command\": \"run\", "
        };
        let text = format!(
            r#"{{ "version": 3, "name": "n", "x-a": 1, "rules": {{"stack-memory": "off"}}, "storm_brake": {{"restarts": 3, "window": "1s"}}, "webhooks": {{"a": "https://a/b", "b": {{"url": "${{NO:-http://a}}", "events": "*", "secret": "env:A", "headers": {{"x": 1}}, "timeout": "1s", "retries": 3, "max_age": "1h", "ca_file": "c"}}}}, "notify": {{"desktop": {{"events": "*", "services": ["one"]}}}}, "processes": {{ "one": {{ {command}{form} }}, "db": {{ "command": "x", "readiness": {{ "log_line": "x" }} }} }} }}"#
        );
        yaml(&text);
        accepts(&text).unwrap_or_else(|mismatch| panic!("{form}: {mismatch}"));
    }
}

#[test]
fn mistakes_are_refused() {
    for form in [
        r#""comand": "x""#,
        r#""command": """#,
        r#""command": "x", "restart": "sometimes""#,
        r#""command": "x", "replicas": 0"#,
        r#""command": "x", "start_timeout": 10"#,
        r#""command": "x", "readiness": {"intervall": "1s"}"#,
        r#""command": "x", "ports": {"a": 70000}"#,
        r#""command": "x", "ulimits": {"nofiles": 3}"#,
        r#""command": "x", "ulimits": {"nofile": {"soft": 3, "max": 4}}"#,
        r#""command": "x", "watch": {"paths": []}"#,
        r#""command": "x", "watch": {"action": "reload"}"#,
        r#""command": "x", "schedule": {"evry": "1s"}"#,
        r#""command": "x", "limits": {"memory": 512}"#,
        r#""command": "x", "limits": {"log_rate": "1MiB"}"#,
        r#""command": "x", "schedule": {"every": "1s", "overlap": "wait"}"#,
        r#""command": "x", "logs": {"on_full": "wait"}"#,
        r#""command": "x", "logs": {"to": ["stdout"]}"#,
        r#""command": "x", "logs": {"max_size": 5}"#,
        r#""command": "x", "rules": {"a": {"processes": 3, "action": "explode"}}"#,
        r#""command": "x", "rules": {"a": {"memory": 512}}"#,
        r#""command": "x", "nice": 20"#,
        r#""command": "x", "io_priority": "best-effort:8""#,
        r#""command": "x", "cpu_affinity": "a""#,
        r#""command": "x", "depends_on": {"a": {"condition": "helthy"}}"#,
    ] {
        assert!(accepts(&format!(r#"{{ "services": {{ "one": {{ {form} }} }} }}"#)).is_err(), "{form}");
    }
    assert!(accepts("{}").is_err());
    assert!(accepts(r#"{ "services": { "a.b": { "command": "x" } } }"#).is_err());
}

#[test]
fn what_config_prints_is_accepted() {
    let schema = schema();
    let printed = render(&yaml(template()));
    check(&schema, &schema, &printed, "").unwrap();
}

/// Editors show nothing else.
#[test]
fn every_key_is_described() {
    let schema = schema();
    let definitions = schema["definitions"].as_object().unwrap().values();
    let mut keys = 0;
    for (name, key) in definitions.chain([&schema]).filter_map(|one| one["properties"].as_object()).flatten() {
        assert!(key["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        keys += 1;
    }
    assert!(keys > 80, "{keys}");
}

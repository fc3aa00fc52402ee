//! Keys that people bring from elsewhere, and what to say of them: more than "unknown key".

use crate::reader::Unknown;

const LATER: &[&str] = &[
    "hooks",
    "lease",
    "listen",
    "logging",
    "namespace",
    "notify",
    "owner",
    "secrets",
    "startup",
    "startup_probe",
    "stdin",
    "stdin_open",
    "stop_command",
    "tty",
    "type",
];

const CONTAINER: &[&str] = &[
    "build",
    "container_name",
    "devices",
    "dns",
    "expose",
    "extra_hosts",
    "hostname",
    "image",
    "links",
    "network_mode",
    "networks",
    "platform",
    "privileged",
    "pull_policy",
    "shm_size",
    "tmpfs",
    "volumes",
];

const ELSEWHERE: &[(&str, &str)] = &[
    ("availability", "use `restart` and `restart_policy`"),
    ("autorestart", "use `restart`"),
    ("args", "put the arguments into `command`"),
    ("backoff_seconds", "it is `delay` under `restart_policy`"),
    ("develop", "use `watch`"),
    ("disabled", "use `profiles`"),
    ("entrypoint", "use `command`"),
    ("exec", "use `command`"),
    ("ignore_watch", "it is `ignore` under `watch`"),
    ("ionice", "use `io_priority`"),
    ("kill_timeout", "use `stop_grace_period`, with its unit"),
    ("max_restarts", "it belongs under `restart_policy`"),
    ("numprocs", "use `replicas`"),
    ("port", "use `ports`, for example `ports: { http: 8080 }`"),
    ("rlimits", "use `ulimits`"),
    ("run", "use `command`"),
    ("script", "use `command`"),
    ("shutdown", "use `stop_signal` and `stop_grace_period`, or `stop`"),
    ("stop_timeout", "use `stop_grace_period`"),
    ("stopsignal", "use `stop_signal`"),
    ("stopwaitsecs", "use `stop_grace_period`, with its unit"),
];

/// A key of a service.
pub(crate) fn service(key: &str) -> Option<Unknown> {
    if LATER.contains(&key) {
        return Some(Unknown {
            code: "not_supported",
            message: "is not supported yet",
            help: "leave it out; this version of kennel would do nothing with it",
        });
    }
    if CONTAINER.contains(&key) {
        return Some(Unknown {
            code: "not_supported",
            message: "belongs to containers",
            help: "kennel runs programs of this machine; say what to run with `command`",
        });
    }
    let (_, help) = ELSEWHERE.iter().find(|(known, _)| *known == key)?;
    Some(Unknown { code: "unknown_key", message: "has another name in kennel", help })
}

/// A key of the whole file.
pub(crate) fn project(key: &str) -> Option<Unknown> {
    match key {
        "networks" | "volumes" | "configs" => Some(Unknown {
            code: "not_supported",
            message: "belongs to containers",
            help: "kennel runs programs of this machine",
        }),
        "include" | "secrets" | "environment" | "env_file" => Some(Unknown {
            code: "not_supported",
            message: "is not supported yet for the whole file",
            help: "leave it out, or share it between services with a YAML anchor under an `x-` key",
        }),
        "hooks" => Some(Unknown { code: "unknown_key", message: "has another name in kennel", help: "use `webhooks`" }),
        _ => None,
    }
}

//! What holds for every file: nothing panics, and what `kennel config` prints means what it was printed from.

use kennel_config::{render, render_yaml};
use proptest::prelude::*;

use crate::load_text;

/// Pieces of which files are made, right and wrong.
fn fragment() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "services",
        "processes",
        "web",
        "command",
        "shell",
        "env",
        "environment",
        "env_file",
        "depends_on",
        "restart",
        "restart_policy",
        "readiness",
        "healthcheck",
        "tcp",
        "http_get",
        "exec",
        "log_line",
        "stop",
        "stop_signal",
        "ports",
        "replicas",
        "umask",
        "user",
        "<<",
        "x-a",
        "name",
        "condition",
        "healthy",
        "true",
        "no",
        "~",
        "10s",
        "-1",
        "0o22",
        "1e400",
        "99999999999999999999",
        "${A",
        "${A:-${B}}",
        "$",
        "$$",
        "&a",
        "*a",
        "!!str",
        "!x",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "|",
        ">",
        "---",
        "...",
        "%YAML 1.2",
        "\t",
        "é",
        "\u{feff}",
        "\r\n",
        "=",
        " = ",
        "'''",
        "\"\"\"",
        "[services.a]",
        "[[services.a.stop]]",
        "?",
        "http://",
        "(",
        "0",
        ".inf",
        ".nan",
    ]);
    prop_oneof![8 => words.prop_map(str::to_owned), 1 => "\\PC{0,5}"]
}

fn soup() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..60).prop_map(|words| words.concat())
}

/// A service with one key and any small value: reaches the readers of keys more often than soup does.
fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        fragment().prop_map(|word| serde_json::to_string(&word).unwrap_or_default()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|value| value.to_string()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "command",
        "shell",
        "working_dir",
        "environment",
        "env_file",
        "depends_on",
        "restart",
        "restart_policy",
        "readiness",
        "healthcheck",
        "start_timeout",
        "stop_signal",
        "stop_grace_period",
        "stop",
        "kill_mode",
        "success_exit_codes",
        "ports",
        "replicas",
        "user",
        "group",
        "umask",
        "isolation",
        "no_new_privileges",
        "security_opt",
        "cap_drop",
        "cap_add",
        "ulimits",
        "nice",
        "cpuset",
        "io_priority",
        "oom_score_adj",
        "nofile",
        "soft",
        "on_daemon_loss",
        "on_escape",
        "max_runtime",
        "liveness",
        "heartbeat",
        "watchdog",
        "hang",
        "after",
        "action",
        "idle_timeout",
        "dedicated_user",
        "schedule",
        "watch",
        "paths",
        "ignore",
        "src/**/*.{a,b}",
        "cron",
        "every",
        "timezone",
        "overlap",
        "require_containment",
        "log_events",
        "logs",
        "max_size",
        "on_full",
        "rules",
        "storm_brake",
        "processes",
        "memory",
        "cpu",
        "ladder",
        "action",
        "after",
        "predict",
        "profiles",
        "labels",
        "color",
        "exec",
        "http_get",
        "tcp",
        "log_line",
        "notify",
        "file",
        "interval",
        "signal",
        "wait",
        "target",
        "host",
        "port",
        "path",
        "scheme",
        "test",
        "condition",
        "required",
        "delay",
        "factor",
        "max_restarts",
        "a",
    ])
}

/// Text as services may carry it, with everything that quoting and variables could trip over.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z./-]{1,8}",
        "[ -~]{1,12}",
        "[\\PC\n\t\u{85}\u{2028}\u{feff}$\"'\\\\#:{}]{1,10}",
        prop::sample::select(vec!["no", "true", "null", "1.10", "0x1f", "~", "", "<<", "${HOME:-x}"])
            .prop_map(str::to_owned),
    ]
}

fn json(text: &str) -> String {
    serde_json::to_string(&text.replace('$', "$$")).unwrap_or_default()
}

/// All keys of rights, limits and priorities.
fn privileges() -> impl Strategy<Value = String> {
    let names = |names: Vec<&'static str>| prop::collection::vec(prop::sample::select(names), 0..4);
    let capabilities = || names(vec!["ALL", "KILL", "CAP_NET_RAW", "sys_admin", "CHECKPOINT_RESTORE"]);
    let limit = prop_oneof![any::<u32>().prop_map(|number| number.to_string()), Just("\"unlimited\"".to_owned())];
    let io = prop::sample::select(vec!["idle", "best-effort", "realtime:0", "best_effort:7"]);
    let cpus = prop::collection::vec(0_u32..8192, 0..5);
    (capabilities(), capabilities(), (-20_i32..20, -1000_i32..=1000), limit, io, (cpus, any::<bool>())).prop_map(
        |(dropped, added, (nice, score), limit, io, (cpus, strict))| {
            format!(
                "\"cap_drop\":{dropped:?},\"cap_add\":{added:?},\"nice\":{nice},\"oom_score_adj\":{score},\
                 \"ulimits\":{{\"core\":{limit},\"as\":{{\"soft\":7,\"hard\":\"unlimited\"}}}},\"io_priority\":\"{io}\",\
                 \"cpuset\":{cpus:?},\"no_new_privileges\":{strict}"
            )
        },
    )
}

/// One service with a random choice of keys, all of them right, as JSON with `$` escaped.
fn good_service() -> impl Strategy<Value = String> {
    let texts = || prop::collection::vec(text(), 1..4);
    let list = |items: Vec<String>| items.iter().map(|item| json(item)).collect::<Vec<_>>().join(",");
    let command =
        texts().prop_map(move |items| format!("\"command\":[{}]", list([vec!["run".to_owned()], items].concat())));
    let duration = (0_u64..100_000).prop_map(|number| format!("{number}ms"));
    let optional = vec![
        texts().prop_map(|items| {
            let pairs: Vec<_> = items.iter().enumerate().map(|(at, item)| format!("\"V{at}\":{}", json(item))).collect();
            format!("\"environment\":{{{}}}", pairs.join(","))
        }).boxed(),
        text().prop_map(|text| format!("\"labels\":{{\"a b\":{}}}", json(&text))).boxed(),
        prop::sample::select(vec!["no", "on-failure", "always", "unless-stopped", "on-failure:9"])
            .prop_map(|word| format!("\"restart\":\"{word}\"")).boxed(),
        (duration.clone(), 1.0_f64..50.0, 0.0_f64..1.0, duration.clone())
            .prop_map(|(delay, factor, jitter, reset)| format!(
                "\"restart_policy\":{{\"delay\":\"{delay}\",\"max_delay\":\"200s\",\"factor\":{factor},\"jitter\":{jitter},\"reset_after\":\"{reset}\"}}"
            )).boxed(),
        prop_oneof![
            texts().prop_map(move |items| format!("\"exec\":[{}]", list([vec!["c".to_owned()], items].concat()))),
            (1_u16..).prop_map(|port| format!("\"tcp\":{port}")),
            (1_u16..).prop_map(|port| format!("\"http_get\":\"http://[::1]:{port}/a?b=$$c\"")),
            Just("\"log_line\":\"^up$$\"".to_owned()),
            Just("\"notify\":true".to_owned()),
            Just("\"file\":\"run/$$x\"".to_owned()),
        ].prop_flat_map(|kind| (Just(kind), 1_u32..99, 1_u32..9_999))
            .prop_map(|(kind, count, interval)| format!(
                "\"readiness\":{{{kind},\"failure_threshold\":{count},\"interval\":\"{interval}ms\"}}"
            )).boxed(),
        prop_oneof![
            Just("\"exec\":[\"c\",\"$$x\"]".to_owned()),
            (1_u16..).prop_map(|port| format!("\"tcp\":{port}")),
            Just("\"file\":\"run/$$x\"".to_owned()),
            (1_u32..9_999).prop_map(|age| format!("\"heartbeat\":{{\"file\":\"a/$$x\",\"max_age\":\"{age}ms\"}}")),
            (1_u32..9_999).prop_map(|time| format!("\"watchdog\":\"{time}ms\"")),
            (1_u32..9_999).prop_map(|time| format!("\"log_silence\":\"{time}ms\"")),
        ].prop_flat_map(|kind| (Just(kind), 1_u32..99, 1_000_u32..9_999, prop::sample::select(vec!["warn", "restart", "stop"])))
            .prop_map(|(kind, count, time, action)| format!(
                "\"liveness\":{{{kind},\"failure_threshold\":{count},\"interval\":\"{time}ms\",\"action\":\"{action}\"}},\"hang\":{{\"after\":\"{time}ms\",\"action\":\"{action}\"}}"
            )).boxed(),
        (0_i32..=64, duration.clone(), prop::bool::ANY).prop_map(|(signal, wait, main)| {
            let target = if main { "main" } else { "scope" };
            if signal == 0 {
                return "\"stop\":[]".to_owned();
            }
            format!("\"stop\":[{{\"signal\":{signal},\"wait\":\"{wait}\",\"target\":\"{target}\"}},{{\"command\":[\"x\",\"$$y\"]}}]")
        }).boxed(),
        duration.prop_map(|wait| format!("\"start_timeout\":\"{wait}\"")).boxed(),
        (0_u32..=0o777).prop_map(|mask| format!("\"umask\":\"{mask:o}\"")).boxed(),
        (1_u32..=1000).prop_map(|count| format!("\"replicas\":{count}")).boxed(),
        (1_u16..).prop_map(|port| format!("\"ports\":{{\"http\":{port}}}")).boxed(),
        privileges().boxed(),
        Just("\"user\":\"a\",\"group\":7,\"color\":\"cyan\",\"profiles\":[\"p\"],\"success_exit_codes\":[3]".to_owned()).boxed(),
    ];
    let count = optional.len();
    (command, optional, prop::collection::vec(any::<bool>(), count)).prop_map(|(command, keys, chosen)| {
        let keys = keys.into_iter().zip(chosen).filter(|(_, chosen)| *chosen);
        let keys: Vec<_> = [command].into_iter().chain(keys.map(|(key, _)| key)).collect();
        keys.join(",")
    })
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load_text("kennel.yaml", &bytes);
        let _ = load_text("kennel.toml", &bytes);
    }

    #[test]
    fn any_soup(text in soup()) {
        for name in ["kennel.yaml", "kennel.toml"] {
            if let Err(invalid) = load_text(name, text.as_bytes()) {
                prop_assert!(!invalid.diagnostics.is_empty());
                for one in &invalid.diagnostics {
                    prop_assert!(one.span.0 <= one.span.1 && invalid.source.get(one.span.0..one.span.1).is_some());
                    prop_assert!(!one.message.contains('\n') && !one.message.is_empty());
                }
                let _ = invalid.to_string();
            }
        }
    }

    #[test]
    fn any_value_of_any_key(key in key(), value in any_value()) {
        let text = format!("services: {{ a: {{ command: x, {key}: {value} }}, b: {{ command: y }} }}");
        match load_text("kennel.yaml", text.as_bytes()) {
            Ok(project) => { let _ = render_yaml(&project); }
            Err(invalid) => prop_assert!(!invalid.diagnostics.is_empty(), "{}", invalid),
        }
    }

    #[test]
    fn what_is_printed_is_read_back(services in prop::collection::vec(good_service(), 1..4)) {
        let services: Vec<_> = services
            .iter()
            .enumerate()
            // Everyone on a port of their own.
            .map(|(at, keys)| format!("\"s{at}\": {{{keys}, \"profiles\": [\"p{at}\"]}}").replace("\"profiles\":[\"p\"],", ""))
            .collect();
        let text = format!("{{\"services\": {{{}}}}}", services.join(","));
        let project = load_text("kennel.yaml", text.as_bytes())
            .map_err(|invalid| TestCaseError::fail(format!("{invalid}")))?;
        for printed in [render_yaml(&project), render(&project).to_string()] {
            let mut again = load_text("kennel.yaml", printed.as_bytes())
                .map_err(|invalid| TestCaseError::fail(format!("{invalid}\n{printed}")))?;
            again.directory.clone_from(&project.directory);
            prop_assert_eq!(&again, &project);
        }
    }
}

#[test]
fn bombs_are_refused() {
    let mut text = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("x-{level}: &a{level} [{list}]\n"));
    }
    text.push_str("services: { a: { command: *a11 } }\n");
    let invalid = load_text("kennel.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(invalid.diagnostics[0].message, "aliases make this file far bigger than it is written");

    let mut text = "x-0: &a0 [x]\n".to_owned();
    for level in 1..5000 {
        text.push_str(&format!("x-{level}: &a{level} [*a{}]\n", level - 1));
    }
    let invalid = load_text("kennel.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(invalid.diagnostics[0].message, "nested more than 100 levels deep");

    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!("x-a: {}{}", open.repeat(10_000), close.repeat(10_000));
        assert!(load_text("kennel.yaml", text.as_bytes()).is_err());
        assert!(load_text("kennel.toml", text.replace("x-a:", "x-a =").as_bytes()).is_err());
    }

    let text = format!("services: {{ a: {{ command: x, user: \"{}\" }} }}", "${A:-".repeat(100_000));
    assert!(load_text("kennel.yaml", text.as_bytes()).is_err());
}

/// Long chains of services must not end in recursion, nor in quadratic time that anybody would notice.
#[test]
fn many_services() {
    let mut text = "services:\n".to_owned();
    for at in 0..20_000 {
        text.push_str(&format!("  s{at}: {{ command: x, depends_on: [s{}] }}\n", (at + 1) % 20_000));
    }
    let invalid = load_text("kennel.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(invalid.diagnostics.len(), 1);
    let message = &invalid.diagnostics[0].message;
    assert!(message.starts_with("services wait for each other: s0 -> s1 ->"), "{message}");
    assert!(message.ends_with("-> s19 -> (19979 more) -> s19999 -> s0"), "{message}");
}

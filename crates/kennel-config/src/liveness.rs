//! `liveness` and `hang`: how it is found that something runs and does not work, and what follows.

use std::path::PathBuf;
use std::time::Duration;

use kennel_core::liveness::{Check, Hang, Liveness, Remedy};

use crate::diagnostic::Report;
use crate::duration;
use crate::probe::{self, Around, THRESHOLD};
use crate::reader::{Fields, Key, choice, expected_help, filled, integer, key, no_hint};
use crate::tree::{Entry, Node, Value};

/// Keys of `liveness`.
pub(crate) const LIVENESS: &[Key] = &[
    key("exec", &[]),
    key("http_get", &["http"]),
    key("tcp", &["tcp_socket"]),
    key("file", &[]),
    key("heartbeat", &[]),
    key("watchdog", &["watchdog_seconds"]),
    key("log_silence", &["log_silence_seconds"]),
    key("interval", &["interval_seconds", "period", "period_seconds"]),
    key("timeout", &["timeout_seconds"]),
    key("initial_delay", &["initial_delay_seconds"]),
    key("success_threshold", &[]),
    key("failure_threshold", &["retries"]),
    key("action", &[]),
];

/// Those of them of which there is one.
const KINDS: &[&str] = &["exec", "http_get", "tcp", "file", "heartbeat", "watchdog", "log_silence"];

/// Keys of `heartbeat`.
pub(crate) const HEARTBEAT: &[Key] = &[key("file", &["path"]), key("max_age", &["max_age_seconds"])];

/// Keys of `hang`.
pub(crate) const HANG: &[Key] = &[key("after", &["after_seconds"]), key("action", &[])];

/// How old a heartbeat may be unless the file says otherwise.
const MAX_AGE: Duration = Duration::from_secs(30);

/// `liveness`.
pub(crate) fn liveness(report: &Report<'_>, node: &Node, around: &Around<'_>) -> Option<Liveness> {
    let fields = Fields::open(report, node, "`liveness`", LIVENESS, no_hint)?;
    let kinds = fields.present(KINDS);
    let mut checks: Vec<_> = kinds.iter().map(|(name, entry)| check(report, name, entry, around)).collect();
    let check = match kinds[..] {
        [_] => checks.remove(0),
        [] if node.value == Value::Broken => None,
        [] => {
            let help = "give one of `exec`, `http_get`, `tcp`, `file`, `heartbeat`, `watchdog`, `log_silence`";
            report.error_help(node.span, "missing_key", "`liveness` does not say what to look at", help);
            None
        }
        [(first, _), (second, entry), ..] => {
            report.error_help(
                entry.key_span,
                "conflict",
                format!("`liveness` looks at one thing, but has both `{first}` and `{second}`"),
                "keep one; `exec` can combine several checks",
            );
            None
        }
    };
    let interval = fields.read("interval", some_time);
    let timeout = fields.read("timeout", some_time);
    let initial_delay = fields.read("initial_delay", duration::read);
    let threshold = |name: &str| {
        let entry = fields.get(name)?;
        integer::<u32>(report, &entry.value, &format!("`{}`", entry.key), THRESHOLD)
    };
    let (success, failure) = (threshold("success_threshold"), threshold("failure_threshold"));
    let words = [("warn", Remedy::Warn), ("restart", Remedy::Restart), ("stop", Remedy::Stop)];
    let action = fields.read("action", |report, entry| choice(report, &entry.value, "`action`", &words));
    Some(Liveness {
        check: check?,
        interval: interval.unwrap_or(Duration::from_secs(3)),
        timeout: timeout.unwrap_or(Duration::from_secs(1)),
        initial_delay: initial_delay.unwrap_or_default(),
        success_threshold: success.unwrap_or(1),
        failure_threshold: failure.unwrap_or(3),
        action: action.unwrap_or(Remedy::Restart),
    })
}

fn check(report: &Report<'_>, name: &str, entry: &Entry, around: &Around<'_>) -> Option<Check> {
    match name {
        "heartbeat" => heartbeat(report, &entry.value, around),
        "watchdog" => some_time(report, entry).map(Check::Watchdog),
        "log_silence" => some_time(report, entry).map(Check::LogSilence),
        // The others are words of readiness as well.
        name => probe::kind(report, name, &entry.value, around).map(Check::Ask),
    }
}

/// A path, or one with the time.
fn heartbeat(report: &Report<'_>, node: &Node, around: &Around<'_>) -> Option<Check> {
    let absolute = |path: String| -> PathBuf { around.working_dir.join(path) };
    if let Value::String(_) | Value::Expanded(_) = &node.value {
        let file = absolute(filled(report, node, "`heartbeat`")?);
        return Some(Check::Heartbeat { file, max_age: MAX_AGE });
    }
    let fields = Fields::open(report, node, "`heartbeat`", HEARTBEAT, no_hint)?;
    let max_age = fields.read("max_age", some_time);
    let Some(entry) = fields.get("file") else {
        let help = "for example `heartbeat: { file: run/alive, max_age: 30s }`";
        fields.missing("file", node.span, "`heartbeat` has no `file`".to_owned(), help);
        return None;
    };
    let file = absolute(filled(report, &entry.value, &format!("`{}`", entry.key))?);
    Some(Check::Heartbeat { file, max_age: max_age.unwrap_or(MAX_AGE) })
}

/// `hang`: how long, or that with what follows.
pub(crate) fn hang(report: &Report<'_>, entry: &Entry) -> Option<Hang> {
    let node = &entry.value;
    if let Value::String(_) | Value::Expanded(_) | Value::Int(..) | Value::Float(..) = &node.value {
        return Some(Hang { after: long_enough(report, entry)?, action: Remedy::Warn });
    }
    let fields = Fields::open(report, node, "`hang`", HANG, no_hint)?;
    let words =
        [("event", Remedy::Event), ("warn", Remedy::Warn), ("restart", Remedy::Restart), ("stop", Remedy::Stop)];
    let action = fields.read("action", |report, entry| choice(report, &entry.value, "`action`", &words));
    let Some(after) = fields.get("after") else {
        if node.value != Value::Broken {
            let help = "say how long silence may last, for example `hang: { after: 2m }`";
            fields.missing("after", node.span, "`hang` has no `after`".to_owned(), help);
        }
        return None;
    };
    Some(Hang { after: long_enough(report, after)?, action: action.unwrap_or(Remedy::Warn) })
}

/// What is sampled every 250 ms at most says nothing about less than this.
fn long_enough(report: &Report<'_>, entry: &Entry) -> Option<Duration> {
    at_least(report, entry, Duration::from_secs(1))
}

fn some_time(report: &Report<'_>, entry: &Entry) -> Option<Duration> {
    at_least(report, entry, Duration::from_millis(1))
}

fn at_least(report: &Report<'_>, entry: &Entry, low: Duration) -> Option<Duration> {
    if matches!(entry.value.value, Value::Bool(_)) {
        let help = "say how long it may say nothing, for example `30s`";
        expected_help(report, &entry.value, &format!("`{}`", entry.key), "a duration", Some(help));
        return None;
    }
    let value = duration::read(report, entry)?;
    if value < low {
        let message = format!("`{}` must be at least {}", entry.key, duration::format(low));
        report.error(entry.value.span, "out_of_range", message);
        return None;
    }
    Some(value)
}

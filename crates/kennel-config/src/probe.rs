//! `readiness`, and compose's `healthcheck` as another way to write it.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use kennel_core::model::{Probe, ProbeKind};

use crate::address;
use crate::command;
use crate::diagnostic::Report;
use crate::duration;
use crate::reader::{Fields, Key, boolean, expected, filled, integer, key, no_hint, text};
use crate::tree::{Entry, Node, Value};

/// Keys of `readiness`.
pub(crate) const READINESS: &[Key] = &[
    key("exec", &[]),
    key("http_get", &["http"]),
    key("tcp", &["tcp_socket"]),
    key("log_line", &[]),
    key("notify", &[]),
    key("file", &[]),
    key("interval", &["interval_seconds", "period", "period_seconds"]),
    key("ready_interval", &["ready_interval_seconds"]),
    key("timeout", &["timeout_seconds"]),
    key("initial_delay", &["initial_delay_seconds"]),
    key("success_threshold", &[]),
    key("failure_threshold", &["retries"]),
];

/// Those of them of which there is one.
const KINDS: &[&str] = &["exec", "http_get", "tcp", "log_line", "notify", "file"];

/// Keys of `healthcheck`.
pub(crate) const HEALTHCHECK: &[Key] = &[
    key("test", &[]),
    key("interval", &[]),
    key("timeout", &[]),
    key("retries", &[]),
    key("start_period", &[]),
    key("start_interval", &[]),
    key("disable", &[]),
];

/// What a number of answers in a row may be.
pub(crate) const THRESHOLD: std::ops::RangeInclusive<i64> = 1..=1_000_000;

/// What a probe's fields need to know of its service.
pub(crate) struct Around<'a> {
    pub(crate) working_dir: &'a Path,
    pub(crate) ports: &'a IndexMap<String, u16>,
}

/// Pace and thresholds without a kind.
fn with_kind(kind: ProbeKind) -> Probe {
    Probe {
        kind,
        interval: Duration::from_millis(250),
        ready_interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        initial_delay: Duration::ZERO,
        success_threshold: 1,
        failure_threshold: 3,
    }
}

/// `readiness`.
pub(crate) fn readiness(report: &Report<'_>, node: &Node, around: &Around<'_>) -> Option<Probe> {
    let fields = Fields::open(report, node, "`readiness`", READINESS, no_hint)?;
    let mut kinds = fields.present(KINDS);
    // Saying that it does not notify is saying nothing.
    kinds.retain(|(name, entry)| *name != "notify" || entry.value.value != Value::Bool(false));
    let read = |(name, entry): &(&str, &Entry)| kind(report, name, &entry.value, around);
    let mut probes: Vec<_> = kinds.iter().map(read).collect();
    let kind = match kinds[..] {
        [_] => probes.remove(0),
        [] if node.value == Value::Broken => None,
        [] => {
            report.error_help(
                node.span,
                "missing_key",
                "`readiness` does not say what to ask",
                "give one of `exec`, `http_get`, `tcp`, `log_line`, `notify`, `file`",
            );
            None
        }
        [(first, _), (second, entry), ..] => {
            report.error_help(
                entry.key_span,
                "conflict",
                format!("`readiness` asks one thing, but has both `{first}` and `{second}`"),
                "keep one; `exec` can combine several checks",
            );
            None
        }
    };
    let at_least = |name: &str, low: Duration| {
        let entry = fields.get(name)?;
        let value = duration::read(report, entry)?;
        if value < low {
            let low = duration::format(low);
            let message = format!("`{}` must be at least {low}", entry.key);
            report.error(entry.value.span, "out_of_range", message);
            return None;
        }
        Some(value)
    };
    let millisecond = Duration::from_millis(1);
    let interval = at_least("interval", millisecond);
    let ready_interval = at_least("ready_interval", millisecond);
    let timeout = at_least("timeout", millisecond);
    let initial_delay = at_least("initial_delay", Duration::ZERO);
    let threshold = |name: &str| {
        let entry = fields.get(name)?;
        integer::<u32>(report, &entry.value, &format!("`{}`", entry.key), THRESHOLD)
    };
    let (success, failure) = (threshold("success_threshold"), threshold("failure_threshold"));
    let mut probe = with_kind(kind?);
    probe.interval = interval.unwrap_or(probe.interval);
    // Once ready, nobody wants to be asked more often than before.
    probe.ready_interval = ready_interval.unwrap_or(probe.ready_interval.max(probe.interval));
    probe.timeout = timeout.unwrap_or(probe.timeout);
    probe.initial_delay = initial_delay.unwrap_or(probe.initial_delay);
    probe.success_threshold = success.unwrap_or(probe.success_threshold);
    probe.failure_threshold = failure.unwrap_or(probe.failure_threshold);
    Some(probe)
}

/// What one kind asks; the kinds of `liveness` that are words of readiness as well come here too.
pub(crate) fn kind(report: &Report<'_>, name: &str, node: &Node, around: &Around<'_>) -> Option<ProbeKind> {
    match name {
        "exec" => command::read_with_shell(report, node, "`exec`").map(ProbeKind::Exec),
        "http_get" => address::http_get(report, node, around.ports),
        "tcp" => address::tcp(report, node, around.ports),
        "log_line" => log_line(report, node),
        "notify" => match boolean(report, node, "`notify`")? {
            true => Some(ProbeKind::Notify),
            false => None,
        },
        _ => {
            let path = filled(report, node, "`file`")?;
            Some(ProbeKind::File(around.working_dir.join(path)))
        }
    }
}

fn log_line(report: &Report<'_>, node: &Node) -> Option<ProbeKind> {
    let pattern = filled(report, node, "`log_line`")?;
    if let Err(error) = regex::Regex::new(&pattern) {
        // The crate's own text shows the pattern with carets under the place and ends with the reason.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.trim().trim_start_matches("error: ");
        let message = format!("`log_line` is not a regular expression: {reason}");
        report.error_help(node.span, "bad_regex", message, text.clone());
        return None;
    }
    Some(ProbeKind::LogLine(pattern))
}

/// `healthcheck`: the probe, and how long a start may take at least. `None` inside means that it is switched off.
///
/// Its interval is the one for a service that is ready; until then it is asked every `start_interval`.
pub(crate) fn healthcheck(report: &Report<'_>, node: &Node) -> Option<Option<(Probe, Duration)>> {
    let fields = Fields::open(report, node, "`healthcheck`", HEALTHCHECK, no_hint)?;
    let disabled = fields.read("disable", |report, entry| boolean(report, &entry.value, "`disable`"));
    let test = match fields.get("test") {
        Some(entry) => test(report, &entry.value),
        None if disabled == Some(true) => return Some(None),
        None => {
            report.error(node.span, "missing_key", "`healthcheck` needs a `test`");
            None
        }
    };
    let interval = fields.read("interval", duration::read);
    let timeout = fields.read("timeout", duration::read);
    let start_period = fields.read("start_period", duration::read);
    let start_interval = fields.read("start_interval", duration::read);
    let retries = fields.read("retries", |report, entry| integer::<u32>(report, &entry.value, "`retries`", THRESHOLD));
    let Some(command) = test? else {
        return Some(None);
    };
    if disabled == Some(true) {
        return Some(None);
    }
    let mut probe = with_kind(ProbeKind::Exec(command));
    let thirty = Duration::from_secs(30);
    // Compose takes 0 for "the default".
    let or_default = |given: Option<Duration>, default| given.filter(|it| !it.is_zero()).unwrap_or(default);
    probe.ready_interval = or_default(interval, thirty);
    probe.timeout = or_default(timeout, thirty);
    probe.interval = or_default(start_interval, probe.interval.min(probe.ready_interval));
    probe.failure_threshold = retries.unwrap_or(3);
    Some(Some((probe, start_period.unwrap_or_default())))
}

/// `test`: a string for the shell, or a list that begins with what it is. `None` inside: switched off.
fn test(report: &Report<'_>, node: &Node) -> Option<Option<Vec<String>>> {
    let shell = |command: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), command];
    let items = match &node.value {
        Value::List(items) => items,
        Value::String(_) | Value::Expanded(_) => {
            return filled(report, node, "`test`").map(|command| Some(shell(command)));
        }
        _ => {
            expected(report, node, "`test`", "a string or a list");
            return None;
        }
    };
    let words: Vec<_> = items.iter().map(|item| text(report, item, "an argument of `test`")).collect();
    let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
    match words.first().map(String::as_str) {
        Some("NONE") if words.len() == 1 => Some(None),
        Some("CMD") if words.len() > 1 && !words[1].is_empty() => Some(Some(words[1..].to_vec())),
        Some("CMD-SHELL") if words.len() == 2 => Some(Some(shell(words[1].clone()))),
        _ => {
            report.error_help(
                node.span,
                "bad_value",
                "a list under `test` begins with `CMD`, `CMD-SHELL` or `NONE`",
                "for example `[CMD, curl, -f, \"http://localhost\"]`",
            );
            None
        }
    }
}

//! `restart` and `restart_policy`.

use std::time::Duration;

use kennel_core::model::{RestartMode, RestartPolicy};

use crate::diagnostic::{Report, suggest};
use crate::duration;
use crate::reader::{Fields, Key, expected_help, float, integer, key, no_hint, word_as_bool};
use crate::tree::{Entry, Value};

/// Keys of `restart_policy`.
pub(crate) const POLICY: &[Key] = &[
    key("delay", &["delay_seconds", "backoff_seconds"]),
    key("factor", &[]),
    key("max_delay", &["max_delay_seconds"]),
    key("jitter", &[]),
    key("reset_after", &["reset_after_seconds"]),
    key("max_restarts", &["max_attempts"]),
    key("window", &["window_seconds"]),
];

const MODES: [(&str, RestartMode); 4] = [
    ("no", RestartMode::No),
    ("on-failure", RestartMode::OnFailure),
    ("always", RestartMode::Always),
    ("unless-stopped", RestartMode::UnlessStopped),
];

const MAX_RESTARTS: std::ops::RangeInclusive<i64> = 0..=1_000_000;

/// `restart`, with the number in `on-failure:5`.
pub(crate) fn mode(report: &Report<'_>, entry: &Entry) -> Option<(RestartMode, Option<u32>)> {
    let node = &entry.value;
    let text = match &node.value {
        // YAML 1.1 reads `no` as false, and so do the people who write it that way.
        Value::Bool(false) => return Some((RestartMode::No, None)),
        Value::String(text) | Value::Expanded(text) => text.trim(),
        other => {
            let help = matches!(other, Value::Bool(true)).then_some("`always` may be meant");
            let wanted = "one of `no`, `on-failure`, `always`, `unless-stopped`";
            expected_help(report, node, "`restart`", wanted, help);
            return None;
        }
    };
    let (word, count) = match text.split_once(':') {
        Some((word, count)) => (word, Some(count)),
        None => (text, None),
    };
    let plain = word.replace('_', "-");
    let mode = MODES.iter().find(|(name, _)| *name == plain).map(|(_, mode)| *mode);
    let mode = mode.or_else(|| (word_as_bool(word) == Some(false)).then_some(RestartMode::No));
    match (mode, count) {
        (Some(mode), None) => Some((mode, None)),
        (Some(RestartMode::OnFailure), Some(count)) => match count.parse::<u32>() {
            Ok(count) if MAX_RESTARTS.contains(&i64::from(count)) => Some((RestartMode::OnFailure, Some(count))),
            _ => {
                let message = format!("`{count}` is not a number of restarts");
                report.error_help(node.span, "bad_value", message, "for example `on-failure:5`");
                None
            }
        },
        (Some(_), Some(_)) => {
            let message = format!("only `on-failure` takes a number, not `{word}`");
            let help = "set `max_restarts` under `restart_policy`";
            report.error_help(node.span, "bad_value", message, help);
            None
        }
        (None, _) => {
            let help = suggest(word, MODES.iter().map(|(name, _)| *name));
            let message = format!("`restart` has no value `{word}`");
            report.error_help(node.span, "unknown_value", message, help);
            None
        }
    }
}

/// `restart_policy`; `count` is the number in `on-failure:5`.
pub(crate) fn policy(report: &Report<'_>, entry: Option<&Entry>, count: Option<u32>) -> Option<RestartPolicy> {
    let mut policy = RestartPolicy::default();
    policy.max_restarts = count.unwrap_or(policy.max_restarts);
    let Some(entry) = entry else {
        return Some(policy);
    };
    let fields = Fields::open(report, &entry.value, "`restart_policy`", POLICY, no_hint)?;
    let delay = fields.read("delay", duration::read);
    let max_delay = fields.read("max_delay", duration::read);
    policy.delay = delay.unwrap_or(policy.delay);
    // A delay that is longer than the usual limit raises it; one beyond a given limit is a mistake.
    policy.max_delay = max_delay.unwrap_or(policy.max_delay.max(policy.delay));
    if policy.delay > policy.max_delay
        && let Some(entry) = fields.get("delay")
    {
        report.error(entry.value.span, "conflict", "`delay` is longer than `max_delay`");
    }
    let number = |name: &str, bounds| {
        fields.read(name, |report, entry| float(report, &entry.value, &format!("`{}`", entry.key), bounds))
    };
    policy.factor = number("factor", 1.0..=1000.0).unwrap_or(policy.factor);
    policy.jitter = number("jitter", 0.0..=1.0).unwrap_or(policy.jitter);
    policy.reset_after = fields.read("reset_after", duration::read).unwrap_or(policy.reset_after);
    if let Some(entry) = fields.get("max_restarts") {
        let what = format!("`{}`", entry.key);
        if let Some(given) = integer(report, &entry.value, &what, MAX_RESTARTS) {
            if count.is_some() {
                let message = format!("{what} and the number in `restart` say the same thing twice");
                report.error_help(entry.key_span, "conflict", message, "keep one of them");
            }
            policy.max_restarts = given;
        }
    }
    if let Some(entry) = fields.get("window")
        && let Some(window) = duration::read(report, entry)
    {
        if window < Duration::from_millis(1) {
            let message = format!("`{}` must be at least 1ms", entry.key);
            report.error(entry.value.span, "out_of_range", message);
        }
        policy.window = window;
    }
    Some(policy)
}

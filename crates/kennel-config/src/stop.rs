//! `stop`, and `stop_signal` with `stop_grace_period` as the short way to write it.

use std::time::Duration;

use kennel_core::model::{StopStage, StopStep, Target, default_stop_sequence};

use crate::command::{self, Shell};
use crate::diagnostic::Report;
use crate::reader::{Fields, Key, Unknown, choice, key, list, no_hint};
use crate::tree::{Node, Value};
use crate::{duration, signal};

/// Keys of one stage under `stop`.
pub(crate) const STAGE: &[Key] =
    &[key("signal", &[]), key("command", &[]), key("shell", &[]), key("wait", &["wait_seconds"]), key("target", &[])];

const SIGTERM: i32 = 15;

/// Wait of a stage that does not say.
const WAIT: Duration = Duration::from_secs(10);

/// The whole stop sequence from the four keys of a service that shape it.
pub(crate) fn sequence(fields: &Fields<'_>) -> Option<Vec<StopStage>> {
    let report = fields.report;
    let target = match fields.get("kill_mode") {
        Some(entry) => kill_mode(report, &entry.value),
        None => Some(Target::Scope),
    };
    let signal = match fields.get("stop_signal") {
        Some(entry) => signal::read(report, &entry.value, "`stop_signal`").map(Some),
        None => Some(None),
    };
    let grace = match fields.get("stop_grace_period") {
        Some(entry) => duration::read(report, entry).map(Some),
        None => Some(None),
    };
    if let Some(stop) = fields.get("stop") {
        for (name, short) in fields.present(&["stop_signal", "stop_grace_period"]) {
            let message = format!("`{name}` and `stop` both say how to stop");
            report.error_help(short.key_span, "conflict", message, "put it into a stage of `stop`");
        }
        let target = target.unwrap_or(Target::Scope);
        return list(report, &stop.value, "`stop`", |item| stage(report, item, target));
    }
    let (target, signal, grace) = (target?, signal?.unwrap_or(SIGTERM), grace?);
    let mut stages = default_stop_sequence();
    for stage in &mut stages {
        stage.step = StopStep::Signal { signal, target };
    }
    if let Some(wait) = grace {
        stages.truncate(1);
        stages[0].wait = wait;
    }
    Some(stages)
}

fn kill_mode(report: &Report<'_>, node: &Node) -> Option<Target> {
    if node.as_str() == Some("process") {
        let help = "`mixed` signals the main process alone, and kills what is left in the end";
        let message = "`kill_mode: process` would leave processes behind, so there is none";
        report.error_help(node.span, "not_supported", message, help);
        return None;
    }
    let modes = [("control-group", Target::Scope), ("mixed", Target::Main)];
    choice(report, node, "`kill_mode`", &modes)
}

fn stage(report: &Report<'_>, node: &Node, usual: Target) -> Option<StopStage> {
    if let Value::String(_) | Value::Expanded(_) | Value::Int(..) = node.value {
        let signal = signal::read(report, node, "a stage of `stop`")?;
        return Some(StopStage { step: StopStep::Signal { signal, target: usual }, wait: WAIT });
    }
    let fields = Fields::open(report, node, "a stage of `stop`", STAGE, hint)?;
    let wait = match fields.get("wait") {
        Some(entry) => duration::read(report, entry),
        None => Some(WAIT),
    };
    let target = match fields.get("target") {
        Some(entry) => {
            let targets = [("scope", Target::Scope), ("main", Target::Main)];
            choice(report, &entry.value, "`target`", &targets)
        }
        None => Some(usual),
    };
    let only_with = |names: &[&'static str], other: &str| {
        for (name, entry) in fields.present(names) {
            let message = format!("`{name}` belongs to a stage with a `{other}`");
            report.error(entry.key_span, "conflict", message);
        }
    };
    let step = match (fields.get("signal"), fields.get("command")) {
        (Some(entry), None) => {
            only_with(&["shell"], "command");
            let signal = signal::read(report, &entry.value, "`signal`");
            signal.zip(target).map(|(signal, target)| StopStep::Signal { signal, target })
        }
        (None, Some(entry)) => {
            only_with(&["target"], "signal");
            let shell = match fields.get("shell") {
                Some(entry) => command::shell(report, &entry.value),
                None => Some(Shell::None),
            };
            command::read(report, &entry.value, "`command`", &shell?).map(StopStep::Command)
        }
        (Some(_), Some(entry)) => {
            let message = "a stage has a `signal` or a `command`, not both";
            report.error_help(entry.key_span, "conflict", message, "make two stages of it");
            None
        }
        (None, None) if node.value == Value::Broken => None,
        (None, None) => {
            let message = "a stage of `stop` needs a `signal` or a `command`";
            report.error(node.span, "missing_key", message);
            None
        }
    };
    Some(StopStage { step: step?, wait: wait? })
}

fn hint(key: &str) -> Option<Unknown> {
    matches!(key, "timeout" | "grace_period" | "timeout_seconds")
        .then_some(Unknown {
            code: "unknown_key",
            message: "is no key of a stage of `stop`",
            help: "did you mean `wait`?",
        })
        .or_else(|| no_hint(key))
}

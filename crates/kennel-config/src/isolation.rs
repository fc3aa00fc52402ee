//! Which parts of the system a service has for itself.

use kennel_core::model::Isolation;
use serde_json::{Value as Json, json};

use crate::diagnostic::{Report, suggest};
use crate::reader::{Fields, expected, list, string};
use crate::tree::{Node, Value};

/// What may stand there, alone or in a list.
const WORDS: [&str; 4] = ["pid", "proc", "tmp", "network"];

/// `isolation`: `none`, a word, or a list of words.
pub(crate) fn read(fields: &Fields<'_>) -> Isolation {
    let mut isolation = Isolation::default();
    let Some(entry) = fields.get("isolation") else { return isolation };
    let (report, node) = (fields.report, &entry.value);
    if node.as_str() == Some("none") {
        return isolation;
    }
    let mut word = |node: &Node| add(report, node, &mut isolation);
    match &node.value {
        Value::List(_) | Value::Null => drop(list(report, node, "`isolation`", word)),
        _ if node.as_str().is_some() => drop(word(node)),
        _ => expected(report, node, "`isolation`", "`none`, `pid` or a list of words"),
    }
    if isolation.proc && !isolation.pid {
        let help = "write `isolation: [pid, proc]`";
        report.error_help(node.span, "bad_value", "`proc` shows a PID namespace, so it needs `pid` beside it", help);
    }
    isolation
}

fn add(report: &Report<'_>, node: &Node, isolation: &mut Isolation) -> Option<()> {
    let text = string(report, node, "an entry of `isolation`")?;
    match text.as_str() {
        "pid" => isolation.pid = true,
        "proc" => isolation.proc = true,
        "tmp" | "network" => {
            let message = format!("`isolation: {text}` is not supported yet");
            report.error_help(node.span, "not_supported", message, "`pid` and `proc` are");
            return None;
        }
        _ => {
            let help = suggest(&text, WORDS.into_iter().chain(["none"]));
            report.error_help(node.span, "unknown_value", format!("`isolation` has no value `{text}`"), help);
            return None;
        }
    }
    Some(())
}

/// As it is read; nothing for none.
pub(crate) fn rendered(isolation: Isolation) -> Json {
    let Isolation { pid, proc, tmp, network } = isolation;
    let chosen = WORDS.into_iter().zip([pid, proc, tmp, network]).filter(|(_, on)| *on).map(|(word, _)| word);
    match chosen.collect::<Vec<_>>().as_slice() {
        [] => Json::Null,
        [word] => json!(word),
        words => json!(words),
    }
}

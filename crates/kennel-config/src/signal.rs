//! Signals by name, number, or either with `SIG` before it.

use crate::diagnostic::{Report, suggest};
use crate::reader::expected;
use crate::tree::{Node, Value};

/// Names with their numbers on Linux, x86 and Arm. Source: `signal(7)`.
const NAMES: [(&str, i32); 31] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPWR", 30),
    ("SIGSYS", 31),
];

/// First and last real-time signal as glibc counts them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// The number of the signal a node names.
pub(crate) fn read(report: &Report<'_>, node: &Node, what: &str) -> Option<i32> {
    let text = match &node.value {
        Value::Int(_, text) | Value::String(text) | Value::Expanded(text) => text,
        _ => {
            expected(report, node, what, "a signal such as `SIGTERM`");
            return None;
        }
    };
    let number = parse(text);
    if number.is_none() {
        let upper = text.trim().to_ascii_uppercase();
        let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        let help = suggest(&full, NAMES.iter().map(|(name, _)| *name));
        report.error_help(node.span, "unknown_signal", format!("there is no signal `{text}`"), help);
    }
    number
}

/// `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
pub(crate) fn parse(text: &str) -> Option<i32> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i32>() {
        return (1..=*REAL_TIME.end()).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| &known[3..] == name) {
        return Some(*number);
    }
    let number = if let Some(above) = name.strip_prefix("RTMIN") {
        let above = if above.is_empty() { 0 } else { above.strip_prefix('+')?.parse::<i32>().ok()? };
        REAL_TIME.start().checked_add(above)?
    } else {
        let below = name.strip_prefix("RTMAX")?;
        let below = if below.is_empty() { 0 } else { below.strip_prefix('-')?.parse::<i32>().ok()? };
        REAL_TIME.end().checked_sub(below)?
    };
    REAL_TIME.contains(&number).then_some(number)
}

/// The name of a signal, which `parse` takes back.
pub(crate) fn name(number: i32) -> String {
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => (*name).to_owned(),
        None if REAL_TIME.contains(&number) => format!("SIGRTMIN+{}", number - REAL_TIME.start()),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for text in ["SIGINT", "int", "2", " sigint "] {
            assert_eq!(parse(text), Some(2), "{text}");
        }
        assert_eq!(parse("SIGRTMIN+3"), Some(37));
        assert_eq!(parse("RTMAX-1"), Some(63));
        for wrong in ["", "SIG", "0", "65", "-9", "SIGRTMIN+99", "RTMIN3", "SIGTERMX"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for number in 1..=64 {
            assert_eq!(parse(&name(number)), Some(number));
        }
    }
}

//! Commands: a string is split as a shell would split it, a list is exact, and a shell runs only when asked for.

use crate::diagnostic::Report;
use crate::reader::{Fields, Key, expected, expected_help, filled, key, list, no_hint, text, word_as_bool};
use crate::tree::{Node, Value};

/// A command with its shell, where a mapping stands for a command.
pub(crate) const KEYS: &[Key] = &[key("command", &[]), key("shell", &[])];

/// What `shell` asked for.
pub(crate) enum Shell {
    None,
    /// Program and arguments, to which the command is added.
    Run(Vec<String>),
}

/// The value of `shell`: a boolean, or a shell that takes `-c`.
pub(crate) fn shell(report: &Report<'_>, node: &Node) -> Option<Shell> {
    let on = || Shell::Run(vec!["/bin/sh".to_owned(), "-c".to_owned()]);
    match &node.value {
        Value::Bool(false) => Some(Shell::None),
        Value::Bool(true) => Some(on()),
        Value::String(text) | Value::Expanded(text) => match word_as_bool(text) {
            Some(true) => Some(on()),
            Some(false) => Some(Shell::None),
            None => {
                let mut words = split(report, node, "`shell`", text)?;
                words.push("-c".to_owned());
                Some(Shell::Run(words))
            }
        },
        _ => {
            expected(report, node, "`shell`", "`true`, or a shell such as `bash`");
            None
        }
    }
}

/// A command: program and arguments, never empty.
pub(crate) fn read(report: &Report<'_>, node: &Node, what: &str, shell: &Shell) -> Option<Vec<String>> {
    match (&node.value, shell) {
        (Value::String(_) | Value::Expanded(_), Shell::None) => {
            let text = filled(report, node, what)?;
            split(report, node, what, &text)
        }
        (Value::String(_) | Value::Expanded(_), Shell::Run(words)) => {
            let command = filled(report, node, what)?;
            Some(words.iter().cloned().chain([command]).collect())
        }
        (Value::List(_), Shell::Run(_)) => {
            let help = "a list is run exactly as it is; write a string, or leave out `shell`";
            expected_help(report, node, what, "a string for the shell", Some(help));
            None
        }
        (Value::List(items), Shell::None) => {
            let words = list(report, node, what, |item| text(report, item, &format!("an argument of {what}")))?;
            if words.first().is_none_or(|program| program.trim().is_empty()) {
                let span = items.first().map_or(node.span, |first| first.span);
                report.error(span, "bad_value", format!("{what} names no program"));
                return None;
            }
            Some(words)
        }
        _ => {
            expected(report, node, what, "a string or a list of strings");
            None
        }
    }
}

/// A command, or a mapping of `command` and `shell`.
pub(crate) fn read_with_shell(report: &Report<'_>, node: &Node, what: &str) -> Option<Vec<String>> {
    if !matches!(node.value, Value::Map(_)) {
        return read(report, node, what, &Shell::None);
    }
    let fields = Fields::open(report, node, what, KEYS, no_hint)?;
    let shell = match fields.get("shell") {
        Some(entry) => shell(report, &entry.value)?,
        None => Shell::None,
    };
    match fields.get("command") {
        Some(entry) => read(report, &entry.value, "`command`", &shell),
        None => {
            report.error(node.span, "missing_key", format!("{what} needs a `command`"));
            None
        }
    }
}

fn split(report: &Report<'_>, node: &Node, what: &str, text: &str) -> Option<Vec<String>> {
    if let Some(operator) = operator(text) {
        report.error_help(
            node.span,
            "needs_shell",
            format!("{what} contains {operator}, which only a shell understands"),
            "set `shell: true`, or quote it if the program itself should get it",
        );
        return None;
    }
    let Ok(words) = shell_words::split(text) else {
        report.error(node.span, "bad_value", format!("{what} has a quote that is never closed"));
        return None;
    };
    let Some(program) = words.first().filter(|program| !program.is_empty()) else {
        report.error(node.span, "bad_value", format!("{what} names no program"));
        return None;
    };
    if is_assignment(program) && text.trim_start().starts_with(|c: char| c != '"' && c != '\'') {
        report.error_help(
            node.span,
            "needs_shell",
            format!("{what} begins with `{program}`, which only a shell understands"),
            "put it under `environment`, or set `shell: true`",
        );
        return None;
    }
    Some(words)
}

/// The first unquoted operator of a shell in `text`.
pub(crate) fn operator(text: &str) -> Option<String> {
    let mut quote = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => {
                chars.next();
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            // Substitutions work inside double quotes too.
            (None | Some('"'), '`') => return Some("a backquote".to_owned()),
            (None | Some('"'), '$') if matches!(chars.peek(), Some((_, '('))) => {
                return Some("`$(`".to_owned());
            }
            (None, '|' | '&' | ';' | '<' | '>') => {
                let doubled = text[at + 1..].starts_with(c);
                return Some(format!("`{}`", &text[at..at + 1 + usize::from(doubled)]));
            }
            _ => {}
        }
    }
    None
}

pub(crate) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_operators_outside_quotes() {
        let found = |text| operator(text).unwrap_or_default();
        assert_eq!(found("a | b"), "`|`");
        assert_eq!(found("a && b"), "`&&`");
        assert_eq!(found("a >> b"), "`>>`");
        assert_eq!(found("echo \"$(date)\""), "`$(`");
        assert_eq!(found("echo `date`"), "a backquote");
        assert_eq!(operator("echo 'a | b' \"c;d\" e\\;f '$(x)' $HOME"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = operator(&text);
            let _ = shell_words::split(&text);
        }
    }
}

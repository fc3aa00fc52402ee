//! The small language in which the typed pass over the tree is written.
//!
//! Every reader returns `None` after it has reported why, so a caller goes on with the next key: all mistakes of a
//! file come out at once.

use std::collections::HashMap;

use crate::diagnostic::{Report, Span, closest, suggest};
use crate::tree::{Entry, Node, Value};

/// A key that a mapping may have, with its other spellings.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
}

/// Declares a key.
pub(crate) const fn key(name: &'static str, aliases: &'static [&'static str]) -> Key {
    Key { name, aliases }
}

/// A mapping of which the keys have been checked.
pub(crate) struct Fields<'n> {
    pub(crate) report: &'n Report<'n>,
    pub(crate) span: Span,
    found: Vec<(&'static str, &'n Entry)>,
    /// Keys that unknown ones were probably meant to be.
    meant: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Checks the keys of a mapping: each known, each once, each in one spelling. `Null` is a mapping without keys.
    ///
    /// `what` names the mapping in messages; `hint` may know better than "unknown key" why a key is not there.
    pub(crate) fn open(
        report: &'n Report<'n>,
        node: &'n Node,
        what: &str,
        known: &'static [Key],
        hint: fn(&str) -> Option<Unknown>,
    ) -> Option<Self> {
        let entries = entries(report, node, what)?;
        let mut found: Vec<(&'static str, &'n Entry)> = Vec::new();
        let mut meant = Vec::new();
        for entry in entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            let name = known.iter().find(|key| key.name == entry.key || key.aliases.contains(&entry.key.as_str()));
            let Some(name) = name.map(|key| key.name) else {
                meant.extend(unknown_key(report, entry, what, known, hint(&entry.key)));
                continue;
            };
            match found.iter_mut().find(|(there, _)| *there == name) {
                Some((_, there)) if there.merged && !entry.merged => *there = entry,
                Some((_, there)) if entry.merged && !there.merged => {}
                // Reported as a duplicate already.
                Some((_, there)) if entry.key == there.key => {}
                Some((_, there)) => report.error_help(
                    entry.key_span,
                    "duplicate_key",
                    format!(
                        "`{}` and `{}` on line {} are two spellings of one key",
                        entry.key,
                        there.key,
                        report.line(there.key_span.start)
                    ),
                    format!("keep one; `{name}` is the usual one"),
                ),
                None => found.push((name, entry)),
            }
        }
        Some(Self { report, span: node.span, found, meant })
    }

    /// The entry of a key, under whichever spelling.
    pub(crate) fn get(&self, name: &str) -> Option<&'n Entry> {
        self.found.iter().find(|(known, _)| *known == name).map(|(_, entry)| *entry)
    }

    /// Reports that `name` is not there, unless a key that was reported as unknown looks like it.
    pub(crate) fn missing(&self, name: &str, span: Span, message: String, help: &str) {
        if !self.meant.contains(&name) {
            self.report.error_help(span, "missing_key", message, help);
        }
    }

    /// The value of a key as `read` understands it.
    pub(crate) fn read<T>(&self, name: &str, read: impl FnOnce(&'n Report<'n>, &'n Entry) -> Option<T>) -> Option<T> {
        self.get(name).and_then(|entry| read(self.report, entry))
    }

    /// Those of `names` that are there, in the file's order.
    pub(crate) fn present(&self, names: &[&'static str]) -> Vec<(&'static str, &'n Entry)> {
        self.found.iter().filter(|(name, _)| names.contains(name)).copied().collect()
    }
}

/// What to say of a key that is not known, when there is more to say than that.
pub(crate) struct Unknown {
    pub(crate) code: &'static str,
    /// Follows the key.
    pub(crate) message: &'static str,
    pub(crate) help: &'static str,
}

/// No hints.
pub(crate) fn no_hint(_: &str) -> Option<Unknown> {
    None
}

fn unknown_key(
    report: &Report<'_>,
    entry: &Entry,
    what: &str,
    known: &'static [Key],
    hint: Option<Unknown>,
) -> Option<&'static str> {
    let span = entry.key_span;
    if let Some(hint) = hint {
        let message = format!("`{}` {}", entry.key, hint.message);
        report.error_help(span, hint.code, message, hint.help);
        return known.iter().map(|key| key.name).find(|name| hint.help.contains(&format!("`{name}`")));
    }
    let spellings = |key: &'static Key| [key.name].into_iter().chain(key.aliases.iter().copied());
    let meant = closest(&entry.key, known.iter().flat_map(spellings));
    let help = match meant {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => suggest(&entry.key, known.iter().map(|key| key.name)),
    };
    report.error_help(span, "unknown_key", format!("unknown key `{}` in {what}", entry.key), help);
    known.iter().find(|key| spellings(key).any(|name| Some(name) == meant)).map(|key| key.name)
}

/// The entries of a mapping, of which duplicates have been reported. `Null` is a mapping without entries.
pub(crate) fn entries<'n>(report: &Report<'_>, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
    let entries = match &node.value {
        Value::Map(entries) => entries,
        Value::Null => return Some(&[]),
        _ => {
            expected(report, node, what, "a mapping");
            return None;
        }
    };
    let mut seen: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let earlier = *seen.entry(&entry.key).or_insert(entry);
        // What a merge key brings gives way without a word.
        if !std::ptr::eq(earlier, entry) && !earlier.merged && !entry.merged {
            let line = report.line(earlier.key_span.start);
            report.error(
                entry.key_span,
                "duplicate_key",
                format!("`{}` is given twice; first given on line {line}", entry.key),
            );
        }
    }
    Some(entries)
}

/// Reports a value of the wrong type; silent about what was reported already.
pub(crate) fn expected(report: &Report<'_>, node: &Node, what: &str, wanted: &str) {
    expected_help(report, node, what, wanted, None);
}

/// The same with what to do about it.
pub(crate) fn expected_help(report: &Report<'_>, node: &Node, what: &str, wanted: &str, help: Option<&str>) {
    if node.value == Value::Broken {
        return;
    }
    let message = format!("{what} must be {wanted}, not {}", node.describe());
    match help {
        Some(help) => report.error_help(node.span, "wrong_type", message, help),
        None => report.error(node.span, "wrong_type", message),
    }
}

/// A string.
pub(crate) fn string(report: &Report<'_>, node: &Node, what: &str) -> Option<String> {
    match node.as_str() {
        Some(text) => Some(text.to_owned()),
        None => {
            expected(report, node, what, "a string");
            None
        }
    }
}

/// A string that says something.
pub(crate) fn filled(report: &Report<'_>, node: &Node, what: &str) -> Option<String> {
    let text = string(report, node, what)?;
    if text.trim().is_empty() {
        report.error(node.span, "bad_value", format!("{what} must not be empty"));
        return None;
    }
    Some(text)
}

/// A string, or a number or boolean as it is written: for values that are text in the end.
pub(crate) fn text(report: &Report<'_>, node: &Node, what: &str) -> Option<String> {
    match &node.value {
        Value::String(text) | Value::Expanded(text) | Value::Int(_, text) | Value::Float(_, text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        _ => {
            expected(report, node, what, "a string");
            None
        }
    }
}

/// `true` or `false`, also by the words YAML 1.1 has for them.
pub(crate) fn boolean(report: &Report<'_>, node: &Node, what: &str) -> Option<bool> {
    let value = match &node.value {
        Value::Bool(value) => Some(*value),
        Value::String(text) | Value::Expanded(text) => word_as_bool(text),
        _ => None,
    };
    if value.is_none() {
        expected(report, node, what, "`true` or `false`");
    }
    value
}

/// The boolean that a YAML 1.1 word stands for.
pub(crate) fn word_as_bool(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number within bounds.
pub(crate) fn integer<T>(
    report: &Report<'_>,
    node: &Node,
    what: &str,
    bounds: std::ops::RangeInclusive<i64>,
) -> Option<T>
where
    T: TryFrom<i64>,
{
    let value = match &node.value {
        Value::Int(value, _) => Some(*value),
        Value::Expanded(text) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(value) = value else {
        let quoted = node.as_str().is_some_and(|text| text.trim().parse::<i64>().is_ok());
        let help = quoted.then_some("write it without quotes");
        expected_help(report, node, what, "a whole number", help);
        return None;
    };
    if !bounds.contains(&value) {
        let (low, high) = (bounds.start(), bounds.end());
        let message = format!("{what} must be between {low} and {high}, not {value}");
        report.error(node.span, "out_of_range", message);
        return None;
    }
    T::try_from(value).ok()
}

/// A number within bounds.
pub(crate) fn float(
    report: &Report<'_>,
    node: &Node,
    what: &str,
    bounds: std::ops::RangeInclusive<f64>,
) -> Option<f64> {
    let value = match &node.value {
        Value::Int(_, text) | Value::Float(_, text) | Value::Expanded(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let Some(value) = value else {
        expected(report, node, what, "a number");
        return None;
    };
    if !bounds.contains(&value) {
        let (low, high) = (bounds.start(), bounds.end());
        let message = format!("{what} must be between {low} and {high}, not {value}");
        report.error(node.span, "out_of_range", message);
        return None;
    }
    Some(value)
}

/// A list of what `read` understands; every item is tried.
pub(crate) fn list<'n, T>(
    report: &Report<'_>,
    node: &'n Node,
    what: &str,
    mut read: impl FnMut(&'n Node) -> Option<T>,
) -> Option<Vec<T>> {
    let items = match &node.value {
        Value::List(items) => items,
        Value::Null => return Some(Vec::new()),
        _ => {
            expected(report, node, what, "a list");
            return None;
        }
    };
    let read: Vec<_> = items.iter().map(&mut read).collect();
    read.into_iter().collect()
}

/// One of a few words; underscores and hyphens are the same.
pub(crate) fn choice<T: Copy>(report: &Report<'_>, node: &Node, what: &str, words: &[(&'static str, T)]) -> Option<T> {
    let Some(text) = node.as_str() else {
        let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        expected(report, node, what, &format!("one of {}", all.join(", ")));
        return None;
    };
    let plain = text.replace('_', "-");
    let chosen = words.iter().find(|(word, _)| word.replace('_', "-") == plain);
    if chosen.is_none() {
        report.error_help(
            node.span,
            "unknown_value",
            format!("{what} has no value `{text}`"),
            suggest(text, words.iter().map(|(word, _)| *word)),
        );
    }
    chosen.map(|(_, value)| *value)
}

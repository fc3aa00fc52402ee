//! TOML text to the tree.

use toml::de::{DeTable, DeValue};

use crate::diagnostic::{MAX_DIAGNOSTICS, Span};
use crate::tree::{Entry, Node, SyntaxError, Value};

/// Parses a document, and lists the keys that are given twice: the parser reads on behind those.
///
/// Of other syntax errors only the first counts: later ones are mostly its echo.
pub(crate) fn parse(source: &str) -> Result<(Node, Vec<SyntaxError>), SyntaxError> {
    let (root, errors) = DeTable::parse_recoverable(source);
    let root = table(root.get_ref(), Span::new(0, source.len()), source);
    let mut duplicates = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        let span = Span::new(span.start, span.end);
        if !error.message().starts_with("duplicate key") {
            return Err(SyntaxError {
                code: "syntax",
                message: format!("not valid TOML: {}", one_line(error.message())),
                span,
                help: None,
            });
        }
        if duplicates.len() < MAX_DIAGNOSTICS {
            duplicates.push(duplicate(&root, source, span));
        }
    }
    Ok((root, duplicates))
}

fn duplicate(root: &Node, source: &str, span: Span) -> SyntaxError {
    let key = source.get(span.start..span.end).unwrap_or_default();
    let bare = key.trim_matches(['"', '\'']);
    let line = |at: usize| source[..at].matches('\n').count();
    // Of two tables the parser keeps the later one; then the same header stands further up.
    let header = source.lines().nth(line(span.start)).unwrap_or_default().trim();
    let first = last_key_before(root, bare, span.start)
        .map(line)
        .or_else(|| source.lines().position(|text| text.trim() == header))
        .filter(|first| *first < line(span.start) || !header.starts_with('['))
        .map_or_else(String::new, |line| format!("; first given on line {}", line + 1));
    let message = format!("`{bare}` is given twice{first}");
    SyntaxError { code: "duplicate_key", message, span, help: None }
}

/// Where the nearest key of that name begins before `offset`: the parser does not tell which one it ran into.
fn last_key_before(node: &Node, name: &str, offset: usize) -> Option<usize> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    entries
        .iter()
        .flat_map(|entry| {
            let here = (entry.key == name && entry.key_span.start < offset).then_some(entry.key_span.start);
            [here, last_key_before(&entry.value, name, offset)]
        })
        .flatten()
        .max()
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn table(table: &DeTable<'_>, span: Span, source: &str) -> Node {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let key_span = Span::new(key.span().start, key.span().end);
            let value = node(value.get_ref(), Span::new(value.span().start, value.span().end), source);
            Entry { key: key.get_ref().to_string(), key_span, value, merged: false }
        })
        .collect();
    // The parser sorts by name; the file's order is what counts.
    entries.sort_by_key(|entry| entry.key_span.start);
    Node { value: Value::Map(entries), span }
}

fn node(value: &DeValue<'_>, span: Span, source: &str) -> Node {
    // As it is written, but without the separators that only TOML knows.
    let text = || source.get(span.start..span.end).unwrap_or_default().replace('_', "");
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(int) => match i64::from_str_radix(int.as_str(), int.radix()) {
            Ok(value) => Value::Int(value, text()),
            // Wider than any number a key takes, but still a number.
            Err(_) => Value::Float(f64::INFINITY, text()),
        },
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN), text()),
        DeValue::Boolean(value) => Value::Bool(*value),
        // No key takes a date, and as text it is what whoever wrote it in a label meant.
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| node(item.get_ref(), Span::new(item.span().start, item.span().end), source))
                .collect(),
        ),
        DeValue::Table(inner) => return table(inner, span, source),
    };
    Node { value, span }
}

//! YAML text to the tree: anchors, aliases and merge keys are resolved here, nowhere else.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::diagnostic::Span;
use crate::tree::{Entry, Node, SyntaxError, Value};

/// Deepest nesting, aliases included. Readers recurse, so this bounds their stack.
const MAX_DEPTH: usize = 100;

/// Most that aliases may add to a file, in nodes and bytes of text together: a file of a few hundred bytes can
/// otherwise ask for gigabytes.
const ALIAS_BUDGET: usize = 4 << 20;

/// Parses one document. An empty file is `Null`.
pub(crate) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder {
        source,
        events: Parser::new_from_str(source),
        anchors: HashMap::new(),
        budget: ALIAS_BUDGET,
        last: Span::default(),
    };
    let mut root = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd | Event::Anchor(..) => {}
            Event::StreamEnd => break,
            _ if root.is_some() => {
                return Err(SyntaxError {
                    code: "syntax",
                    message: "a second document begins here, but a configuration is one document".to_owned(),
                    span,
                    help: None,
                });
            }
            event => root = Some(builder.node(event, span, 0)?.0),
        }
    }
    Ok(root.unwrap_or(Node { value: Value::Null, span: Span::default() }))
}

struct Builder<'s, I: granit_parser::BorrowedInput<'s>> {
    source: &'s str,
    events: Parser<'s, I>,
    /// Finished anchored nodes: one that is still open refers to itself.
    anchors: HashMap<usize, (Node, Size)>,
    budget: usize,
    /// Place of the latest event, for errors at the end of the text.
    last: Span,
}

/// How much a copy of a node costs.
#[derive(Clone, Copy, Default)]
struct Size {
    cost: usize,
    /// 0 for a scalar.
    depth: usize,
}

impl Size {
    fn around(&mut self, inner: Size) {
        self.cost = self.cost.saturating_add(inner.cost);
        self.depth = self.depth.max(inner.depth + 1);
    }
}

impl<'s, I: granit_parser::BorrowedInput<'s>> Builder<'s, I> {
    fn next(&mut self) -> Result<(Event<'s>, Span), SyntaxError> {
        let Some(next) = self.events.next() else {
            return Ok((Event::StreamEnd, self.last));
        };
        let offset = |mark: Marker| mark.byte_offset();
        match next {
            Ok((event, span)) => {
                let start = offset(span.start).unwrap_or(self.last.end);
                self.last = Span::new(start, offset(span.end).unwrap_or(start));
                Ok((event, self.last))
            }
            Err(error) => {
                let at = offset(*error.marker()).unwrap_or(self.last.end);
                let before = self.source.get(..at).unwrap_or(self.source);
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let line = self.source[line_start..].lines().next().unwrap_or_default();
                let help = if error.info().contains("quoted scalar") {
                    Some("is a quote above never closed?")
                } else if error.info().contains("flow") && line.contains("${") {
                    Some("between brackets and braces `${…}` must be quoted")
                } else {
                    None
                };
                Err(SyntaxError {
                    code: "syntax",
                    message: format!("not valid YAML: {}", error.info()),
                    span: Span::new(at, at),
                    help: help.map(str::to_owned),
                })
            }
        }
    }

    /// Builds the node that begins with `event`, `depth` levels below the root.
    fn node(&mut self, event: Event<'s>, span: Span, depth: usize) -> Result<(Node, Size), SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let (anchor, node, size) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size { cost: text.len() + 1, depth: 0 };
                (anchor, Node { value: scalar(text, style, tag, span)?, span }, size)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), span)?;
                let (node, size) = self.list(span, depth)?;
                (anchor, node, size)
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), span)?;
                let (node, size) = self.map(span, depth)?;
                (anchor, node, size)
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id) else {
                    return Err(SyntaxError {
                        code: "syntax",
                        message: "this alias refers to the node it stands in".to_owned(),
                        span,
                        help: None,
                    });
                };
                if depth + size.depth > MAX_DEPTH {
                    return Err(too_deep(span));
                }
                self.budget = self.budget.checked_sub(size.cost).ok_or_else(|| SyntaxError {
                    code: "syntax",
                    message: "aliases make this file far bigger than it is written".to_owned(),
                    span,
                    help: None,
                })?;
                return Ok((node.clone(), *size));
            }
            // The parser reports an alias without anchor itself; anything else is no node.
            _ => {
                return Err(SyntaxError {
                    code: "syntax",
                    message: "not valid YAML: expected a value here".to_owned(),
                    span,
                    help: None,
                });
            }
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<(Node, Size), SyntaxError> {
        let (mut items, mut size) = (Vec::new(), Size { cost: 1, depth: 0 });
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let span = Span::new(start.start, span.end);
                return Ok((Node { value: Value::List(items), span }, size));
            }
            let (item, inner) = self.node(event, span, depth + 1)?;
            size.around(inner);
            items.push(item);
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<(Node, Size), SyntaxError> {
        let (mut entries, mut merges, mut size) = (Vec::new(), Vec::new(), Size { cost: 1, depth: 0 });
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let plain = matches!(&event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let (key, inner) = self.node(event, key_span, depth + 1)?;
            size.around(inner);
            let key = key_text(key, key_span)?;
            let (event, span) = self.next()?;
            let (value, inner) = self.node(event, span, depth + 1)?;
            size.around(inner);
            if plain && key == "<<" {
                merges.push(value);
            } else {
                entries.push(Entry { key, key_span, value, merged: false });
            }
        }
        let end = self.last.end;
        if !merges.is_empty() {
            let mut there = entries.iter().map(|entry| entry.key.clone()).collect();
            for value in merges {
                merge(&mut entries, &mut there, value)?;
            }
        }
        Ok((Node { value: Value::Map(entries), span: Span::new(start.start, end) }, size))
    }
}

/// Adds what a merge key brings; what is there already stays.
fn merge(entries: &mut Vec<Entry>, there: &mut HashSet<String>, value: Node) -> Result<(), SyntaxError> {
    let wrong = |span| SyntaxError {
        code: "wrong_type",
        message: "`<<` takes a mapping or a list of mappings".to_owned(),
        span,
        help: None,
    };
    match value.value {
        Value::Map(brought) => {
            for mut entry in brought {
                if there.insert(entry.key.clone()) {
                    entry.merged = true;
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Value::List(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Map(_) => merge(entries, there, item),
            _ => Err(wrong(item.span)),
        }),
        _ => Err(wrong(value.span)),
    }
}

fn key_text(key: Node, span: Span) -> Result<String, SyntaxError> {
    match key.value {
        Value::String(text) | Value::Int(_, text) | Value::Float(_, text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        _ => {
            Err(SyntaxError { code: "wrong_type", message: "a key must be a plain word".to_owned(), span, help: None })
        }
    }
}

fn too_deep(span: Span) -> SyntaxError {
    let message = format!("nested more than {MAX_DEPTH} levels deep");
    SyntaxError { code: "syntax", message, span, help: None }
}

fn check_tag(tag: Option<&Tag>, span: Span) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err(SyntaxError {
            code: "syntax",
            message: format!("unknown tag `{tag}`"),
            span,
            help: Some("kennel knows no tags of its own".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// Resolves a scalar by the YAML 1.2 core schema. The words of YAML 1.1 (`yes`, `no`, `on`, `off`) stay strings;
/// readers that want a boolean know them.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<Cow<'_, Tag>>, span: Span) -> Result<Value, SyntaxError> {
    let tag = tag.as_deref();
    check_tag(tag, span)?;
    let text = text.into_owned();
    let quoted = style != ScalarStyle::Plain;
    if quoted || tag.is_some_and(|tag| tag.to_string().ends_with("str")) {
        return Ok(Value::String(text));
    }
    Ok(match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text),
    })
}

fn number(text: String) -> Value {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let int = if let Some(octal) = text.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if let Some(hex) = text.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()
    } else if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    };
    if let Some(int) = int {
        return Value::Int(int, text);
    }
    let looks_like = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && digits.bytes().any(|byte| byte.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(value) if looks_like => Value::Float(value, text),
        _ => Value::String(text),
    }
}

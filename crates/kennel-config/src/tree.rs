//! What YAML and TOML have in common: a tree in which every key and value knows its place.

use crate::diagnostic::Span;

/// One value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

/// What can stand in a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// The number, and how it was written: `0o22` and `18` mean different things to `umask`.
    Int(i64, String),
    Float(f64, String),
    String(String),
    /// A string that contained variables: it may stand for a number or a boolean too.
    Expanded(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that was reported already, so that nobody reports it again.
    Broken,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
    /// Came in through a YAML merge key, so an entry of the mapping itself goes before it.
    pub(crate) merged: bool,
}

/// A file that is not YAML or TOML at all; nothing more can be said about it.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) help: Option<String>,
}

impl Node {
    /// The text of a string, whether or not it contained variables.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) | Value::Expanded(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, in words that fit after "not".
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null | Value::Broken => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Int(_, text) => format!("the integer `{text}`"),
            Value::Float(_, text) => format!("the number `{text}`"),
            Value::String(text) | Value::Expanded(text) => format!("the string {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

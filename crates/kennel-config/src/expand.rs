//! `${VAR}` in strings, by the rules of compose, on values that are parsed already: what a variable contains can
//! never become a key, a list or a comment.

use std::collections::{BTreeMap, HashSet};

use kennel_core::ports;

use crate::diagnostic::{Report, Span};
use crate::tree::{Node, Value};

/// Deepest nesting of defaults in defaults.
const MAX_DEPTH: usize = 20;

/// Longest text one string may become, in bytes. The kernel takes no longer argument (`MAX_ARG_STRLEN`, 128 KiB).
const MAX_LENGTH: usize = 1 << 20;

/// Replaces variables in every string of a file, and reports those that cannot be replaced.
///
/// Keys stay as they are, and what stands under an `x-` key of the file or of a service is the user's own.
pub(crate) fn file(root: &mut Node, environment: &BTreeMap<String, String>, report: &Report<'_>) {
    walk(root, 0, environment, report);
}

fn walk(node: &mut Node, depth: usize, environment: &BTreeMap<String, String>, report: &Report<'_>) {
    match &mut node.value {
        Value::String(text) if text.contains('\0') => {
            report.error(node.span, "bad_value", "a text contains a zero byte");
            node.value = Value::Broken;
        }
        Value::String(text) if text.contains('$') => {
            let mut said = HashSet::new();
            let expanded = text_value(text, environment, |error| {
                if !said.insert(error.message()) {
                    return;
                }
                let source = report.source().get(node.span.start..node.span.end);
                let at = locate(source.unwrap_or_default(), &text[error.at..error.end]);
                let span = at.map_or(node.span, |at| {
                    let start = node.span.start + at;
                    Span::new(start, start + error.end - error.at)
                });
                report.error_help(span, error.code(), error.message(), error.help());
            });
            node.value = expanded.map_or(Value::Broken, Value::Expanded);
        }
        Value::List(items) => {
            items.iter_mut().for_each(|item| walk(item, depth + 1, environment, report));
        }
        Value::Map(entries) => {
            // The file is level 0, a service level 2; below that an `x-` key may be a label or a variable.
            let free = |key: &str| matches!(depth, 0 | 2) && key.starts_with("x-");
            for entry in entries.iter_mut().filter(|entry| !free(&entry.key)) {
                walk(&mut entry.value, depth + 1, environment, report);
            }
        }
        _ => {}
    }
}

/// The expanded text, or `None` after every error in it went to `report`.
pub(crate) fn text_value(
    text: &str,
    environment: &BTreeMap<String, String>,
    mut report: impl FnMut(ExpandError),
) -> Option<String> {
    let mut parser = Parser { text, at: 0 };
    let mut out = String::new();
    let mut clean = true;
    let parsed = parser.pieces(0);
    let result = parsed.map(|pieces| {
        evaluate(&pieces, environment, &mut out, &mut |error| {
            clean = false;
            report(error);
        });
    });
    if let Err(error) = result {
        report(error);
        return None;
    }
    clean.then_some(out)
}

/// Where `fragment` stands in the source of a string, if it stands there unescaped.
fn locate(source: &str, fragment: &str) -> Option<usize> {
    source.match_indices(fragment).map(|(at, _)| at).find(|at| !source[..*at].ends_with('$'))
}

/// What is wrong with a variable, and the bytes of the string that say it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpandError {
    pub(crate) at: usize,
    pub(crate) end: usize,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Unset(String),
    Required(String, String),
    Unclosed,
    BadName(String),
    BadOperator(String),
    TooDeep,
    TooLong,
}

impl ExpandError {
    pub(crate) fn code(&self) -> &'static str {
        match self.kind {
            Kind::Unset(_) | Kind::Required(..) => "unset_variable",
            _ => "bad_interpolation",
        }
    }

    pub(crate) fn message(&self) -> String {
        match &self.kind {
            Kind::Unset(name) => format!("the variable `{name}` is not set"),
            Kind::Required(name, why) if why.is_empty() => {
                format!("the variable `{name}` is required but not set")
            }
            Kind::Required(name, why) => format!("the variable `{name}` is required: {why}"),
            Kind::Unclosed => "`${` without its `}`".to_owned(),
            Kind::BadName(name) => format!("`{name}` is not the name of a variable"),
            Kind::BadOperator(name) => format!("`${{{name}` is followed by something unknown"),
            Kind::TooDeep => format!("variables are nested more than {MAX_DEPTH} levels deep"),
            Kind::TooLong => "the text is far too long once its variables are filled in".to_owned(),
        }
    }

    pub(crate) fn help(&self) -> String {
        match &self.kind {
            Kind::Unset(name) => format!(
                "set it, give a default with `${{{name}:-value}}`, or write `$${name}` for a variable of the shell"
            ),
            Kind::Required(name, _) => format!("set `{name}` in the environment of kennel"),
            Kind::BadOperator(_) => "`:-`, `-`, `:?`, `?`, `:+` and `+` can follow a name".to_owned(),
            Kind::TooLong => "shorten the variables".to_owned(),
            Kind::Unclosed | Kind::BadName(_) | Kind::TooDeep => {
                "a `$` that begins no variable is written `$$`".to_owned()
            }
        }
    }
}

#[derive(Debug)]
enum Piece<'t> {
    Text(&'t str),
    Variable { name: &'t str, operator: Operator, word: Vec<Piece<'t>>, at: usize, end: usize },
}

#[derive(Debug, Clone, Copy)]
struct Operator {
    kind: OperatorKind,
    /// With a colon, an empty value counts as unset.
    colon: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum OperatorKind {
    Plain,
    Default,
    Required,
    Alternative,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    /// Up to the end, or inside braces up to the closing one, which is left for the caller.
    fn pieces(&mut self, depth: usize) -> Result<Vec<Piece<'t>>, ExpandError> {
        let mut pieces = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let stops: &[char] = if depth > 0 { &['$', '}'] } else { &['$'] };
            let length = rest.find(stops).unwrap_or(rest.len());
            if length > 0 {
                pieces.push(Piece::Text(&rest[..length]));
                self.at += length;
            }
            let rest = &rest[length..];
            if rest.is_empty() || rest.starts_with('}') {
                return Ok(pieces);
            }
            let after = &rest[1..];
            if after.starts_with('$') {
                pieces.push(Piece::Text("$"));
                self.at += 2;
            } else if after.starts_with('{') {
                pieces.push(self.braced(depth)?);
            } else {
                let name = name_at(after);
                let (at, end) = (self.at, self.at + 1 + name.len());
                self.at = end;
                if name.is_empty() {
                    // A lone `$` means itself: the end of a regular expression is the usual case.
                    pieces.push(Piece::Text("$"));
                } else {
                    let operator = Operator { kind: OperatorKind::Plain, colon: false };
                    pieces.push(Piece::Variable { name, operator, word: Vec::new(), at, end });
                }
            }
        }
    }

    fn braced(&mut self, depth: usize) -> Result<Piece<'t>, ExpandError> {
        let start = self.at;
        let error = |end, kind| ExpandError { at: start, end, kind };
        if depth >= MAX_DEPTH {
            return Err(error(start + 2, Kind::TooDeep));
        }
        self.at += 2;
        let name = name_at(&self.text[self.at..]);
        self.at += name.len();
        let rest = &self.text[self.at..];
        // The number of a port, which is known when it is started; whether there is such a port is checked apart.
        if let Some(inside) = rest.strip_prefix('.').filter(|_| name == "ports")
            && let Some(length) = inside.find('}')
            && ports::reference(&inside[..length]).is_some()
        {
            self.at += 1 + length + 1;
            return Ok(Piece::Text(&self.text[start..self.at]));
        }
        if name.is_empty() || rest.starts_with(|c: char| c == '.' || c.is_alphanumeric()) {
            let Some(length) = rest.find('}') else {
                return Err(error(start + 2, Kind::Unclosed));
            };
            let given = format!("{name}{}", &rest[..length]);
            return Err(error(self.at + length + 1, Kind::BadName(given)));
        }
        let colon = rest.starts_with(':');
        let kind = match rest[usize::from(colon)..].chars().next() {
            Some('-') => OperatorKind::Default,
            Some('?') => OperatorKind::Required,
            Some('+') => OperatorKind::Alternative,
            Some('}') if !colon => {
                self.at += 1;
                let operator = Operator { kind: OperatorKind::Plain, colon };
                return Ok(Piece::Variable { name, operator, word: Vec::new(), at: start, end: self.at });
            }
            None => return Err(error(start + 2, Kind::Unclosed)),
            Some(_) => return Err(error(self.at, Kind::BadOperator(name.to_owned()))),
        };
        self.at += usize::from(colon) + 1;
        let word = self.pieces(depth + 1)?;
        if !self.text[self.at..].starts_with('}') {
            return Err(error(start + 2, Kind::Unclosed));
        }
        self.at += 1;
        let operator = Operator { kind, colon };
        Ok(Piece::Variable { name, operator, word, at: start, end: self.at })
    }
}

/// The longest name of a variable at the start of `text`.
fn name_at(text: &str) -> &str {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    &text[..end.unwrap_or(text.len())]
}

fn evaluate(
    pieces: &[Piece<'_>],
    environment: &BTreeMap<String, String>,
    out: &mut String,
    report: &mut dyn FnMut(ExpandError),
) {
    for piece in pieces {
        let (name, operator, word, at, end) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Variable { name, operator, word, at, end } => (*name, operator, word, *at, *end),
        };
        if out.len() > MAX_LENGTH {
            report(ExpandError { at, end, kind: Kind::TooLong });
            return;
        }
        let value = environment.get(name).filter(|value| !(operator.colon && value.is_empty()));
        match (operator.kind, value) {
            (OperatorKind::Alternative, Some(_)) | (OperatorKind::Default, None) => {
                evaluate(word, environment, out, report);
            }
            (OperatorKind::Alternative, None) => {}
            (_, Some(value)) => out.push_str(value),
            (OperatorKind::Required, None) => {
                let mut why = String::new();
                evaluate(word, environment, &mut why, report);
                let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
                report(ExpandError { at, end, kind: Kind::Required(name.to_owned(), why) });
            }
            (OperatorKind::Plain, None) => {
                report(ExpandError { at, end, kind: Kind::Unset(name.to_owned()) });
            }
        }
    }
}

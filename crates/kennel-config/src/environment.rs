//! `environment`, `env_file` and `labels`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Report, Span};
use crate::reader::{Fields, Key, boolean, entries, expected, filled, key, no_hint, string, text};
use crate::tree::{Node, Value};
use crate::{env_file, path};

/// Keys of an entry of `env_file` that is a mapping.
pub(crate) const ENV_FILE: &[Key] = &[key("path", &[]), key("required", &[])];

/// Longest environment file, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// `environment`: a mapping, or a list of `NAME=value`. A name without a value takes it from `outer`.
pub(crate) fn read(
    report: &Report<'_>,
    node: &Node,
    outer: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for Pair { name, span, value } in pairs(report, node, "`environment`")? {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` cannot be the name of a variable");
            report.error(span, "bad_name", message);
            continue;
        }
        match value {
            Given::Text(value) => found.insert(name, value),
            Given::Nothing => match outer.get(&name) {
                Some(value) => found.insert(name, value.clone()),
                None => None,
            },
            Given::Broken => None,
        };
    }
    Some(found)
}

/// `labels`: a mapping, or a list of `name=value`; nothing is an empty text.
pub(crate) fn labels(report: &Report<'_>, node: &Node) -> Option<BTreeMap<String, String>> {
    let pairs = pairs(report, node, "`labels`")?;
    let text = |value| match value {
        Given::Text(value) => value,
        Given::Nothing | Given::Broken => String::new(),
    };
    Some(pairs.into_iter().map(|pair| (pair.name, text(pair.value))).collect())
}

struct Pair {
    name: String,
    span: Span,
    value: Given,
}

enum Given {
    Text(String),
    Nothing,
    /// Reported already.
    Broken,
}

fn pairs(report: &Report<'_>, node: &Node, what: &str) -> Option<Vec<Pair>> {
    let Value::List(items) = &node.value else {
        if !matches!(node.value, Value::Map(_) | Value::Null) {
            expected(report, node, what, "a mapping or a list of `NAME=value`");
            return None;
        }
        let entries = entries(report, node, what)?.iter();
        return Some(
            entries
                .map(|entry| Pair {
                    name: entry.key.clone(),
                    span: entry.key_span,
                    value: match &entry.value.value {
                        Value::Null => Given::Nothing,
                        _ => text(report, &entry.value, &format!("`{}`", entry.key)).map_or(Given::Broken, Given::Text),
                    },
                })
                .collect(),
        );
    };
    let (mut pairs, mut seen) = (Vec::new(), HashMap::new());
    for item in items {
        let Some(line) = string(report, item, &format!("an entry of {what}")) else {
            continue;
        };
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), Given::Text(value.to_owned())),
            None => (line, Given::Nothing),
        };
        let first = *seen.entry(name.clone()).or_insert(item.span);
        if first != item.span {
            let line = report.line(first.start);
            let message = format!("`{name}` is given twice; first given on line {line}");
            report.error(item.span, "duplicate_key", message);
        }
        pairs.push(Pair { name, span: item.span, value });
    }
    Some(pairs)
}

/// `env_file`: one file or several, of which a later one wins.
pub(crate) fn files(
    report: &Report<'_>,
    node: &Node,
    directory: &Path,
    outer: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let one = std::slice::from_ref(node);
    let items = match &node.value {
        Value::List(items) => items,
        Value::Null => return found,
        _ => one,
    };
    for item in items {
        let Some((path, required, span)) = file(report, item, directory) else {
            continue;
        };
        match load(&path) {
            Ok(text) => match env_file::parse(&path, &text, outer) {
                Ok(variables) => found.extend(variables),
                Err(wrong) => wrong.into_iter().for_each(|one| report.push(one)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {}
            Err(error) => {
                let message = format!("cannot read the environment file `{}`: {error}", path.display());
                let help = match error.kind() {
                    io::ErrorKind::NotFound => "create it, or allow that it is missing: `{ path: …, required: false }`",
                    _ => "check that it is a file that kennel's user may read",
                };
                report.error_help(span, "env_file", message, help);
            }
        }
    }
    found
}

fn file(report: &Report<'_>, node: &Node, directory: &Path) -> Option<(PathBuf, bool, Span)> {
    if !matches!(node.value, Value::Map(_)) {
        let path = filled(report, node, "`env_file`")?;
        return Some((path::resolve(report, node, directory, &path)?, true, node.span));
    }
    let fields = Fields::open(report, node, "`env_file`", ENV_FILE, no_hint)?;
    let required = match fields.get("required") {
        Some(entry) => boolean(report, &entry.value, "`required`"),
        None => Some(true),
    };
    let Some(entry) = fields.get("path") else {
        report.error(node.span, "missing_key", "an entry of `env_file` needs a `path`");
        return None;
    };
    let path = filled(report, &entry.value, "`path`")?;
    Some((path::resolve(report, &entry.value, directory, &path)?, required?, entry.value.span))
}

/// Reads a file that somebody else may have put there: a FIFO would block forever, a device may never end.
fn load(path: &Path) -> io::Result<String> {
    if path == Path::new("/dev/null") {
        return Ok(String::new());
    }
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LENGTH {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "bigger than 1 MiB"));
    }
    Ok(text)
}

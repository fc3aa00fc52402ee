//! The state of a dashboard as services: read with located errors, and written as a configuration.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use crate::address::number as port;
use crate::command::{is_assignment, operator};
use crate::diagnostic::{Invalid, Report, Span};
use crate::reader::{Fields, Key, choice, entries, expected, filled, integer, key, list, no_hint};
use crate::render::yaml_of;
use crate::tree::{Entry, Node, Value};
use crate::{json, load};

/// Keys of a server; all of them are needed but those that a stopped one has no value for.
const KEYS: &[Key] = &[
    key("id", &[]),
    key("pid", &[]),
    key("command", &[]),
    key("cwd", &[]),
    key("startTime", &[]),
    key("status", &[]),
    key("ports", &[]),
];

/// What `status` may be.
const STATUSES: [(&str, &str); 4] =
    [("running", "running"), ("stopped", "stopped"), ("crashed", "crashed"), ("unknown", "unknown")];

/// Largest process id of Linux, `PID_MAX_LIMIT`.
const MAX_PID: i64 = 4 << 20;

/// Latest time that JavaScript has, milliseconds since 1970.
const MAX_TIME: i64 = 8_640_000_000_000_000;

/// One server, as it was recorded. Nothing of it was compared with what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedServer {
    /// Name of a service, or of one replica: `worker.2`.
    pub id: String,
    /// Main process; none was recorded.
    pub pid: Option<u32>,
    /// As in a shell.
    pub command: String,
    /// Absolute.
    pub cwd: PathBuf,
    /// Begin, milliseconds since 1970.
    pub start_time_ms: Option<i64>,
    /// `running`, `stopped`, `crashed` or `unknown`.
    pub status: &'static str,
    /// Each once, in the order of the file.
    pub ports: Vec<u16>,
}

/// Reads `{"server-id": {"id", "pid", "command", "cwd", "startTime", "status", "ports"}}`.
///
/// # Errors
/// Everything that is wrong with it at once; only a file that cannot be read or parsed at all has one error.
pub fn read_dashboard(file: &Path) -> Result<Vec<RecordedServer>, Invalid> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let source = load::read(&file, None)?;
    read_dashboard_text(&file, &source)
}

/// The same of a text, which is said to be this file.
///
/// # Errors
/// As [`read_dashboard`], but for those of reading.
pub fn read_dashboard_text(file: &Path, source: &str) -> Result<Vec<RecordedServer>, Invalid> {
    let report = Report::new(file, source);
    let servers = match json::parse(source) {
        Ok(tree) => servers(&report, &tree),
        Err(error) => {
            report.error(error.span, error.code, error.message);
            None
        }
    };
    match servers {
        Some(servers) if report.is_clean() => Ok(servers),
        _ => {
            let diagnostics = report.into_diagnostics();
            Err(Invalid { file: file.to_owned(), diagnostics, source: source.to_owned() })
        }
    }
}

fn servers(report: &Report<'_>, tree: &Node) -> Option<Vec<RecordedServer>> {
    if !matches!(tree.value, Value::Map(_)) {
        expected(report, tree, "the state of a dashboard", "an object of servers by their ids");
        return None;
    }
    let entries = entries(report, tree, "the state of a dashboard")?;
    let read: Vec<(Span, RecordedServer)> =
        entries.iter().filter_map(|entry| Some((entry.key_span, server(report, entry)?))).collect();
    replicas(report, &read);
    Some(read.into_iter().map(|(_, server)| server).collect())
}

fn server(report: &Report<'_>, entry: &Entry) -> Option<RecordedServer> {
    let name = &entry.key;
    let what = format!("the server `{}`", name.escape_debug());
    check_id(report, entry);
    if !matches!(entry.value.value, Value::Map(_)) {
        expected(report, &entry.value, &what, "an object");
        return None;
    }
    let fields = Fields::open(report, &entry.value, &what, KEYS, no_hint)?;
    for needed in ["id", "command", "cwd", "status", "ports"] {
        if fields.get(needed).is_none() {
            fields.missing(needed, entry.key_span, format!("{what} has no `{needed}`"), "every server has one");
        }
    }
    fields.read("id", |report, id| is_key(report, &id.value, name));
    let pid = fields.read("pid", |report, pid| nullable(report, &pid.value, "`pid`", 1..=MAX_PID)).flatten();
    let start_time_ms =
        fields.read("startTime", |report, at| nullable(report, &at.value, "`startTime`", 0..=MAX_TIME)).flatten();
    // All of them are read before any is missed, so that all mistakes come out at once.
    let command = fields.read("command", |report, command| words(report, &command.value));
    let cwd = fields.read("cwd", |report, cwd| absolute(report, &cwd.value));
    let status = fields.read("status", |report, status| choice(report, &status.value, "`status`", &STATUSES));
    let ports = fields.read("ports", |report, ports| distinct(report, &ports.value));
    let id = name.clone();
    Some(RecordedServer { id, pid, start_time_ms, command: command?, cwd: cwd?, status: status?, ports: ports? })
}

/// `web`, or `worker.2` for a replica.
fn check_id(report: &Report<'_>, entry: &Entry) {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let (name, replica) = split(&entry.key);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good) && name.len() <= 63;
    let is_replica =
        replica.is_none_or(|text| text.parse::<u32>().is_ok_and(|number| number > 0 && number.to_string() == text));
    if !is_name || !is_replica {
        let message = format!("`{}` cannot be the name of a service", entry.key.escape_debug());
        let help = "at most 63 letters, digits, `_` and `-`, beginning with a letter or digit; a replica has `.` and its number after that";
        report.error_help(entry.key_span, "bad_name", message, help);
    }
}

fn split(id: &str) -> (&str, Option<&str>) {
    id.split_once('.').map_or((id, None), |(name, replica)| (name, Some(replica)))
}

fn is_key(report: &Report<'_>, node: &Node, key: &str) -> Option<()> {
    let id = filled(report, node, "`id`")?;
    if id != key {
        let message = format!("`id` is `{id}`, and the server stands under `{key}`");
        report.error_help(node.span, "bad_value", message, "both must be the same");
    }
    Some(())
}

/// A number, or null. `None`: it is neither.
fn nullable<T: TryFrom<i64>>(
    report: &Report<'_>,
    node: &Node,
    what: &str,
    bounds: std::ops::RangeInclusive<i64>,
) -> Option<Option<T>> {
    if node.value == Value::Null { Some(None) } else { integer(report, node, what, bounds).map(Some) }
}

/// A command that a shell could be given.
fn words(report: &Report<'_>, node: &Node) -> Option<String> {
    let text = filled(report, node, "`command`")?;
    let help = match shell_words::split(&text) {
        _ if text.contains('\0') => "a command cannot contain a zero byte",
        Err(_) => "is a quote never closed?",
        Ok(words) if words.first().is_none_or(|program| program.trim().is_empty()) => "it names no program",
        Ok(_) => return Some(text),
    };
    report.error_help(node.span, "bad_value", "`command` cannot be split into words as a shell does it", help);
    None
}

fn absolute(report: &Report<'_>, node: &Node) -> Option<PathBuf> {
    let text = filled(report, node, "`cwd`")?;
    if !text.starts_with('/') || text.contains('\0') {
        let help = "a path that begins with `/`: it must not depend on where this is read";
        report.error_help(node.span, "bad_value", format!("`cwd` is not absolute: {text:?}"), help);
        return None;
    }
    Some(PathBuf::from(text))
}

fn distinct(report: &Report<'_>, node: &Node) -> Option<Vec<u16>> {
    if !matches!(node.value, Value::List(_)) {
        expected(report, node, "`ports`", "an array of numbers");
        return None;
    }
    let numbers = list(report, node, "`ports`", |item| {
        if item.as_str().is_some() {
            expected(report, item, "a port", "a number");
            return None;
        }
        port(report, item, "a port").map(|port| (port, item.span))
    })?;
    let mut ports = Vec::new();
    for (port, span) in numbers {
        if ports.contains(&port) {
            report.error_help(span, "duplicate_port", format!("the port {port} is given twice"), "keep one");
        } else {
            ports.push(port);
        }
    }
    Some(ports)
}

/// Replicas of one service are numbered from 1, at least two of them, and all alike.
fn replicas(report: &Report<'_>, read: &[(Span, RecordedServer)]) {
    for (span, server) in read {
        let (name, Some(_)) = split(&server.id) else { continue };
        let wrong = |message: String, help: &str| report.error_help(*span, "bad_replica", message, help);
        let others: Vec<&RecordedServer> = read.iter().map(|(_, it)| it).filter(|it| split(&it.id).0 == name).collect();
        if others.iter().any(|it| it.id == name) {
            wrong(format!("`{}` is a replica of `{name}`, which is there as well", server.id), "rename one of them");
        } else if others.len() < 2
            || (1..=others.len()).any(|at| !others.iter().any(|it| it.id == format!("{name}.{at}")))
        {
            wrong(
                format!("the replicas of `{name}` are not numbered from 1 to {}", others.len().max(2)),
                "give it a name without a dot",
            );
        } else if others
            .iter()
            .any(|it| (&it.command, &it.cwd, &it.ports) != (&server.command, &server.cwd, &server.ports))
        {
            wrong(
                format!("the replicas of `{name}` have not all the same `command`, `cwd` and `ports`"),
                "give them names without a dot",
            );
        }
    }
}

/// Servers as a configuration. It loads as it is, and says nothing of pids, which are nobody's any more when it is read.
#[must_use]
pub fn dashboard_config(servers: &[RecordedServer]) -> String {
    let services: Map<String, Json> =
        dashboard_services(servers).into_iter().map(|(name, service)| (name, Json::Object(service))).collect();
    yaml_of(&json!({ "services": services }))
}

/// Servers as services in the words of the file: one for each, or for all replicas of one.
#[must_use]
pub fn dashboard_services(servers: &[RecordedServer]) -> IndexMap<String, Map<String, Json>> {
    let mut services: IndexMap<String, Map<String, Json>> = IndexMap::new();
    for server in servers {
        let (name, replica) = split(&server.id);
        let service = services.entry(name.to_owned()).or_insert_with(|| service(server));
        if replica.is_some() {
            let count = service.get("replicas").and_then(Json::as_u64).unwrap_or(0);
            service.insert("replicas".to_owned(), json!(count + 1));
        }
    }
    services
}

fn service(server: &RecordedServer) -> Map<String, Json> {
    let text = |text: &str| Json::String(text.replace('$', "$$"));
    let mut map = Map::new();
    let words = shell_words::split(&server.command).unwrap_or_default();
    // What only a shell understands is given to one; everything else is exact.
    if needs_shell(&server.command) {
        map.insert("command".to_owned(), text(&server.command));
        map.insert("shell".to_owned(), json!(true));
    } else {
        map.insert("command".to_owned(), words.iter().map(|word| text(word)).collect());
    }
    map.insert("working_dir".to_owned(), text(&server.cwd.to_string_lossy()));
    if !server.ports.is_empty() {
        map.insert("ports".to_owned(), json!(server.ports));
    }
    map
}

/// Whether a shell would do more with it than split it.
fn needs_shell(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    if operator(command).is_some() || is_assignment(first) {
        return true;
    }
    let mut quote = None;
    let mut chars = command.chars();
    let mut at_begin = true;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => drop(chars.next()),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '$') | (None, '*' | '?' | '[' | '(' | ')' | '{' | '#' | '\n' | '!') => return true,
            (None, '~') if at_begin => return true,
            _ => {}
        }
        at_begin = c.is_whitespace();
    }
    false
}

#[cfg(test)]
#[path = "dashboard/tests.rs"]
mod tests;

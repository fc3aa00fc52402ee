//! `logs`, of a service and of the project.

use std::path::Path;
use std::time::Duration;

use kennel_core::model::{LogSink, Logs, OnFull, ProjectLogs};
use serde_json::{Value, json};

use crate::diagnostic::Report;
use crate::reader::{Fields, Key, boolean, choice, filled, key, no_hint};
use crate::render::escaped;
use crate::tree::{Entry, Node, Value as Tree};
use crate::{duration, path, size};

/// Keys of a service's `logs`.
pub(crate) const KEYS: &[Key] = &[
    key("max_size", &[]),
    key("max_age", &["max_age_seconds"]),
    key("segment_size", &[]),
    key("compress", &[]),
    key("on_full", &[]),
    key("path", &["file"]),
    key("to", &[]),
];

/// Keys of the project's.
pub(crate) const PROJECT_KEYS: &[Key] = &[key("max_size", &[])];

/// What the words of `on_full` mean.
const POLICIES: [(&str, OnFull); 3] =
    [("drop_oldest", OnFull::DropOldest), ("block", OnFull::Block), ("stop", OnFull::Stop)];

/// Below this a log says too little to be of use, bytes.
const LEAST: u64 = 1 << 20;
/// The least length of a segment: its index would be longer than it, bytes.
const LEAST_SEGMENT: u64 = 64 << 10;

/// Those of a service in a file that lies in `directory`, which has so many `replicas`.
pub(crate) fn of_service(fields: &Fields<'_>, directory: &Path, replicas: u32) -> Logs {
    fields.read("logs", |report, entry| read(report, entry, directory, replicas)).unwrap_or_default()
}

fn read(report: &Report<'_>, entry: &Entry, directory: &Path, replicas: u32) -> Option<Logs> {
    let fields = Fields::open(report, &entry.value, "`logs`", KEYS, no_hint)?;
    let usual = Logs::default();
    let max_size = at_least(&fields, "max_size", LEAST).unwrap_or(usual.max_size);
    let segment_size = at_least(&fields, "segment_size", LEAST_SEGMENT);
    if let (Some(segment), Some(entry)) = (segment_size, fields.get("segment_size"))
        && segment > max_size / 2
    {
        let help = "at least two segments have to fit, for the oldest is what goes";
        report.error_help(entry.value.span, "conflict", "`segment_size` is more than half of `max_size`", help);
    }
    Some(Logs {
        max_size,
        max_age: fields.read("max_age", |report, entry| {
            let age = duration::read(report, entry)?;
            if age < Duration::from_secs(1) {
                let message = format!("`{}` must be at least 1s", entry.key);
                report.error_help(entry.value.span, "out_of_range", message, "leave it out for no limit");
                return None;
            }
            Some(age)
        }),
        segment_size,
        compress: fields
            .read("compress", |report, entry| boolean(report, &entry.value, "`compress`"))
            .unwrap_or(usual.compress),
        on_full: fields
            .read("on_full", |report, entry| choice(report, &entry.value, "`on_full`", &POLICIES))
            .unwrap_or(usual.on_full),
        to: sinks(&fields, directory, replicas),
    })
}

/// `path`, and the words of `to`.
fn sinks(fields: &Fields<'_>, directory: &Path, replicas: u32) -> Vec<LogSink> {
    let file = fields.read("path", |report, entry| {
        if replicas > 1 {
            let help = "each would write into the middle of the others' lines; read them with `kennel logs`";
            let message = format!("`{}` is one file, and there are {replicas} replicas", entry.key);
            report.error_help(entry.value.span, "conflict", message, help);
            return None;
        }
        let text = filled(report, &entry.value, &format!("`{}`", entry.key))?;
        path::resolve(report, &entry.value, directory, &text)
    });
    let words = fields.read("to", |report, entry| {
        let one = std::slice::from_ref(&entry.value);
        let items = if let Tree::List(items) = &entry.value.value { items } else { one };
        let read: Vec<_> = items.iter().map(|item| sink(report, item)).collect();
        read.into_iter().collect::<Option<Vec<LogSink>>>()
    });
    let mut sinks: Vec<LogSink> = file.map(LogSink::Path).into_iter().collect();
    for sink in words.unwrap_or_default() {
        if !sinks.contains(&sink) {
            sinks.push(sink);
        }
    }
    sinks
}

fn sink(report: &Report<'_>, node: &Node) -> Option<LogSink> {
    if node.as_str() == Some("stdout") {
        let help = "`kennel up` without `-d` writes the lines of all services to its own stdout";
        report.error_help(node.span, "unknown_value", "a daemon has no stdout that anybody reads", help);
        return None;
    }
    choice(report, node, "`to`", &[("journald", ())]).map(|()| LogSink::Journald)
}

/// Those of the project.
pub(crate) fn of_project(fields: &Fields<'_>) -> ProjectLogs {
    let read = fields.read("logs", |report, entry| {
        let fields = Fields::open(report, &entry.value, "`logs` of the project", PROJECT_KEYS, no_hint)?;
        let max_size = at_least(&fields, "max_size", LEAST).unwrap_or(ProjectLogs::default().max_size);
        Some(ProjectLogs { max_size })
    });
    read.unwrap_or_default()
}

fn at_least(fields: &Fields<'_>, name: &str, least: u64) -> Option<u64> {
    fields.read(name, |report, entry| size::read(report, entry, least))
}

/// As it is understood; nothing where all is as usual.
pub(crate) fn rendered(logs: &Logs) -> Value {
    if *logs == Logs::default() {
        return Value::Null;
    }
    let policy = POLICIES.iter().find(|(_, policy)| *policy == logs.on_full).map_or("", |(name, _)| name);
    let mut value = json!({
        "max_size": size::format(logs.max_size),
        "compress": logs.compress,
        "on_full": policy,
    });
    if let Value::Object(map) = &mut value {
        map.extend(logs.max_age.map(|age| ("max_age".to_owned(), json!(duration::format(age)))));
        map.extend(logs.segment_size.map(|bytes| ("segment_size".to_owned(), json!(size::format(bytes)))));
        for sink in &logs.to {
            match sink {
                LogSink::Path(path) => map.insert("path".to_owned(), json!(escaped(&path.to_string_lossy()))),
                LogSink::Journald => map.insert("to".to_owned(), json!(["journald"])),
            };
        }
    }
    value
}

/// The same of the project.
pub(crate) fn rendered_project(logs: &ProjectLogs) -> Option<Value> {
    (*logs != ProjectLogs::default()).then(|| json!({ "max_size": size::format(logs.max_size) }))
}

//! `limits`: what all processes of one instance may use together. Compose's words for it as well.

use std::path::Path;

use kennel_core::limit::{LimitAction, Limits};
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::Report;
use crate::reader::{Fields, Key, choice, expected_help, integer, key, no_hint};
use crate::tree::{Entry, Node, Value};
use crate::{size, yaml};

/// Keys of `limits`.
pub(crate) const KEYS: &[Key] = &[
    key("memory", &["memory_max"]),
    key("memory_high", &[]),
    key("swap", &[]),
    key("pids", &["processes"]),
    key("cpus", &[]),
    key("cpu_weight", &[]),
    key("io_weight", &[]),
    key("io_read", &[]),
    key("io_write", &[]),
    key("action", &[]),
    key("open_files", &[]),
    key("log_rate", &[]),
];

/// Keys of `limits` over several services together: all but the last two, of what each has by itself.
pub(crate) const TOGETHER: &[Key] = KEYS.split_at(KEYS.len() - 2).0;

/// Keys of `deploy`, of its `resources` and of the `limits` in that, of which compose has more.
pub(crate) const DEPLOY: &[Key] = &[key("resources", &[])];
pub(crate) const RESOURCES: &[Key] = &[key("limits", &[])];
pub(crate) const DEPLOY_LIMITS: &[Key] = &[key("memory", &[]), key("cpus", &[]), key("pids", &[])];

const ACTIONS: [(&str, LimitAction); 5] = [
    ("warn", LimitAction::Warn),
    ("freeze", LimitAction::Freeze),
    ("restart", LimitAction::Restart),
    ("stop", LimitAction::Stop),
    ("kill", LimitAction::Kill),
];

const WEIGHT: std::ops::RangeInclusive<i64> = 1..=10_000;
/// Most processes that the kernel can number, and most descriptors that it lets a process have by default.
const PIDS: std::ops::RangeInclusive<i64> = 1..=4_194_304;
const FILES: std::ops::RangeInclusive<i64> = 8..=1_048_576;
/// The least that a program can be started with, and that the kernel takes as a rate, bytes.
const LEAST_MEMORY: u64 = 1 << 20;
const LEAST_RATE: u64 = 1 << 10;
/// In CPUs.
const CPUS: std::ops::RangeInclusive<f64> = 0.01..=8192.0;

/// `limits` of the whole file: over all services together.
pub(crate) fn of_project(fields: &Fields<'_>) -> Limits {
    let limits = fields.read("limits", |report, entry| read(report, &entry.value, TOGETHER));
    limits.unwrap_or_default()
}

/// Limits as they are given on a command line, each `memory=512MiB`, `pids=100`; with `together` those that several instances can
/// have together.
///
/// # Errors
/// What is wrong with the first that is, in one line.
pub fn from_words(words: &[String], together: bool) -> Result<Limits, String> {
    let mut lines = String::new();
    for word in words {
        let pair = word.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let (name, value) = pair
            .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            .ok_or_else(|| format!("`{word}` is no limit; one is `memory=512MiB`, for example"))?;
        lines += &format!("{name}: {value}\n");
    }
    if words.is_empty() {
        return Ok(Limits::default());
    }
    let report = Report::new(Path::new("--limit"), &lines);
    let keys = if together { TOGETHER } else { KEYS };
    let limits = match yaml::parse(&lines) {
        Ok(tree) => read(&report, &tree, keys),
        Err(error) => return Err(error.message),
    };
    match report.into_diagnostics().into_iter().next() {
        Some(wrong) => Err(wrong.help.map_or(wrong.message.clone(), |help| format!("{}; {help}", wrong.message))),
        None => Ok(limits.unwrap_or_default()),
    }
}

/// `limits` of a service, and what compose says in other places.
pub(crate) fn of_service(fields: &Fields<'_>) -> Limits {
    let mut limits = fields.read("limits", |report, entry| read(report, &entry.value, KEYS)).unwrap_or_default();
    let report = fields.report;
    let own = fields.get("limits");
    let taken = |name: &str, entry: &Entry, slot: &mut Option<u64>, value: Option<u64>| {
        if slot.is_some() && own.is_some() {
            let message = format!("`{}` and `{name}` under `limits` say the same thing twice", entry.key);
            report.error_help(entry.key_span, "conflict", message, "keep the one under `limits`");
        } else if slot.is_some() {
            let message = format!("`{}` is given twice", entry.key);
            report.error_help(entry.key_span, "conflict", message, "keep one of them");
        }
        *slot = value.or(*slot);
    };
    if let Some(entry) = fields.get("mem_limit") {
        taken("memory", entry, &mut limits.memory, compose_memory(report, entry));
    }
    if let Some(entry) = fields.get("cpus") {
        taken("cpus", entry, &mut limits.cpus, cpus(report, entry));
    }
    if let Some(entry) = fields.get("pids_limit") {
        taken("pids", entry, &mut limits.pids, compose_pids(report, entry));
    }
    if let Some(deploy) = fields.get("deploy").and_then(|entry| deploy(report, &entry.value)) {
        if let Some(entry) = deploy.get("memory") {
            taken("memory", entry, &mut limits.memory, compose_memory(report, entry));
        }
        if let Some(entry) = deploy.get("cpus") {
            taken("cpus", entry, &mut limits.cpus, cpus(report, entry));
        }
        if let Some(entry) = deploy.get("pids") {
            taken("pids", entry, &mut limits.pids, compose_pids(report, entry));
        }
    }
    limits
}

/// `deploy: { resources: { limits: … } }`
fn deploy<'n>(report: &'n Report<'n>, node: &'n Node) -> Option<Fields<'n>> {
    let deploy = Fields::open(report, node, "`deploy`", DEPLOY, no_hint)?;
    let resources = Fields::open(report, &deploy.get("resources")?.value, "`resources`", RESOURCES, no_hint)?;
    Fields::open(report, &resources.get("limits")?.value, "`limits` of `resources`", DEPLOY_LIMITS, no_hint)
}

/// A mapping of limits.
fn read(report: &Report<'_>, node: &Node, keys: &'static [Key]) -> Option<Limits> {
    let fields = Fields::open(report, node, "`limits`", keys, no_hint)?;
    let memory = |name: &str| fields.read(name, |report, entry| size::read(report, entry, LEAST_MEMORY));
    let rate = |name: &str| fields.read(name, |report, entry| size::rate(report, entry, LEAST_RATE));
    let number = |name: &str, bounds| {
        fields.read(name, |report, entry| integer(report, &entry.value, &format!("`{}`", entry.key), bounds))
    };
    let limits = Limits {
        memory: memory("memory"),
        memory_high: memory("memory_high"),
        swap: fields.read("swap", |report, entry| size::read(report, entry, 0)),
        pids: number("pids", PIDS),
        cpus: fields.read("cpus", cpus),
        cpu_weight: number("cpu_weight", WEIGHT),
        io_weight: number("io_weight", WEIGHT),
        io_read: rate("io_read"),
        io_write: rate("io_write"),
        open_files: number("open_files", FILES),
        log_rate: rate("log_rate"),
        action: fields
            .read("action", |report, entry| choice(report, &entry.value, "`action`", &ACTIONS))
            .unwrap_or_default(),
    };
    if let (Some(high), Some(max)) = (limits.memory_high, limits.memory)
        && high > max
        && let Some(entry) = fields.get("memory_high")
    {
        let message = "`memory_high` is above `memory`, so it is never reached";
        report.error_help(entry.value.span, "conflict", message, "make it smaller than `memory`");
    }
    Some(limits)
}

/// `1.5`, in quotes as compose has it as well; in thousandths.
fn cpus(report: &Report<'_>, entry: &Entry) -> Option<u64> {
    let node = &entry.value;
    let number = match &node.value {
        Value::Int(_, text) | Value::Float(_, text) | Value::Expanded(text) | Value::String(text) => {
            text.trim().parse::<f64>().ok()
        }
        _ => None,
    };
    let Some(number) = number else {
        expected_help(
            report,
            node,
            "`cpus`",
            "a number of CPUs",
            Some("for example `1.5`, or `0.25` for a quarter of one"),
        );
        return None;
    };
    if !CPUS.contains(&number) {
        let message = format!("`cpus` must be between {} and {}, not {number}", CPUS.start(), CPUS.end());
        report.error(node.span, "out_of_range", message);
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 10 and 8192000")]
    Some((number * 1000.0).round() as u64)
}

/// Compose's sizes: a number of bytes, or `512m`.
fn compose_memory(report: &Report<'_>, entry: &Entry) -> Option<u64> {
    size::compose(report, entry, LEAST_MEMORY)
}

/// Compose's -1 and 0 are no limit.
fn compose_pids(report: &Report<'_>, entry: &Entry) -> Option<u64> {
    let given: i64 = integer(report, &entry.value, &format!("`{}`", entry.key), -1..=*PIDS.end())?;
    u64::try_from(given).ok().filter(|given| *given > 0)
}

/// As they are understood.
pub(crate) fn rendered(limits: &Limits) -> Json {
    let mut map = Map::new();
    let mut put = |name: &str, value: Option<Json>| drop(value.map(|value| map.insert(name.to_owned(), value)));
    let size = |value: Option<u64>| value.map(|value| json!(size::format(value)));
    let rate = |value: Option<u64>| value.map(|value| json!(format!("{}/s", size::format(value))));
    put("memory", size(limits.memory));
    put("memory_high", size(limits.memory_high));
    put("swap", size(limits.swap));
    put("pids", limits.pids.map(|value| json!(value)));
    #[expect(clippy::cast_precision_loss, reason = "at most 8192000")]
    put("cpus", limits.cpus.map(|value| json!(value as f64 / 1000.0)));
    put("cpu_weight", limits.cpu_weight.map(|value| json!(value)));
    put("io_weight", limits.io_weight.map(|value| json!(value)));
    put("io_read", rate(limits.io_read));
    put("io_write", rate(limits.io_write));
    put("open_files", limits.open_files.map(|value| json!(value)));
    put("log_rate", rate(limits.log_rate));
    if !map.is_empty() {
        map.insert("action".to_owned(), json!(limits.action.as_str()));
    }
    if map.is_empty() { Json::Null } else { Json::Object(map) }
}

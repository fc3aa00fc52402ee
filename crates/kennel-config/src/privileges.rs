//! Rights, limits and priorities of a service: mostly compose's keys.

use indexmap::IndexMap;
use kennel_core::capability;
use kennel_core::model::{IoPriority, Privileges, RESOURCE_LIMITS, ResourceLimit};
use serde_json::{Value as Json, json};

use crate::cpus;
use crate::diagnostic::{Report, closest, suggest};
use crate::reader::{Fields, Key, boolean, entries, expected, expected_help, integer, key, list, no_hint, string};
use crate::tree::{Node, Value};

/// Keys of a limit that is spelled out.
pub(crate) const LIMIT: &[Key] = &[key("soft", &[]), key("hard", &[])];

/// Levels of the classes beside `idle`.
const LEVELS: std::ops::RangeInclusive<u8> = 0..=7;
/// The level of a class that is named alone, as `ionice(1)` has it.
const USUAL_LEVEL: u8 = 4;

/// All of them.
pub(crate) fn read(fields: &Fields<'_>) -> Privileges {
    let report = fields.report;
    let number = |name: &str, bounds| {
        fields.read(name, |report, entry| integer(report, &entry.value, &format!("`{}`", entry.key), bounds))
    };
    let (capabilities, added_capabilities) = capabilities(fields);
    Privileges {
        no_new_privileges: no_new_privileges(fields),
        capabilities,
        added_capabilities,
        limits: fields.read("ulimits", |_, entry| limits(report, &entry.value)).unwrap_or_default(),
        nice: number("nice", -20..=19),
        cpus: fields.read("cpu_affinity", |_, entry| affinity(report, &entry.value, &entry.key)).unwrap_or_default(),
        io: fields.read("io_priority", |_, entry| io_priority(report, &entry.value)),
        oom_score_adj: number("oom_score_adj", -1000..=1000),
        dedicated_user: crate::who::dedicated_user(fields),
    }
}

fn no_new_privileges(fields: &Fields<'_>) -> bool {
    let report = fields.report;
    let own = fields.get("no_new_privileges");
    let compose = fields.get("security_opt").map(|entry| {
        let options = list(report, &entry.value, "`security_opt`", |node| security_option(report, node));
        options.unwrap_or_default().into_iter().any(|is_set| is_set)
    });
    match (own, compose) {
        (Some(own), Some(true)) => {
            let message = "`no_new_privileges` and `security_opt` say the same thing twice";
            report.error_help(own.key_span, "conflict", message, "keep one of them");
            true
        }
        (Some(own), _) => boolean(report, &own.value, "`no_new_privileges`").unwrap_or_default(),
        (None, compose) => compose.unwrap_or_default(),
    }
}

/// Whether one entry of `security_opt` asks for `no-new-privileges`, which is all that means something here.
fn security_option(report: &Report<'_>, node: &Node) -> Option<bool> {
    let text = string(report, node, "an entry of `security_opt`")?;
    let (name, value) = match text.split_once([':', '=']) {
        Some((name, value)) => (name, value),
        None => (text.as_str(), "true"),
    };
    match (name.trim(), value.trim()) {
        ("no-new-privileges", "true") => Some(true),
        ("no-new-privileges", "false") => Some(false),
        _ => {
            let message = format!("`security_opt` has no `{text}` in kennel");
            let help = "`no-new-privileges:true` is what it may say";
            report.error_help(node.span, "not_supported", message, help);
            None
        }
    }
}

/// What it may ever have, if that is less than everything, and what it has from the start.
fn capabilities(fields: &Fields<'_>) -> (Option<u64>, u64) {
    let read = |name: &str| -> u64 {
        let Some(entry) = fields.get(name) else { return 0 };
        let one = |node: &Node| capability(fields.report, node, name);
        match entry.value.as_str() {
            Some(_) => one(&entry.value).unwrap_or_default(),
            None => {
                let all = list(fields.report, &entry.value, &format!("`{name}`"), one).unwrap_or_default();
                all.into_iter().fold(0, |set, bit| set | bit)
            }
        }
    };
    let (dropped, added) = (read("cap_drop"), read("cap_add"));
    let left = !dropped | added;
    ((left != capability::ALL).then_some(left), added)
}

fn capability(report: &Report<'_>, node: &Node, key: &str) -> Option<u64> {
    let text = string(report, node, &format!("an entry of `{key}`"))?;
    let name = text.trim();
    if name.eq_ignore_ascii_case("all") {
        return Some(capability::ALL);
    }
    let bit = capability::bit(name);
    if bit.is_none() {
        let upper = name.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let begun = capability::NAMES.into_iter().find(|known| plain.len() > 3 && known.starts_with(plain));
        let help = match begun.or_else(|| closest(plain, capability::NAMES)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "for example `NET_BIND_SERVICE`; `ALL` is every one, and capabilities(7) lists them".to_owned(),
        };
        report.error_help(node.span, "unknown_capability", format!("there is no capability `{text}`"), help);
    }
    bit
}

fn limits(report: &Report<'_>, node: &Node) -> Option<IndexMap<String, ResourceLimit>> {
    let mut limits = IndexMap::new();
    for entry in entries(report, node, "`ulimits`")? {
        if !RESOURCE_LIMITS.contains(&entry.key.as_str()) {
            let message = format!("there is no limit `{}`", entry.key);
            let plain = entry.key.to_ascii_lowercase();
            let help = suggest(plain.trim_start_matches("rlimit_"), RESOURCE_LIMITS);
            report.error_help(entry.key_span, "unknown_key", message, help);
            continue;
        }
        if let Some(limit) = limit(report, &entry.value, &entry.key) {
            limits.insert(entry.key.clone(), limit);
        }
    }
    Some(limits)
}

fn limit(report: &Report<'_>, node: &Node, name: &str) -> Option<ResourceLimit> {
    if !matches!(node.value, Value::Map(_)) {
        let both = amount(report, node, &format!("the limit `{name}`"))?;
        return Some(ResourceLimit { soft: both, hard: both });
    }
    let fields = Fields::open(report, node, &format!("the limit `{name}`"), LIMIT, no_hint)?;
    let part = |part: &str| {
        let Some(entry) = fields.get(part) else {
            let help = "give `soft` and `hard`, or one number for both";
            fields.missing(part, node.span, format!("the limit `{name}` has no `{part}`"), help);
            return None;
        };
        Some((amount(report, &entry.value, &format!("`{part}` of the limit `{name}`"))?, entry.value.span))
    };
    let (soft, hard) = (part("soft"), part("hard"));
    let ((soft, span), (hard, _)) = (soft?, hard?);
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        let message = format!("`soft` of the limit `{name}` is above its `hard`");
        report.error_help(
            span,
            "conflict",
            message,
            "the soft limit is what holds; the hard one is how far it can be raised",
        );
        return None;
    }
    Some(ResourceLimit { soft, hard })
}

/// A number in the kernel's unit; -1 and `unlimited` are none.
fn amount(report: &Report<'_>, node: &Node, what: &str) -> Option<Option<u64>> {
    let number = match &node.value {
        Value::Int(-1, _) => return Some(None),
        Value::Int(number, _) => u64::try_from(*number).ok(),
        Value::String(text) | Value::Expanded(text) => match text.trim() {
            "unlimited" | "-1" => return Some(None),
            text if matches!(node.value, Value::Expanded(_)) => text.parse().ok().filter(|number| *number < u64::MAX),
            _ => None,
        },
        _ => None,
    };
    if number.is_none() {
        let help = "a size is given in bytes, a time in seconds (`cpu`) or microseconds (`rttime`)";
        expected_help(report, node, what, "a whole number from 0, or `unlimited`", Some(help));
    }
    number.map(Some)
}

fn affinity(report: &Report<'_>, node: &Node, key: &str) -> Option<Vec<u32>> {
    let one = |node: &Node| {
        let text = match &node.value {
            Value::Int(_, text) | Value::String(text) | Value::Expanded(text) => text,
            _ => {
                expected(report, node, &format!("`{key}`"), "numbers of CPUs, such as `0-3,6`");
                return None;
            }
        };
        match cpus::parse(text) {
            Ok(cpus) => Some(cpus),
            Err(why) => {
                report.error_help(node.span, "bad_value", format!("`{key}`: {why}"), "for example `0-3,6`");
                None
            }
        }
    };
    let Value::List(_) = node.value else { return one(node) };
    let mut cpus = list(report, node, &format!("`{key}`"), one)?.concat();
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

fn io_priority(report: &Report<'_>, node: &Node) -> Option<IoPriority> {
    let text = string(report, node, "`io_priority`")?;
    let (class, level) = match text.split_once(':') {
        Some((class, level)) => (class.trim(), Some(level.trim())),
        None => (text.trim(), None),
    };
    let class = class.replace('_', "-");
    let level = match level {
        None => Some(USUAL_LEVEL),
        Some(level) => level.parse().ok().filter(|level| LEVELS.contains(level)),
    };
    match (class.as_str(), level) {
        ("idle", _) if !text.contains(':') => Some(IoPriority::Idle),
        ("best-effort", Some(level)) => Some(IoPriority::BestEffort(level)),
        ("realtime", Some(level)) => Some(IoPriority::Realtime(level)),
        ("best-effort" | "realtime", None) => {
            let message = format!("the level of `{class}` must be between 0 (first) and 7 (last)");
            report.error(node.span, "out_of_range", message);
            None
        }
        ("idle", _) => {
            report.error_help(node.span, "bad_value", "`idle` has no level", "write `io_priority: idle`");
            None
        }
        _ => {
            let message = format!("`io_priority` has no value `{text}`");
            let help = suggest(&class, ["idle", "best-effort:4", "realtime:4"]);
            report.error_help(node.span, "unknown_value", message, help);
            None
        }
    }
}

/// The keys from which [`read`] makes the same again.
pub(crate) fn rendered(privileges: &Privileges) -> [(&'static str, Json); 8] {
    let set = |set: u64| match set {
        capability::ALL => json!(["ALL"]),
        set => capability::names(set).collect(),
    };
    let dropped = privileges.capabilities.map_or(json!([]), |left| match left == privileges.added_capabilities {
        true => json!(["ALL"]),
        false => capability::names(!left).collect(),
    });
    let limits = privileges.limits.iter().map(|(name, limit)| {
        let part = |part: Option<u64>| part.map_or(json!("unlimited"), |number| json!(number));
        (name.clone(), json!({ "soft": part(limit.soft), "hard": part(limit.hard) }))
    });
    let io = privileges.io.map(|io| match io {
        IoPriority::Idle => "idle".to_owned(),
        IoPriority::BestEffort(level) => format!("best-effort:{level}"),
        IoPriority::Realtime(level) => format!("realtime:{level}"),
    });
    let cpus = (!privileges.cpus.is_empty()).then(|| cpus::format(&privileges.cpus));
    [
        ("no_new_privileges", privileges.no_new_privileges.then_some(true).into()),
        ("cap_drop", dropped),
        ("cap_add", set(privileges.added_capabilities)),
        ("ulimits", limits.collect()),
        ("nice", privileges.nice.into()),
        ("cpu_affinity", cpus.into()),
        ("io_priority", io.into()),
        ("oom_score_adj", privileges.oom_score_adj.into()),
    ]
}

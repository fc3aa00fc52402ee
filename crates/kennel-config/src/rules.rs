//! `rules` of a service and of the whole file, and `storm_brake`.

use std::time::Duration;

use kennel_core::brake;
use kennel_core::limit::Limits;
use kennel_core::rules::{self, Act, Extent, Measure, Rule, Rung};
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::Report;
use crate::reader::{
    Fields, Key, boolean, choice, entries, expected_help, float, integer, key, list, no_hint, word_as_bool,
};
use crate::tree::{Entry, Node, Value};
use crate::{duration, size};

/// Keys of a rule.
pub(crate) const RULE: &[Key] = &[
    key("processes", &["pids"]),
    key("memory", &[]),
    key("cpu", &[]),
    key("forks", &[]),
    key("open_files", &[]),
    key("log_rate", &[]),
    key("write_rate", &[]),
    key("written", &[]),
    key("restarts", &[]),
    key("for", &[]),
    key("scope", &[]),
    key("action", &[]),
    key("ladder", &[]),
    key("cooldown", &[]),
    key("predict", &[]),
];

/// Keys of a rung that is spelled out.
pub(crate) const RUNG: &[Key] = &[key("action", &[]), key("after", &[])];

/// Keys of `storm_brake`.
pub(crate) const STORM_BRAKE: &[Key] = &[key("restarts", &["max_restarts"]), key("window", &[])];

const ACTIONS: [(&str, Act); 6] = [
    ("event", Act::Event),
    ("warn", Act::Warn),
    ("throttle", Act::Throttle),
    ("freeze", Act::Freeze),
    ("stop", Act::Stop),
    ("kill", Act::Kill),
];

const SCOPES: [(&str, Extent); 2] = [("service", Extent::Service), ("stack", Extent::Stack)];

/// Longest name of a rule, bytes.
const MAX_NAME: usize = 63;

/// `rules` of a service, beside those that come with its limits.
pub(crate) fn of_service(fields: &Fields<'_>, limits: &Limits) -> Vec<Rule> {
    let built_in = || rules::of_limits(limits);
    fields.read("rules", |report, entry| read(report, entry, built_in(), false)).unwrap_or_else(built_in)
}

/// `rules` of the whole file, beside those that every stack has.
pub(crate) fn of_project(fields: &Fields<'_>) -> Vec<Rule> {
    fields.read("rules", |report, entry| read(report, entry, rules::defaults(), true)).unwrap_or_else(rules::defaults)
}

/// Lays the rules of the file over `all`, by their names.
fn read(report: &Report<'_>, of: &Entry, mut all: Vec<Rule>, is_project: bool) -> Option<Vec<Rule>> {
    for entry in entries(report, &of.value, &format!("`{}`", of.key))?.iter().filter(|one| !one.key.starts_with("x-")) {
        let known = all.iter().position(|rule| rule.name == entry.key);
        if is_off(&entry.value) {
            match known {
                Some(index) => drop(all.remove(index)),
                None => {
                    let help = if is_project {
                        "those are `stack-processes` and `stack-memory`"
                    } else {
                        "that is `limit-memory`, of a service with a limit of its memory"
                    };
                    let message = format!("there is no built-in rule `{}` to switch off", entry.key);
                    report.error_help(entry.value.span, "bad_value", message, help);
                }
            }
            continue;
        }
        let before = known.and_then(|index| all.get(index).cloned());
        let rule = rule(report, entry, before, is_project);
        match (rule, known.and_then(|index| all.get_mut(index))) {
            (Some(rule), Some(there)) => *there = rule,
            (Some(rule), None) => all.push(rule),
            (None, _) => {}
        }
    }
    Some(all)
}

fn is_off(node: &Node) -> bool {
    match &node.value {
        Value::Bool(value) => !value,
        Value::String(text) | Value::Expanded(text) => word_as_bool(text) == Some(false),
        _ => false,
    }
}

fn rule(report: &Report<'_>, entry: &Entry, before: Option<Rule>, is_project: bool) -> Option<Rule> {
    let name = &entry.key;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(good) {
        let message = format!("`{}` cannot be the name of a rule", name.escape_debug());
        report.error_help(entry.key_span, "bad_name", message, "at most 63 letters, digits, `_`, `-` and `.`");
    }
    let what = format!("the rule `{name}`");
    let fields = Fields::open(report, &entry.value, &what, RULE, no_hint)?;
    let (measure, above) = threshold(&fields, entry, &what, before.as_ref())?;
    let usual = if is_project { Extent::Stack } else { Extent::Service };
    // Of a built-in rule everything that is not said stays.
    let mut rule =
        before.filter(|before| before.measure == measure).unwrap_or_else(|| Rule::new(name, measure, above, usual));
    rule.above = above;
    rule.lasting = fields.read("for", duration::read).unwrap_or(rule.lasting);
    if let Some(extent) = fields.read("scope", |report, entry| choice(report, &entry.value, "`scope`", &SCOPES)) {
        rule.extent = extent;
        if let (Extent::Stack, false, Some(entry)) = (extent, is_project, fields.get("scope")) {
            let help = "put the rule under `rules` of the whole file";
            report.error_help(entry.value.span, "conflict", "a rule of a service is over that service alone", help);
        }
    }
    rule.ladder = ladder(&fields).unwrap_or(rule.ladder);
    rule.cooldown = fields.read("cooldown", duration::read).unwrap_or(rule.cooldown);
    if let Some(entry) = fields.get("predict")
        && let Some(ahead) = ahead(report, entry)
    {
        rule.predict = ahead;
        if !ahead.is_zero() && !measure.has_slope() {
            let message = format!("`{}` cannot be foreseen: it is what is spent a second", measure.word());
            report.error_help(entry.value.span, "conflict", message, "leave out `predict`");
        }
    }
    Some(rule)
}

/// The one figure that a rule watches, and what is too much of it.
fn threshold(fields: &Fields<'_>, of: &Entry, what: &str, before: Option<&Rule>) -> Option<(Measure, f64)> {
    let names: Vec<&'static str> = Measure::all().iter().map(|(word, _)| *word).collect();
    let given = fields.present(&names);
    match (&given[..], before) {
        ([], Some(before)) => Some((before.measure, before.above)),
        ([], None) => {
            let help = "for example `processes: 80` or `memory: 4GiB`";
            fields.missing("processes", of.key_span, format!("{what} watches nothing"), help);
            None
        }
        ([(name, entry)], _) => {
            let measure = Measure::all().iter().find(|(word, _)| word == name).map(|(_, measure)| *measure)?;
            Some((measure, amount(fields.report, measure, entry)?))
        }
        ([(first, _), (second, entry), ..], _) => {
            let message = format!("{what} watches `{first}` and `{second}`");
            fields.report.error_help(entry.key_span, "conflict", message, "make two rules of it");
            None
        }
    }
}

fn amount(report: &Report<'_>, measure: Measure, entry: &Entry) -> Option<f64> {
    let what = format!("`{}`", entry.key);
    #[expect(clippy::cast_precision_loss, reason = "sizes end where this is exact")]
    let exact = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    match measure {
        Measure::Processes | Measure::OpenFiles | Measure::Restarts => {
            integer::<u32>(report, &entry.value, &what, 1..=10_000_000).map(f64::from)
        }
        Measure::Forks => float(report, &entry.value, &what, 0.1..=1e6),
        Measure::Memory | Measure::Written => exact(size::read(report, entry, 1)),
        Measure::LogRate | Measure::WriteRate => exact(size::rate(report, entry, 1)),
        Measure::Cpu => percent(report, &entry.value, &what),
    }
}

/// `150%` of one CPU, or `1.5` CPUs.
fn percent(report: &Report<'_>, node: &Node, what: &str) -> Option<f64> {
    const BOUNDS: std::ops::RangeInclusive<f64> = 0.01..=4096.0;
    let text = match &node.value {
        Value::String(text) | Value::Expanded(text) => text.trim(),
        _ => return float(report, node, what, BOUNDS).map(|cpus| cpus * 100.0),
    };
    let percent = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok(),
        None => text.parse::<f64>().ok().map(|cpus| cpus * 100.0),
    };
    let percent = percent.filter(|percent| BOUNDS.contains(&(percent / 100.0)));
    if percent.is_none() {
        let help = "`150%` is one and a half CPUs, and so is `1.5`";
        expected_help(report, node, what, "a share of CPU time", Some(help));
    }
    percent
}

/// `predict`: a time, or `off`.
fn ahead(report: &Report<'_>, entry: &Entry) -> Option<Duration> {
    if is_off(&entry.value) { Some(Duration::ZERO) } else { duration::read(report, entry) }
}

fn ladder(fields: &Fields<'_>) -> Option<Vec<Rung>> {
    let report = fields.report;
    match (fields.get("action"), fields.get("ladder")) {
        (None, None) => None,
        (Some(entry), None) => {
            let act = choice(report, &entry.value, "`action`", &ACTIONS)?;
            Some(vec![Rung { act, after: Duration::ZERO }])
        }
        (Some(_), Some(entry)) => {
            let message = "`action` and `ladder` are two ways to say one thing";
            report.error_help(entry.key_span, "conflict", message, "keep `ladder`");
            None
        }
        (None, Some(entry)) => {
            let mut before = Duration::ZERO;
            let rungs = list(report, &entry.value, "`ladder`", |node| {
                let rung = rung(report, node)?;
                if rung.after < before {
                    let message = "the rungs of `ladder` stand in the order of their times";
                    report.error_help(node.span, "conflict", message, "`after` counts from the alert");
                }
                before = before.max(rung.after);
                Some(rung)
            })?;
            if rungs.is_empty() {
                report.error_help(entry.value.span, "bad_value", "`ladder` has no rung", "for example `[warn]`");
                return None;
            }
            Some(rungs)
        }
    }
}

fn rung(report: &Report<'_>, node: &Node) -> Option<Rung> {
    if !matches!(node.value, Value::Map(_)) {
        let act = choice(report, node, "a rung of `ladder`", &ACTIONS)?;
        return Some(Rung { act, after: Duration::ZERO });
    }
    let fields = Fields::open(report, node, "a rung of `ladder`", RUNG, no_hint)?;
    let after = fields.read("after", duration::read).unwrap_or_default();
    let Some(entry) = fields.get("action") else {
        let help = "for example `{ action: freeze, after: 30s }`";
        fields.missing("action", fields.span, "a rung of `ladder` has no `action`".to_owned(), help);
        return None;
    };
    choice(report, &entry.value, "`action`", &ACTIONS).map(|act| Rung { act, after })
}

/// `storm_brake`.
pub(crate) fn storm_brake(fields: &Fields<'_>) -> brake::Policy {
    let usual = brake::Policy::default();
    let read = fields.read("storm_brake", |report, entry| {
        if !matches!(entry.value.value, Value::Map(_) | Value::Null) {
            let is_on = boolean(report, &entry.value, "`storm_brake`")?;
            return Some(if is_on { usual.clone() } else { brake::Policy { restarts: 0, ..usual.clone() } });
        }
        let fields = Fields::open(report, &entry.value, "`storm_brake`", STORM_BRAKE, no_hint)?;
        let restarts = fields.read("restarts", |report, entry| {
            integer(report, &entry.value, &format!("`{}`", entry.key), 1..=1_000_000)
        });
        let window = fields.read("window", duration::read);
        if let (Some(window), Some(entry)) = (window, fields.get("window"))
            && window < Duration::from_millis(1)
        {
            report.error(entry.value.span, "out_of_range", "`window` must be at least 1ms");
        }
        Some(brake::Policy { restarts: restarts.unwrap_or(usual.restarts), window: window.unwrap_or(usual.window) })
    });
    read.unwrap_or(usual)
}

/// The rules of a project as they stand in a file.
pub(crate) fn rendered_project(rules: &[Rule]) -> Json {
    rendered(rules, rules::defaults())
}

/// The same of a service with these limits.
pub(crate) fn rendered_service(rules: &[Rule], limits: &Limits) -> Json {
    rendered(rules, rules::of_limits(limits))
}

/// With the built-in ones that are switched off.
fn rendered(rules: &[Rule], built_in: Vec<Rule>) -> Json {
    let mut map = Map::new();
    for built_in in built_in {
        if !rules.iter().any(|rule| rule.name == built_in.name) {
            map.insert(built_in.name, json!("off"));
        }
    }
    for rule in rules {
        map.insert(rule.name.clone(), rendered_rule(rule));
    }
    Json::Object(map)
}

fn rendered_rule(rule: &Rule) -> Json {
    let mut map = Map::new();
    map.insert(rule.measure.word().to_owned(), rendered_amount(rule));
    map.insert("for".to_owned(), json!(duration::format(rule.lasting)));
    map.insert("scope".to_owned(), json!(word(&SCOPES, rule.extent)));
    let rungs = rule.ladder.iter().map(|rung| match rung.after {
        Duration::ZERO => json!(rung.act.word()),
        after => json!({ "action": rung.act.word(), "after": duration::format(after) }),
    });
    map.insert("ladder".to_owned(), rungs.collect());
    map.insert("cooldown".to_owned(), json!(duration::format(rule.cooldown)));
    if rule.measure.has_slope() {
        map.insert("predict".to_owned(), json!(duration::format(rule.predict)));
    }
    Json::Object(map)
}

fn rendered_amount(rule: &Rule) -> Json {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what was read is within both")]
    let whole = rule.above as u64;
    match rule.measure {
        Measure::Processes | Measure::OpenFiles | Measure::Restarts => json!(whole),
        Measure::Forks => json!(rule.above),
        Measure::Memory | Measure::Written => json!(size::format(whole)),
        Measure::LogRate | Measure::WriteRate => json!(format!("{}/s", size::format(whole))),
        Measure::Cpu => json!(format!("{}%", rule.above)),
    }
}

/// `storm_brake` as it stands in a file.
pub(crate) fn rendered_brake(policy: &brake::Policy) -> Json {
    match policy.restarts {
        0 => json!("off"),
        restarts => json!({ "restarts": restarts, "window": duration::format(policy.window) }),
    }
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, one)| *one == value).map_or("unknown", |(word, _)| word)
}

//! `schedule`: when the clock starts a service.

use std::time::Duration;

use kennel_calendar::{Calendar, CalendarError};
use kennel_core::model::{Missed, Overlap, Schedule, ScheduledAction, When};
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::Report;
use crate::duration;
use crate::reader::{Fields, Key, choice, expected_help, filled, key, no_hint};
use crate::tree::{Entry, Node, Value};

/// Keys of `schedule`.
pub(crate) const KEYS: &[Key] = &[
    key("cron", &[]),
    key("every", &["every_seconds", "interval", "interval_seconds"]),
    key("timezone", &["time_zone", "tz"]),
    key("overlap", &[]),
    key("missed", &[]),
    key("action", &[]),
];

const OVERLAP: [(&str, Overlap); 3] =
    [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)];
const MISSED: [(&str, Missed); 2] = [("skip", Missed::Skip), ("run", Missed::Run)];
const ACTION: [(&str, ScheduledAction); 2] = [("run", ScheduledAction::Run), ("restart", ScheduledAction::Restart)];

/// `schedule`: a cron expression, or a mapping with it or with `every`.
pub(crate) fn read(report: &Report<'_>, node: &Node) -> Option<Schedule> {
    if let Value::String(_) | Value::Expanded(_) = node.value {
        let when = When::Cron(cron(report, node, None)?);
        return Some(Schedule {
            when,
            timezone: None,
            overlap: Overlap::default(),
            missed: Missed::default(),
            action: ScheduledAction::default(),
        });
    }
    if !matches!(node.value, Value::Map(_)) {
        let help = "for example `schedule: { cron: \"0 3 * * *\" }` or `schedule: { every: 15m }`";
        expected_help(report, node, "`schedule`", "a cron expression or a mapping", Some(help));
        return None;
    }
    let fields = Fields::open(report, node, "`schedule`", KEYS, no_hint)?;
    let timezone = fields.read("timezone", |report, entry| timezone(report, entry));
    let overlap = fields.read("overlap", |report, entry| choice(report, &entry.value, "`overlap`", &OVERLAP));
    let missed = fields.read("missed", |report, entry| choice(report, &entry.value, "`missed`", &MISSED));
    let action = fields.read("action", |report, entry| choice(report, &entry.value, "`action`", &ACTION));
    let when = match (fields.get("cron"), fields.get("every")) {
        (Some(entry), None) => When::Cron(cron(report, &entry.value, timezone.as_deref())?),
        (None, Some(entry)) => {
            if let Some(zone) = fields.get("timezone") {
                let message = format!("`{}` means nothing without `cron`", zone.key);
                report.error_help(zone.key_span, "conflict", message, "an interval is the same in every time zone");
            }
            When::Every(every(report, entry)?)
        }
        (Some(_), Some(entry)) => {
            let message = format!("`schedule` has both `cron` and `{}`", entry.key);
            report.error_help(entry.key_span, "conflict", message, "keep one of them");
            return None;
        }
        (None, None) => {
            let help = "give `cron: \"0 3 * * *\"` or `every: 15m`";
            report.error_help(node.span, "missing_key", "`schedule` does not say when", help);
            return None;
        }
    };
    let (overlap, missed) = (overlap.unwrap_or_default(), missed.unwrap_or_default());
    Some(Schedule { when, timezone, overlap, missed, action: action.unwrap_or_default() })
}

fn cron(report: &Report<'_>, node: &Node, zone: Option<&str>) -> Option<String> {
    let text = filled(report, node, "`cron`")?;
    let help = match Calendar::new(&text, zone) {
        Ok(_) => return Some(text),
        // Said where it stands.
        Err(CalendarError::Zone(_)) => return Some(text),
        Err(error @ (CalendarError::Expression(_) | CalendarError::Never)) => error.to_string(),
    };
    let message = format!("`{}` is no cron expression: {help}", text.escape_debug());
    let help = "minute, hour, day of month, month, day of week: `0 3 * * *` is every day at three";
    report.error_help(node.span, "bad_cron", message, help);
    None
}

fn timezone(report: &Report<'_>, entry: &Entry) -> Option<String> {
    let name = filled(report, &entry.value, &format!("`{}`", entry.key))?;
    if let Err(error @ CalendarError::Zone(_)) = Calendar::new("* * * * *", Some(&name)) {
        let help = "names are those of the time zone database, for example `Europe/Berlin` or `UTC`";
        report.error_help(entry.value.span, "unknown_timezone", error.to_string(), help);
        return None;
    }
    Some(name)
}

fn every(report: &Report<'_>, entry: &Entry) -> Option<Duration> {
    let every = duration::read(report, entry)?;
    if every < Duration::from_secs(1) {
        let message = format!("`{}` must be at least 1s", entry.key);
        let help = "what is to run all the time is better started once";
        report.error_help(entry.value.span, "out_of_range", message, help);
        return None;
    }
    Some(every)
}

/// The same as it stands in a file.
pub(crate) fn rendered(schedule: &Schedule) -> Json {
    fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> Json {
        words.iter().find(|(_, known)| known == value).map_or(Json::Null, |(word, _)| json!(word))
    }
    let mut map = Map::new();
    match &schedule.when {
        When::Cron(expression) => map.insert("cron".to_owned(), json!(expression.replace('$', "$$"))),
        When::Every(every) => map.insert("every".to_owned(), json!(duration::format(*every))),
    };
    if let Some(zone) = &schedule.timezone {
        map.insert("timezone".to_owned(), json!(zone.replace('$', "$$")));
    }
    map.insert("overlap".to_owned(), word(&OVERLAP, &schedule.overlap));
    map.insert("missed".to_owned(), word(&MISSED, &schedule.missed));
    map.insert("action".to_owned(), word(&ACTION, &schedule.action));
    Json::Object(map)
}

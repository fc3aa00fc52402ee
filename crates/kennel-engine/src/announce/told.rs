//! An event as logs have it: how urgent, one line, and fields.

use jiff::Timestamp;
use kennel_wire::{Event, EventKind, Exit};
use serde_json::Value;

/// Longest value of a field, bytes. Commands and reports may be longer; all of it is in the event.
const VALUE: usize = 1024;

/// Facts of the envelope, which have fields of their own.
const ENVELOPE: [&str; 5] = ["seq", "time", "service", "instance", "event"];

/// How urgent.
///
/// Source: RFC 5424, section 6.2.1; `syslog(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// An event as logs have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) severity: Severity,
    pub(super) time: Timestamp,
    /// One line.
    pub(super) message: String,
    /// Names in lower case, parts joined by `_`. Values of one line or more.
    pub(super) fields: Vec<(String, String)>,
}

impl Told {
    /// `instance` is the name of the kennel.
    pub(super) fn of(event: &Event, instance: &str) -> Self {
        let mut facts = Vec::new();
        if let Ok(Value::Object(all)) = serde_json::to_value(event) {
            let own = all.into_iter().filter(|(name, _)| !ENVELOPE.contains(&name.as_str()));
            own.for_each(|(name, value)| gather(name, value, &mut facts));
        }
        let name = event.kind.name();
        let who = event.service.as_deref().unwrap_or("kennel");
        let mut message = format!("{who}: {name}");
        for (fact, value) in &facts {
            let value = value.replace(char::is_control, " ");
            let quote = if value.is_empty() || value.contains([' ', '"', '=']) { "\"" } else { "" };
            message.push_str(&format!(" {fact}={quote}{value}{quote}"));
        }
        let mut fields = vec![
            ("instance".to_owned(), instance.to_owned()),
            ("event".to_owned(), name.to_owned()),
            ("seq".to_owned(), event.seq.to_string()),
            ("time".to_owned(), event.time.to_string()),
        ];
        fields.extend(event.service.clone().map(|service| ("service".to_owned(), service)));
        fields.extend(event.instance.map(|run| ("run".to_owned(), run.to_string())));
        fields.extend(facts);
        Self { severity: severity(&event.kind), time: event.time, message, fields }
    }
}

/// Every fact below `name` that is one value. Of a list its length.
fn gather(name: String, value: Value, facts: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Null => return,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => cut(text),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            cut(words.join(", "))
        }
        Value::Array(list) => list.len().to_string(),
        Value::Object(all) => {
            for (part, value) in all {
                gather(format!("{name}_{part}"), value, facts);
            }
            return;
        }
    };
    facts.push((name, text));
}

fn cut(mut text: String) -> String {
    if text.len() > VALUE {
        let end = (0..=VALUE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What an operator must act on is an error, what came unexpected a warning, steps on the way are for debugging.
fn severity(kind: &EventKind) -> Severity {
    match kind {
        EventKind::Failed { .. }
        | EventKind::GivenUp { .. }
        | EventKind::Stuck { .. }
        | EventKind::KeeperLost {}
        | EventKind::DaemonPanicked { .. }
        | EventKind::DaemonTerminated { .. } => Severity::Error,
        EventKind::Unhealthy { .. }
        | EventKind::RestartScheduled { .. }
        | EventKind::Escaped { .. }
        | EventKind::OrphanFound { .. }
        | EventKind::OrphanKilled { .. }
        | EventKind::HandoverFailed { .. }
        | EventKind::WebhookDead { .. }
        | EventKind::WebhookDisabled { .. }
        | EventKind::StoreRecovered { .. }
        | EventKind::Unreadable {}
        | EventKind::DaemonRecovered { .. } => Severity::Warning,
        EventKind::Exited { exit, .. } if *exit != (Exit::Code { code: 0 }) => Severity::Warning,
        EventKind::Frozen { .. } | EventKind::Thawed { .. } => Severity::Notice,
        EventKind::Pending { .. } | EventKind::Stage { .. } => Severity::Debug,
        kind if kind.name().starts_with("alert.") || kind.name().ends_with(".oom") => Severity::Error,
        _ => Severity::Info,
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    pub(in crate::announce) fn event(kind: EventKind) -> Event {
        let time = "2026-01-02T03:04:05.678Z".parse().unwrap();
        Event { seq: 12, time, service: Some("web".into()), instance: Some(3), kind }
    }

    #[test]
    fn facts_are_fields_and_words() {
        let told = Told::of(&event(EventKind::Exited { pid: 7, exit: Exit::Code { code: 3 } }), "shop");
        assert_eq!(told.message, "web: instance.exited pid=7 exit_kind=code exit_code=3");
        assert_eq!(told.severity, Severity::Warning);
        let names: Vec<&str> = told.fields.iter().map(|(name, _)| name.as_str()).collect();
        let all = ["instance", "event", "seq", "time", "service", "run", "pid", "exit_kind", "exit_code"];
        assert_eq!(names, all);
        let told = Told::of(&event(EventKind::Failed { reason: "it\nsaid \u{1b}[31mno".into() }), "shop");
        assert_eq!(told.message, "web: service.failed reason=\"it said  [31mno\"");
        let told = Told::of(&event(EventKind::Pending { waiting_for: vec!["db".into(), "mq".into()] }), "shop");
        assert_eq!(told.message, "web: service.pending waiting_for=\"db, mq\"");
        assert_eq!(told.severity, Severity::Debug);
    }

    #[test]
    fn a_long_value_is_cut_between_letters() {
        let told = Told::of(&event(EventKind::Failed { reason: "ü".repeat(4000) }), "shop");
        let value = &told.fields.last().unwrap().1;
        assert!(value.len() <= VALUE + 3 && value.ends_with("ü…"), "{value}");
    }
}

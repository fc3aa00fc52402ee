//! `notify` of the whole file.

use kennel_core::model::{Chosen, Notify};
use serde_json::{Value as Json, json};

use crate::diagnostic::Report;
use crate::reader::{Fields, Key, boolean, key, no_hint, word_as_bool};
use crate::tree::{Entry, Value};
use crate::webhooks;

/// Keys of `notify`.
pub(crate) const KEYS: &[Key] = &[key("desktop", &[])];
/// Keys of `desktop`.
pub(crate) const DESKTOP: &[Key] = &[key("events", &[]), key("services", &[])];

/// Of a file that declares these `services`.
pub(crate) fn read(fields: &Fields<'_>, services: &[&str]) -> Notify {
    let read = fields.read("notify", |report, entry| {
        let fields = Fields::open(report, &entry.value, "`notify`", KEYS, no_hint)?;
        let desktop = fields.read("desktop", |report, entry| desktop(report, entry, services));
        Some(Notify { desktop: desktop.flatten() })
    });
    read.unwrap_or_default()
}

/// `true`, or which events.
fn desktop(report: &Report<'_>, entry: &Entry, services: &[&str]) -> Option<Option<Chosen>> {
    if entry.value.value == Value::Null {
        return Some(None);
    }
    let is_word = entry.value.as_str().is_some_and(|text| word_as_bool(text).is_some());
    if is_word || matches!(entry.value.value, Value::Bool(_)) {
        let wanted = boolean(report, &entry.value, "`desktop`")?;
        return Some(wanted.then(Chosen::default));
    }
    let fields = Fields::open(report, &entry.value, "`desktop`", DESKTOP, no_hint)?;
    let usual = Chosen::default();
    Some(Some(Chosen {
        events: fields.read("events", webhooks::events).unwrap_or(usual.events),
        services: fields
            .read("services", |report, entry| webhooks::of_services(report, entry, Some(services)))
            .unwrap_or_default(),
    }))
}

/// As it is understood; none if nobody is told.
pub(crate) fn rendered(notify: &Notify) -> Option<Json> {
    let chosen = notify.desktop.as_ref()?;
    let mut desktop = json!({ "events": chosen.events });
    if !chosen.services.is_empty() {
        desktop["services"] = json!(chosen.services);
    }
    Some(json!({ "desktop": desktop }))
}

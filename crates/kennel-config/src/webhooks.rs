//! `webhooks` of the whole file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use kennel_core::delivery::Limits;
use kennel_core::model::Webhook;
use kennel_core::model::webhook::{KINDS, Secret, Text, is_of, matches};
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::{Report, suggest};
use crate::reader::{Fields, Key, entries, filled, integer, key, list, no_hint, text};
use crate::render::escaped;
use crate::tree::{Entry, Node, Value};
use crate::{duration, path};

/// Keys of a webhook.
pub(crate) const KEYS: &[Key] = &[
    key("url", &[]),
    key("events", &[]),
    key("services", &[]),
    key("secret", &[]),
    key("headers", &[]),
    key("timeout", &[]),
    key("retries", &[]),
    key("max_age", &[]),
    key("ca_file", &[]),
];

/// How long one try may take unless it is said.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that one may take.
const LONGEST: Duration = Duration::from_mins(2);
/// The longest time for which a message is tried.
const LONGEST_AGE: Duration = Duration::from_hours(30 * 24);
/// Most webhooks of a file: each costs memory and, while its receiver is away, connections.
const MOST: usize = 32;
/// Longest name of a webhook, bytes.
const MAX_NAME: usize = 63;
/// Headers that are made of the message, or belong to the connection.
const OURS: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "expect",
];

/// Those of a file that lies in `directory` and declares these `services`; none: it is not known which there are.
pub(crate) fn read(fields: &Fields<'_>, directory: &Path, services: Option<&[&str]>) -> IndexMap<String, Webhook> {
    let read = fields.read("webhooks", |report, entry| {
        let entries = entries(report, &entry.value, "`webhooks`")?;
        if entries.len() > MOST {
            report.error(entry.value.span, "out_of_range", format!("there are more than {MOST} webhooks"));
        }
        let hooks = entries.iter().filter(|one| !one.key.starts_with("x-"));
        Some(hooks.filter_map(|one| Some((one.key.clone(), webhook(report, one, directory, services)?))).collect())
    });
    read.unwrap_or_default()
}

fn webhook(report: &Report<'_>, entry: &Entry, directory: &Path, services: Option<&[&str]>) -> Option<Webhook> {
    let name = &entry.key;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(good) {
        let message = format!("`{}` cannot be the name of a webhook", name.escape_debug());
        report.error_help(entry.key_span, "bad_name", message, "at most 63 letters, digits, `_` and `-`");
    }
    let what = format!("the webhook `{name}`");
    if entry.value.as_str().is_some() {
        return url(report, &entry.value).map(usual);
    }
    let fields = Fields::open(report, &entry.value, &what, KEYS, no_hint)?;
    let Some(address) = fields.get("url") else {
        fields.missing(
            "url",
            entry.key_span,
            format!("{what} has no `url`"),
            "for example `url: https://example.com/hook`",
        );
        return None;
    };
    let mut hook = usual(url(report, &address.value)?);
    hook.events = fields.read("events", events).unwrap_or(hook.events);
    hook.services = fields.read("services", |report, entry| of_services(report, entry, services)).unwrap_or_default();
    hook.secret = fields.read("secret", |report, entry| secret(report, entry, directory)).unwrap_or(hook.secret);
    hook.headers = fields.read("headers", |report, entry| headers(report, entry, directory)).unwrap_or_default();
    let least = Duration::from_millis(100);
    hook.timeout = fields.read("timeout", |report, entry| within(report, entry, least, LONGEST)).unwrap_or(TIMEOUT);
    let retries = fields.read("retries", |report, entry| integer(report, &entry.value, "`retries`", 0..=1000));
    hook.limits.retries = retries.unwrap_or(hook.limits.retries);
    let least = Duration::from_secs(1);
    let age = fields.read("max_age", |report, entry| within(report, entry, least, LONGEST_AGE));
    hook.limits.max_age = age.unwrap_or(hook.limits.max_age);
    hook.ca_file = fields.read("ca_file", |report, entry| {
        let text = filled(report, &entry.value, "`ca_file`")?;
        path::resolve(report, &entry.value, directory, &text)
    });
    Some(hook)
}

fn usual(url: String) -> Webhook {
    Webhook {
        url,
        events: Webhook::USUAL.map(str::to_owned).to_vec(),
        services: Vec::new(),
        secret: Secret::Generated,
        headers: IndexMap::new(),
        timeout: TIMEOUT,
        limits: Limits::default(),
        ca_file: None,
    }
}

fn url(report: &Report<'_>, node: &Node) -> Option<String> {
    let text = filled(report, node, "`url`")?;
    let wrong = |message: &str, help: &str| {
        // Never with the address itself: its path may be a secret.
        report.error_help(node.span, "bad_value", format!("`url` {message}"), help);
        None
    };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return wrong("does not begin with `https://` or `http://`", "for example `https://example.com/hook`");
    };
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong(
            "has blanks or letters beyond ASCII",
            "write them as `%20` and the like; of a host, the `xn--` form",
        );
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("has a user or password", "send them with `headers`, from a variable or a file");
    }
    if text.contains('#') {
        return wrong("has a `#`, and what is behind it is not sent", "leave it out");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() || port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return wrong("names no host, or no port that can be", "for example `https://example.com:8443/hook`");
    }
    Some(text)
}

/// One or several of what `read` understands.
fn some<T>(report: &Report<'_>, entry: &Entry, read: impl FnMut(&Node) -> Option<T>) -> Option<Vec<T>> {
    let mut read = read;
    let what = format!("`{}`", entry.key);
    match &entry.value.value {
        Value::String(_) | Value::Expanded(_) => read(&entry.value).map(|one| vec![one]),
        _ => list(report, &entry.value, &what, read),
    }
}

pub(crate) fn events(report: &Report<'_>, entry: &Entry) -> Option<Vec<String>> {
    let patterns = some(report, entry, |node| {
        let pattern = filled(report, node, "an event")?;
        if !KINDS.iter().any(|kind| matches(&pattern, kind)) {
            let begin = pattern.trim_end_matches('*');
            let message = format!("there is no event `{}`", pattern.escape_debug());
            report.error_help(node.span, "unknown_value", message, suggest(begin, KINDS.iter().copied()));
            return None;
        }
        Some(pattern)
    })?;
    if patterns.is_empty() {
        let help = "leave it out for what somebody may have to do something about, or write `*`";
        report.error_help(entry.value.span, "bad_value", "`events` names none", help);
        return None;
    }
    Some(patterns)
}

pub(crate) fn of_services(report: &Report<'_>, entry: &Entry, known: Option<&[&str]>) -> Option<Vec<String>> {
    some(report, entry, |node| {
        let name = filled(report, node, "a service")?;
        match known {
            Some(known) if !known.iter().any(|service| is_of(&name, service)) => {
                let message = format!("there is no service `{}`", name.escape_debug());
                report.error_help(node.span, "unknown_service", message, suggest(&name, known.iter().copied()));
                None
            }
            _ => Some(name),
        }
    })
}

fn secret(report: &Report<'_>, entry: &Entry, directory: &Path) -> Option<Secret> {
    let text = filled(report, &entry.value, "`secret`")?;
    match reference(report, &entry.value, directory, &text)? {
        Text::Env(name) => Some(Secret::Env(name)),
        Text::File(path) => Some(Secret::File(path)),
        Text::Plain(word) if word == "generated" => Some(Secret::Generated),
        Text::Plain(_) => {
            let help = "write `env:NAME` or `file:PATH`, or leave it out: kennel makes one, and `kennel webhook secret` shows it";
            report.error_help(entry.value.span, "bad_value", "a secret does not belong into this file", help);
            None
        }
    }
}

/// A text, or where it is: `env:NAME`, `file:PATH`.
fn reference(report: &Report<'_>, node: &Node, directory: &Path, text: &str) -> Option<Text> {
    if let Some(name) = text.strip_prefix("env:") {
        if name.is_empty() || name.contains(['=', '\0']) {
            report.error(node.span, "bad_value", "`env:` is followed by the name of a variable");
            return None;
        }
        return Some(Text::Env(name.to_owned()));
    }
    match text.strip_prefix("file:") {
        Some("") => {
            report.error(node.span, "bad_value", "`file:` is followed by a path");
            None
        }
        Some(file) => path::resolve(report, node, directory, file).map(Text::File),
        None => Some(Text::Plain(text.to_owned())),
    }
}

fn headers(report: &Report<'_>, entry: &Entry, directory: &Path) -> Option<IndexMap<String, Text>> {
    let mut found = IndexMap::new();
    for one in entries(report, &entry.value, "`headers`")? {
        let name = one.key.to_ascii_lowercase();
        // RFC 9110, 5.6.2.
        let is_token =
            !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c));
        if !is_token {
            let message = format!("`{}` cannot be the name of a header", one.key.escape_debug());
            report.error(one.key_span, "bad_name", message);
            continue;
        }
        if OURS.contains(&name.as_str()) || name.starts_with("webhook-") {
            let help = "kennel writes it itself";
            report.error_help(one.key_span, "conflict", format!("the header `{name}` cannot be set"), help);
            continue;
        }
        let Some(value) = text(report, &one.value, &format!("`{}`", one.key)) else { continue };
        if value.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
            report.error(one.value.span, "bad_value", format!("the header `{name}` is not one line"));
            continue;
        }
        found.extend(reference(report, &one.value, directory, &value).map(|value| (name, value)));
    }
    Some(found)
}

fn within(report: &Report<'_>, entry: &Entry, least: Duration, most: Duration) -> Option<Duration> {
    let time = duration::read(report, entry)?;
    if time < least || time > most {
        let (least, most) = (duration::format(least), duration::format(most));
        report.error(entry.value.span, "out_of_range", format!("`{}` must be between {least} and {most}", entry.key));
        return None;
    }
    Some(time)
}

/// As they are understood.
pub(crate) fn rendered(hooks: &IndexMap<String, Webhook>) -> Json {
    hooks.iter().map(|(name, hook)| (name.clone(), rendered_one(hook))).collect::<Map<_, _>>().into()
}

fn rendered_one(hook: &Webhook) -> Json {
    let named = |path: &PathBuf| format!("file:{}", escaped(&path.to_string_lossy()));
    let secret = match &hook.secret {
        Secret::Generated => "generated".to_owned(),
        Secret::Env(name) => format!("env:{}", escaped(name)),
        Secret::File(path) => named(path),
    };
    let header = |value: &Text| match value {
        Text::Plain(text) => escaped(text),
        Text::Env(name) => format!("env:{}", escaped(name)),
        Text::File(path) => named(path),
    };
    let mut value = json!({
        "url": escaped(&hook.url),
        "events": hook.events,
        "secret": secret,
        "timeout": duration::format(hook.timeout),
        "retries": hook.limits.retries,
        "max_age": duration::format(hook.limits.max_age),
    });
    if !hook.services.is_empty() {
        value["services"] = json!(hook.services);
    }
    if !hook.headers.is_empty() {
        value["headers"] =
            hook.headers.iter().map(|(name, text)| (name.clone(), json!(header(text)))).collect::<Map<_, _>>().into();
    }
    if let Some(file) = &hook.ca_file {
        value["ca_file"] = json!(escaped(&file.to_string_lossy()));
    }
    value
}

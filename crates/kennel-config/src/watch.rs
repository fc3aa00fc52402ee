//! `watch`: files whose changes make a service act.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_core::glob::Pattern;
use kennel_core::model::{Watch, WatchAction, WatchPath};
use serde_json::{Map, Value as Json, json};

use crate::command::{self, Shell};
use crate::diagnostic::Report;
use crate::reader::{Fields, Key, choice, expected_help, filled, key, list, no_hint};
use crate::render::escaped;
use crate::tree::{Node, Value};
use crate::{duration, signal};

/// Keys of `watch`.
pub(crate) const KEYS: &[Key] = &[
    key("paths", &["path"]),
    key("ignore", &["exclude"]),
    key("debounce", &["delay", "debounce_seconds"]),
    key("action", &[]),
    key("signal", &[]),
    key("command", &[]),
    key("shell", &[]),
];

const DEBOUNCE: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, PartialEq)]
enum Action {
    Restart,
    Signal,
    Run,
}

const ACTIONS: [(&str, Action); 3] = [("restart", Action::Restart), ("signal", Action::Signal), ("run", Action::Run)];

/// `watch`: paths, or a mapping with them. `false` is as if it were not there.
pub(crate) fn read(report: &Report<'_>, node: &Node, working_dir: &Path) -> Option<Watch> {
    let fields = match &node.value {
        Value::Map(_) => Fields::open(report, node, "`watch`", KEYS, no_hint)?,
        Value::Bool(false) => return None,
        _ => {
            let paths = paths(report, node, working_dir)?;
            return Some(Watch { paths, ignore: Vec::new(), debounce: DEBOUNCE, action: WatchAction::Restart });
        }
    };
    let paths = match fields.get("paths") {
        Some(entry) => paths(report, &entry.value, working_dir),
        None => Some(vec![WatchPath { root: working_dir.to_owned(), pattern: None }]),
    };
    let ignore = fields.read("ignore", |report, entry| {
        let one = std::slice::from_ref(&entry.value);
        let items = if let Value::List(items) = &entry.value.value { items } else { one };
        let patterns: Vec<_> = items.iter().map(|item| pattern(report, item, "`ignore`")).collect();
        patterns.into_iter().collect::<Option<Vec<String>>>()
    });
    let debounce = fields.read("debounce", |report, entry| {
        let debounce = duration::read(report, entry)?;
        let bounds = Duration::from_millis(10)..=Duration::from_secs(60);
        if !bounds.contains(&debounce) {
            let message = format!("`{}` must be between 10ms and 60s", entry.key);
            report.error(entry.value.span, "out_of_range", message);
            return None;
        }
        Some(debounce)
    });
    let action = action(&fields);
    Some(Watch {
        paths: paths?,
        ignore: ignore.unwrap_or_default(),
        debounce: debounce.unwrap_or(DEBOUNCE),
        action: action?,
    })
}

fn action(fields: &Fields<'_>) -> Option<WatchAction> {
    let report = fields.report;
    let said = match fields.get("action") {
        Some(entry) => Some(choice(report, &entry.value, "`action`", &ACTIONS)?),
        None => None,
    };
    let (signal, command) = (fields.get("signal"), fields.get("command"));
    let action = said.unwrap_or(match (signal, command) {
        (Some(_), _) => Action::Signal,
        (None, Some(_)) => Action::Run,
        (None, None) => Action::Restart,
    });
    for (name, entry, meant) in [("signal", signal, Action::Signal), ("command", command, Action::Run)] {
        if let Some(entry) = entry.filter(|_| action != meant) {
            let message = format!("`{name}` means nothing with this `action`");
            report.error_help(entry.key_span, "conflict", message, "a change does one thing: keep one of them");
            return None;
        }
    }
    match action {
        Action::Restart => Some(WatchAction::Restart),
        Action::Signal => match signal {
            Some(entry) => signal::read(report, &entry.value, "`signal`").map(WatchAction::Signal),
            None => {
                fields.missing(
                    "signal",
                    fields.span,
                    "`action: signal` needs a `signal`".to_owned(),
                    "for example `SIGHUP`",
                );
                None
            }
        },
        Action::Run => {
            let shell = match fields.get("shell") {
                Some(entry) => command::shell(report, &entry.value)?,
                None => Shell::None,
            };
            match command {
                Some(entry) => command::read(report, &entry.value, "`command`", &shell).map(WatchAction::Run),
                None => {
                    let help = "for example `command: npm run generate`";
                    fields.missing("command", fields.span, "`action: run` needs a `command`".to_owned(), help);
                    None
                }
            }
        }
    }
}

fn paths(report: &Report<'_>, node: &Node, working_dir: &Path) -> Option<Vec<WatchPath>> {
    let all = || WatchPath { root: working_dir.to_owned(), pattern: None };
    let paths = match &node.value {
        Value::Bool(true) => return Some(vec![all()]),
        Value::String(_) | Value::Expanded(_) => vec![path(report, node, working_dir)?],
        Value::List(_) => list(report, node, "`paths`", |item| path(report, item, working_dir))?,
        _ => {
            let help = "for example `watch: src` or `watch: { paths: [src, \"*.toml\"], ignore: [\"*.md\"] }`";
            expected_help(report, node, "`watch`", "a path, a list of paths or a mapping", Some(help));
            return None;
        }
    };
    if paths.is_empty() {
        report.error_help(
            node.span,
            "bad_value",
            "no path is given",
            "leave `paths` out to watch the working directory",
        );
        return None;
    }
    Some(paths)
}

/// The names before the first one with a star are where it is looked for.
fn path(report: &Report<'_>, node: &Node, working_dir: &Path) -> Option<WatchPath> {
    let text = filled(report, node, "a path of `watch`")?;
    if text.contains('\0') {
        report.error(node.span, "bad_value", "a path cannot hold a NUL byte");
        return None;
    }
    let (mut root, mut rest) = (PathBuf::new(), Vec::new());
    for part in Path::new(&text).components() {
        let name = part.as_os_str().to_string_lossy();
        if rest.is_empty() && !name.contains(['*', '?', '[', '{']) {
            root.push(part);
        } else {
            rest.push(name.into_owned());
        }
    }
    // Normalised, so that what changes below it is known to be below it.
    let root = working_dir.join(root).components().collect();
    if rest.is_empty() {
        return Some(WatchPath { root, pattern: None });
    }
    let pattern = format!("/{}", rest.join("/"));
    if let Err(error) = Pattern::new(&pattern) {
        report.error(node.span, "bad_pattern", format!("`{}` is no pattern: {error}", text.escape_debug()));
        return None;
    }
    Some(WatchPath { root, pattern: Some(pattern) })
}

fn pattern(report: &Report<'_>, node: &Node, what: &str) -> Option<String> {
    let text = filled(report, node, what)?;
    if let Err(error) = Pattern::new(&text) {
        let help = "as in `.gitignore`: `*.log`, `build/`, `src/**/*.snap`, `!keep.log`";
        report.error_help(node.span, "bad_pattern", format!("`{}` is no pattern: {error}", text.escape_debug()), help);
        return None;
    }
    Some(text)
}

/// The same as it stands in a file.
pub(crate) fn rendered(watch: &Watch) -> Json {
    let text = |text: &str| json!(escaped(text));
    let mut map = Map::new();
    let path = |path: &WatchPath| {
        let root = path.root.to_string_lossy();
        // A name with a star in it would be taken for a pattern, and there is no way to say that it is none.
        text(&format!("{root}{}", path.pattern.as_deref().unwrap_or_default()))
    };
    map.insert("paths".to_owned(), watch.paths.iter().map(path).collect());
    if !watch.ignore.is_empty() {
        map.insert("ignore".to_owned(), watch.ignore.iter().map(|pattern| text(pattern)).collect());
    }
    map.insert("debounce".to_owned(), json!(duration::format(watch.debounce)));
    match &watch.action {
        WatchAction::Restart => map.insert("action".to_owned(), json!("restart")),
        WatchAction::Signal(signal) => map.insert("signal".to_owned(), json!(signal::name(*signal))),
        WatchAction::Run(command) => {
            map.insert("command".to_owned(), command.iter().map(|argument| text(argument)).collect())
        }
    };
    Json::Object(map)
}

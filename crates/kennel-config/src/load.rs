//! From the path of a file to a validated project.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use kennel_core::model::{Condition, LogEvents, Project, RequireContainment, Webhook};

use crate::depends::{self, Wait};
use crate::diagnostic::{Invalid, Report, nowhere, suggest};
use crate::reader::{Fields, Key, choice, entries, filled, key, no_hint};
use crate::sampling;
use crate::service::{self, Context, Draft};
use crate::tree::{Node, Value};
use crate::{expand, hints, limits, logs, notify, ports, rules, toml, webhooks, yaml};

/// Keys of the whole file.
pub(crate) const KEYS: &[Key] = &[
    key("name", &[]),
    key("version", &[]),
    key("require_containment", &[]),
    key("log_events", &[]),
    key("sampling", &[]),
    key("logs", &[]),
    key("rules", &[]),
    key("limits", &[]),
    key("storm_brake", &[]),
    key("webhooks", &[]),
    key("notify", &[]),
    key("services", &["processes"]),
];

/// Keys of a text that has only webhooks.
const WEBHOOKS: &[Key] = &[key("webhooks", &[])];

/// Longest configuration file, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// What a file is read with.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// What `${VAR}` and variables without a value are taken from.
    pub environment: &'a BTreeMap<String, String>,
    /// The chosen profiles: each must be one of some service. Services outside them stay in the project.
    pub profiles: &'a [String],
}

/// Reads, resolves and checks a configuration file. A name that ends in `.toml` is TOML, every other is YAML.
///
/// # Errors
/// Everything that is wrong with it at once; only a file that cannot be read or parsed at all has one error.
pub fn load(file: &Path, options: &LoadOptions<'_>) -> Result<Project, Invalid> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let source = read(&file, Some("`kennel init` writes one"))?;
    load_text(&file, &source, options)
}

/// The same for a text that is or will be in this file, an absolute path.
///
/// # Errors
/// As [`load`], but for those of reading.
pub fn load_text(file: &Path, source: &str, options: &LoadOptions<'_>) -> Result<Project, Invalid> {
    let is_toml = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let report = Report::new(file, source);
    let project = parse(&report, source, is_toml).and_then(|tree| project(&report, tree, file, options));
    match project {
        Some(project) if report.is_clean() => Ok(project),
        _ => {
            let diagnostics = report.into_diagnostics();
            Err(Invalid { file: file.to_owned(), diagnostics, source: source.to_owned() })
        }
    }
}

/// The webhooks alone of a text that is in this file, an absolute path, and has nothing else. Services that they name are not looked for.
///
/// # Errors
/// As [`load_text`].
pub fn load_webhooks(
    file: &Path,
    source: &str,
    environment: &BTreeMap<String, String>,
) -> Result<IndexMap<String, Webhook>, Invalid> {
    let report = Report::new(file, source);
    let read = parse(&report, source, false).and_then(|mut tree| {
        expand::file(&mut tree, environment, &report);
        let fields = Fields::open(&report, &tree, "the file", WEBHOOKS, no_hint)?;
        Some(webhooks::read(&fields, file.parent().unwrap_or(Path::new("/")), None))
    });
    match read {
        Some(webhooks) if report.is_clean() => Ok(webhooks),
        _ => {
            let diagnostics = report.into_diagnostics();
            Err(Invalid { file: file.to_owned(), diagnostics, source: source.to_owned() })
        }
    }
}

/// The text of the file; `missing` is what to do where there is none.
pub(crate) fn read(file: &Path, missing: Option<&str>) -> Result<String, Invalid> {
    let wrong = |message: String| Invalid {
        file: file.to_owned(),
        diagnostics: vec![nowhere(file, "io", message, None)],
        source: String::new(),
    };
    let mut bytes = Vec::new();
    let result = File::open(file).and_then(|file| file.take(MAX_LENGTH + 1).read_to_end(&mut bytes));
    if let Err(error) = result {
        let mut invalid = wrong(format!("cannot read `{}`: {error}", file.display()));
        if error.kind() == io::ErrorKind::NotFound {
            invalid.diagnostics[0].help = missing.map(str::to_owned);
        }
        return Err(invalid);
    }
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(wrong(format!("`{}` is bigger than 1 MiB", file.display())));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("`{}` is not UTF-8 text; line {line} has the first bad byte", file.display()))
    })
}

fn parse(report: &Report<'_>, source: &str, is_toml: bool) -> Option<Node> {
    let parsed = if is_toml { toml::parse(source) } else { yaml::parse(source).map(|root| (root, Vec::new())) };
    let (tree, wrong) = match parsed {
        Ok((tree, duplicates)) => (Some(tree), duplicates),
        Err(error) => (None, vec![error]),
    };
    for error in wrong {
        match error.help {
            Some(help) => report.error_help(error.span, error.code, error.message, help),
            None => report.error(error.span, error.code, error.message),
        }
    }
    tree
}

fn project(report: &Report<'_>, mut tree: Node, file: &Path, options: &LoadOptions<'_>) -> Option<Project> {
    expand::file(&mut tree, options.environment, report);
    let fields = Fields::open(report, &tree, "the configuration", KEYS, hints::project)?;
    let directory: PathBuf = file.parent().unwrap_or(Path::new("/")).components().collect();
    let name = match fields.get("name") {
        Some(entry) => project_name(report, &entry.value),
        None => directory.file_name().map(|name| name.to_string_lossy().into_owned()),
    };
    let require_containment = fields.read("require_containment", |report, entry| {
        let words = [("any", RequireContainment::Any), ("kernel", RequireContainment::Kernel)];
        choice(report, &entry.value, "`require_containment`", &words)
    });
    let require_containment = require_containment.unwrap_or_default();
    let log_events = fields.read("log_events", |report, entry| {
        let words = [("none", LogEvents::None), ("journald", LogEvents::Journald), ("syslog", LogEvents::Syslog)];
        choice(report, &entry.value, "`log_events`", &words)
    });
    let log_events = log_events.unwrap_or_default();
    let sampling = fields.read("sampling", sampling::read);
    let logs = logs::of_project(&fields);
    let rules = rules::of_project(&fields);
    let limits = limits::of_project(&fields);
    let storm_brake = rules::storm_brake(&fields);
    let Some(services) = fields.get("services") else {
        let message = "the configuration has no `services`".to_owned();
        fields.missing("services", fields.span, message, "`kennel init` writes an example");
        return None;
    };
    let what = format!("`{}`", services.key);
    let context = Context { directory: &directory, environment: options.environment };
    let entries = entries(report, &services.value, &what)?;
    let mut drafts: Vec<Draft> = entries.iter().filter_map(|entry| service::read(report, entry, &context)).collect();
    ports::check(report, entries);
    let names: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let webhooks = webhooks::read(&fields, &directory, Some(&names));
    let notify = notify::read(&fields, &names);
    let complete = report.is_clean();
    if drafts.is_empty() && complete && services.value.value != Value::Broken {
        report.error_help(
            services.key_span,
            "missing_key",
            format!("{what} declares no service"),
            "`kennel init` writes an example",
        );
    }
    depends::check(report, &mut drafts);
    profiles(report, &drafts, options.profiles);
    let tasks: Vec<String> = drafts
        .iter()
        .flat_map(|draft| &draft.edges)
        .filter(|edge| {
            let ends = [Condition::Completed, Condition::CompletedSuccessfully];
            matches!(edge.wait, Wait::For(condition) if ends.contains(&condition))
        })
        .map(|edge| edge.service.clone())
        .collect();
    let services: IndexMap<_, _> = drafts
        .into_iter()
        .map(|draft| {
            let is_task = tasks.contains(&draft.name);
            draft.finish(is_task)
        })
        .collect();
    let name = name.unwrap_or_else(|| "kennel".to_owned());
    Some(Project {
        name,
        directory,
        require_containment,
        log_events,
        logs,
        sampling,
        rules,
        limits,
        storm_brake,
        webhooks,
        notify,
        services,
    })
}

fn project_name(report: &Report<'_>, node: &Node) -> Option<String> {
    let name = filled(report, node, "`name`")?;
    if name.chars().any(char::is_control) || name.len() > 100 {
        report.error(node.span, "bad_name", "`name` must be one short line");
        return None;
    }
    Some(name)
}

fn profiles(report: &Report<'_>, drafts: &[Draft], chosen: &[String]) {
    let known: Vec<&str> = drafts.iter().flat_map(Draft::profiles).map(String::as_str).collect();
    for profile in chosen.iter().filter(|profile| !known.contains(&profile.as_str())) {
        let help = (!known.is_empty()).then(|| suggest(profile, known.iter().copied()));
        let message = format!("no service has the profile `{profile}`");
        report.error_nowhere("unknown_profile", message, help);
    }
}

//! Services and webhooks that are registered over the API: declared as in the configuration file, and kept in a file of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use kennel_config::{Invalid, LoadOptions, load_text, load_webhooks};
use kennel_core::model::webhook::is_of;
use kennel_core::model::{Project, Webhook};
use kennel_engine::{Handle, LoadedFrom, Reload};
use kennel_wire::{ActionRequest, Code, Definition, OutcomeKind, Problem, Registry, ReloadReport};
use serde_json::{Value, json};

use crate::kept::{Kept, name_subject, text, version};
use crate::load;
use crate::reply::joined;

/// Longest file, bytes, as of every configuration.
const MAX_LENGTH: usize = 1 << 20;

/// The file, and who may change it: one at a time.
#[derive(Clone)]
pub(crate) struct Registered(Arc<Inner>);

struct Inner {
    file: PathBuf,
    changing: tokio::sync::Mutex<()>,
}

/// What is asked of the registry as it is, before it is changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// `If-Match`: it is one of these versions; `*`: something is there.
    pub(crate) matches: Option<String>,
    /// `If-None-Match`: it is none of these; `*`: nothing is there.
    pub(crate) matches_none: Option<String>,
}

/// How a change is made.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct How {
    pub(crate) dry_run: bool,
    /// Starts what is registered.
    pub(crate) start: bool,
}

/// What changes.
pub(crate) enum Change {
    All(Registry),
    Add(Registry),
    One(String, Definition),
    Remove(String),
    Webhook(String, Definition),
    RemoveWebhook(String),
}

impl Change {
    /// Answers with whatever it is about as it is then, if it is there.
    fn apply(&self, kept: &mut Kept) -> Option<String> {
        match self {
            Self::All(all) => kept.services.clone_from(&all.services),
            Self::Add(more) => kept.services.extend(more.services.clone()),
            Self::One(name, definition) => drop(kept.services.insert(name.clone(), definition.clone())),
            Self::Remove(name) => drop(kept.services.remove(name)),
            Self::Webhook(name, definition) => drop(kept.webhooks.insert(name.clone(), definition.clone())),
            Self::RemoveWebhook(name) => drop(kept.webhooks.remove(name)),
        }
        self.version(kept)
    }

    /// The one that it is about, if that is there.
    fn version(&self, kept: &Kept) -> Option<String> {
        match self {
            Self::All(_) | Self::Add(_) => Some(version(&kept.registry())),
            Self::One(name, _) | Self::Remove(name) => kept.services.get(name).map(version),
            Self::Webhook(name, _) | Self::RemoveWebhook(name) => kept.webhooks.get(name).map(version),
        }
    }

    /// Services that it declares.
    fn declares(&self) -> Vec<String> {
        match self {
            Self::All(some) | Self::Add(some) => some.services.keys().cloned().collect(),
            Self::One(name, _) => vec![name.clone()],
            Self::Remove(_) | Self::Webhook(..) | Self::RemoveWebhook(_) => Vec::new(),
        }
    }
}

impl Registered {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self(Arc::new(Inner { file, changing: tokio::sync::Mutex::default() }))
    }

    /// Where it is: a configuration file like others.
    pub(crate) fn file(&self) -> &Path {
        &self.0.file
    }

    /// What is registered; nothing where there is no file.
    pub(crate) fn read(&self) -> Result<Kept, Problem> {
        Kept::read(&self.0.file)
    }

    /// What is registered, where there is no other configuration.
    ///
    /// # Errors
    /// `config_missing` if that is nothing, `config_invalid`.
    pub(crate) fn alone(&self, environment: &BTreeMap<String, String>) -> Result<Project, Problem> {
        let kept = self.read()?;
        if kept.services.is_empty() {
            let problem = Problem::new(Code::ConfigMissing, "there is no configuration, and nothing is registered");
            return Err(problem.hint("`kennel init` writes one, `kennel register` registers a service without"));
        }
        self.project(&kept, environment)
    }

    /// What a file declares, with what is registered beside it.
    ///
    /// # Errors
    /// `config_invalid` with everything that is wrong with what is registered, `conflict` for a name that both have.
    pub(crate) fn beside(
        &self,
        project: Project,
        config: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Project, Problem> {
        self.merged(project, config, &self.read()?, environment)
    }

    fn merged(
        &self,
        mut project: Project,
        config: &Path,
        kept: &Kept,
        environment: &BTreeMap<String, String>,
    ) -> Result<Project, Problem> {
        // What is being registered is in no file yet.
        let known = self.read()?;
        let twice = |name: &str, is_known: bool, forget: &str| {
            let text = format!("`{name}` is declared in {}", config.display());
            Err(if is_known {
                let problem = Problem::new(Code::Conflict, format!("{text}, and registered as well"));
                problem.hint(format!("`{forget} {name}` forgets the one that is registered"))
            } else {
                Problem::new(Code::Conflict, text).hint("change it there, or take another name")
            })
        };
        let registered = self.project(kept, environment)?;
        for (name, service) in registered.services {
            if project.services.contains_key(&name) {
                return twice(&name, known.services.contains_key(&name), "kennel unregister");
            }
            project.services.insert(name, service);
        }
        for (name, webhook) in registered.webhooks {
            if project.webhooks.contains_key(&name) {
                return twice(&name, known.webhooks.contains_key(&name), "kennel webhook remove");
            }
            project.webhooks.insert(name, webhook);
        }
        Ok(project)
    }

    /// What is registered alone.
    fn project(&self, kept: &Kept, environment: &BTreeMap<String, String>) -> Result<Project, Problem> {
        if text(kept).len() > MAX_LENGTH {
            return Err(Problem::new(Code::BadRequest, "what is registered would be bigger than 1 MiB"));
        }
        let webhooks = self.webhooks(kept, environment)?;
        if kept.services.is_empty() {
            // No configuration that anybody would write, and yet what is left when the last one is removed.
            let directory = self.0.file.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok(Project { webhooks, ..Project::empty("registered".to_owned(), directory) });
        }
        let text = text(&kept.registry());
        let project = load_text(&self.0.file, &text, &LoadOptions { environment, profiles: &[] });
        Ok(Project { webhooks, ..project.map_err(|invalid| problem(invalid, &text))? })
    }

    fn webhooks(
        &self,
        kept: &Kept,
        environment: &BTreeMap<String, String>,
    ) -> Result<IndexMap<String, Webhook>, Problem> {
        let text = text(&json!({ "webhooks": kept.webhooks }));
        load_webhooks(&self.0.file, &text, environment).map_err(|invalid| problem(invalid, &text))
    }

    /// Has the engine know what is registered, if it knows of nothing yet.
    pub(crate) async fn begin(&self, engine: &Handle) -> Result<(), Problem> {
        let kept = self.read()?;
        let is_nothing = engine.loaded_from().await.is_err_and(|problem| problem.code == Code::ConfigMissing);
        if kept.is_empty() || !is_nothing {
            return Ok(());
        }
        engine.reload(self.prepare(engine, &kept, Vec::new()).await?).await.map(drop)
    }

    /// Changes what is registered, and what runs of it. Only what the engine takes is written.
    pub(crate) async fn change(
        &self,
        engine: &Handle,
        change: Change,
        condition: &Condition,
        how: How,
    ) -> Result<(ReloadReport, Option<String>), Problem> {
        let _alone = self.0.changing.lock().await;
        let before = self.read()?;
        let old = change.version(&before);
        condition.check(old.as_deref())?;
        let unknown = match &change {
            Change::Remove(name) => Some(unknown(name, &before)),
            Change::RemoveWebhook(_) => {
                Some(Problem::new(Code::UnknownWebhook, "no webhook of that name is registered"))
            }
            Change::All(_) | Change::Add(_) | Change::One(..) | Change::Webhook(..) => None,
        };
        if let Some(unknown) = unknown.filter(|_| old.is_none()) {
            return Err(unknown);
        }
        let meant = change.declares();
        let mut after = before.clone();
        let version = change.apply(&mut after);
        after.services.iter().try_for_each(|(name, definition)| says_where(name, definition))?;
        after.webhooks.values().try_for_each(says_where_from_anywhere)?;
        let added: Vec<String> =
            after.services.keys().filter(|name| !before.services.contains_key(*name)).cloned().collect();
        // Whatever is refused is refused here.
        let prepared = self.prepare(engine, &after, added).await?;
        if let Change::Webhook(name, _) = &change {
            knows_services(&prepared.project, name)?;
        }
        let planned = engine.reload(Reload { dry_run: true, ..prepared.clone() }).await?;
        if how.dry_run {
            return Ok((planned, version));
        }
        after.write(&self.0.file)?;
        let mut report = match engine.reload(prepared).await {
            Ok(report) => report,
            Err(problem) => {
                before.write(&self.0.file)?;
                return Err(problem);
            }
        };
        if how.start && !meant.is_empty() {
            let up = engine.start(ActionRequest { services: meant, ..ActionRequest::default() }).await?;
            report.ok &= up.ok;
            report.started.retain(|one| !up.services.iter().any(|other| other.service == one.service));
            report.started.extend(up.services);
        }
        report.ok &= report.started.iter().all(|one| !matches!(one.kind, OutcomeKind::Failed { .. }));
        Ok((report, version))
    }

    /// What the engine is to load: this beside the file that is loaded, or alone. It is read once, so that what is carried out is what
    /// was checked.
    async fn prepare(&self, engine: &Handle, kept: &Kept, resting: Vec<String>) -> Result<Reload, Problem> {
        let (config, environment, known) = match engine.loaded_from().await {
            Ok(LoadedFrom { config, environment }) => (config, None, environment),
            Err(problem) if problem.code == Code::ConfigMissing => {
                // Nobody's `up` has brought one.
                let own = kennel_sys::process::environment();
                (self.0.file.clone(), Some(own.clone()), own)
            }
            Err(problem) => return Err(problem),
        };
        let project = if config == self.0.file {
            self.project(kept, &known)?
        } else {
            let (file, environment) = (config.clone(), known.clone());
            let read = tokio::task::spawn_blocking(move || load::read(&file, &environment, &[])).await;
            self.merged(joined(read)?, &config, kept, &known)?
        };
        Ok(Reload { project, config, environment, dry_run: false, resting: Some(resting) })
    }
}

impl Condition {
    /// RFC 9110, 13.1: `version` is that of what is there, if it is.
    fn check(&self, version: Option<&str>) -> Result<(), Problem> {
        let failed = |text: &str| {
            let now =
                version.map_or_else(|| "nothing is there".to_owned(), |version| format!("its version is {version}"));
            Err(Problem::new(Code::PreconditionFailed, format!("{text}; {now}")))
        };
        let names = |list: &str| match (list.trim(), version) {
            ("*", version) => version.is_some(),
            (list, Some(version)) => list.split(',').any(|one| one.trim().trim_start_matches("W/") == version),
            (_, None) => false,
        };
        match (&self.matches, &self.matches_none) {
            (Some(list), _) if !names(list) => failed("it is not what `If-Match` takes it for"),
            (_, Some(list)) if names(list) => failed("it is what `If-None-Match` excludes"),
            _ => Ok(()),
        }
    }
}

/// Everything that is wrong with a text of ours.
fn problem(invalid: Invalid, text: &str) -> Problem {
    let mut problem = load::problem(invalid, "what is registered");
    problem.diagnostics.iter_mut().for_each(|diagnostic| name_subject(text, diagnostic));
    problem
}

fn says_where(name: &str, definition: &Definition) -> Result<(), Problem> {
    // Nobody knows where whoever registers it stands.
    let said = kennel_config::written_working_dir(definition);
    if said.is_some_and(|said| Path::new(said).is_absolute() || said.starts_with('~')) {
        return Ok(());
    }
    let text = format!("`{}` has no absolute `working_dir`", name.escape_debug());
    Err(Problem::new(Code::BadRequest, text).hint("a service that is registered does not know where you are"))
}

/// A webhook that is registered is at no place either.
fn says_where_from_anywhere(definition: &Definition) -> Result<(), Problem> {
    let is_absolute = |path: &str| Path::new(path).is_absolute() || path.starts_with('~');
    let headers = definition.get("headers").and_then(Value::as_object).into_iter().flat_map(|headers| headers.values());
    let texts = headers.chain(definition.get("secret")).filter_map(Value::as_str);
    let mut files =
        texts.filter_map(|text| text.strip_prefix("file:")).chain(definition.get("ca_file").and_then(Value::as_str));
    match files.all(is_absolute) {
        true => Ok(()),
        false => {
            let problem = Problem::new(Code::BadRequest, "a file of the webhook has no absolute path");
            Err(problem.hint("a webhook that is registered does not know where you are"))
        }
    }
}

/// The services that a webhook names have to be there when it is registered; later they may go.
fn knows_services(project: &Project, name: &str) -> Result<(), Problem> {
    let named = project.webhooks.get(name).into_iter().flat_map(|webhook| &webhook.services);
    let mut unknown = named.filter(|name| !project.services.keys().any(|service| is_of(name, service)));
    match unknown.next() {
        None => Ok(()),
        Some(name) => Err(Problem::new(Code::BadRequest, format!("there is no service `{}`", name.escape_debug()))),
    }
}

fn unknown(name: &str, kept: &Kept) -> Problem {
    let names: Vec<&str> = kept.services.keys().map(String::as_str).collect();
    let hint = match names.is_empty() {
        true => "none is registered; a service of the configuration file is removed from there".to_owned(),
        false => format!("there are: {}", names.join(", ")),
    };
    Problem::new(Code::UnknownService, format!("no service `{}` is registered", name.escape_debug())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_http() {
        let condition = |matches: Option<&str>, none: Option<&str>| Condition {
            matches: matches.map(str::to_owned),
            matches_none: none.map(str::to_owned),
        };
        for (matches, none, now, holds) in [
            (None, None, None, true),
            (Some("\"a\""), None, Some("\"a\""), true),
            (Some("\"b\", \"a\""), None, Some("\"a\""), true),
            (Some("\"b\""), None, Some("\"a\""), false),
            (Some("\"a\""), None, None, false),
            (Some("*"), None, Some("\"a\""), true),
            (Some("*"), None, None, false),
            (None, Some("*"), None, true),
            (None, Some("*"), Some("\"a\""), false),
            (None, Some("\"a\""), Some("\"a\""), false),
            (None, Some("\"b\""), Some("\"a\""), true),
        ] {
            let checked = condition(matches, none).check(now);
            assert_eq!(checked.is_ok(), holds, "{matches:?} {none:?} {now:?}");
        }
    }
}

//! Reads the configuration that a request names.

use std::collections::BTreeMap;
use std::path::Path;

use kennel_config::{LoadOptions, load};
use kennel_core::model::Project;
use kennel_engine::{Handle, LoadedFrom, Reload, Up};
use kennel_wire::{Code, Declared, Diagnostic, Problem, ReloadReport, ReloadRequest, UpRequest};
use tokio::signal::unix::Signal;

use crate::registry::Registered;
use crate::reply::joined;

/// Loads and checks.
///
/// # Errors
/// `config_invalid` with everything that is wrong at once.
pub(crate) fn load_up(registered: &Registered, request: UpRequest) -> Result<Up, Problem> {
    let config = request.config.unwrap_or_else(|| registered.file().to_owned());
    let project = whole(registered, &config, &request.environment, &request.profiles)?;
    Ok(Up { project, config, environment: request.environment, profiles: request.profiles, services: request.services })
}

/// Loads the configuration again: that of the request, or else the one that is loaded.
///
/// # Errors
/// `config_missing`, `config_invalid`, and what the engine says; nothing has changed then.
pub(crate) async fn reload(
    engine: &Handle,
    registered: &Registered,
    request: ReloadRequest,
) -> Result<ReloadReport, Problem> {
    let LoadedFrom { config, environment: known } = engine.loaded_from().await?;
    let config = request.config.unwrap_or(config);
    let (file, environment) = (config.clone(), request.environment.clone().unwrap_or(known));
    let registered = registered.clone();
    // Profiles are a matter of what was asked for before: one that no service has any more is no mistake here.
    let loaded = tokio::task::spawn_blocking(move || whole(&registered, &file, &environment, &[])).await;
    let project = joined(loaded)?;
    let (environment, dry_run) = (request.environment, request.dry_run);
    engine.reload(Reload { project, config, environment, dry_run, resting: None }).await
}

/// Loads the configuration again at every `SIGHUP`, and says in the log what came of it.
pub(crate) async fn on_hangup(engine: Handle, registered: Registered, mut signals: Signal) {
    while signals.recv().await.is_some() {
        match reload(&engine, &registered, ReloadRequest::default()).await {
            Ok(report) => {
                let changes = report.services.iter().filter(|one| one.change != Declared::Unchanged);
                let changes: Vec<String> =
                    changes.map(|one| format!("{} {:?}, {:?}", one.service, one.change, one.will)).collect();
                let (ok, left) = (report.ok, report.left);
                tracing::info!(ok, left, changes = changes.join("; ").to_lowercase(), "configuration reloaded");
            }
            Err(problem) => {
                tracing::error!(error = %problem, "cannot reload the configuration; nothing has changed");
                for Diagnostic { message, file, line, column, .. } in &problem.diagnostics {
                    tracing::error!(place = format!("{}:{line}:{column}", file.display()), "{message}");
                }
            }
        }
    }
}

/// A file with what is registered beside it; or that alone.
fn whole(
    registered: &Registered,
    config: &Path,
    environment: &BTreeMap<String, String>,
    profiles: &[String],
) -> Result<Project, Problem> {
    match config == registered.file() {
        true => registered.alone(environment),
        false => registered.beside(read(config, environment, profiles)?, config, environment),
    }
}

/// A file alone.
pub(crate) fn read(
    config: &Path,
    environment: &BTreeMap<String, String>,
    profiles: &[String],
) -> Result<Project, Problem> {
    load(config, &LoadOptions { environment, profiles })
        .map_err(|invalid| problem(invalid, &config.display().to_string()))
}

/// Everything that is wrong with `what`.
pub(crate) fn problem(invalid: kennel_config::Invalid, what: &str) -> Problem {
    let count = invalid.diagnostics.len();
    let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
    let mut problem = Problem::new(Code::ConfigInvalid, format!("{errors} in {what}"));
    problem.diagnostics = invalid.diagnostics.into_iter().map(diagnostic).collect();
    problem
}

fn diagnostic(from: kennel_config::Diagnostic) -> Diagnostic {
    let kennel_config::Diagnostic { code, message, file, line, column, span, help } = from;
    Diagnostic { code, message, file, line, column, span, help }
}

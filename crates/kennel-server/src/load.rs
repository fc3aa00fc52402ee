//! Reads the configuration that a request names.

use kennel_config::{LoadOptions, load};
use kennel_engine::Up;
use kennel_wire::{Code, Diagnostic, Problem, UpRequest};

/// Loads and checks.
///
/// # Errors
/// `config_invalid` with everything that is wrong at once.
pub(crate) fn load_up(request: UpRequest) -> Result<Up, Problem> {
    let options = LoadOptions { environment: &request.environment, profiles: &request.profiles };
    let project = load(&request.config, &options).map_err(|invalid| {
        let count = invalid.diagnostics.len();
        let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
        let mut problem = Problem::new(Code::ConfigInvalid, format!("{errors} in {}", request.config.display()));
        problem.diagnostics = invalid.diagnostics.into_iter().map(diagnostic).collect();
        problem
    })?;
    Ok(Up {
        project,
        config: request.config,
        environment: request.environment,
        profiles: request.profiles,
        services: request.services,
    })
}

fn diagnostic(from: kennel_config::Diagnostic) -> Diagnostic {
    let kennel_config::Diagnostic { code, message, file, line, column, span, help } = from;
    Diagnostic { code, message, file, line, column, span, help }
}

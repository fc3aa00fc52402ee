//! `kennel reload`: the configuration again, and what follows from its changes.

use kennel_client::Daemon;
use kennel_config::FindError;
use kennel_wire::{ReloadReport, ReloadRequest};

use super::progress::{Progress, WORTH_SHOWING};
use crate::args::Reload;
use crate::board::Goal;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::{outcome, receipt, reload};

pub(super) async fn reload(context: &mut Context, args: &Reload) -> Result<u8, Failure> {
    let request = request(context, args)?;
    let daemon = context.running().await?;
    let report = ask(context, &daemon, &request).await?;
    show(context, &report)
}

/// What was done; answers with the exit code.
pub(super) fn show(context: &mut Context, report: &ReloadReport) -> Result<u8, Failure> {
    if context.global.json {
        context.screen.json(report)?;
    } else if !context.global.quiet || !report.ok {
        let paint = context.screen.paint;
        let mut text = reload::plan(report, context.global.verbose, paint);
        text.push_str(&receipt::summary(&report.receipts, context.global.verbose, paint));
        text.push_str(&outcome::table(&report.started, paint));
        context.screen.out(&text)?;
    }
    Ok(match report {
        ReloadReport { left: 1.., .. } => exit_codes::LEFT,
        ReloadReport { ok: true, .. } => exit_codes::OK,
        ReloadReport { .. } => exit_codes::FAILED,
    })
}

/// Checked here first, so that errors are shown with their lines. Away from the project it is the file that is loaded.
fn request(context: &Context, args: &Reload) -> Result<ReloadRequest, Failure> {
    let (config, environment) = match context.config_file() {
        Err(FindError::None { .. }) => (None, crate::context::environment()),
        _ => {
            let loaded = context.load(&[])?;
            (loaded.file, loaded.environment)
        }
    };
    Ok(ReloadRequest { config, environment: Some(environment), dry_run: args.dry_run })
}

async fn ask(context: &mut Context, daemon: &Daemon, request: &ReloadRequest) -> Result<ReloadReport, Failure> {
    let mut progress = Progress::new(daemon, Goal::Up, WORTH_SHOWING).await;
    Ok(progress.during(&mut context.screen, daemon.reload(request)).await?)
}

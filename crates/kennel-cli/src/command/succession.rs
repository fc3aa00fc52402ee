//! `kennel daemon restart` and `kennel upgrade`: another daemon, the same services.

use std::path::Path;

use kennel_wire::SuccessionReport;

use super::progress::waiting;
use crate::args::Upgrade;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;

pub(super) async fn restart(context: &mut Context) -> Result<u8, Failure> {
    succeed(context, None).await
}

pub(super) async fn upgrade(context: &mut Context, args: &Upgrade) -> Result<u8, Failure> {
    let program = match &args.to {
        Some(path) => context.directory.join(path),
        None => std::env::current_exe().map_err(Failure::Own)?,
    };
    succeed(context, Some(&program)).await
}

async fn succeed(context: &mut Context, program: Option<&Path>) -> Result<u8, Failure> {
    let daemon = context.running().await?;
    let screen = &mut context.screen;
    let mut report = waiting(screen, "another daemon takes over", daemon.restart_daemon(program)).await?;
    if let Some(program) = program {
        // The new daemon works with the old keeper as well, so a refusal is told and is no failure.
        match waiting(screen, "the keeper changes its program", daemon.replace_keeper(program)).await {
            Ok(()) => report.keeper = true,
            Err(error) => report.keeper_refused = Some(error.to_string()),
        }
    }
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet {
        context.screen.out(&text(&report))?;
    }
    Ok(exit_codes::OK)
}

/// `daemon 0.1.0, pid 12, was replaced by 0.2.0, pid 34; every service runs on`
fn text(report: &SuccessionReport) -> String {
    let SuccessionReport { before, after, pause_ms, .. } = report;
    let (old, new) = (&before.version, &after.version);
    let keeper = match (&report.keeper_refused, report.keeper) {
        (Some(why), _) => format!("{why}\n"),
        (None, true) => format!("its keeper (pid {}) runs the new program as well\n", after.keeper_pid),
        (None, false) => String::new(),
    };
    format!(
        "daemon {old} (pid {}) was replaced by {new} (pid {}); requests waited {pause_ms} ms, every service runs on\n{keeper}",
        before.pid, after.pid
    )
}

//! `kennel health` and `kennel summary`.

use kennel_client::Daemon;

use super::action::suggest;
use crate::args::HealthOf;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::health as render;

/// One answer for scripts: the exit code.
pub(super) async fn health(context: &mut Context, args: &HealthOf) -> Result<u8, Failure> {
    let daemon = context.running().await?;
    let answer = daemon.health(&args.names).await;
    let report = suggest(&daemon, &args.names, answer).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet {
        let text = render::report(&report, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(if report.ok { exit_codes::OK } else { exit_codes::FAILED })
}

pub(super) async fn summary(context: &mut Context) -> Result<u8, Failure> {
    let summary = context.look(async |daemon: &Daemon| daemon.summary().await).await?;
    match summary {
        Some(summary) if context.global.json => context.screen.json(&summary)?,
        Some(summary) => context.screen.out(&render::summary(&summary))?,
        None if context.global.json => context.screen.json(&kennel_wire::Summary::of(&[]))?,
        None => context.screen.remark("nothing runs here\n"),
    }
    Ok(exit_codes::OK)
}

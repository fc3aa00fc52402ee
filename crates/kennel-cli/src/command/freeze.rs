//! `kennel freeze` and `kennel thaw`.

use kennel_client::{CallError, Daemon};
use kennel_wire::{ActionRequest, FreezeReport};

use super::action::known;
use crate::args::FreezeTargets;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::outcome;

pub(super) async fn freeze(context: &mut Context, args: FreezeTargets) -> Result<u8, Failure> {
    ask(context, args, async |daemon, request| daemon.freeze(request).await).await
}

pub(super) async fn thaw(context: &mut Context, args: FreezeTargets) -> Result<u8, Failure> {
    ask(context, args, async |daemon, request| daemon.thaw(request).await).await
}

async fn ask<F>(context: &mut Context, args: FreezeTargets, call: F) -> Result<u8, Failure>
where
    F: AsyncFn(&Daemon, &ActionRequest) -> Result<FreezeReport, CallError>,
{
    let daemon = context.running().await?;
    let request = ActionRequest { services: args.names, all: args.all, ..ActionRequest::default() };
    let answer = call(&daemon, &request).await;
    let mut report = known(&daemon, &request, answer).await?;
    if request.all {
        // What does not run was not meant.
        report.services.retain(|one| one.instance.is_some());
        report.ok = report.services.iter().all(|one| one.reason.is_none());
    }
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet || !report.ok {
        let text = outcome::frozen(&report, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(if report.ok { exit_codes::OK } else { exit_codes::FAILED })
}

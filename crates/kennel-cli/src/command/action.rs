//! `kennel start`, `stop`, `restart`, `kill`: what is done to chosen services.

use kennel_client::{CallError, Daemon};
use kennel_wire::{ActionReport, ActionRequest, Code, Problem};

use super::down::timeout_ms;
use super::progress::{Progress, WORTH_SHOWING};
use super::up::{code, late, within};
use crate::args::{Kill, StopTargets, Targets};
use crate::board::Goal;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::{names, outcome, receipt};

pub(super) async fn start(context: &mut Context, args: Targets) -> Result<u8, Failure> {
    let daemon = context.running().await?;
    let request = ActionRequest { services: args.names, all: args.all, ..ActionRequest::default() };
    let mut progress = Progress::about(&daemon, Goal::Up, WORTH_SHOWING, &request.services).await;
    let work = within(args.timeout, daemon.start_services(&request));
    let report = match progress.during(&mut context.screen, work).await {
        Some(answer) => known(&daemon, &request, answer).await?,
        None => return Err(late(&progress, args.timeout)),
    };
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet || !report.ok {
        let text = outcome::table(&report.services, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(code(&report))
}

pub(super) async fn stop(context: &mut Context, args: StopTargets) -> Result<u8, Failure> {
    let request = ActionRequest {
        services: args.names,
        all: args.all,
        timeout_ms: timeout_ms(args.timeout),
        ..ActionRequest::default()
    };
    end(context, &request, async |daemon: &Daemon| daemon.stop(&request).await).await
}

pub(super) async fn restart(context: &mut Context, args: StopTargets) -> Result<u8, Failure> {
    let request = ActionRequest {
        services: args.names,
        all: args.all,
        timeout_ms: timeout_ms(args.timeout),
        ..ActionRequest::default()
    };
    end(context, &request, async |daemon: &Daemon| daemon.restart(&request).await).await
}

pub(super) async fn kill(context: &mut Context, args: Kill) -> Result<u8, Failure> {
    if let Some(pid) = args.pid {
        return signal(context, pid, args.signal).await;
    }
    let request =
        ActionRequest { services: args.names, all: args.all, signal: Some(args.signal), ..ActionRequest::default() };
    let limit = args.timeout;
    let call = async |daemon: &Daemon| match within(limit, daemon.kill(&request)).await {
        Some(answer) => answer,
        None => Err(CallError::Problem(Problem::new(Code::Conflict, "the kill has not ended in time"))),
    };
    end(context, &request, call).await
}

/// One process, which must be one of ours.
async fn signal(context: &mut Context, pid: u32, signal: i32) -> Result<u8, Failure> {
    let report = context.running().await?.signal_process(pid, signal).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet {
        let text = outcome::signalled(&report, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

/// Asks for an end and shows its receipts.
async fn end<F>(context: &mut Context, request: &ActionRequest, ask: F) -> Result<u8, Failure>
where
    F: AsyncFn(&Daemon) -> Result<ActionReport, CallError>,
{
    let daemon = context.running().await?;
    let mut progress = Progress::about(&daemon, Goal::Down, WORTH_SHOWING, &request.services).await;
    let answer = progress.during(&mut context.screen, ask(&daemon)).await;
    let report = known(&daemon, request, answer).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet || !report.ok {
        let mut text = receipt::summary(&report.receipts, context.global.verbose, context.screen.paint);
        text.push_str(&outcome::table(&report.started, context.screen.paint));
        if text.is_empty() {
            context.screen.remark("done, nothing had to be stopped\n");
        } else {
            context.screen.out(&text)?;
        }
    }
    Ok(match report {
        ActionReport { left: 1.., .. } => exit_codes::LEFT,
        ActionReport { ok: true, .. } => exit_codes::OK,
        ActionReport { .. } => exit_codes::FAILED,
    })
}

/// The answer; one about an unknown name gets a suggestion.
pub(super) async fn known<T>(
    daemon: &Daemon,
    request: &ActionRequest,
    answer: Result<T, CallError>,
) -> Result<T, Failure> {
    suggest(daemon, &request.services, answer).await
}

/// As [`known`], for the names of any request.
pub(super) async fn suggest<T>(daemon: &Daemon, asked: &[String], answer: Result<T, CallError>) -> Result<T, Failure> {
    if let Err(CallError::Problem(problem)) = &answer
        && problem.code == Code::UnknownService
        && let Ok(services) = daemon.services().await
    {
        names::check_among(asked, &services).map_err(CallError::from)?;
    }
    Ok(answer?)
}

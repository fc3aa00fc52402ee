//! `kennel up`: starts the stack.

use std::time::Duration;

use kennel_client::{CallError, Daemon};
use kennel_wire::{Containment, UpReport, UpRequest};

use super::foreground;
use super::progress::Progress;
use crate::args::Up;
use crate::board::Goal;
use crate::context::{Context, Loaded};
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::{names, outcome};

pub(super) async fn up(context: &mut Context, args: Up) -> Result<u8, Failure> {
    let loaded = context.load(&args.profile)?;
    names::check(&args.services, &loaded.services).map_err(CallError::from)?;
    let names = loaded.services.clone();
    let pictured = args.tui && context.screen.interactive() && !context.global.json;
    if args.tui && !pictured {
        context.screen.remark("--tui needs a terminal; the log follows instead\n");
    }
    let wish = Wish { request: request(loaded, &args), names, timeout: args.timeout, pictured };
    if args.detach { detached(context, &wish).await } else { foreground::foreground(context, &wish).await }
}

/// What is to be started.
pub(super) struct Wish {
    pub(super) request: UpRequest,
    /// Declared services, for the width of what is shown.
    pub(super) names: Vec<String>,
    pub(super) timeout: Option<Duration>,
    /// A picture in place of the log.
    pub(super) pictured: bool,
}

fn request(loaded: Loaded, args: &Up) -> UpRequest {
    UpRequest {
        config: loaded.file,
        environment: loaded.environment,
        profiles: args.profile.clone(),
        services: args.services.clone(),
    }
}

async fn detached(context: &mut Context, wish: &Wish) -> Result<u8, Failure> {
    let Wish { request, names, timeout, .. } = wish;
    let timeout = *timeout;
    // Info is asked again, so that a daemon that is going is found out before anything is asked of it.
    let (daemon, info) = context.insist(async |daemon: &Daemon| daemon.info().await).await?;
    say_if_weak(context, &info.containment);
    let mut progress = Progress::new(&daemon, Goal::Up, Duration::ZERO).await;
    progress.board.expect(names.iter().map(String::as_str));
    let answer = progress.during(&mut context.screen, within(timeout, daemon.up(request))).await;
    let report = match answer {
        // The stack it was to join has been stopped meanwhile; what is wanted now is one of our own.
        Some(Err(CallError::Problem(problem))) if problem.code == kennel_wire::Code::ShuttingDown => {
            let again = context.insist(async |daemon: &Daemon| daemon.up(request).await);
            match within(timeout, again).await {
                Some(answer) => answer?.1,
                None => return Err(late(&progress, timeout)),
            }
        }
        Some(answer) => answer?,
        None => return Err(late(&progress, timeout)),
    };
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet || !report.ok {
        let text = outcome::table(&report.services, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(code(&report))
}

/// Says so where only reapers hold the stack together, unless that is what was asked for.
pub(super) fn say_if_weak(context: &mut Context, containment: &Containment) {
    if containment.backend != "cgroup" && containment.reason.as_deref() != Some("forced") {
        let text =
            format!("containment: {}; `kennel doctor` says why, and what gives a stronger one\n", containment.backend);
        context.screen.remark(&text);
    }
}

/// The result of `work`, or `None` when the time is over.
pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

pub(super) fn late(progress: &Progress, timeout: Option<Duration>) -> Failure {
    Failure::Late { waiting: progress.board.unfinished(), after: timeout.unwrap_or_default() }
}

pub(super) fn code(report: &UpReport) -> u8 {
    if report.ok { exit_codes::OK } else { exit_codes::FAILED }
}

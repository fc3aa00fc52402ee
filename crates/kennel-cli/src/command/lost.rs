//! The daemon died under a stack in the foreground.

use std::time::Duration;

use kennel_client::{Daemon, Home};
use kennel_wire::{DownReport, DownRequest};

use super::{down, foreground};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::paint::RED;

/// How long the keeper may take to start another daemon.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(15);

/// Says so, sees to it that what it ran is swept away, and answers with the exit code.
pub(super) async fn lost(context: &mut Context, home: &Home) -> Result<u8, Failure> {
    let report = sweep(context, home).await?;
    Ok(if report.left > 0 { exit_codes::LEFT } else { exit_codes::FAILED })
}

/// As [`lost`], for whoever wants everything down: the report of what was left to stop, which is shown already.
pub(super) async fn sweep(context: &mut Context, home: &Home) -> Result<DownReport, Failure> {
    let text = context.screen.remarks.paint(RED, "the daemon was lost; everything it ran is being stopped\n");
    context.screen.error(&text);
    // One that has been started by the keeper, or a new one: both begin with a sweep of what the last one left.
    let daemon = match Daemon::connect_within(home, FOLLOWS_WITHIN).await? {
        Some(daemon) => daemon,
        None => context.start(home).await?,
    };
    let departure = daemon.departure().await.ok();
    let report = daemon.down(&DownRequest::default()).await?;
    let _nobody_reads = down::show(context, &report, false);
    if let Some(departure) = departure {
        foreground::wait(context, departure).await;
    }
    Ok(report)
}

//! `kennel stats`.

use jiff::Timestamp;
use kennel_client::Daemon;
use kennel_wire::{HistoryRequest, UsageRequest};

use super::action::suggest;
use crate::args::Stats;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::parse::Since;
use crate::render::usage::{now, over_time};

pub(super) async fn stats(context: &mut Context, args: Stats) -> Result<u8, Failure> {
    match args.since {
        Some(since) => over(context, args.names, since).await,
        None => present(context, args.names).await,
    }
}

async fn present(context: &mut Context, names: Vec<String>) -> Result<u8, Failure> {
    let daemon: Daemon = context.running().await?;
    let request = UsageRequest { services: names, ..UsageRequest::default() };
    let answer = daemon.usage(&request).await;
    let report = suggest(&daemon, &request.services, answer).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if report.services.is_empty() {
        let nothing = if request.services.is_empty() { "nothing runs here\n" } else { "nothing of that runs\n" };
        context.screen.remark(nothing);
    } else {
        let text = now(&report, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

async fn over(context: &mut Context, names: Vec<String>, since: Since) -> Result<u8, Failure> {
    let daemon = context.historian().await?;
    let since = since.timestamp(Timestamp::now());
    let request = HistoryRequest { services: names, since: Some(since), ..HistoryRequest::default() };
    let history = daemon.usage_history(&request).await?;
    if context.global.json {
        context.screen.json(&history)?;
    } else if history.series.iter().all(|series| series.points.is_empty()) {
        context.screen.remark("nothing was recorded since then; `sampling` in the configuration has it done always\n");
    } else {
        let text = over_time(&history, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

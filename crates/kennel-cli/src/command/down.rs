//! `kennel down`: stops everything, then the daemon.

use std::time::Duration;

use kennel_client::CallError;
use kennel_wire::{Code, DownReport};

use super::lost;
use super::progress::{Progress, WORTH_SHOWING};
use super::stopping::Stopping;
use crate::args::Down;
use crate::board::Goal;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::parse::millis;
use crate::render::paint::RED;
use crate::render::{receipt, shutdown, units};
use crate::signals::Signals;

/// How long daemon and keeper may take to end after their last answer.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn down(context: &mut Context, args: &Down) -> Result<u8, Failure> {
    // Taken hold of before anything is asked: afterwards there may be nobody left. One that is about to end anyway
    // does what we want as well.
    let found = context.look(async |daemon| Ok((daemon.clone(), daemon.departure().await?))).await?;
    let Some((daemon, departure)) = found else { return nothing(context) };
    let mut signals = Signals::of_the_end().map_err(Failure::Own)?;
    let mut progress = Progress::new(&daemon, Goal::Down, WORTH_SHOWING).await;
    let mut stopping = Stopping::begin(&daemon, args.timeout);
    let answer = loop {
        tokio::select! {
            biased;
            answer = stopping.answer() => break answer,
            _signal = signals.next() => context.screen.remark(stopping.hasten()),
            () = progress.step(&mut context.screen) => {}
        }
    };
    context.screen.clear();
    let report = match answer {
        Ok(report) => report,
        // Somebody else was quicker; what they asked for is what we want as well.
        Err(CallError::Problem(problem)) if problem.code == Code::ShuttingDown => {
            departure.wait(GONE_WITHIN).await?;
            return nothing(context);
        }
        Err(CallError::Lost(_)) => {
            let report = lost::sweep(context, daemon.home()).await?;
            return Ok(code(&report));
        }
        Err(error) => return Err(error.into()),
    };
    // Also where nobody reads the receipts: what comes after this command may count on the end.
    let gone = departure.wait(GONE_WITHIN).await;
    show(context, &report, true)?;
    gone?;
    Ok(code(&report))
}

pub(super) fn code(report: &DownReport) -> u8 {
    match report {
        DownReport { left: 1.., .. } => exit_codes::LEFT,
        DownReport { ok: true, .. } => exit_codes::OK,
        DownReport { .. } => exit_codes::FAILED,
    }
}

fn nothing(context: &mut Context) -> Result<u8, Failure> {
    if context.global.json {
        context.screen.json(&DownReport { ok: true, ..DownReport::default() })?;
    } else {
        context.screen.remark("nothing runs here\n");
    }
    Ok(exit_codes::OK)
}

/// Shows the receipts; `alone` where they are the one result of the command.
pub(super) fn show(context: &mut Context, report: &DownReport, alone: bool) -> Result<(), Failure> {
    let screen = &mut context.screen;
    if context.global.json {
        return if alone { screen.json(report) } else { screen.json_lines(&[report]) };
    }
    if context.global.quiet && report.ok {
        return Ok(());
    }
    let mut text = receipt::summary(&report.receipts, context.global.verbose, screen.paint);
    if !report.leftovers.is_empty() {
        text.push_str("left by an earlier kennel, killed, and not ended yet\n");
        text.push_str(&receipt::survivors(&report.leftovers, screen.paint));
    }
    for failure in report.shutdown.iter().flat_map(shutdown::failures) {
        text.push_str(&screen.paint.paint(RED, &failure));
        text.push('\n');
    }
    text.push_str(&total(report));
    screen.out(&text)
}

/// `5 services down in 0.4 s, left 0`
fn total(report: &DownReport) -> String {
    if report.receipts.is_empty() && report.left == 0 {
        return "nothing was left to stop\n".to_owned();
    }
    let count = match report.receipts.len() {
        0 => return format!("nothing was left to stop that can be stopped, left {}\n", report.left),
        1 => "1 service".to_owned(),
        count => format!("{count} services"),
    };
    let word = if report.left == 0 { "down" } else { "not all down" };
    format!("{count} {word} in {}, left {}\n", units::duration(report.duration_ms), report.left)
}

/// As the protocol has it.
pub(super) fn timeout_ms(timeout: Option<Duration>) -> Option<u64> {
    timeout.map(millis)
}

//! What became of a start.

use std::fmt::Write;

use kennel_wire::{Exit, FreezeReport, Outcome, OutcomeKind, SignalReport};

use super::paint::{BOLD, DIM, GREEN, Paint, RED};
use super::table::cut;
use super::units;

/// Longest command that is shown, characters.
const COMMAND: usize = 60;

/// One line for each service; below those that failed, what they said last.
pub(crate) fn table(outcomes: &[Outcome], paint: Paint) -> String {
    let width = outcomes.iter().map(|one| one.service.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for one in outcomes {
        let (mark, style) = match one.kind {
            OutcomeKind::Ready { .. } | OutcomeKind::Completed => ("✓", GREEN),
            OutcomeKind::Failed { .. } => ("✗", RED),
            OutcomeKind::Stopped => ("-", DIM),
            OutcomeKind::Scheduled { .. } => ("○", DIM),
        };
        let name = format!("{:<width$}", one.service);
        let words = words(&one.kind);
        let words = if style == RED { paint.paint(RED, &words) } else { words };
        let _infallible = writeln!(text, "{} {}  {words}", paint.paint(style, mark), paint.paint(BOLD, &name));
        if let OutcomeKind::Failed { logs, .. } = &one.kind {
            for line in logs {
                let _infallible = writeln!(text, "  {} {}", paint.paint(DIM, "|"), line.line.trim_end());
            }
        }
    }
    text
}

/// `✓ web  SIGKILL sent to 4242  node server.js`
pub(crate) fn signalled(report: &SignalReport, paint: Paint) -> String {
    let signal = Exit::Signal { signal: report.signal };
    let main = if report.main { ", its main process" } else { "" };
    let command = cut(&report.command, COMMAND);
    let (mark, service) = (paint.paint(GREEN, "✓"), paint.paint(BOLD, &report.service));
    format!("{mark} {service}  {signal} sent to {}{main}  {command}\n", report.process.pid)
}

/// `✓ web  frozen`
pub(crate) fn frozen(report: &FreezeReport, paint: Paint) -> String {
    let width = report.services.iter().map(|one| one.service.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for one in &report.services {
        let is = match (one.instance, one.frozen) {
            (None, _) => "not frozen",
            (Some(_), true) => "frozen",
            (Some(_), false) => "runs",
        };
        let name = paint.paint(BOLD, &format!("{:<width$}", one.service));
        let _infallible = match &one.reason {
            None => writeln!(text, "{} {name}  {is}", paint.paint(GREEN, "✓")),
            Some(reason) => writeln!(text, "{} {name}  {is}: {reason}", paint.paint(RED, "✗")),
        };
    }
    text
}

/// What became of one.
pub(crate) fn words(kind: &OutcomeKind) -> String {
    match kind {
        OutcomeKind::Ready { after_ms: Some(ms) } => format!("ready in {}", units::duration(*ms)),
        OutcomeKind::Ready { after_ms: None } => "ready, ran already".to_owned(),
        OutcomeKind::Completed => "completed".to_owned(),
        OutcomeKind::Failed { reason, .. } => format!("failed: {reason}"),
        OutcomeKind::Stopped => "stopped meanwhile".to_owned(),
        OutcomeKind::Scheduled { next_at } => units::next_time(*next_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn who_got_the_signal_is_named() {
        insta::assert_snapshot!(signalled(&samples::signalled(), Paint::PLAIN), @"✓ web  SIGKILL sent to 4243  node worker.js");
    }

    #[test]
    fn a_failure_brings_its_last_words() {
        let failed = OutcomeKind::Failed {
            reason: "exit 1 before it was ready".into(),
            logs: vec![samples::log("web", "EADDRINUSE :::8080")],
        };
        let outcome = |service: &str, kind| Outcome { service: service.into(), kind };
        let outcomes = [
            outcome("database", OutcomeKind::Ready { after_ms: Some(1234) }),
            outcome("web", failed),
            outcome("migrate", OutcomeKind::Completed),
            outcome("cache", OutcomeKind::Ready { after_ms: None }),
            outcome("gone", OutcomeKind::Stopped),
            outcome("backup", OutcomeKind::Scheduled { next_at: Some(samples::time()) }),
            outcome("once", OutcomeKind::Scheduled { next_at: None }),
        ];
        insta::assert_snapshot!(table(&outcomes, Paint::PLAIN), @r"
        ✓ database  ready in 1.2 s
        ✗ web       failed: exit 1 before it was ready
          | EADDRINUSE :::8080
        ✓ migrate   completed
        ✓ cache     ready, ran already
        - gone      stopped meanwhile
        ○ backup    next at 2026-01-02T03:04:05Z
        ○ once      no time is left
        ");
    }
}

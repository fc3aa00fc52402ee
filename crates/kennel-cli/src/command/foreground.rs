//! `kennel up` in the foreground: the stack lives as long as this process, whatever ends it.

mod follow;
mod picture;
mod visit;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use kennel_client::{CallError, Daemon, Departure, Lease, Lines, LogQuery};
use kennel_logs::Cursor;
use kennel_tui::Typing;
use kennel_wire::{DownReport, Event, LogLine, UpReport};

use self::follow::LAST_LINES;
use super::again::EventCursor;
use super::progress::{Progress, WORTH_SHOWING};
use super::stopping::Stopping;
use super::up::Wish;
use super::{down, lost, up};
use crate::board::Goal;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::log_line::Prefixes;
use crate::render::outcome;
use crate::render::paint::RED;
use crate::render::phase::Phase;
use crate::signals::Signals;

/// Why the stack is to end, or has ended.
enum End {
    /// Somebody asked for it, or nobody reads any more.
    Asked,
    /// Nothing is left to run; whether something failed.
    Over { failed: bool },
    /// It did not start well.
    NotUp(Failure),
    /// As [`End::NotUp`], with the words already said.
    Failed,
    /// Somebody else has stopped it.
    Elsewhere,
    /// The daemon is gone.
    Lost,
}

pub(super) async fn foreground(context: &mut Context, wish: &Wish) -> Result<u8, Failure> {
    let mut signals = Signals::of_the_end().map_err(Failure::Own)?;
    let begin = Timestamp::now();
    let (daemon, lease) = context.insist(async |daemon: &Daemon| daemon.lease().await).await?;
    up::say_if_weak(context, &daemon.known().containment);
    let mut session = Session {
        context,
        daemon,
        lease,
        signals: &mut signals,
        events: None,
        logs: None,
        typing: None,
        seen: Seen::default(),
        phases: HashMap::new(),
        told: HashSet::new(),
    };
    let end = if wish.pictured { session.pictured(wish).await } else { session.live(wish, begin).await };
    session.end(end).await
}

/// How far events and logs were read, for the daemon that may follow.
#[derive(Default)]
struct Seen {
    events: EventCursor,
    logs: Cursor<Timestamp>,
}

/// One stack in the foreground.
struct Session<'a> {
    context: &'a mut Context,
    daemon: Daemon,
    /// Held for as long as the stack is to live.
    lease: Lease,
    signals: &'a mut Signals,
    events: Option<Lines<Event>>,
    logs: Option<(Lines<LogLine>, Prefixes)>,
    /// Keys, while the log is followed on a terminal.
    typing: Option<Typing>,
    seen: Seen,
    /// Where each service was last.
    phases: HashMap<String, Phase>,
    /// Whose start has been told by the report, while the event of it is still on its way.
    told: HashSet<String>,
}

impl Session<'_> {
    async fn live(&mut self, wish: &Wish, begin: Timestamp) -> End {
        match self.start(wish).await {
            Ok(()) => {}
            Err(end) => return end,
        }
        let query = LogQuery { since: Some(begin.to_string()), follow: true, ..LogQuery::default() };
        let (services, logs) = match tokio::try_join!(self.daemon.services(), self.daemon.logs(&query)) {
            Ok(both) => both,
            Err(error) => return self.judge(error),
        };
        let screen = &self.context.screen;
        self.logs = Some((logs, Prefixes::of(&services, screen.paint, screen.terminal)));
        // It may all have been over before anybody looked.
        match self.all_over().await {
            Some(end) => end,
            None => self.follow_all().await,
        }
    }

    async fn start(&mut self, wish: &Wish) -> Result<(), End> {
        let timeout = wish.timeout;
        let mut progress = Progress::new(&self.daemon, Goal::Up, Duration::ZERO).await;
        progress.board.expect(wish.names.iter().map(String::as_str));
        let work = up::within(timeout, self.daemon.up(&wish.request));
        let answer = tokio::select! {
            answer = progress.during(&mut self.context.screen, work) => answer,
            _signal = self.signals.next() => {
                self.context.screen.clear();
                self.events = progress.into_events();
                return Err(End::Asked);
            }
        };
        let late = || End::NotUp(up::late(&progress, timeout));
        let report = match answer {
            None => Err(late()),
            Some(Ok(report)) => Ok(report),
            Some(Err(CallError::Lost(_))) => Err(End::Lost),
            Some(Err(error)) => Err(End::NotUp(error.into())),
        };
        self.told = progress.board.unfinished().into_iter().collect();
        self.events = progress.into_events();
        let report = report?;
        if self.show(&report).is_err() {
            return Err(End::Asked);
        }
        if report.ok { Ok(()) } else { Err(End::Failed) }
    }

    fn show(&mut self, report: &UpReport) -> Result<(), Failure> {
        let screen = &mut self.context.screen;
        if self.context.global.json {
            return screen.json_lines(&[report]);
        }
        // Without a terminal each of these lines has been told already, but for why something failed.
        if !report.ok || (screen.is_live() && !self.context.global.quiet) {
            return screen.out(&outcome::table(&report.services, screen.paint));
        }
        Ok(())
    }

    fn judge(&self, error: CallError) -> End {
        match error {
            CallError::Lost(_) => End::Lost,
            CallError::Problem(problem) if problem.code == kennel_wire::Code::ShuttingDown => End::Elsewhere,
            error => End::NotUp(error.into()),
        }
    }

    /// Ends everything that has not ended, and answers with the exit code.
    async fn end(mut self, end: End) -> Result<u8, Failure> {
        let failed = |phase: &Phase| matches!(phase, Phase::Failed(_) | Phase::GivenUp(_));
        let code = match &end {
            // A stack that was ended on request has still failed if a part of it had.
            End::Asked if self.phases.values().any(failed) => exit_codes::FAILED,
            End::Asked | End::Elsewhere | End::Over { failed: false } => exit_codes::OK,
            End::Over { failed: true } | End::Failed | End::Lost => exit_codes::FAILED,
            End::NotUp(failure) => failure.exit_code(),
        };
        match end {
            End::Lost => return lost::lost(self.context, self.daemon.home()).await,
            End::Elsewhere => {
                self.last_lines().await;
                self.context.screen.remark("the stack has been stopped from elsewhere\n");
                return Ok(code);
            }
            End::NotUp(failure) => {
                let text = failure.render(self.context.screen.width(), self.context.screen.remarks);
                self.context.screen.error(&text);
            }
            End::Asked | End::Over { .. } | End::Failed => {}
        }
        match self.stop().await {
            Ok(report) => {
                // With nobody to read it, the code is all that is left to tell.
                let _nobody_reads = down::show(self.context, &report, false);
                Ok(match down::code(&report) {
                    exit_codes::OK => code,
                    worse => worse,
                })
            }
            Err(CallError::Lost(_)) => lost::lost(self.context, self.daemon.home()).await,
            Err(CallError::Problem(problem)) if problem.code == kennel_wire::Code::ShuttingDown => Ok(code),
            Err(error) => Err(error.into()),
        }
    }

    /// Stops everything; each further signal makes it more urgent.
    async fn stop(&mut self) -> Result<DownReport, CallError> {
        let departure = self.daemon.departure().await.ok();
        let mut progress = Progress::with(self.events.take(), Goal::Down, WORTH_SHOWING);
        progress.board.expect(self.phases.keys().map(String::as_str));
        let json = self.context.global.json;
        let report = {
            let mut stopping = Stopping::begin(&self.daemon, None);
            loop {
                let lines = async {
                    match &mut self.logs {
                        Some((lines, _)) => lines.batch().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    report = stopping.answer() => break report?,
                    _signal = self.signals.next() => {
                        self.context.screen.remark(stopping.hasten());
                    }
                    lines = lines => match (lines, &self.logs) {
                        (Ok(Some(lines)), Some((_, prefixes))) => {
                            let _nobody_reads = write(&mut self.context.screen, prefixes, &lines, json);
                        }
                        _ => self.logs = None,
                    },
                    () = progress.step(&mut self.context.screen) => {}
                }
            }
        };
        self.context.screen.clear();
        self.last_lines().await;
        if let Some(departure) = departure {
            wait(self.context, departure).await;
        }
        Ok(report)
    }

    /// What was written last, up to the end of the stream.
    async fn last_lines(&mut self) {
        let Some((mut logs, prefixes)) = self.logs.take() else { return };
        let screen = &mut self.context.screen;
        let json = self.context.global.json;
        let drain = async {
            while let Ok(Some(lines)) = logs.batch().await {
                if write(screen, &prefixes, &lines, json).is_err() {
                    break;
                }
            }
        };
        let _late = tokio::time::timeout(LAST_LINES, drain).await;
    }
}

/// Waits for the processes of the daemon; that they take long is worth a remark and no more.
pub(super) async fn wait(context: &mut Context, departure: Departure) {
    if let Err(error) = departure.wait(down::GONE_WITHIN).await {
        let text = context.screen.remarks.paint(RED, &format!("{error}\n"));
        context.screen.error(&text);
    }
}

fn write(
    screen: &mut crate::screen::Screen,
    prefixes: &Prefixes,
    lines: &[LogLine],
    json: bool,
) -> Result<(), Failure> {
    if json {
        screen.json_lines(lines)
    } else {
        screen.out(&lines.iter().map(|line| prefixes.line(line)).collect::<String>())
    }
}

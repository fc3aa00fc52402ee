//! `kennel up --tui`: the stack in the foreground, with a picture of it in place of the merged log.

use std::pin::pin;
use std::time::Instant;

use kennel_client::{CallError, FROM_NOW};
use kennel_tui::{Notice, Options, Order};
use kennel_wire::{OutcomeKind, UpReport};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{End, Session};
use crate::board::{Board, Goal};
use crate::command::top;
use crate::command::up::{Wish, within};
use crate::failure::Failure;
use crate::render::outcome;
use crate::signals::Signals;

/// What is said until everything is there.
const STARTING: &str = "starting the stack …";

impl Session<'_> {
    /// Shows the stack until somebody leaves, or it is ended from elsewhere. What fails is seen and does not end the picture.
    pub(super) async fn pictured(&mut self, wish: &Wish) -> End {
        let options = self.options(true);
        // Before anything is asked for, so that nothing is missed.
        match self.daemon.events(FROM_NOW, true).await {
            Ok(events) => self.events = Some(events),
            Err(error) => return self.judge(error),
        }
        let (notices, inbox) = unbounded_channel();
        let shown = kennel_tui::live(self.daemon.clone(), options, top::WORDS, inbox);
        let end = tokio::select! {
            biased;
            // Somebody has left, or the terminal is gone: both ask for the end.
            _left = shown => End::Asked,
            end = self.attend(wish, &notices) => end,
        };
        // A signal that has ended the picture is no second one, which would hurry the stop.
        match Signals::of_the_end() {
            Ok(signals) => *self.signals = signals,
            Err(error) => return End::NotUp(Failure::Own(error)),
        }
        end
    }

    /// How the whole stack is shown; `holds`: it ends with the picture.
    pub(super) fn options(&self, holds: bool) -> Options {
        Options {
            instance: self.daemon.known().instance.clone(),
            services: Vec::new(),
            every: top::EVERY,
            order: Order::Declared,
            color: self.context.screen.paint.color,
            holds,
        }
    }

    /// Starts everything and goes on from daemon to daemon, until there is nothing to show any more.
    async fn attend(&mut self, wish: &Wish, notices: &UnboundedSender<Notice>) -> End {
        let _nobody_looks = notices.send(Notice::Begun(STARTING.to_owned()));
        let daemon = self.daemon.clone();
        let mut work = pin!(within(wish.timeout, daemon.up(&wish.request)));
        let mut asked = true;
        let mut board = Board::new(Goal::Up);
        loop {
            let Some(events) = &mut self.events else { return End::Lost };
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Ok(Some(event)) => {
                        let _line = board.apply(&event, Instant::now());
                        if let Err(end) = self.hear(&event) {
                            return end;
                        }
                    }
                    Ok(None) | Err(_) => if !self.go_on().await {
                        return End::Lost;
                    },
                },
                answer = &mut work, if asked => {
                    asked = false;
                    match answer {
                        None => {
                            let after = wish.timeout.unwrap_or_default();
                            return End::NotUp(Failure::Late { waiting: board.unfinished(), after });
                        }
                        Some(Ok(report)) => {
                            let _nobody_looks = notices.send(over(&report));
                        }
                        // The events say whether another one goes on.
                        Some(Err(CallError::Lost(_))) => {
                            let text = "the daemon was lost while it started the stack".to_owned();
                            let notice = Notice::Over { what: STARTING.to_owned(), text, ok: false };
                            let _nobody_looks = notices.send(notice);
                        }
                        Some(Err(error)) => return self.judge(error),
                    }
                }
            }
        }
    }
}

/// What became of the start, in a line: how many are there, or the first that is not, and why.
fn over(report: &UpReport) -> Notice {
    let failed: Vec<_> = report.services.iter().filter(|one| matches!(one.kind, OutcomeKind::Failed { .. })).collect();
    let text = match failed.as_slice() {
        [] if report.services.len() == 1 => "the service has started".to_owned(),
        [] => format!("all {} services have started", report.services.len()),
        [one] => format!("{} {}; the rest runs", one.service, outcome::words(&one.kind)),
        [first, more @ ..] => {
            format!("{} {}, and {} more; the rest runs", first.service, outcome::words(&first.kind), more.len())
        }
    };
    Notice::Over { what: STARTING.to_owned(), text, ok: report.ok }
}

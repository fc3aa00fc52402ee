//! What `kennel up` shows in the foreground once the stack has started: its log, with the news of its services in between.

use std::time::Duration;

use kennel_client::{CallError, Lines, LogQuery};
use kennel_tui::Typing;
use kennel_wire::{Event, EventKind, State};

use super::{End, Session, visit, write};
use crate::command::again;
use crate::render::phase::Phase;

/// How long after the end of everything the last log lines may take.
pub(super) const LAST_LINES: Duration = Duration::from_secs(2);

/// What an event says to whoever follows the log.
#[derive(Default)]
pub(super) struct Heard {
    /// A line between those of the log.
    pub(super) line: Option<String>,
    /// Whether its service has ended for good.
    pub(super) over: bool,
}

impl Session<'_> {
    /// Follows the stack, from daemon to daemon, with a picture in between for whoever wants one.
    pub(super) async fn follow_all(&mut self) -> End {
        self.listen_to_keys();
        let end = loop {
            let end = match self.follow().await {
                None => self.visit().await,
                end => end,
            };
            match end {
                None => {}
                Some(End::Lost) if self.go_on().await => {}
                Some(end) => break end,
            }
        };
        self.typing = None;
        end
    }

    /// Goes on with the daemon that follows, if anything of the stack has outlived the one before.
    pub(super) async fn go_on(&mut self) -> bool {
        let Ok(Some(daemon)) = again::follower(&self.daemon).await else { return false };
        let lives = match daemon.services().await {
            Ok(services) => services.iter().any(|one| !rests(one.state)),
            Err(_) => false,
        };
        if !lives {
            return false;
        }
        let again = tokio::try_join!(daemon.lease(), daemon.events(self.seen.events.last, true));
        let Ok((lease, events)) = again else { return false };
        self.lease = lease;
        self.events = Some(events);
        self.daemon = daemon;
        self.resume_logs().await.is_ok()
    }

    /// Goes on with the log behind the line that was shown last, if one is shown.
    pub(super) async fn resume_logs(&mut self) -> Result<(), CallError> {
        if let Some((lines, _)) = &mut self.logs {
            let since = self.seen.logs.resume().map(|time| time.to_string());
            *lines = self.daemon.logs(&LogQuery { since, follow: true, ..LogQuery::default() }).await?;
        }
        Ok(())
    }

    /// Shows logs and news until there is a reason to end, or none and somebody wants the picture.
    async fn follow(&mut self) -> Option<End> {
        loop {
            let (Some(events), Some((logs, prefixes))) = (&mut self.events, &mut self.logs) else {
                return Some(End::Lost);
            };
            let screen = &mut self.context.screen;
            let json = self.context.global.json;
            tokio::select! {
                biased;
                _signal = self.signals.next() => return Some(End::Asked),
                letter = typed(&mut self.typing) => match letter {
                    visit::KEY => return None,
                    // A mark in the log, as Enter has it on every terminal.
                    '\n' if screen.out("\n").is_err() => return Some(End::Asked),
                    _ => {}
                },
                event = events.next() => match event {
                    Ok(Some(event)) => match self.hear(&event) {
                        Ok(heard) => {
                            if heard.line.is_some_and(|line| self.context.screen.out(&line).is_err()) {
                                return Some(End::Asked);
                            }
                            if heard.over && let Some(end) = self.all_over().await {
                                return Some(end);
                            }
                        }
                        Err(end) => return Some(end),
                    },
                    Ok(None) | Err(_) => return Some(End::Lost),
                },
                batch = logs.batch() => match batch {
                    Ok(Some(mut lines)) => {
                        lines.retain(|line| self.seen.logs.is_new(line.time));
                        // Closed output or a terminal that is gone: nobody is there any more.
                        if write(screen, prefixes, &lines, json).is_err() {
                            return Some(End::Asked);
                        }
                    }
                    // The events tell what has happened.
                    Ok(None) | Err(_) => {
                        return match tokio::time::timeout(LAST_LINES, last_word(events)).await {
                            Ok(true) => Some(End::Elsewhere),
                            Ok(false) | Err(_) => Some(End::Lost),
                        };
                    }
                },
            }
        }
    }

    /// Takes note of an event; [`End::Elsewhere`] if it is the last one.
    pub(super) fn hear(&mut self, event: &Event) -> Result<Heard, End> {
        self.seen.events.see(event);
        if self.seen.events.over {
            return Err(End::Elsewhere);
        }
        let Some(name) = event.service.as_deref() else { return Ok(Heard::default()) };
        let (text, over) = match Phase::of(event, self.phases.get(name)) {
            None => (crate::render::event::remark(&event.kind), false),
            Some(phase) => {
                let known = matches!(phase, Phase::Ready { .. }) && self.told.remove(name);
                let told = ((!known && news(&phase)).then(|| phase.text()), phase.over());
                self.phases.insert(name.to_owned(), phase);
                told
            }
        };
        let prefixes = self.logs.as_ref().map(|(_, prefixes)| prefixes).filter(|_| !self.context.global.json);
        let line = text.zip(prefixes).map(|(text, prefixes)| prefixes.note(name, &text));
        Ok(Heard { line, over })
    }

    /// Whether every service has ended for good; what failed meanwhile without a word is said.
    pub(super) async fn all_over(&mut self) -> Option<End> {
        let services = self.daemon.services().await.ok()?;
        if !services.iter().all(|one| rests(one.state)) {
            return None;
        }
        let mut failed = false;
        for one in services.iter().filter(|one| matches!(one.state, State::Failed | State::GivenUp)) {
            failed = true;
            let told = matches!(self.phases.get(&one.name), Some(Phase::Failed(_) | Phase::GivenUp(_)));
            if let (false, false, Some((_, prefixes))) = (told, self.context.global.json, &self.logs) {
                let reason = one.reason.clone().unwrap_or_else(|| "failed".to_owned());
                let note = prefixes.note(&one.name, &reason);
                let _nobody_reads = self.context.screen.out(&note);
            }
        }
        Some(End::Over { failed })
    }
}

/// Whether nothing runs, or will by itself.
pub(super) fn rests(state: State) -> bool {
    matches!(state, State::Completed | State::Failed | State::GivenUp | State::Stopped)
}

/// What is worth a line between log lines: whatever is not told by them.
fn news(phase: &Phase) -> bool {
    match phase {
        // What follows an exit says it again, with what comes next.
        Phase::Starting { .. } | Phase::Stopping { .. } | Phase::Down(_) | Phase::Pending(_) | Phase::Exited(_) => {
            false
        }
        Phase::Ready { .. }
        | Phase::Scheduled(_)
        | Phase::Unhealthy(_)
        | Phase::Waiting { .. }
        | Phase::Stuck(_)
        | Phase::Completed
        | Phase::Failed(_)
        | Phase::GivenUp(_)
        | Phase::Stopped => true,
    }
}

/// The next key, where somebody can press one.
async fn typed(typing: &mut Option<Typing>) -> char {
    match typing {
        Some(typing) => typing.next().await,
        None => std::future::pending().await,
    }
}

/// Whether the events end with the word that the shutdown is complete.
async fn last_word(events: &mut Lines<Event>) -> bool {
    while let Ok(Some(event)) = events.next().await {
        if matches!(event.kind, EventKind::ShutdownCompleted { .. }) {
            return true;
        }
    }
    false
}

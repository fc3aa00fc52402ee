//! Looks at what runs, now and again, and listens to what happens; finds the daemon that follows one that is gone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kennel_client::{CallError, Daemon, EventQuery};
use kennel_wire::HistoryRequest;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::Input;
use crate::span::Span;
use crate::state::State;
use crate::{Detail, Look};

/// Between two looks at the least, however much happens.
const AT_LEAST: Duration = Duration::from_millis(250);
/// Length of the steps that are recorded.
const STEP: Duration = Duration::from_secs(10);
/// Events from before that are shown.
const PAST: u64 = 200;

/// What is under way with the daemon.
pub(super) struct Looks {
    pub(super) daemon: Daemon,
    services: Vec<String>,
    every: Duration,
    pub(super) sender: UnboundedSender<Input>,
    /// A question waits for its answer: there is never a second one.
    pub(super) asking: bool,
    /// The stream of events is open.
    listening: bool,
    /// What was asked for last of what is recorded, and when.
    recalled: Option<(Span, Instant)>,
    last: Instant,
    pub(super) next: Instant,
}

impl Looks {
    pub(super) fn new(daemon: Daemon, services: Vec<String>, every: Duration, sender: UnboundedSender<Input>) -> Self {
        let now = Instant::now();
        let (asking, listening, recalled) = (false, false, None);
        Self { daemon, services, every, sender, asking, listening, recalled, last: now, next: now }
    }

    /// Looks as soon as can be.
    pub(super) fn now(&mut self) {
        self.next = Instant::now();
    }

    /// Looks, or looks for a daemon.
    pub(super) fn ask(&mut self, state: &State) {
        let gone = state.gone.is_some();
        self.asking = true;
        self.last = Instant::now();
        self.next = self.last + self.every;
        if !self.listening && !gone {
            self.listening = true;
            tokio::spawn(listen(self.daemon.clone(), state.last_event(), self.sender.clone()));
        }
        let (daemon, sender, services) = (self.daemon.clone(), self.sender.clone(), self.services.clone());
        let processes = state.wants_processes();
        tokio::spawn(async move {
            let input = if gone { find(&daemon).await } else { look(&daemon, &services, processes).await };
            let _we_left = sender.send(input);
        });
        self.recall(state.span);
    }

    /// Asks for what was recorded of the time that charts show, as often as something is added to it.
    fn recall(&mut self, span: Span) {
        let Some(seconds) = span.seconds() else { return };
        let now = Instant::now();
        if self.recalled.is_some_and(|(before, at)| before == span && now.duration_since(at) < STEP) {
            return;
        }
        self.recalled = Some((span, now));
        let (daemon, sender, services) = (self.daemon.clone(), self.sender.clone(), self.services.clone());
        tokio::spawn(async move {
            let since = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds.into())).ok();
            let request = HistoryRequest { services, since, ..HistoryRequest::default() };
            // Charts of a daemon that does not answer are empty; the look beside this says why.
            if let Ok(history) = daemon.usage_history(&request).await {
                let _we_left = sender.send(Input::Recalled(span, Box::new(history)));
            }
        });
    }

    pub(super) fn take(&mut self, state: &mut State, input: Input) {
        match input {
            Input::Looked(look) => {
                self.asking = false;
                state.looked(*look);
            }
            Input::Lost(why) => {
                self.asking = false;
                state.gone = Some(why);
            }
            Input::Found(daemon) => {
                self.asking = false;
                self.daemon = *daemon;
                state.gone = None;
                self.now();
            }
            Input::Happened(event) => {
                state.happened(*event);
                // What it tells of is seen at once, and a storm of events costs no more than a few looks a second.
                self.next = self.next.min(self.last + AT_LEAST.max(self.every / 4));
            }
            Input::Recalled(span, history) => state.recalled(span, *history),
            Input::Quiet => self.listening = false,
            Input::Done(answer) => {
                state.done(&answer.what, answer.text, answer.tone, answer.receipts);
                self.now();
            }
        }
    }
}

async fn look(daemon: &Daemon, services: &[String], processes: bool) -> Input {
    let detail = if processes { Detail::Processes } else { Detail::Services };
    match Look::ask(daemon, services, detail).await {
        Ok(look) => Input::Looked(Box::new(look)),
        Err(CallError::Lost(_)) => Input::Lost("the daemon is gone, not connected; looking for another".to_owned()),
        Err(error) => Input::Lost(error.to_string()),
    }
}

async fn find(daemon: &Daemon) -> Input {
    match Daemon::connect(daemon.home()).await {
        Ok(Some(daemon)) => Input::Found(Box::new(daemon)),
        Ok(None) => Input::Lost("nothing runs any more; waiting for the next daemon".to_owned()),
        Err(error) => Input::Lost(error.to_string()),
    }
}

/// Events after a number; at first the last ones.
async fn listen(daemon: Daemon, since: u64, sender: UnboundedSender<Input>) {
    let tail = (since == 0).then_some(PAST);
    let query = EventQuery { since, tail, follow: true, ..EventQuery::default() };
    if let Ok(mut events) = daemon.chosen_events(&query).await {
        while let Ok(Some(event)) = events.next().await {
            if sender.send(Input::Happened(Box::new(event))).is_err() {
                return;
            }
        }
    }
    let _we_left = sender.send(Input::Quiet);
}

//! The loop: looks, events, keys and answers come in, pictures and requests go out.

use std::time::Duration;

use crossterm::event::{Event as Typed, EventStream, KeyEventKind};
use futures_util::StreamExt;
use jiff::Timestamp;
use kennel_client::{CallError, Daemon, EventQuery};
use kennel_wire::Event;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use crate::deed;
use crate::keys::{Wish, press};
use crate::state::{State, Tone};
use crate::terminal::Screen;
use crate::theme::Theme;
use crate::{LiveError, Look, Options, Words};

/// Between two looks at the least, however much happens.
const AT_LEAST: Duration = Duration::from_millis(250);
/// Events from before that are shown.
const PAST: u64 = 100;

/// What comes in beside keys.
pub(crate) enum Input {
    Looked(Box<Look>),
    /// No answer, and why.
    Lost(String),
    /// A daemon that answers again.
    Found(Box<Daemon>),
    Happened(Box<Event>),
    /// The stream of events has ended.
    Quiet,
    /// How something that was asked for went.
    Done(String, Tone),
}

/// Shows what services use until somebody leaves, on the terminal that standard output is.
///
/// # Errors
/// `Terminal` if there is none, or it goes away.
pub async fn live(daemon: Daemon, options: Options, words: Words) -> Result<(), LiveError> {
    let mut ends = Ends::new().map_err(LiveError::Terminal)?;
    let mut screen = Screen::take().map_err(LiveError::Terminal)?;
    let mut keys = EventStream::new();
    let (sender, inbox) = unbounded_channel();
    let theme = Theme { color: options.color };
    let mut state = State::new(words, options.instance.clone(), options.order, Timestamp::now());
    let mut top = Top {
        daemon,
        services: options.services,
        every: options.every,
        sender,
        inbox,
        asking: false,
        listening: false,
        last: Instant::now(),
        next: Instant::now(),
    };
    loop {
        state.now = Timestamp::now();
        screen.draw(&mut state, theme).map_err(LiveError::Terminal)?;
        tokio::select! {
            biased;
            () = ends.come() => return Ok(()),
            typed = keys.next() => match typed {
                Some(Ok(Typed::Key(key))) if key.kind != KeyEventKind::Release => match press(&mut state, key) {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Look) => {
                        if key.modifiers.contains(crossterm::event::KeyModifiers::CONTROL) {
                            screen.clear().map_err(LiveError::Terminal)?;
                        }
                        top.next = Instant::now();
                    }
                    Some(Wish::Do(deed)) => {
                        state.say(deed.under_way(), Tone::Plain);
                        deed::spawn(&top.daemon, deed, words, top.sender.clone());
                    }
                    None => {}
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(LiveError::Terminal(error)),
                None => return Ok(()),
            },
            Some(input) = top.inbox.recv() => top.take(&mut state, input),
            () = sleep_until(top.next), if !top.asking => top.ask(state.gone.is_some(), state.wants_processes()),
        }
    }
}

/// What is under way with the daemon.
struct Top {
    daemon: Daemon,
    services: Vec<String>,
    every: Duration,
    sender: UnboundedSender<Input>,
    inbox: UnboundedReceiver<Input>,
    /// A question waits for its answer: there is never a second one.
    asking: bool,
    /// The stream of events is open.
    listening: bool,
    last: Instant,
    next: Instant,
}

impl Top {
    /// Looks, or looks for a daemon.
    fn ask(&mut self, gone: bool, processes: bool) {
        self.asking = true;
        self.last = Instant::now();
        self.next = self.last + self.every;
        if !self.listening && !gone {
            self.listening = true;
            tokio::spawn(listen(self.daemon.clone(), self.sender.clone()));
        }
        let (daemon, sender) = (self.daemon.clone(), self.sender.clone());
        let services = self.services.clone();
        tokio::spawn(async move {
            let input = if gone { find(&daemon).await } else { look(&daemon, &services, processes).await };
            let _we_left = sender.send(input);
        });
    }

    fn take(&mut self, state: &mut State, input: Input) {
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
                self.next = Instant::now();
            }
            Input::Happened(event) => {
                state.happened(*event);
                // What it tells of is seen at once, and a storm of events costs no more than a few looks a second.
                self.next = self.next.min(self.last + AT_LEAST.max(self.every / 4));
            }
            Input::Quiet => self.listening = false,
            Input::Done(text, tone) => {
                state.say(text, tone);
                self.next = Instant::now();
            }
        }
    }
}

async fn look(daemon: &Daemon, services: &[String], processes: bool) -> Input {
    match Look::ask(daemon, services, processes).await {
        Ok(look) => Input::Looked(Box::new(look)),
        Err(CallError::Lost(_)) => Input::Lost("the daemon is gone; looking for another".to_owned()),
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

async fn listen(daemon: Daemon, sender: UnboundedSender<Input>) {
    let query = EventQuery { tail: Some(PAST), follow: true, ..EventQuery::default() };
    if let Ok(mut events) = daemon.chosen_events(&query).await {
        while let Ok(Some(event)) = events.next().await {
            if sender.send(Input::Happened(Box::new(event))).is_err() {
                return;
            }
        }
    }
    let _we_left = sender.send(Input::Quiet);
}

/// Signals that ask for the end. Ctrl-C is a key here.
struct Ends([Signal; 3]);

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?]))
    }

    async fn come(&mut self) {
        let [terminate, hangup, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

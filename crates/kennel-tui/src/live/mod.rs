//! The loop: looks, events, log lines, keys and answers come in, pictures and requests go out.

mod feed;
mod looks;

use std::time::Duration;

use crossterm::event::{Event as Typed, EventStream, KeyEventKind};
use futures_util::StreamExt;
use jiff::Timestamp;
use kennel_client::Daemon;
use kennel_wire::{Event, Receipt, UsageHistory};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use self::feed::Feed;
use self::looks::Looks;
use crate::deed;
use crate::keys::{Wish, paste, press};
use crate::mouse::mouse;
use crate::span::Span;
use crate::state::{State, Tone};
use crate::terminal::Screen;
use crate::theme::Theme;
use crate::{LiveError, Look, Options, Words};

/// Between two pictures at the least, however much comes in.
const FRAME: Duration = Duration::from_millis(33);
/// SIGCONT, as Linux and its kin number it.
const CONT: i32 = rustix::process::Signal::CONT.as_raw();

/// What comes in beside keys and log lines.
pub(crate) enum Input {
    Looked(Box<Look>),
    /// No answer, and why.
    Lost(String),
    /// A daemon that answers again.
    Found(Box<Daemon>),
    Happened(Box<Event>),
    /// What was recorded of a time.
    Recalled(Span, Box<UsageHistory>),
    /// The stream of events has ended.
    Quiet,
    /// How something that was asked for went.
    Done(Answer),
}

/// How something went.
pub(crate) struct Answer {
    /// As it was said while it was under way.
    pub(crate) what: String,
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(crate) receipts: Vec<Receipt>,
}

/// What whoever shows this wants to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It has begun; shown with the seconds that pass until it is over.
    Begun(String),
    /// What had begun with these words is over, well or not, and this came of it.
    Over {
        /// As in [`Notice::Begun`].
        what: String,
        /// One line.
        text: String,
        /// Whether it went well.
        ok: bool,
    },
}

/// Shows what runs until somebody leaves, on the terminal that standard output is.
///
/// May be dropped at any time: the terminal is given back.
///
/// # Errors
/// `Terminal` if there is none, or it goes away.
pub async fn live(
    daemon: Daemon,
    options: Options,
    words: Words,
    mut notices: UnboundedReceiver<Notice>,
) -> Result<(), LiveError> {
    let mut ends = Ends::new().map_err(LiveError::Terminal)?;
    let mut continued = signal(SignalKind::from_raw(CONT)).map_err(LiveError::Terminal)?;
    let mut screen = Screen::take().map_err(LiveError::Terminal)?;
    let mut keys = EventStream::new();
    let (sender, mut inbox) = unbounded_channel();
    let theme = Theme { color: options.color };
    let mut state = State::new(words, options.instance, options.order, Timestamp::now());
    state.holds = options.holds;
    state.services.clone_from(&options.services);
    let mut looks = Looks::new(daemon, options.services, options.every, sender);
    let mut feed = Feed::new();
    let mut frame = Frame { stale: true, drawn: Instant::now() - FRAME, lines: 0 };
    loop {
        if frame.stale && frame.drawn.elapsed() >= FRAME {
            state.now = Timestamp::now();
            let shows_log = state.settle_log();
            screen.draw(&mut state, theme).map_err(LiveError::Terminal)?;
            frame = Frame { stale: false, drawn: Instant::now(), lines: 0 };
            feed.want(&mut state, shows_log, &looks.daemon);
        }
        tokio::select! {
            biased;
            () = ends.come() => return Ok(()),
            typed = keys.next() => {
                frame.stale = true;
                let wish = match typed {
                    Some(Ok(Typed::Key(key))) if key.kind != KeyEventKind::Release => press(&mut state, key),
                    Some(Ok(Typed::Mouse(event))) => mouse(&mut state, event),
                    Some(Ok(Typed::Paste(text))) => paste(&mut state, &text),
                    Some(Ok(_)) => None,
                    Some(Err(error)) => return Err(LiveError::Terminal(error)),
                    None => return Ok(()),
                };
                match wish {
                    Some(Wish::Quit) => return Ok(()),
                    Some(Wish::Look) => looks.now(),
                    Some(Wish::Redraw) => {
                        screen.clear().map_err(LiveError::Terminal)?;
                        looks.now();
                    }
                    Some(Wish::Suspend) => {
                        screen.stop(&mut continued, state.mouse).await.map_err(LiveError::Terminal)?;
                        looks.now();
                    }
                    Some(Wish::Mouse(on)) => screen.mouse(on).map_err(LiveError::Terminal)?,
                    Some(Wish::Do(deed)) => {
                        state.begun(deed.under_way());
                        deed::spawn(&looks.daemon, deed, words, looks.sender.clone());
                    }
                    None => {}
                }
            }
            Some(notice) = notices.recv() => {
                frame.stale = true;
                match notice {
                    Notice::Begun(what) => state.begun(what),
                    Notice::Over { what, text, ok } => {
                        state.done(&what, text, if ok { Tone::Good } else { Tone::Bad }, Vec::new());
                    }
                }
            }
            Some(input) = inbox.recv() => {
                frame.stale = true;
                looks.take(&mut state, input);
            }
            // Stopped by somebody else; whoever had the terminal meanwhile may have left it in any way.
            Some(()) = continued.recv() => {
                frame.stale = true;
                screen.take_again(state.mouse).map_err(LiveError::Terminal)?;
            }
            () = sleep_until(looks.next), if !looks.asking => looks.ask(&state),
            () = sleep_until(frame.drawn + FRAME), if frame.stale => {}
            fed = feed.next(), if frame.lines < feed::A_FRAME => {
                frame.lines += feed.take(&mut state, fed);
                frame.stale = true;
            }
        }
    }
}

/// What is on the terminal.
struct Frame {
    /// Something has changed since.
    stale: bool,
    drawn: Instant,
    /// Log lines that were taken since.
    lines: usize,
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

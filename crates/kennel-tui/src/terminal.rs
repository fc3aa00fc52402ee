//! The terminal: taken for a picture, and given back whatever ends it.

use std::io::{self, Stdout, Write};
use std::mem::ManuallyDrop;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::signal::unix::Signal;

use crate::draw;
use crate::state::State;
use crate::theme::Theme;

/// Whether it is ours now. A panic asks, from wherever it comes.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// A terminal that shows the picture. Dropping it shows again what was there before.
///
/// Ratatui's own drop is never run while the cursor is hidden: where the terminal is gone it complains to standard error, which panics if that
/// is gone as well.
pub(crate) struct Screen(ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>);

/// Clicks and the wheel, told in decimal. Not crossterm's own command: that one has every movement told as well, which nobody
/// needs and which wakes us.
///
/// Source: xterm's control sequences, "Mouse Tracking".
const CLICKS: &str = "\u{1b}[?1000h\u{1b}[?1006h";
const NO_CLICKS: &str = "\u{1b}[?1006l\u{1b}[?1000l";

/// How long a stop may take to come about. It is not heard of where nobody could let us go on (no shell that controls jobs): then the
/// picture is there again after this.
const STOPS: Duration = Duration::from_millis(200);

impl Screen {
    /// Takes the terminal.
    pub(crate) fn take() -> io::Result<Self> {
        // What a panic says would be drawn over or lost with the picture.
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        // From here on every way out gives it back.
        match take(true).and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout()))) {
            Ok(terminal) => Ok(Self(ManuallyDrop::new(terminal))),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Gives the terminal back and stops, as Ctrl-Z has it; takes it again once we go on.
    pub(crate) async fn stop(&mut self, continued: &mut Signal, mouse: bool) -> io::Result<()> {
        give_back();
        // Our group, which is the job that the shell shows.
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        // Another thread may be the one that it stops first: nothing is drawn before that has happened to all.
        let _not_stopped = tokio::time::timeout(STOPS, continued.recv()).await;
        self.take_again(mouse)
    }

    /// Takes the terminal whatever became of it meanwhile.
    pub(crate) fn take_again(&mut self, mouse: bool) -> io::Result<()> {
        give_back();
        take(mouse)?;
        self.clear()
    }

    /// Takes clicks, or leaves them to the terminal.
    pub(crate) fn mouse(&mut self, on: bool) -> io::Result<()> {
        execute!(io::stdout(), Print(if on { CLICKS } else { NO_CLICKS }))
    }

    /// Draws what has changed.
    pub(crate) fn draw(&mut self, state: &mut State, theme: Theme) -> io::Result<()> {
        self.0.draw(|frame| {
            let area = frame.area();
            draw::draw(state, theme, area, frame.buffer_mut());
        })?;
        Ok(())
    }

    /// Draws everything anew at the next picture: something else may have written there.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // Not the terminal's own way, which asks where the cursor is: not every terminal answers, and nobody needs to know.
        execute!(io::stdout(), Clear(ClearType::All))?;
        let next = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        self.0.show_cursor()?;
        drop(ManuallyDrop::into_inner(std::mem::replace(&mut self.0, ManuallyDrop::new(next))));
        execute!(io::stdout(), Hide)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take(mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    let mut out = io::stdout();
    // What is pasted is told from what is typed: a text on the clipboard is no row of commands.
    queue!(out, EnterAlternateScreen, Hide, EnableBracketedPaste)?;
    if mouse {
        queue!(out, Print(CLICKS))?;
    }
    out.flush()
}

fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone takes nothing back, and nothing is owed to it.
        let _gone = execute!(io::stdout(), Print(NO_CLICKS), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _gone = disable_raw_mode();
        let _gone = io::stdout().flush();
    }
}

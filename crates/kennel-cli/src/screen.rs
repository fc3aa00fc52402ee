//! Standard output and error, and the part of a terminal that is drawn again and again.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::args::{Color, Global};
use crate::failure::Failure;
use crate::render::log_line::tame;
use crate::render::paint::Paint;
use crate::render::table::cut;

/// Where output goes. Results go to standard output, progress and remarks to standard error.
#[derive(Debug)]
pub(crate) struct Screen {
    /// For standard output.
    pub(crate) paint: Paint,
    /// For standard error.
    pub(crate) remarks: Paint,
    /// Whether standard output is a terminal.
    pub(crate) terminal: bool,
    quiet: bool,
    /// Whether standard error is a terminal, and progress is wanted.
    live: bool,
    /// Lines drawn last, to be drawn over.
    drawn: usize,
    /// What they were, so that nothing is drawn twice.
    picture: String,
    /// Columns and lines of the terminal.
    size: Option<(usize, usize)>,
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let live = !global.quiet && !global.json && io::stderr().is_terminal() && !dumb();
        let mut screen = Self {
            paint: Paint { color: colors(global.color, AutoStream::choice(&io::stdout())) },
            remarks: Paint { color: colors(global.color, AutoStream::choice(&io::stderr())) },
            terminal,
            quiet: global.quiet,
            live,
            drawn: 0,
            picture: String::new(),
            size: None,
        };
        screen.measure();
        screen
    }

    /// Asks the terminal for its size, which changes.
    fn measure(&mut self) {
        let of = |size: rustix::termios::Winsize| {
            (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
        };
        let out = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok().and_then(of);
        self.size = out.or_else(|| rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok().and_then(of));
    }

    /// Columns, if standard output is a terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        self.size.filter(|_| self.terminal).map(|(columns, _)| columns)
    }

    /// Whether somebody can type and see what comes of it.
    pub(crate) fn interactive(&self) -> bool {
        self.terminal && io::stdin().is_terminal() && !dumb()
    }

    /// Whether [`Screen::draw`] shows something.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Writes a result.
    ///
    /// # Errors
    /// `BrokenPipe` if nobody reads any more, `Output` otherwise.
    pub(crate) fn out(&mut self, text: &str) -> Result<(), Failure> {
        self.clear();
        if self.terminal {
            return self.bytes(harmless(text).as_bytes());
        }
        self.bytes(text.as_bytes())
    }

    /// Whatever bytes a service wrote.
    ///
    /// # Errors
    /// As [`Screen::out`].
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Output(error),
        })
    }

    /// Writes a result as JSON, indented.
    ///
    /// # Errors
    /// As [`Screen::out`].
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.into()))?;
        text.push('\n');
        self.out(&text)
    }

    /// Writes values as JSON, one a line.
    ///
    /// # Errors
    /// As [`Screen::out`].
    pub(crate) fn json_lines<T: Serialize>(&mut self, values: &[T]) -> Result<(), Failure> {
        let mut text = String::new();
        for value in values {
            text.push_str(&serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?);
            text.push('\n');
        }
        self.out(&text)
    }

    /// Says something that is no result. Nobody may be there to read it.
    pub(crate) fn remark(&mut self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Says something on the side while nothing is drawn.
    pub(crate) fn aside(&self, text: &str) {
        let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Says why something failed.
    pub(crate) fn error(&mut self, text: &str) {
        self.clear();
        let text = if io::stderr().is_terminal() { harmless(text) } else { Cow::Borrowed(text) };
        let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Draws lines at the bottom, over those drawn before. Each must be shorter than the terminal is wide, or
    /// it is cut; if there are more than fit, the first are left out.
    pub(crate) fn draw(&mut self, lines: &[(String, anstyle::Style)]) {
        if !self.live {
            return;
        }
        self.measure();
        let (columns, rows) = self.size.unwrap_or((80, 24));
        let room = rows.saturating_sub(2).max(1);
        let lines = &lines[lines.len().saturating_sub(room)..];
        let mut picture = String::new();
        for (line, style) in lines {
            picture.push_str(&self.remarks.paint(*style, &cut(line, columns.saturating_sub(1))));
            picture.push('\n');
        }
        if self.drawn > 0 && self.picture == picture {
            return;
        }
        let text = self.back() + &picture;
        (self.drawn, self.picture) = (lines.len(), picture);
        let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Lines that [`Screen::draw`] can show.
    pub(crate) fn room(&self) -> usize {
        self.size.map_or(22, |(_, rows)| rows.saturating_sub(2).max(1))
    }

    /// Takes away what was drawn.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            let text = self.back();
            let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
            self.drawn = 0;
        }
    }

    /// The sequence that goes to the first drawn line and erases from there.
    fn back(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\u{1b}[{}A\r\u{1b}[J", self.drawn) }
    }
}

/// What a terminal may be shown, whoever chose the words: commands, reasons and log lines come from elsewhere, and a sequence in them
/// could clear the screen or set its title. Colours stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let harms = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
    if !text.contains(harms) {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => tame(line, true) + "\n",
        None => tame(line, true),
    });
    Cow::Owned(lines.collect())
}

fn colors(wanted: Color, auto: ColorChoice) -> bool {
    match wanted {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => auto != ColorChoice::Never,
    }
}

/// A terminal that cannot move its cursor.
fn dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

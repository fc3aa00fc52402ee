//! Below the table: what happened last, and the keys or the question that waits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{put, put_all, put_at, width_of};
use crate::mouse::Zone;
use crate::pane::{Focus, Pane};
use crate::state::{Mode, State, Tone};
use crate::theme::Theme;

/// Draws it; answers with its height.
pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let (last, above) = (area.height - 1, area.height - 2);
    said(state, theme, area, above, buffer);
    let line = |column: u16, width: u16| Rect { x: area.x + column, y: area.y + last, width, height: 1 };
    match &state.mode {
        Mode::Confirm(ask) => {
            let room = Rect { width: area.width.saturating_sub(16), ..area };
            let mut column = put_at(buffer, room, 0, last, &format!(" {} ", ask.text), theme.question());
            for (key, letter, words) in [("y", 'y', " yes"), ("n", 'n', " no")] {
                let end = put_all(buffer, area, column + 2, last, &[(key, theme.key()), (words, Style::new())]);
                state.zones.add(line(column + 2, end.saturating_sub(column + 2)), Zone::Key(letter));
                column = end;
            }
        }
        Mode::Filter => {
            let words = "Enter keeps it, Esc shows everything";
            input(theme, area, last, &state.filter, words, buffer);
        }
        Mode::Search => {
            let words = "Enter keeps it, then n and N for the next; Esc drops it";
            input(theme, area, last, &state.written.pattern().text, words, buffer);
        }
        Mode::Browse | Mode::Help => {
            for (key, column, width) in keys(state, theme, area, last, buffer) {
                state.zones.add(line(column, width), Zone::Key(key));
            }
        }
    }
    2
}

/// What is being typed; of a long text the end.
fn input(theme: Theme, area: Rect, line: u16, text: &str, words: &str, buffer: &mut Buffer) {
    let room = usize::from(area.width.saturating_sub(3));
    let from = text.char_indices().map(|(at, _)| at).find(|at| width_of(&text[*at..]) <= room).unwrap_or(text.len());
    let parts = [("/", theme.key()), (&text[from..], theme.bold()), ("▏", theme.key())];
    let column = put_all(buffer, area, 0, line, &parts);
    put_at(buffer, area, column + 2, line, words, theme.dim());
}

/// An answer while it is new, else what happened last.
fn said(state: &State, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    if let Some(news) = state.news() {
        let style = match news.tone {
            Tone::Good => theme.good(),
            Tone::Bad => theme.bad(),
        };
        put(buffer, area, line, &news.text, style);
    } else if let Some((what, seconds)) = state.under_way() {
        let text = if seconds > 0 { format!("{what} {seconds} s") } else { what.to_owned() };
        put(buffer, area, line, &text, theme.busy());
    } else if let Some(event) = state.events(None).next_back() {
        let time = event.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
        let who = event.service.as_deref().unwrap_or("kennel");
        let words = (state.words.event)(event);
        let parts = [(&*time, theme.dim()), ("  ", theme.dim()), (who, theme.bold()), ("  ", theme.dim())];
        let column = put_all(buffer, area, 0, line, &parts);
        put_at(buffer, area, column, line, &words, theme.dim());
    }
}

/// The keys most wanted, as many as fit; answers with those of one letter, their columns and widths.
fn keys(state: &State, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) -> Vec<(char, u16, u16)> {
    let order = format!("order {}", state.order.word());
    let frozen = state.service().is_some_and(|one| one.frozen);
    let cold = if frozen { "thaw" } else { "freeze" };
    let in_log = state.pane_shown() && state.view.focus == Focus::Pane && state.view.pane == Pane::Logs;
    let mut keys = vec![("?", "help"), ("q", "quit")];
    if in_log {
        keys.extend([("Esc", "back"), ("/", "find"), ("End", "follow"), ("z", "zoom"), ("w", "wrap"), ("a", "all")]);
        if state.searches() {
            keys.extend([("n", "next"), ("N", "newer")]);
        }
    } else {
        if !state.filter.is_empty() {
            keys.push(("Esc", "all"));
        }
        keys.extend([("Enter", "logs"), ("/", "find"), ("s", "stop"), ("x", "kill"), ("r", "restart"), ("f", cold)]);
        keys.extend([("u", "start"), ("d", "pane"), ("o", &*order), ("Space", "open"), ("e", "all")]);
    }
    let mut column = 0;
    let mut shown = Vec::new();
    for (key, words) in keys {
        if usize::from(column) + width_of(key) + 1 + width_of(words) > usize::from(area.width) {
            break;
        }
        let parts = [(key, theme.key()), (" ", Style::new()), (words, theme.dim())];
        let end = put_all(buffer, area, column, line, &parts);
        let mut letters = key.chars();
        if let (Some(letter), None) = (letters.next(), letters.next()) {
            shown.push((letter, column, end - column));
        }
        column = end + 2;
    }
    shown
}

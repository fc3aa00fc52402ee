//! Below the table: what happened last, and the keys or the question that waits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{put, put_all, put_at, width_of};
use crate::state::{Mode, State, Tone};
use crate::theme::Theme;

/// Draws it; answers with its height.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) -> u16 {
    let (last, above) = (area.height - 1, area.height - 2);
    said(state, theme, area, above, buffer);
    match &state.mode {
        Mode::Confirm(ask) => {
            let room = Rect { width: area.width.saturating_sub(16), ..area };
            let column = put_at(buffer, room, 0, last, &format!(" {} ", ask.text), theme.question());
            let keys = [
                ("  ", Style::new()),
                ("y", theme.key()),
                (" yes  ", Style::new()),
                ("n", theme.key()),
                (" no", Style::new()),
            ];
            put_all(buffer, area, column, last, &keys);
        }
        Mode::Filter => {
            let parts = [("/", theme.key()), (&*state.filter, theme.bold()), ("▏", theme.key())];
            let column = put_all(buffer, area, 0, last, &parts);
            put_at(buffer, area, column + 2, last, "Enter keeps it, Esc shows everything", theme.dim());
        }
        Mode::Browse | Mode::Help => keys(state, theme, area, last, buffer),
    }
    2
}

/// An answer while it is new, else what happened last.
fn said(state: &State, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    if let Some(news) = state.news() {
        let style = match news.tone {
            Tone::Plain => Style::new(),
            Tone::Good => theme.good(),
            Tone::Bad => theme.bad(),
        };
        put(buffer, area, line, &news.text, style);
    } else if let Some(event) = state.events(None).next_back() {
        let time = event.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
        let who = event.service.as_deref().unwrap_or("kennel");
        let words = (state.words.event)(event);
        let parts = [(&*time, theme.dim()), ("  ", theme.dim()), (who, theme.bold()), ("  ", theme.dim())];
        let column = put_all(buffer, area, 0, line, &parts);
        put_at(buffer, area, column, line, &words, theme.dim());
    }
}

/// The keys most wanted, as many as fit.
fn keys(state: &State, theme: Theme, area: Rect, line: u16, buffer: &mut Buffer) {
    let order = format!("order {}", state.order.word());
    let frozen = state.service().is_some_and(|one| one.frozen);
    let cold = if frozen { "thaw" } else { "freeze" };
    let mut keys = vec![("?", "help"), ("q", "quit")];
    if !state.filter.is_empty() {
        keys.push(("Esc", "all"));
    }
    keys.extend([("Space", "open"), ("/", "find"), ("s", "stop"), ("x", "kill"), ("r", "restart"), ("f", cold)]);
    keys.extend([("d", "details"), ("o", &*order), ("u", "start"), ("e", "all")]);
    let mut column = 0;
    for (key, words) in keys {
        if usize::from(column) + width_of(key) + 1 + width_of(words) > usize::from(area.width) {
            break;
        }
        let parts = [(key, theme.key()), (" ", Style::new()), (words, theme.dim()), ("  ", Style::new())];
        column = put_all(buffer, area, column, line, &parts);
    }
}

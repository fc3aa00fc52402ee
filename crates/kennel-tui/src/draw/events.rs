//! What happened, the youngest at the bottom.

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pane::{below, nothing};
use super::{put_all, width_of};
use crate::state::State;
use crate::theme::Theme;

pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let of = state.events_of();
    let count = state.events(of.as_deref()).count();
    if count == 0 {
        nothing(theme, area, buffer, "nothing that is still known happened");
        return;
    }
    let room = usize::from(area.height);
    state.view.scrolled = state.view.scrolled.min(count.saturating_sub(room));
    let scrolled = state.view.scrolled;
    let shown: Vec<_> = state.events(of.as_deref()).rev().skip(scrolled).take(room).collect();
    let longest = shown.iter().filter_map(|event| event.service.as_deref()).map(width_of).max().unwrap_or(0).min(24);
    for (line, event) in (0..).zip(shown.into_iter().rev()) {
        let time = event.time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
        let words = (state.words.event)(event);
        let mut parts = vec![(&*time, theme.dim()), ("  ", Style::new())];
        let who = format!("{:<longest$}  ", event.service.as_deref().unwrap_or(""));
        if of.is_none() {
            parts.push((&who, theme.bold()));
        }
        parts.push((&words, Style::new()));
        put_all(buffer, area, 0, line, &parts);
    }
    if scrolled > 0 {
        below(theme, area, buffer, &format!(" {scrolled} newer events below, End shows them "));
    }
}

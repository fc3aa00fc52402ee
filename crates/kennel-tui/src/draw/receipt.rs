//! How the last stop went: in the pane, and in a window of its own when it has just come.

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use super::pane::nothing;
use super::{put, width_of};
use crate::state::State;
use crate::theme::Theme;

pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(receipt) = state.receipt() else {
        nothing(theme, area, buffer, "it was not stopped");
        return;
    };
    let begin = receipt.started_at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let mut lines = vec![format!("run {}, its stop began {begin}", receipt.instance)];
    lines.extend((state.words.receipt)(receipt));
    let room = usize::from(area.height);
    let scrolled = state.view.scrolled.min(lines.len().saturating_sub(room));
    for (line, text) in (0..).zip(lines.iter().skip(scrolled).take(room)) {
        let style = if usize::from(line) + scrolled == 0 { theme.dim() } else { Style::new() };
        put(buffer, area, line, text, style);
    }
    state.view.scrolled = scrolled;
}

/// A window over the picture, as large as it needs to be.
pub(super) fn window(lines: &[String], theme: Theme, area: Rect, buffer: &mut Buffer) {
    let wide = lines.iter().map(|line| width_of(line)).max().unwrap_or(0).max(30);
    let width = u16::try_from(wide + 4).unwrap_or(u16::MAX).min(area.width);
    // A line for what is left out.
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height.saturating_sub(2).max(3));
    let window = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + area.height.saturating_sub(height) / 2,
        width,
        height: height.min(area.height),
    };
    Clear.render(window, buffer);
    let block = Block::bordered().border_type(BorderType::Rounded).title(" Receipt ").title_bottom(" any key ");
    block.render(window, buffer);
    let inner =
        Rect { x: window.x + 2, y: window.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) };
    let room = usize::from(inner.height);
    let whole = lines.len() <= room;
    for (line, text) in (0..).zip(lines.iter().take(if whole { room } else { room.saturating_sub(1) })) {
        put(buffer, inner, line, text, Style::new());
    }
    if !whole && room > 0 {
        let more = format!("… and {} lines more: 4", lines.len() - (room - 1));
        put(buffer, inner, inner.height - 1, &more, theme.dim());
    }
}

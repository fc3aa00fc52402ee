//! Every key, in a window of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use super::{put, put_at};
use crate::keymap::{KEYS, LEAVE_AND_STOP, LEGEND};
use crate::theme::Theme;

pub(super) fn draw(theme: Theme, holds: bool, area: Rect, buffer: &mut Buffer) {
    let height = u16::try_from(KEYS.len() + LEGEND.len() + 3).unwrap_or(u16::MAX).min(area.height);
    let width = 82.min(area.width);
    let window = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(window, buffer);
    Block::bordered().border_type(BorderType::Rounded).title(" Keys ").render(window, buffer);
    let inner =
        Rect { x: window.x + 2, y: window.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) };
    for (line, (key, words)) in (0..).zip(KEYS) {
        let words = if holds && key.starts_with('q') { LEAVE_AND_STOP } else { words };
        put(buffer, inner, line, key, theme.key());
        put_at(buffer, inner, 19, line, words, ratatui::style::Style::new());
    }
    let below = u16::try_from(KEYS.len() + 1).unwrap_or(u16::MAX);
    for (line, text) in (below..).zip(LEGEND) {
        put(buffer, inner, line, text, theme.dim());
    }
}

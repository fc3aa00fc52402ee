//! Every key, in a window of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use super::{put, put_at};
use crate::keys::KEYS;
use crate::theme::Theme;

const LEGEND: [&str; 4] = [
    "CPU% is of one CPU. K M G are KiB MiB GiB. READ WRIT LOG are bytes a second.",
    "TREND is CPU over time: the full height is one CPU, or 2, 4, 8 of them.",
    "TIME of a service is since its start; of a process, the CPU time it used.",
    "WAIT% is how long somebody waited for CPU, memory or a disk.",
];

pub(super) fn draw(theme: Theme, area: Rect, buffer: &mut Buffer) {
    let height = u16::try_from(KEYS.len() + LEGEND.len() + 3).unwrap_or(u16::MAX).min(area.height);
    let width = 82.min(area.width);
    let window = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(window, buffer);
    Block::bordered().border_type(BorderType::Rounded).title(" Keys ").render(window, buffer);
    let inner =
        Rect { x: window.x + 2, y: window.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) };
    for (line, (key, words)) in (0..).zip(KEYS) {
        put(buffer, inner, line, key, theme.key());
        put_at(buffer, inner, 15, line, words, ratatui::style::Style::new());
    }
    let below = u16::try_from(KEYS.len() + 1).unwrap_or(u16::MAX);
    for (line, text) in (below..).zip(LEGEND) {
        put(buffer, inner, line, text, theme.dim());
    }
}

//! Beside or below the lines: whose, which of the panes, and the pane.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{events, logs, overview, put_all, put_at, receipt, width_of};
use crate::mouse::Zone;
use crate::pane::{Focus, Pane};
use crate::state::State;
use crate::theme::Theme;

pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    state.zones.add(area, Zone::Pane);
    title(state, theme, area, buffer);
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    state.view.room = below.height.into();
    match state.view.pane {
        Pane::Overview => overview::draw(state, theme, below, buffer),
        Pane::Logs => logs::draw(state, theme, below, buffer),
        Pane::Events => events::draw(state, theme, below, buffer),
        Pane::Receipt => receipt::draw(state, theme, below, buffer),
    }
}

/// `● web  ready ──── 1 overview  2 logs  3 events  4 receipt`
fn title(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let tabs = tabs(area.width, state.view.pane);
    let wide: usize = tabs.iter().map(|(_, text)| width_of(text) + 2).sum();
    let from = area.width.saturating_sub(u16::try_from(wide).unwrap_or(u16::MAX));
    let room = Rect { width: from, ..area };
    let all = state.view.all && matches!(state.view.pane, Pane::Logs | Pane::Events);
    let end = match state.service() {
        Some(status) if !all => {
            let (sign, word, style) = theme.service(status);
            let name = theme.name((state.words.color)(&status.service, status.color.as_deref()));
            let parts = [(sign, style), (" ", style), (&*status.name, name), ("  ", style), (word, style)];
            put_all(buffer, room, 0, 0, &parts)
        }
        _ => put_at(buffer, room, 0, 0, "all services", theme.bold()),
    };
    let line = if state.view.focus == Focus::Pane { "━" } else { "─" };
    let rest = usize::from(from.saturating_sub(end + 1));
    put_at(buffer, room, end + 1, 0, &line.repeat(rest), theme.dim());
    let mut column = from;
    for (pane, text) in tabs {
        let style = if pane == state.view.pane { theme.chosen() } else { theme.dim() };
        let begin = column + 1;
        column = put_at(buffer, area, begin, 0, &text, style) + 1;
        let place = Rect { x: area.x + begin, y: area.y, width: column - begin, height: 1 };
        state.zones.add(place, Zone::Tab(pane));
    }
}

/// Names of the panes with their keys; where there is little room, the name of the one that is shown.
fn tabs(width: u16, shown: Pane) -> Vec<(Pane, String)> {
    let text = |(at, pane): (usize, Pane)| {
        let named = width >= 66 || pane == shown;
        (pane, if named { format!("{} {}", at + 1, pane.word()) } else { (at + 1).to_string() })
    };
    Pane::ALL.into_iter().enumerate().map(text).collect()
}

/// Says in place of a pane that there is nothing in it.
pub(super) fn nothing(theme: Theme, area: Rect, buffer: &mut Buffer, why: &str) {
    put_at(buffer, area, 0, 0, why, theme.dim());
}

/// In the last line of a pane: where one is, and how to come to the end.
pub(super) fn below(theme: Theme, area: Rect, buffer: &mut Buffer, text: &str) {
    let line = area.height.saturating_sub(1);
    let blank = " ".repeat(area.width.into());
    put_at(buffer, area, 0, line, &blank, Style::reset());
    put_at(buffer, area, 0, line, text, theme.chosen());
}

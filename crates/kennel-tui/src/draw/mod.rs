//! The picture: from what is known and chosen to cells.

mod header;
mod table;

mod pane;

mod events;
mod logs;
mod overview;
mod receipt;

mod footer;
mod help;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::pane::Pane;
use crate::state::{Mode, State};
use crate::theme::Theme;

/// From this width on details stand beside the table unless they were sent away.
const WIDE: u16 = 150;
/// From this height on there is a blank line above the table.
const HIGH: u16 = 20;

/// Draws everything. What the picture has room for, and what of it can be clicked, is noted in the state.
pub(crate) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    state.zones.clear();
    if area.width < 20 || area.height < 5 {
        put(buffer, area, 0, "too small", theme.dim());
        return;
    }
    let inner = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let head = header::draw(state, theme, inner, buffer);
    let foot = footer::draw(state, theme, inner, buffer);
    let blank = u16::from(area.height >= HIGH);
    let height = area.height.saturating_sub(head + foot + blank);
    let body = Rect { y: area.y + head + blank, height, ..inner };
    state.details_fit = body.width >= WIDE - 2;
    let (left, aside) = divide(state, body);
    state.room = usize::from(left.height.saturating_sub(1));
    state.scroll();
    if left.height > 0 {
        table::draw(state, theme, left, buffer);
    }
    if let Some(aside) = aside.filter(|aside| aside.height > 0) {
        pane::draw(state, theme, aside, buffer);
    }
    if state.mode == Mode::Help {
        help::draw(theme, state.holds, area, buffer);
    } else if let Some(lines) = state.slip.as_ref().filter(|_| state.mode == Mode::Browse) {
        receipt::window(lines, theme, area, buffer);
    }
}

/// The room of the lines, and of the pane if it is shown.
fn divide(state: &State, body: Rect) -> (Rect, Option<Rect>) {
    if !state.pane_shown() {
        return (body, None);
    }
    if state.view.zoomed {
        return (Rect { height: 0, ..body }, Some(body));
    }
    if state.details_fit {
        let width = (body.width * 2 / 5).min(90);
        let left = Rect { width: body.width - width - 3, ..body };
        return (left, Some(Rect { x: left.right() + 3, width, ..body }));
    }
    // Below each other: the lines keep what a list needs to be one. What is read line by line gets more than figures do.
    let height = match state.view.pane {
        Pane::Overview => (body.height / 2).min(14),
        Pane::Logs | Pane::Events | Pane::Receipt => body.height * 3 / 5,
    };
    let left = Rect { height: body.height - height, ..body };
    (left, Some(Rect { y: left.bottom(), height, ..body }))
}

/// Draws it without what only makes sense to somebody with a keyboard.
pub(crate) fn page(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let head = header::draw(state, theme, area, buffer);
    let body = Rect { y: area.y + head + 1, height: area.height.saturating_sub(head + 1), ..area };
    state.room = usize::MAX;
    state.top = 0;
    table::draw(state, theme, body, buffer);
}

/// Writes at the left of a line of `area`, counted from its top; what does not fit is cut. Answers with the column behind it.
fn put(buffer: &mut Buffer, area: Rect, line: u16, text: &str, style: Style) -> u16 {
    put_at(buffer, area, 0, line, text, style)
}

/// As [`put`], from a column of `area` on.
fn put_at(buffer: &mut Buffer, area: Rect, column: u16, line: u16, text: &str, style: Style) -> u16 {
    if line >= area.height || column >= area.width {
        return column;
    }
    let room = usize::from(area.width - column);
    let (end, _) = buffer.set_stringn(area.x + column, area.y + line, cut(text, room), room, style);
    end - area.x
}

/// Writes at the right of a part of a line.
fn put_right(buffer: &mut Buffer, area: Rect, (from, width): (u16, u16), line: u16, text: &str, style: Style) {
    let long = u16::try_from(width_of(text)).unwrap_or(u16::MAX);
    put_at(buffer, area, from + width.saturating_sub(long), line, text, style);
}

/// Writes parts behind each other.
fn put_all(buffer: &mut Buffer, area: Rect, column: u16, line: u16, parts: &[(&str, Style)]) -> u16 {
    parts.iter().fold(column, |column, (text, style)| put_at(buffer, area, column, line, text, *style))
}

/// Columns that a text takes.
fn width_of(text: &str) -> usize {
    ratatui::text::Span::raw(text).width()
}

/// At most `room` columns, the last of them `…` if there were more.
fn cut(text: &str, room: usize) -> String {
    if width_of(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        if width_of(&short) + width_of(letter.encode_utf8(&mut [0; 4])) + 1 > room {
            break;
        }
        short.push(letter);
    }
    short + "…"
}

//! One look as text, for where there is no terminal to draw on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::draw;
use crate::state::State;
use crate::theme::Theme;
use crate::{Look, Options, Words};

/// Width where nobody says it.
const WIDTH: u16 = 120;

/// The picture of one look, as high as it is long, without keys and colours. Lines end with a newline and no blanks.
#[must_use]
pub fn text(look: Look, options: &Options, words: Words, width: Option<u16>) -> String {
    let mut state = State::new(words, options.instance.clone(), options.order, look.usage.time);
    state.details = Some(false);
    state.looked(look);
    let rows = u16::try_from(state.rows().len()).unwrap_or(u16::MAX - 16);
    let area = Rect::new(0, 0, width.unwrap_or(WIDTH).max(40), rows + 16);
    let mut buffer = Buffer::empty(area);
    draw::page(&mut state, Theme { color: false }, area, &mut buffer);
    lines(&buffer)
}

/// What stands in a buffer.
pub(crate) fn lines(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let line: String = (buffer.area.left()..buffer.area.right()).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let whole = text.trim_end().len();
    text.truncate(whole);
    text + "\n"
}

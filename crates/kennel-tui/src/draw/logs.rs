//! What services write, the youngest at the bottom.

use jiff::tz::TimeZone;
use kennel_wire::{LogLine, LogStream};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pane::{below, nothing};
use super::width_of;
use crate::state::{Mode, State};
use crate::text::{Cell, cells, wrapped};
use crate::theme::Theme;
use crate::written::{Source, Written};

/// Columns of a time with its blank, and from which width on there is room for it.
const TIME: usize = 9;
const TIMED: u16 = 60;
/// Longer names are cut.
const NAME: usize = 16;

pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let words = under(state);
    let space = Rect { height: area.height - u16::from(words.is_some()).min(area.height), ..area };
    state.view.room = space.height.into();
    if state.written.len() == 0 {
        let why = state.written.broken.as_deref().unwrap_or("nothing was written yet");
        nothing(theme, area, buffer, why);
    }
    let mut rows = picture(state, theme, space);
    if rows.len() < usize::from(space.height) && state.written.back() > 0 {
        // Scrolled beyond the first line: as many lines as there is room for, from the first on.
        state.written.limit_back(state.written.back().saturating_sub(usize::from(space.height) - rows.len()));
        rows = picture(state, theme, space);
    }
    for (y, row) in (space.y..).zip(&rows) {
        let mut x = space.x;
        for cell in row {
            let left = usize::from(space.right().saturating_sub(x));
            if cell.width > left {
                break;
            }
            (x, _) = buffer.set_stringn(x, y, &cell.symbol, left, cell.style);
        }
    }
    if let Some(words) = words {
        below(theme, area, buffer, &words);
    }
}

/// What is to be said of the place and of the search.
fn under(state: &State) -> Option<String> {
    let written = &state.written;
    if state.mode == Mode::Search {
        return written.search_state().map(str::to_owned);
    }
    let mut parts = Vec::new();
    if !written.pattern().is_empty() {
        parts.push(format!("/{}", written.pattern().text));
        parts.extend(written.search_state().map(str::to_owned));
    }
    if !written.follows() {
        let more = if written.behind() { "more than " } else { "" };
        parts.push(format!("{more}{} newer lines below, End follows", written.back()));
    } else if let Some(why) = written.broken.as_ref().filter(|_| written.len() > 0) {
        parts.push(why.clone());
    }
    (!parts.is_empty()).then(|| format!(" {} ", parts.join(" · ")))
}

/// The rows of as many lines as there is room for, from the top.
fn picture(state: &State, theme: Theme, space: Rect) -> Vec<Vec<Cell>> {
    let height = usize::from(space.height);
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut at = state.written.back();
    while rows.len() < height
        && let Some((number, line)) = state.written.nth_below(at)
    {
        let part = laid_out(state, theme, space.width, number, line);
        rows.extend(part.into_iter().rev());
        at += 1;
    }
    rows.truncate(height);
    rows.reverse();
    rows
}

/// One line as rows.
fn laid_out(state: &State, theme: Theme, width: u16, number: i64, line: &LogLine) -> Vec<Vec<Cell>> {
    let before = prefix(state, theme, width, line);
    let room = usize::from(width).saturating_sub(before.iter().map(|cell| cell.width).sum()).max(1);
    let written: &Written = &state.written;
    let base = match (line.lost, line.stream) {
        (Some(_), _) => theme.warn(),
        (None, LogStream::Stderr) => theme.aside(),
        (None, LogStream::Stdout) => Style::new(),
    };
    let hit = if written.found() == Some(number) { theme.found() } else { theme.hit() };
    let tamed = (state.words.tame)(&line.line, theme.color);
    let text = cells(&tamed, base, written.pattern(), hit);
    let blank = |cells: &[Cell]| {
        let wide = cells.iter().map(|cell| cell.width).sum();
        vec![Cell { symbol: " ".into(), width: 1, style: Style::new() }; wide]
    };
    if state.view.wrap {
        let parts = wrapped(&text, room).into_iter().enumerate();
        let row = |(at, part): (usize, std::ops::Range<usize>)| {
            let before = if at == 0 { before.clone() } else { blank(&before) };
            [before, text[part].to_vec()].concat()
        };
        return parts.map(row).collect();
    }
    let mut gone = 0;
    let shown = text.into_iter().skip_while(|cell| {
        gone += cell.width;
        gone <= state.view.column
    });
    vec![before.into_iter().chain(shown).collect()]
}

/// The time where there is room, and the name among several.
fn prefix(state: &State, theme: Theme, width: u16, line: &LogLine) -> Vec<Cell> {
    let mut before = Vec::new();
    let mut put = |text: &str, columns: usize, style: Style| {
        let mut taken = 0;
        for letter in text.chars() {
            let symbol = letter.to_string();
            let wide = width_of(&symbol);
            if wide == 0 || taken + wide > columns {
                continue;
            }
            taken += wide;
            before.push(Cell { symbol, width: wide, style });
        }
        before.extend(std::iter::repeat_n(
            Cell { symbol: " ".into(), width: 1, style: Style::new() },
            columns + 1 - taken,
        ));
    };
    if width >= TIMED {
        let time = line.time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
        put(&time, TIME - 1, theme.dim());
    }
    if matches!(state.written.source, Some(Source::Many(_))) {
        let services = state.look.iter().flat_map(|look| &look.services);
        let longest = services.clone().map(|one| width_of(&one.name)).max().unwrap_or(0).min(NAME);
        let known = services.clone().find(|one| one.name == line.service);
        let service = known.map_or(&*line.service, |one| &*one.service);
        let color = (state.words.color)(service, known.and_then(|one| one.color.as_deref()));
        put(&line.service, longest, theme.name(color));
    }
    before
}

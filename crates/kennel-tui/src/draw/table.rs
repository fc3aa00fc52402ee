//! The lines: services and their processes with their figures.

use kennel_wire::{Activity, ProcessUsage, ServiceStatus, ServiceUsage};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{cut, put, put_at, put_right, width_of};
use crate::chart::{bars, scale};
use crate::columns::{Column, Figure, columns};
use crate::look::memory_limit;
use crate::mouse::Zone;
use crate::order::Order;
use crate::rows::Row;
use crate::state::State;
use crate::theme::Theme;
use crate::units::{bytes, duration, percent, rate};

/// Columns of a state's word.
const STATE: u16 = 9;

/// Draws titles and as many lines as there is room for.
pub(super) fn draw(state: &mut State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let (names, columns) = columns(area.width);
    zones(state, area, names, &columns);
    let title = format!("SERVICE{}", if state.order == Order::Name { arrow(state) } else { "" });
    put(buffer, area, 0, &title, if state.order == Order::Name { theme.sorted() } else { theme.heading() });
    for column in &columns {
        let sorted = column.figure.orders(state.order);
        let over = state.span.word().filter(|_| column.figure == Figure::History);
        let title = format!("{}{}", over.unwrap_or(column.figure.title()), if sorted { arrow(state) } else { "" });
        let style = if sorted { theme.sorted() } else { theme.heading() };
        put_right(buffer, area, (column.from.saturating_sub(1), column.width + 1), 0, &title, style);
    }
    let rows = state.rows();
    if rows.is_empty() {
        put(buffer, area, 1, empty(state), theme.dim());
        return;
    }
    let room = usize::from(area.height.saturating_sub(1));
    // Names of services stand in one column and their states in the next, as wide as the longest needs it.
    let longest = rows.iter().map(|row| width_of(&row.service().name)).max().unwrap_or(0);
    let longest = u16::try_from(longest).unwrap_or(u16::MAX).min(names.saturating_sub(STATE + 6));
    for (at, row) in rows.iter().enumerate().skip(state.top).take(room) {
        let line = u16::try_from(at - state.top + 1).unwrap_or(u16::MAX);
        match row {
            Row::Service { .. } => service(state, theme, area, line, (names, longest), row, &columns, buffer),
            Row::Process { process, guide, .. } => {
                branch(theme, Rect { width: names, ..area }, line, guide, process, &columns, buffer);
                for column in &columns {
                    of_process(state, theme, area, line, *column, process, buffer);
                }
            }
        }
        if at == state.selected() {
            let whole = Rect { x: area.x, y: area.y + line, width: area.width, height: 1 };
            buffer.set_style(whole, theme.selected());
        }
    }
    if rows.len() > room {
        scrollbar(state, theme, area, rows.len(), room, buffer);
    }
}

/// What of it can be clicked.
fn zones(state: &mut State, area: Rect, names: u16, columns: &[Column]) {
    state.zones.add(area, Zone::Lines);
    let title = |from: u16, width: u16| Rect { x: area.x + from, width, height: 1, ..area };
    state.zones.add(title(0, names), Zone::Order(Order::Name));
    for column in columns {
        if let Some(order) = column.figure.order() {
            state.zones.add(title(column.from, column.width), Zone::Order(order));
        }
    }
    let room = usize::from(area.height.saturating_sub(1));
    let shown: Vec<bool> =
        state.rows().iter().skip(state.top).take(room).map(|row| matches!(row, Row::Service { .. })).collect();
    for (line, is_service) in (1..).zip(shown) {
        let at = state.top + usize::from(line) - 1;
        let whole = Rect { y: area.y + line, height: 1, ..area };
        state.zones.add(whole, Zone::Line(at));
        if is_service {
            state.zones.add(Rect { width: 3.min(area.width), ..whole }, Zone::Fold(at));
        }
    }
}

fn arrow(state: &State) -> &'static str {
    if state.reverse { "▴" } else { "▾" }
}

fn empty(state: &State) -> &'static str {
    match &state.look {
        None => "looking …",
        Some(_) if !state.filter.is_empty() => "nothing has that in its name or command",
        Some(_) => "no services",
    }
}

#[expect(clippy::too_many_arguments, reason = "where, what and how to draw")]
fn service(
    state: &State,
    theme: Theme,
    area: Rect,
    line: u16,
    (names, longest): (u16, u16),
    row: &Row<'_>,
    columns: &[Column],
    buffer: &mut Buffer,
) {
    let Row::Service { status, usage, open } = row else { return };
    let (sign, word, style) = theme.service(status);
    let fold = match usage {
        Some(_) if *open => "▾",
        Some(_) => "▸",
        None => " ",
    };
    put(buffer, area, line, fold, theme.dim());
    put_at(buffer, area, 2, line, sign, style);
    let name = theme.name((state.words.color)(&status.service, status.color.as_deref()));
    put_at(buffer, Rect { width: 4 + longest, ..area }, 4, line, &status.name, name);
    let from = 4 + longest + 2;
    // What does not run has no figures: why takes their room.
    let Some(usage) = usage else {
        let end = put_at(buffer, area, from, line, word, style).max(from + STATE);
        if let Some(note) = (state.words.note)(status) {
            put_at(buffer, area, end + 2, line, &note, theme.dim());
        }
        return;
    };
    let room = Rect { width: names, ..area };
    let end = put_at(buffer, room, from, line, word, style).max(from + STATE);
    let (note, note_style) = match (note(state, status), usage.usage.processes) {
        (Some(note), _) => (note, theme.warn()),
        (None, count) if !open && count > 1 && !columns.iter().any(|column| column.figure == Figure::Processes) => {
            (format!("({count})"), theme.dim())
        }
        (None, _) => (String::new(), theme.dim()),
    };
    // The beginning of a word says nothing.
    if usize::from(names.saturating_sub(end + 2)) >= width_of(&note).min(14) {
        put_at(buffer, room, end + 2, line, &note, note_style);
    }
    for column in columns {
        of_service(state, theme, area, line, *column, status, usage, buffer);
    }
}

/// Why it is as it is, in a few words.
fn note(state: &State, status: &ServiceStatus) -> Option<String> {
    let waits = status.activity.filter(|activity| *activity == Activity::WaitingForInput);
    let said = (state.words.note)(status).or_else(|| status.health_reason.clone());
    said.or_else(|| waits.map(|activity| activity.as_str().to_owned()))
}

#[expect(clippy::too_many_arguments, reason = "where, what and how to draw")]
fn of_service(
    state: &State,
    theme: Theme,
    area: Rect,
    line: u16,
    column: Column,
    status: &ServiceStatus,
    usage: &ServiceUsage,
    buffer: &mut Buffer,
) {
    let figures = &usage.usage;
    let plain = Style::new();
    let (text, style) = match column.figure {
        Figure::History => {
            let values = state.trend(&usage.name, column.width.into());
            let values: Vec<f64> = values.into_iter().map(|point| point.cpu).collect();
            return history(theme, area, line, column, &values, buffer);
        }
        Figure::Cpu => (figures.cpu_percent.map(percent), theme.load(figures.cpu_percent.unwrap_or(0.0))),
        Figure::Memory => {
            let style = match (figures.memory_bytes, memory_limit(status, usage)) {
                (Some(used), Some(limit)) => theme.fill(used, limit),
                _ => plain,
            };
            (figures.memory_bytes.map(bytes), style)
        }
        Figure::Processes => {
            let style = match figures.processes_limit {
                Some(limit) => theme.fill(figures.processes.into(), limit),
                None => plain,
            };
            (Some(figures.processes.to_string()), style)
        }
        Figure::Threads => (figures.threads.map(|count| count.to_string()), plain),
        Figure::Read => moved(theme, figures.read_rate),
        Figure::Written => moved(theme, figures.write_rate),
        Figure::Output => moved(theme, Some(figures.log_rate)),
        Figure::Pressure => {
            let most = [figures.cpu_pressure, figures.memory_pressure, figures.io_pressure].into_iter().flatten();
            let most = most.fold(None, |most: Option<f64>, one| Some(most.map_or(one, |most| most.max(one))));
            (most.map(percent), theme.load(most.unwrap_or(0.0) * 2.0))
        }
        Figure::Pid => (status.pid.map(|pid| pid.to_string()), theme.dim()),
        Figure::Files => (None, plain),
        Figure::Age => (status.uptime_ms.map(duration), theme.dim()),
    };
    put_right(buffer, area, (column.from, column.width), line, &text.unwrap_or_default(), style);
}

fn of_process(
    state: &State,
    theme: Theme,
    area: Rect,
    line: u16,
    column: Column,
    process: &ProcessUsage,
    buffer: &mut Buffer,
) {
    let plain = Style::new();
    let (text, style) = match column.figure {
        Figure::Cpu => (process.cpu_percent.map(percent), theme.load(process.cpu_percent.unwrap_or(0.0))),
        Figure::Memory => (Some(bytes(process.memory_bytes)), plain),
        Figure::Threads => (Some(process.threads.to_string()), if process.threads > 1 { plain } else { theme.dim() }),
        Figure::Pid => (Some(process.pid.to_string()), theme.dim()),
        Figure::Files => (process.open_files.map(|count| count.to_string()), theme.dim()),
        Figure::Age => (Some(duration(process.cpu_ms)), theme.dim()),
        Figure::Read => moved(theme, state.traffic(process).0),
        Figure::Written => moved(theme, state.traffic(process).1),
        Figure::History | Figure::Processes | Figure::Output | Figure::Pressure => (None, plain),
    };
    put_right(buffer, area, (column.from, column.width), line, &text.unwrap_or_default(), style);
}

fn moved(theme: Theme, amount: Option<f64>) -> (Option<String>, Style) {
    let style = if amount.is_some_and(|amount| amount >= 0.5) { Style::new() } else { theme.dim() };
    (amount.map(rate), style)
}

/// CPU over time: the full height is one CPU, or so many that it fits.
fn history(theme: Theme, area: Rect, line: u16, column: Column, values: &[f64], buffer: &mut Buffer) {
    let width = usize::from(column.width);
    let values = &values[values.len().saturating_sub(width)..];
    let bars = bars(values, width, 1, scale(values, 100.0)).concat();
    for (at, (bar, value)) in bars.chars().rev().zip(values.iter().rev()).enumerate() {
        let from = column.from + column.width - 1 - u16::try_from(at).unwrap_or(0);
        put_at(buffer, area, from, line, bar.encode_utf8(&mut [0; 4]), theme.load(*value));
    }
}

/// A process in its tree.
fn branch(
    theme: Theme,
    room: Rect,
    line: u16,
    guide: &str,
    process: &ProcessUsage,
    columns: &[Column],
    buffer: &mut Buffer,
) {
    // A tree that is deeper than the room shows its deepest part.
    let deep = usize::from(room.width / 2);
    let guide = match width_of(guide) {
        width if width > deep => format!("…{}", guide.chars().skip(width - deep + 1).collect::<String>()),
        _ => guide.to_owned(),
    };
    let column = put_at(buffer, room, 2, line, &guide, theme.dim());
    let column = match process.state {
        'S' | 'I' | 'R' => column,
        letter => put_at(buffer, room, column, line, &format!("{letter} "), theme.process(letter)),
    };
    let column = if columns.iter().any(|column| column.figure == Figure::Pid) {
        column
    } else {
        put_at(buffer, room, column, line, &format!("{} ", process.pid), theme.dim())
    };
    let left = usize::from(room.width.saturating_sub(column));
    put_at(buffer, room, column, line, &cut(&process.command, left), Style::new());
}

/// At the very right, where nothing else stands.
fn scrollbar(state: &State, theme: Theme, area: Rect, rows: usize, room: usize, buffer: &mut Buffer) {
    let length = (room * room / rows).max(1);
    let from = state.top * (room - length.min(room)) / rows.saturating_sub(room).max(1);
    for at in 0..room {
        let sign = if (from..from + length).contains(&at) { "┃" } else { "│" };
        let y = area.y + 1 + u16::try_from(at).unwrap_or(0);
        if area.right() < buffer.area.right() {
            buffer.set_stringn(area.right(), y, sign, 1, theme.dim());
        }
    }
}

//! What clicks and the wheel do, by what was drawn where they hit.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::Order;
use crate::keys::{Wish, press};
use crate::pane::{Focus, Pane};
use crate::state::{Mode, State};

/// Lines that one turn of the wheel moves.
const TURN: isize = 3;

/// What a part of the picture stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// Somewhere among the lines.
    Lines,
    /// A line, by its number.
    Line(usize),
    /// The sign that opens and closes the line.
    Fold(usize),
    /// The title of a column.
    Order(Order),
    /// Somewhere in the pane.
    Pane,
    /// The name of a pane.
    Tab(Pane),
    /// A key that is offered.
    Key(char),
}

/// Parts of the picture; the last one that has a place counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zones(Vec<(Rect, Zone)>);

impl Zones {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn add(&mut self, area: Rect, zone: Zone) {
        self.0.push((area, zone));
    }

    fn at(&self, column: u16, row: u16) -> Option<Zone> {
        let position = Position::new(column, row);
        self.0.iter().rev().find(|(area, _)| area.contains(position)).map(|(_, zone)| *zone)
    }
}

/// Takes a click or a turn of the wheel.
pub(crate) fn mouse(state: &mut State, event: MouseEvent) -> Option<Wish> {
    let zone = state.zones.at(event.column, event.row);
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => click(state, zone),
        MouseEventKind::ScrollUp => wheel(state, zone, TURN),
        MouseEventKind::ScrollDown => wheel(state, zone, -TURN),
        _ => None,
    }
}

fn click(state: &mut State, zone: Option<Zone>) -> Option<Wish> {
    if state.slip.take().is_some() {
        return None;
    }
    match (&state.mode, zone) {
        // A question is answered, and by nothing else than its words.
        (Mode::Confirm(_), Some(Zone::Key(key @ ('y' | 'n')))) => key_press(state, key),
        (Mode::Confirm(_), _) => None,
        (Mode::Help, _) => {
            state.mode = Mode::Browse;
            None
        }
        (Mode::Browse | Mode::Filter | Mode::Search, Some(zone)) => {
            state.mode = Mode::Browse;
            chosen(state, zone)
        }
        (Mode::Browse | Mode::Filter | Mode::Search, None) => None,
    }
}

fn chosen(state: &mut State, zone: Zone) -> Option<Wish> {
    match zone {
        Zone::Lines => state.view.focus = Focus::Lines,
        Zone::Line(at) => {
            state.view.focus = Focus::Lines;
            state.select(at);
        }
        Zone::Fold(at) => {
            state.select(at);
            state.fold(None);
            return Some(Wish::Look);
        }
        // The same once more turns it round.
        Zone::Order(order) if order == state.order => state.turn_order(),
        Zone::Order(order) => state.sort(order),
        Zone::Pane => state.view.focus = Focus::Pane,
        Zone::Tab(pane) => {
            state.show(pane);
            state.view.focus = Focus::Pane;
        }
        Zone::Key(key) => return key_press(state, key),
    }
    None
}

fn wheel(state: &mut State, zone: Option<Zone>, up: isize) -> Option<Wish> {
    if matches!(state.mode, Mode::Confirm(_) | Mode::Help) {
        return None;
    }
    match zone? {
        Zone::Pane | Zone::Tab(_) => state.scroll_pane(up),
        Zone::Lines | Zone::Line(_) | Zone::Fold(_) | Zone::Order(_) => state.step(up.saturating_neg()),
        Zone::Key(_) => {}
    }
    None
}

fn key_press(state: &mut State, key: char) -> Option<Wish> {
    press(state, KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE))
}

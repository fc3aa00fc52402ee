//! Clicks and the wheel, by what is drawn.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::keys::typed;
use super::samples::{picture, shown};
use crate::action::Deed;
use crate::keys::Wish;
use crate::mouse::mouse;
use crate::order::Order;
use crate::pane::{Focus, Pane};
use crate::state::{Mode, State};

/// Does it where this text stands in the picture.
fn on(state: &mut State, text: &str, kind: MouseEventKind) -> Option<Wish> {
    let picture = picture(state, 120, 30);
    let (row, line) = picture.lines().enumerate().find(|(_, line)| line.contains(text)).expect(&picture);
    let before = line.find(text).unwrap();
    let column = line[..before].chars().count();
    let event = MouseEvent {
        kind,
        column: u16::try_from(column).unwrap(),
        row: u16::try_from(row).unwrap(),
        modifiers: KeyModifiers::NONE,
    };
    mouse(state, event)
}

fn click(state: &mut State, text: &str) -> Option<Wish> {
    on(state, text, MouseEventKind::Down(MouseButton::Left))
}

#[test]
fn a_line_is_chosen_and_opened() {
    let mut state = shown();
    assert_eq!(click(&mut state, "node watch.js"), None);
    assert_eq!(state.selected(), 5);
    let all = state.rows().len();
    assert_eq!(click(&mut state, "▾ ● web"), Some(Wish::Look));
    assert_eq!(state.rows().len(), all - 6);
    on(&mut state, "worker.1", MouseEventKind::ScrollDown);
    assert_eq!(state.selected(), 3);
    on(&mut state, "worker.1", MouseEventKind::ScrollUp);
    assert_eq!(state.selected(), 0);
}

#[test]
fn titles_order_lines() {
    let mut state = shown();
    click(&mut state, "MEM  PROC");
    assert_eq!((state.order, state.reverse), (Order::Memory, false));
    click(&mut state, "MEM▾");
    assert!(state.reverse);
    click(&mut state, "SERVICE  ");
    assert_eq!((state.order, state.reverse), (Order::Name, false));
}

#[test]
fn panes_are_chosen_and_scrolled() {
    let mut state = shown();
    typed(&mut state, "d");
    click(&mut state, "2 logs");
    assert_eq!((state.view.pane, state.view.focus), (Pane::Logs, Focus::Pane));
    click(&mut state, "hog");
    assert_eq!(state.view.focus, Focus::Lines);
    click(&mut state, "1 overview");
    on(&mut state, "of its limit", MouseEventKind::ScrollDown);
    picture(&mut state, 120, 30);
    assert!(state.view.scrolled > 0);
}

#[test]
fn a_question_is_answered_by_its_words_alone() {
    let mut state = shown();
    assert_eq!(click(&mut state, "s stop"), None);
    assert!(matches!(state.mode, Mode::Confirm(_)));
    assert_eq!(click(&mut state, "worker.1"), None);
    assert!(matches!(state.mode, Mode::Confirm(_)), "a click beside it is no answer");
    assert_eq!(click(&mut state, "n no"), None);
    assert_eq!(state.mode, Mode::Browse);
    click(&mut state, "s stop");
    assert_eq!(click(&mut state, "y yes"), Some(Wish::Do(Deed::Stop("web".into()))));
    assert_eq!(typed(&mut state, "m"), Some(Wish::Mouse(false)));
}

//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::action::{Action, Deed};
use crate::state::{Mode, State};

/// What a key asks of those around the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To end the program.
    Quit,
    /// To look again at once.
    Look,
    /// To do something that was agreed to.
    Do(Deed),
}

/// Every key of the browser with its words, in the order of the help; those of the first line first.
pub(crate) const KEYS: [(&str, &str); 17] = [
    ("↑ ↓ j k", "choose a line"),
    ("PgUp PgDn", "a page up, down"),
    ("Home End g G", "the first, the last line"),
    ("Space Enter", "open or close the processes of a service"),
    ("← →", "close, open them"),
    ("e", "open or close all"),
    ("/", "show only what has this in its name or command"),
    ("o O", "next order, turn it round"),
    ("P M", "order by CPU, by memory"),
    ("d", "details of the service, or none"),
    ("s", "stop the service; SIGTERM to a process"),
    ("x", "kill the service at once; SIGKILL to a process"),
    ("r", "restart the service"),
    ("u", "start the service"),
    ("f", "freeze the service, or thaw it"),
    ("Ctrl-L", "look again, and draw everything anew"),
    ("q Ctrl-C", "leave; what runs is not touched"),
];

/// Takes a key.
pub(crate) fn press(state: &mut State, key: KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Some(Wish::Quit);
    }
    match &state.mode {
        Mode::Browse => browse(state, key),
        Mode::Filter => filter(state, key.code),
        Mode::Help => {
            state.mode = Mode::Browse;
            (key.code == KeyCode::Char('q')).then_some(Wish::Quit)
        }
        Mode::Confirm(ask) => {
            let deed = ask.deed.clone();
            state.mode = Mode::Browse;
            matches!(key.code, KeyCode::Char('y' | 'Y')).then_some(Wish::Do(deed))
        }
    }
}

fn browse(state: &mut State, key: KeyEvent) -> Option<Wish> {
    let page = isize::try_from(state.room.saturating_sub(1)).unwrap_or(isize::MAX).max(1);
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('l')).then_some(Wish::Look);
    }
    match key.code {
        KeyCode::Char('q') => return Some(Wish::Quit),
        KeyCode::Esc if !state.filter.is_empty() => seek(state, String::new()),
        KeyCode::Up | KeyCode::Char('k') => state.step(-1),
        KeyCode::Down | KeyCode::Char('j') => state.step(1),
        KeyCode::PageUp => state.step(-page),
        KeyCode::PageDown => state.step(page),
        KeyCode::Home | KeyCode::Char('g') => state.select(0),
        KeyCode::End | KeyCode::Char('G') => state.select(usize::MAX),
        KeyCode::Enter | KeyCode::Char(' ') => {
            state.fold(None);
            return Some(Wish::Look);
        }
        KeyCode::Right | KeyCode::Char('l') => {
            state.fold(Some(true));
            return Some(Wish::Look);
        }
        KeyCode::Left | KeyCode::Char('h') => state.fold(Some(false)),
        KeyCode::Char('e') => {
            state.fold_all();
            return Some(Wish::Look);
        }
        KeyCode::Char('/') => state.mode = Mode::Filter,
        KeyCode::Char('o') => order(state, state.order.next()),
        KeyCode::Char('P') => order(state, crate::Order::Cpu),
        KeyCode::Char('M') => order(state, crate::Order::Memory),
        KeyCode::Char('O') => {
            state.reverse = !state.reverse;
            state.settle();
        }
        KeyCode::Char('d') => state.details = Some(!state.details.unwrap_or(state.details_fit)),
        KeyCode::Char('s') => state.propose(Action::Stop),
        KeyCode::Char('x') => state.propose(Action::Kill),
        KeyCode::Char('r') => state.propose(Action::Restart),
        KeyCode::Char('u') => state.propose(Action::Start),
        KeyCode::Char('f') => state.propose(Action::Freeze),
        KeyCode::Char('?') | KeyCode::F(1) => state.mode = Mode::Help,
        _ => {}
    }
    None
}

fn order(state: &mut State, order: crate::Order) {
    (state.order, state.reverse) = (order, false);
    state.settle();
}

fn filter(state: &mut State, code: KeyCode) -> Option<Wish> {
    let mut text = state.filter.clone();
    match code {
        KeyCode::Esc => {
            state.mode = Mode::Browse;
            text.clear();
        }
        KeyCode::Enter => state.mode = Mode::Browse,
        KeyCode::Backspace => {
            text.pop();
        }
        KeyCode::Char(letter) => text.push(letter),
        _ => return None,
    }
    seek(state, text);
    // What stands in a command is known once processes are.
    Some(Wish::Look)
}

fn seek(state: &mut State, text: String) {
    state.filter = text;
    state.settle();
}

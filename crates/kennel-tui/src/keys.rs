//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::action::{Action, Ask, Deed};
use crate::pane::{Focus, Pane};
use crate::state::{Mode, State};

/// What a key asks of those around the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To end the program.
    Quit,
    /// To look again at once.
    Look,
    /// To look again, and to draw everything anew.
    Redraw,
    /// To stop until the shell lets us go on.
    Suspend,
    /// To take clicks, or to leave them to the terminal.
    Mouse(bool),
    /// To do something that was agreed to.
    Do(Deed),
}

/// Columns that a log moves by.
const SIDEWAYS: usize = 8;

/// Takes a key.
pub(crate) fn press(state: &mut State, key: KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Wish::Quit),
            KeyCode::Char('z') => Some(Wish::Suspend),
            KeyCode::Char('l') => Some(Wish::Redraw),
            _ => None,
        };
    }
    if state.slip.take().is_some() && matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char(' ')) {
        return None;
    }
    match &state.mode {
        Mode::Browse => browse(state, key.code),
        Mode::Filter => {
            let text = typed(state.filter.clone(), key.code)?;
            state.seek(text);
            // What stands in a command is known once processes are.
            state.typed(key.code).then_some(Wish::Look)
        }
        Mode::Search => {
            let text = typed(state.written.pattern().text.clone(), key.code)?;
            if text != state.written.pattern().text {
                state.written.seek(&text);
            }
            state.typed(key.code);
            None
        }
        Mode::Help => {
            state.mode = Mode::Browse;
            if key.code == KeyCode::Char('q') { leave(state) } else { None }
        }
        Mode::Confirm(ask) => {
            let deed = ask.deed.clone();
            state.mode = Mode::Browse;
            match (key.code, deed) {
                (KeyCode::Char('y' | 'Y'), Deed::Leave) => Some(Wish::Quit),
                (KeyCode::Char('y' | 'Y'), deed) => Some(Wish::Do(deed)),
                _ => None,
            }
        }
    }
}

/// Takes text that somebody pasted: it is typed where something is being typed, and never a key.
pub(crate) fn paste(state: &mut State, text: &str) -> Option<Wish> {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    match state.mode {
        Mode::Filter => {
            let text = state.filter.clone() + &text;
            state.seek(text);
            Some(Wish::Look)
        }
        Mode::Search => {
            let text = state.written.pattern().text.clone() + &text;
            state.written.seek(&text);
            None
        }
        Mode::Browse | Mode::Help | Mode::Confirm(_) => None,
    }
}

/// The text after a key; none for keys that change nothing.
fn typed(mut text: String, code: KeyCode) -> Option<String> {
    match code {
        KeyCode::Esc => text.clear(),
        KeyCode::Enter => {}
        KeyCode::Backspace => {
            text.pop();
        }
        KeyCode::Char(letter) => text.push(letter),
        _ => return None,
    }
    Some(text)
}

fn browse(state: &mut State, code: KeyCode) -> Option<Wish> {
    if state.view.focus == Focus::Pane && state.pane_shown() && in_pane(state, code) {
        return None;
    }
    let page = isize::try_from(state.room.saturating_sub(1)).unwrap_or(isize::MAX).max(1);
    match code {
        KeyCode::Char('q') => return leave(state),
        KeyCode::Esc if state.view.zoomed => state.view.zoomed = false,
        KeyCode::Esc if !state.filter.is_empty() => state.seek(String::new()),
        KeyCode::Up | KeyCode::Char('k') => state.step(-1),
        KeyCode::Down | KeyCode::Char('j') => state.step(1),
        KeyCode::PageUp => state.step(-page),
        KeyCode::PageDown => state.step(page),
        KeyCode::Home | KeyCode::Char('g') => state.select(0),
        KeyCode::End | KeyCode::Char('G') => state.select(usize::MAX),
        KeyCode::Char(' ') => {
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
        KeyCode::Enter => {
            state.show(Pane::Logs);
            state.view.focus = Focus::Pane;
        }
        KeyCode::Tab | KeyCode::BackTab => state.turn_focus(),
        KeyCode::Char(key @ '1'..='4') => state.show(Pane::of_key(key)?),
        KeyCode::Char('d') => state.toggle_pane(),
        KeyCode::Char('z') => state.zoom(),
        KeyCode::Char('a') => {
            state.view.all = !state.view.all;
            state.view.scrolled = 0;
        }
        KeyCode::Char('w') => (state.view.wrap, state.view.column) = (!state.view.wrap, 0),
        KeyCode::Char('n') if state.searches() => state.written.find_older(),
        KeyCode::Char('N') if state.searches() => state.written.find_newer(),
        KeyCode::Char('/') => state.mode = Mode::Filter,
        KeyCode::Char('o') => state.sort(state.order.next()),
        KeyCode::Char('P') => state.sort(crate::Order::Cpu),
        KeyCode::Char('M') => state.sort(crate::Order::Memory),
        KeyCode::Char('O') => state.turn_order(),
        KeyCode::Char('t') => {
            state.span = state.span.next();
            return Some(Wish::Look);
        }
        KeyCode::Char('m') => {
            state.mouse = !state.mouse;
            return Some(Wish::Mouse(state.mouse));
        }
        KeyCode::Char('s') => return state.propose(Action::Stop).map(Wish::Do),
        KeyCode::Char('x') => return state.propose(Action::Kill).map(Wish::Do),
        KeyCode::Char('r') => return state.propose(Action::Restart).map(Wish::Do),
        KeyCode::Char('u') => return state.propose(Action::Start).map(Wish::Do),
        KeyCode::Char('f') => return state.propose(Action::Freeze).map(Wish::Do),
        KeyCode::Char('?') | KeyCode::F(1) => state.mode = Mode::Help,
        _ => {}
    }
    None
}

/// What keys that move do in the pane; false: it is a key of the lines as well.
fn in_pane(state: &mut State, code: KeyCode) -> bool {
    let page = isize::try_from(state.view.room.saturating_sub(1)).unwrap_or(isize::MAX).max(1);
    let logs = state.view.pane == Pane::Logs;
    match code {
        KeyCode::Up | KeyCode::Char('k') => state.scroll_pane(1),
        KeyCode::Down | KeyCode::Char('j') => state.scroll_pane(-1),
        KeyCode::PageUp => state.scroll_pane(page),
        KeyCode::PageDown | KeyCode::Char(' ') => state.scroll_pane(-page),
        KeyCode::Home | KeyCode::Char('g') => state.scroll_pane(isize::MAX),
        KeyCode::End | KeyCode::Char('G') => state.scroll_pane(isize::MIN),
        KeyCode::Left | KeyCode::Char('h') if logs => {
            state.view.column = state.view.column.saturating_sub(SIDEWAYS);
        }
        KeyCode::Right | KeyCode::Char('l') if logs && !state.view.wrap => state.view.column += SIDEWAYS,
        KeyCode::Char('/') if logs => state.mode = Mode::Search,
        // A second Enter gives the log all the room.
        KeyCode::Enter => state.zoom(),
        KeyCode::Esc if logs && !state.written.pattern().is_empty() => state.written.seek(""),
        KeyCode::Esc => {
            state.view.zoomed = false;
            state.view.focus = Focus::Lines;
        }
        _ => return false,
    }
    true
}

/// Leaves; what would end by that is asked for.
fn leave(state: &mut State) -> Option<Wish> {
    let running = |look: &crate::Look| look.services.iter().filter(|one| one.pid.is_some()).count();
    let (services, processes) = state.look.as_ref().map_or((0, 0), |look| (running(look), look.usage.total.processes));
    if !state.holds || (services == 0 && processes == 0 && state.look.is_some()) {
        return Some(Wish::Quit);
    }
    state.mode = Mode::Confirm(Ask::leave(services, processes));
    None
}

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::samples::{look, picture, shown};
use crate::action::Deed;
use crate::keys::{Wish, press};
use crate::rows::Key;
use crate::state::{Mode, State};

pub(crate) fn typed(state: &mut State, keys: &str) -> Option<Wish> {
    let code = |letter| match letter {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\u{1b}' => KeyCode::Esc,
        '\u{8}' => KeyCode::Backspace,
        letter => KeyCode::Char(letter),
    };
    keys.chars().map(|letter| press(state, KeyEvent::new(code(letter), KeyModifiers::NONE))).last().flatten()
}

fn chosen(state: &State) -> Option<Key> {
    state.rows().get(state.selected()).map(crate::rows::Row::key)
}

#[test]
fn nothing_is_done_without_a_yes() {
    for (keys, deed) in [
        ("s", Deed::Stop("web".into())),
        ("x", Deed::Kill("web".into())),
        ("r", Deed::Restart("web".into())),
        ("js", Deed::Signal { pid: 4242, start_ticks: 42_420, signal: 15 }),
        ("jx", Deed::Signal { pid: 4242, start_ticks: 42_420, signal: 9 }),
        ("f", Deed::Freeze("web".into())),
        ("jr", Deed::Restart("web".into())),
    ] {
        for no in ["n", "\u{1b}", "q", "\n", " ", "x"] {
            let mut state = shown();
            assert_eq!(typed(&mut state, keys), None);
            assert!(matches!(state.mode, Mode::Confirm(_)), "{keys}");
            assert_eq!(typed(&mut state, no), None, "{keys}{no}");
            assert_eq!(state.mode, Mode::Browse);
        }
        let mut state = shown();
        assert_eq!(typed(&mut state, &format!("{keys}y")), Some(Wish::Do(deed)));
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let mut state = shown();
    assert_eq!(typed(&mut state, "u"), None);
    assert_eq!(state.news().map(|news| &*news.text), Some("web runs already"));
    typed(&mut state, "Gs");
    assert_eq!(state.news().map(|news| &*news.text), Some("migrate does not run"));
    assert_eq!(typed(&mut state, "x"), None);
    assert_eq!(state.news().map(|news| &*news.text), Some("migrate does not run"));
}

/// Nothing is lost by it.
#[test]
fn a_start_and_a_thaw_need_no_yes() {
    let mut state = shown();
    assert_eq!(typed(&mut state, "Gu"), Some(Wish::Do(Deed::Start("migrate".into()))));
    assert_eq!(typed(&mut state, "gejjjf"), Some(Wish::Do(Deed::Thaw("worker.2".into()))));
}

/// The line that was chosen may move, or be gone: what is done to it is never done to another one.
#[test]
fn a_choice_follows_its_line() {
    let mut state = shown();
    typed(&mut state, "jjj");
    assert_eq!(chosen(&state), Some(Key::Process { pid: 4251, start_ticks: 42_510 }));
    typed(&mut state, "M");
    assert_eq!(chosen(&state), Some(Key::Process { pid: 4251, start_ticks: 42_510 }));

    // The question is about who was asked for, whatever the next look shows in its line.
    typed(&mut state, "x");
    let mut next = look();
    next.usage.services[0].processes_detail.retain(|one| one.pid != 4251);
    state.looked(next);
    let deed = Deed::Signal { pid: 4251, start_ticks: 42_510, signal: 9 };
    assert_eq!(typed(&mut state, "y"), Some(Wish::Do(deed)));
    assert!(chosen(&state).is_some());
}

/// It may only be that nobody has looked at processes yet.
#[test]
fn a_process_that_is_gone_leaves_its_service_chosen() {
    let mut state = shown();
    state.select(10);
    assert_eq!(chosen(&state), Some(Key::Process { pid: 6001, start_ticks: 60_010 }));
    let mut next = look();
    next.usage.services.clear();
    state.looked(next);
    assert_eq!(chosen(&state), Some(Key::Service("worker.1".into())));
    let mut nobody = look();
    nobody.services.clear();
    state.looked(nobody);
    state.looked(look());
    assert_eq!(chosen(&state), Some(Key::Service("worker.1".into())));
}

#[test]
fn another_process_with_its_number_is_another_line() {
    let mut state = shown();
    typed(&mut state, "jj");
    let mut next = look();
    next.usage.services[0].processes_detail[1].start_ticks += 1;
    next.usage.services[0].processes_detail.swap(1, 4);
    state.looked(next);
    assert_ne!(chosen(&state), Some(Key::Process { pid: 4250, start_ticks: 42_500 }));
}

#[test]
fn a_filter_is_typed_kept_and_dropped() {
    let mut state = shown();
    let all = state.rows().len();
    typed(&mut state, "/qu\u{8}\u{8}hog");
    assert_eq!((state.filter.as_str(), state.rows().len()), ("hog", 2));
    typed(&mut state, "\n");
    assert_eq!(state.mode, Mode::Browse);
    typed(&mut state, "\u{1b}");
    assert_eq!((state.filter.as_str(), state.rows().len()), ("", all));
}

#[test]
fn services_open_and_close() {
    let mut state = shown();
    let all = state.rows().len();
    typed(&mut state, "jj ");
    assert_eq!(chosen(&state), Some(Key::Service("web".into())));
    assert_eq!(state.rows().len(), all - 6);
    typed(&mut state, "l");
    assert_eq!(state.rows().len(), all);
    typed(&mut state, "e");
    assert_eq!(state.rows().len(), 7);
    assert!(!state.wants_processes());
    typed(&mut state, "Ge");
    assert_eq!(chosen(&state), Some(Key::Service("migrate".into())));
}

/// The chosen line is always shown, and lines fill the room there is.
#[test]
fn the_picture_follows_the_choice() {
    let mut state = shown();
    for (keys, name) in [("G", "migrate"), ("g", "web"), ("jjjjjjjjjj", "worker.1"), ("G", "migrate")] {
        typed(&mut state, keys);
        let picture = picture(&mut state, 60, 12);
        assert!(picture.contains(name), "{keys}\n{picture}");
    }
    let low = picture(&mut state, 60, 12);
    assert!(!low.contains("npm run dev"), "{low}");
    let high = picture(&mut state, 60, 60);
    assert!(high.contains("npm run dev"), "{high}");
}

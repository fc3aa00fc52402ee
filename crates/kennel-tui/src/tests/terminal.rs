//! The terminal is given back whatever happens. What needs one runs again on a terminal of its own.

use std::process::Command;

use crate::terminal::Screen;

const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";

/// What this test program shows on a terminal when it runs one of its tests.
fn shown(test: &str) -> String {
    let call =
        format!("{} --exact tests::terminal::{test} --ignored --nocapture", std::env::current_exe().unwrap().display());
    #[expect(clippy::disallowed_methods, reason = "a test starts its own program again")]
    let output = Command::new("script").args(["-qec", &call, "/dev/null"]).env("TERM", "xterm").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "run by the one below, on a terminal"]
fn panics() {
    let _screen = Screen::take().unwrap();
    panic!("on purpose");
}

#[test]
fn a_panic_is_read_on_the_terminal_as_it_was() {
    let text = shown("panics");
    let [taken, mouse_off, back, said] = [TAKEN, "\u{1b}[?1000l", GIVEN_BACK, "on purpose"]
        .map(|part| text.find(part).unwrap_or_else(|| panic!("{part:?} in {text:?}")));
    assert!(taken < mouse_off && mouse_off < back && back < said, "{text:?}");
    assert_eq!(text.matches(GIVEN_BACK).count(), 1, "{text:?}");
}

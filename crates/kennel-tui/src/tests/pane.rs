//! What stands beside or below the lines.

use kennel_wire::{Event, EventKind, LogStream};

use super::keys::typed;
use super::samples::{picture, receipt, shown, time};
use super::written::line;
use crate::keys::{Wish, paste};
use crate::pane::{Focus, Pane};
use crate::state::{Mode, State, Tone};

/// With a log of its first service.
fn logged(count: i64) -> State {
    let mut state = shown();
    typed(&mut state, "\n");
    assert!(state.settle_log());
    let mut lines: Vec<_> =
        (0..count).map(|number| line(number, &format!("GET /{number} \u{1b}[31mdone\u{1b}[0m"))).collect();
    if let Some(last) = lines.last_mut() {
        (last.stream, last.line) =
            (LogStream::Stderr, "a warning that is longer than this terminal is wide, by far".into());
    }
    state.written.take(lines);
    state
}

fn tail(picture: &str, lines: usize) -> String {
    let all: Vec<&str> = picture.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[test]
fn logs_follow_below_the_lines() {
    let mut state = logged(30);
    insta::assert_snapshot!(tail(&picture(&mut state, 60, 24), 14), @r"
      │  │     └─ 4260 esbuild …    0.0            30.0M     1│
      │  └─ 4255 node watch.js      0.0             9.0M     2│
    ● web  ready ━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 1  2 logs  3  4
    GET /21 done
    GET /22 done
    GET /23 done
    GET /24 done
    GET /25 done
    GET /26 done
    GET /27 done
    GET /28 done
    a warning that is longer than this terminal is wide, by fa
    03:04:05  web  ready in 210 ms
    ? help  q quit  Esc back  / find  End follow  z zoom
    ");
    typed(&mut state, "w");
    insta::assert_snapshot!(tail(&picture(&mut state, 60, 24), 5), @r"
    GET /28 done
    a warning that is longer than this terminal is wide, by fa
    r
    03:04:05  web  ready in 210 ms
    ? help  q quit  Esc back  / find  End follow  z zoom
    ");
    typed(&mut state, "wll");
    insta::assert_snapshot!(tail(&picture(&mut state, 60, 24), 5), @r"


    s longer than this terminal is wide, by far
    03:04:05  web  ready in 210 ms
    ? help  q quit  Esc back  / find  End follow  z zoom
    ");
}

#[test]
fn logs_are_scrolled_and_searched() {
    let mut state = logged(200);
    picture(&mut state, 60, 24);
    typed(&mut state, "kk");
    insta::assert_snapshot!(tail(&picture(&mut state, 60, 24), 5), @r"
    GET /196 done
    GET /197 done
     2 newer lines below, End follows
    03:04:05  web  ready in 210 ms
    ? help  q quit  Esc back  / find  End follow  z zoom
    ");
    typed(&mut state, "/17");
    assert_eq!(state.mode, Mode::Search);
    typed(&mut state, "1\n");
    insta::assert_snapshot!(tail(&picture(&mut state, 60, 24), 8), @r"
    GET /170 done
    GET /171 done
    GET /172 done
    GET /173 done
    GET /174 done
     /171 · 25 newer lines below, End follows
    03:04:05  web  ready in 210 ms
    ? help  q quit  Esc back  / find  End follow  z zoom
    ");
    typed(&mut state, "g");
    assert!(picture(&mut state, 60, 24).contains("GET /0 done"), "{}", picture(&mut state, 60, 24));
    typed(&mut state, "G");
    assert!(state.written.follows());
    // Once for the search, then back to the lines.
    typed(&mut state, "\u{1b}");
    assert!(state.written.pattern().is_empty() && state.view.focus == Focus::Pane);
    typed(&mut state, "\u{1b}");
    assert_eq!(state.view.focus, Focus::Lines);
}

#[test]
fn all_the_room_and_the_logs_of_all() {
    let mut state = logged(3);
    typed(&mut state, "za");
    assert!(state.settle_log());
    state.written.take(vec![line(0, "one"), kennel_wire::LogLine { service: "worker.2".into(), ..line(1, "two") }]);
    insta::assert_snapshot!(picture(&mut state, 80, 12), @r"
    kennel  shop                                                          03:04:05
    CPU ━━━━━━━━━━━━━━──────────── 215% of 4 CPUs, load 2.31
    MEM ━━━━━━━━━━━─────────────── 717 MiB of 16.0 GiB, 9.0 GiB free
    7 services: 1 failed, 1 spinning, 1 frozen, 1 waiting, 2 ready, 1 completed
    all services ━━━━━━━━━━━━━━━━━━━━━━━━ 1 overview  2 logs  3 events  4 receipt
    03:04:05 web      one
    03:04:05 worker.2 two



    03:04:05  web  ready in 210 ms
    ? help  q quit  Esc back  / find  End follow  z zoom  w wrap  a all
    ");
}

#[test]
fn a_log_that_nobody_looks_at_is_not_read() {
    let mut state = shown();
    assert!(!state.settle_log());
    typed(&mut state, "2");
    assert!(state.settle_log());
    typed(&mut state, "d");
    assert!(!state.settle_log());
    typed(&mut state, "d1");
    assert!(!state.settle_log());
}

#[test]
fn events_of_one_and_of_all() {
    let mut state = shown();
    for seq in 2..60 {
        let service = if seq % 2 == 0 { "web" } else { "hog" };
        let kind = EventKind::Ready { after_ms: seq };
        state.happened(Event { seq, time: time(), service: Some(service.into()), instance: Some(7), kind });
    }
    typed(&mut state, "3");
    insta::assert_snapshot!(tail(&picture(&mut state, 70, 18), 8), @r"
    03:04:05  ready in 48 ms
    03:04:05  ready in 50 ms
    03:04:05  ready in 52 ms
    03:04:05  ready in 54 ms
    03:04:05  ready in 56 ms
    03:04:05  ready in 58 ms
    03:04:05  hog  ready in 59 ms
    ? help  q quit  Enter logs  / find  s stop  x kill  r restart
    ");
    typed(&mut state, "a\t");
    picture(&mut state, 70, 18);
    typed(&mut state, "kkk");
    insta::assert_snapshot!(tail(&picture(&mut state, 70, 18), 8), @r"
    03:04:05  hog  ready in 51 ms
    03:04:05  web  ready in 52 ms
    03:04:05  hog  ready in 53 ms
    03:04:05  web  ready in 54 ms
    03:04:05  hog  ready in 55 ms
     3 newer events below, End shows them
    03:04:05  hog  ready in 59 ms
    ? help  q quit  Enter logs  / find  s stop  x kill  r restart
    ");
    // What is read stays where it is, and nothing is told twice.
    let again = Event { seq: 59, time: time(), service: None, instance: None, kind: EventKind::Ready { after_ms: 1 } };
    state.happened(again.clone());
    assert_eq!(state.view.scrolled, 3);
    state.happened(Event { seq: 60, ..again });
    assert_eq!(state.view.scrolled, 4);
}

#[test]
fn a_stop_shows_its_receipt() {
    let mut state = shown();
    state.begun("stopping web …".into());
    state.now = state.now.checked_add(jiff::SignedDuration::from_secs(12)).unwrap();
    assert!(picture(&mut state, 80, 24).contains("stopping web … 12 s"));
    state.done("stopping web …", "web is down".into(), Tone::Good, vec![receipt("web")]);
    assert_eq!(state.under_way(), None);
    insta::assert_snapshot!(tail(&picture(&mut state, 60, 12), 8), @r"
    SERVICE     ╭ Receipt ───────────────────────╮   MEM   THR
    ▾ ● web     │ web stopped, left 0            │  201M     9┃
      ├─ 4242 np╰ any key ───────────────────────╯ 50.0M     1│
      │  ├─ 4250 sh -c vite --p…    0.1             1.0M     3│
      │  │  └─ 4251 node /srv/s…   12.2             120M     1│
      │  │     └─ 4260 esbuild …    0.0            30.0M     1│
    web is down
    ? help  q quit  Enter logs  / find  s stop  x kill
    ");
    // A key that means something else means that as well.
    typed(&mut state, "j");
    assert_eq!((state.slip.as_ref(), state.selected()), (None, 1));
    typed(&mut state, "4");
    assert!(picture(&mut state, 80, 24).contains("web stopped, left 0"));
    typed(&mut state, "eG");
    assert!(picture(&mut state, 80, 24).contains("it was not stopped"));
}

/// While somebody types, a receipt neither takes keys nor hides what is typed.
#[test]
fn a_receipt_waits_for_an_answer() {
    let mut state = shown();
    typed(&mut state, "s");
    state.done("", "web is down".into(), Tone::Good, vec![receipt("web")]);
    assert!(!picture(&mut state, 80, 24).contains("Receipt"));
    assert!(matches!(typed(&mut state, "y"), Some(Wish::Do(_))));
}

#[test]
fn leaving_what_would_end_is_asked_for() {
    let mut state = shown();
    assert_eq!(typed(&mut state, "q"), Some(Wish::Quit));
    state.holds = true;
    assert_eq!(typed(&mut state, "q"), None);
    assert!(
        picture(&mut state, 80, 24).contains("Stop everything (4 services, 9 processes) and leave?"),
        "{}",
        picture(&mut state, 80, 24)
    );
    assert_eq!(typed(&mut state, "n"), None);
    assert_eq!(state.mode, Mode::Browse);
    assert_eq!(typed(&mut state, "?q"), None, "from the help as well");
    assert_eq!(typed(&mut state, "y"), Some(Wish::Quit));
    typed(&mut state, "?");
    assert!(picture(&mut state, 80, 30).contains("stop everything and leave"));
}

/// A text on the clipboard is no row of commands.
#[test]
fn what_is_pasted_is_text() {
    let mut state = shown();
    assert_eq!(paste(&mut state, "sy"), None);
    assert_eq!(state.mode, Mode::Browse);
    typed(&mut state, "/");
    assert_eq!(paste(&mut state, "ho\ng"), Some(Wish::Look));
    assert_eq!(state.filter, "hog");
    typed(&mut state, "\n\n/");
    paste(&mut state, "x\u{1b}");
    assert_eq!((state.written.pattern().text.as_str(), state.view.pane), ("x", Pane::Logs));
}

//! The window into a log: bounded, complete, and where it was left.

use jiff::{SignedDuration, Timestamp};
use kennel_wire::{LogLine, LogStream};

use super::samples::time;
use crate::written::{Source, Written};

pub(crate) fn line(number: i64, text: &str) -> LogLine {
    LogLine {
        time: at(number),
        service: "web".into(),
        stream: LogStream::Stdout,
        line: text.into(),
        bytes: None,
        complete: true,
        lost: None,
    }
}

fn at(number: i64) -> Timestamp {
    time().checked_add(SignedDuration::from_millis(number)).unwrap()
}

fn numbered(range: std::ops::Range<i64>) -> Vec<LogLine> {
    range.map(|number| line(number, &format!("line {number}"))).collect()
}

fn written(range: std::ops::Range<i64>) -> Written {
    let mut written = Written::new(|text, _| text.to_owned());
    written.of(Source::One("web".into()));
    written.take(numbered(range));
    written
}

/// From the lowest that is shown upwards.
fn shown(written: &Written, room: usize) -> Vec<String> {
    let lines = (written.back()..).map_while(|at| written.nth_below(at)).take(room);
    lines.map(|(_, line)| line.line.clone()).collect()
}

#[test]
fn the_end_is_followed_until_somebody_scrolls() {
    let mut log = written(0..100);
    log.take(numbered(100..101));
    assert_eq!(shown(&log, 2), ["line 100", "line 99"]);
    log.scroll(5, 10);
    log.take(numbered(101..200));
    assert_eq!((shown(&log, 1), log.back()), (vec!["line 95".to_owned()], 104), "what is read stays");
    log.scroll(-1000, 10);
    assert!(log.follows());
    assert_eq!(shown(&log, 1), ["line 199"]);
}

#[test]
fn what_does_not_fit_is_read_again_at_the_end() {
    let mut log = written(0..30_000);
    assert_eq!(log.len(), 20_000);
    log.scroll(1, 10);
    let generation = log.generation;
    log.take(numbered(30_000..60_000));
    assert_eq!((log.len(), log.behind(), shown(&log, 1)), (20_000, true, vec!["line 29998".to_owned()]));
    assert_eq!(log.resume(), None);
    log.follow();
    assert_ne!(log.generation, generation, "another reader begins");
    assert_eq!(log.len(), 0);
}

/// Several lines may have one time, and a page of older lines ends in the middle of them.
#[test]
fn older_lines_join_without_a_gap_or_a_repetition() {
    let all: Vec<LogLine> =
        (0..30).map(|number| LogLine { time: at(number / 4), ..line(0, &number.to_string()) }).collect();
    for cut in 1..26 {
        let mut log = Written::new(|text, _| text.to_owned());
        log.of(Source::One("web".into()));
        log.take(all[cut..].to_vec());
        log.rewind(3);
        let wish = log.wanted(3).unwrap();
        assert_eq!(log.wanted(3), None, "one question at a time");
        // As the daemon answers: up to and with that time.
        log.take_older(all.iter().filter(|line| line.time <= wish.until).cloned().collect(), wish);
        log.follow();
        let mut told = shown(&log, 100);
        told.reverse();
        let whole: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        assert_eq!(told, whole, "cut at {cut}");
    }
}

#[test]
fn nothing_is_asked_for_beyond_the_begin() {
    let mut log = written(0..50);
    assert_eq!(log.wanted(10), None, "nobody scrolled");
    log.rewind(10);
    let wish = log.wanted(10).unwrap();
    log.take_older(numbered(0..1), wish);
    assert_eq!(log.wanted(10), None);
    log.refused();
    assert_eq!(log.wanted(10), None);
}

#[test]
fn who_follows_goes_on_after_the_last_line() {
    let mut log = written(0..10);
    log.take(vec![line(9, "a"), line(9, "b")]);
    assert_eq!(log.resume(), Some((at(9), 3)));
}

#[test]
fn a_search_goes_up_and_down_and_further_than_what_is_here() {
    let mut log = written(100..200);
    log.seek("LINE 15");
    assert_eq!(log.found().map(|number| number + 100), Some(159));
    log.find_older();
    assert_eq!(log.found().map(|number| number + 100), Some(158));
    log.find_newer();
    log.find_newer();
    assert_eq!(
        (log.found().map(|number| number + 100), log.search_state()),
        (Some(159), Some("no further line has that"))
    );

    log.seek("line 42");
    assert_eq!(log.search_state(), Some("searching older lines …"));
    let wish = log.wanted(10).unwrap();
    log.take_older(numbered(60..101), wish);
    let wish = log.wanted(10).unwrap();
    log.take_older(numbered(0..61), wish);
    assert_eq!((log.search_state(), shown(&log, 4)[3].as_str()), (None, "line 42"));
    log.seek("no such thing");
    let wish = log.wanted(10).unwrap();
    log.take_older(Vec::new(), wish);
    assert_eq!(log.search_state(), Some("no further line has that"));
}

#[test]
fn another_log_begins_anew_and_keeps_what_is_looked_for() {
    let mut log = written(0..10);
    log.seek("line");
    log.of(Source::One("web".into()));
    assert_eq!(log.len(), 10);
    log.of(Source::Many(Vec::new()));
    assert_eq!((log.len(), log.pattern().text.as_str(), log.found()), (0, "line", None));
}

#[test]
fn a_line_of_a_megabyte_is_cut() {
    let mut log = written(0..0);
    log.take(vec![line(0, &"ü".repeat(500_000))]);
    let (_, kept) = log.nth_below(0).unwrap();
    assert!(kept.line.len() < 20_000 && kept.line.ends_with("ü…"), "{}", kept.line.len());
}

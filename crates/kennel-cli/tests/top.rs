//! What services use is shown: once as text, as JSON, and live on a terminal that is given back afterwards.
//!
//! covers: A8, D6, E2, E8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Signal, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
/// The sequences by which a terminal shows another picture, and again what was there before.
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";

fn stack() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        "
services:
  web: { command: ['@badchild@', --cell, '1', plain], color: cyan }
  idle: { command: [sleep, '1000'] }
  broken: { command: [./no-such-program], restart: no }
",
    );
    // One of them cannot start.
    let _report = scratch.kennel(&["up", "-d"]);
    wait_until(DEADLINE, "both processes of web", || scratch.in_cells().len() == 2);
    scratch
}

#[test]
fn the_tree_is_printed() {
    let scratch = stack();
    // One that was executed just now may not have come to its sleep.
    let text = wait_for(DEADLINE, "two that sleep", || {
        let text = scratch.ok(&["ps", "--tree"]).stdout;
        let sleeps = |line: &str| line.contains("└─ sleep 1000") && line.contains("sleeping");
        text.lines().any(sleeps).then_some(text)
    });
    let line =
        |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in\n{text}"));
    assert!(line("SERVICE").trim_start().starts_with("PID"), "{text}");
    assert!(line("└─ sleep 1000").contains("sleeping"), "{text}");
    assert!(line("broken: cannot execute").contains("failed"), "{text}");

    let list = scratch.json(&["ps", "--tree", "--json"]);
    let processes = list[0]["usage"]["processes_detail"].as_array().unwrap();
    assert_eq!((processes.len(), &processes[0]["pid"]), (2, &list[0]["pid"]), "{list}");
    assert_eq!((&processes[0]["depth"], &processes[1]["depth"]), (&0.into(), &1.into()), "{list}");
    assert!(list[2].get("usage").is_none(), "{list}");
    scratch.down();
}

#[test]
fn a_picture_as_text() {
    let scratch = stack();
    let text = scratch.ok(&["top", "--every", "200ms"]).stdout;
    for part in ["3 services: 1 failed, 2 ready", "● web", "└─ ", "✗ broken  failed"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let two = scratch.ok(&["top", "-n", "2", "--every", "200ms", "--json", "idle"]).stdout;
    let reports: Vec<serde_json::Value> = two.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|one| one["services"][0]["cpu_percent"].is_number()), "{two}");
    assert_eq!(reports[1]["services"].as_array().unwrap().len(), 1, "{two}");
    let wrong = scratch.kennel(&["top", "--once", "iddle"]);
    assert!(wrong.code() == 4 && wrong.stderr.contains("did you mean `idle`?"), "{wrong:?}");
    scratch.down();
}

#[test]
fn a_terminal_is_taken_and_given_back() {
    let scratch = stack();
    let mut terminal = scratch.terminal(&["top", "--every", "200ms"]);
    terminal.expect(DEADLINE, TAKEN);
    // Events come before the first figures.
    terminal.expect(DEADLINE, "└─");
    // Nothing is done without a yes.
    terminal.send("x");
    terminal.expect(DEADLINE, "Kill web");
    terminal.send("n");
    terminal.send("/idle\r");
    terminal.send("f");
    terminal.expect(DEADLINE, "Freeze idle");
    terminal.send("y");
    terminal.expect(DEADLINE, "frozen");
    wait_until(DEADLINE, "the freeze", || scratch.json(&["ps", "--json"])[1]["frozen"] == true);
    terminal.send("x");
    terminal.send("y");
    wait_until(DEADLINE, "the kill", || scratch.json(&["ps", "--json"])[1]["pid"].is_null());
    assert_eq!(scratch.json(&["ps", "--json"])[0]["state"], "ready");
    terminal.send("q");
    assert!(terminal.wait(DEADLINE).success());
    terminal.expect(DEADLINE, GIVEN_BACK);
    scratch.down();
}

/// Ctrl-Z gives the terminal to the shell as it was, and `fg` comes back to the picture.
#[test]
fn it_is_left_for_a_while() {
    let scratch = stack();
    let mut shell = scratch.terminal_of(Path::new("bash"), &["--norc", "--noprofile", "-i"]);
    shell.send("kennel top --every 200ms\r");
    shell.expect(DEADLINE, "└─");
    shell.send("\u{1a}");
    shell.expect(DEADLINE, "Stopped");
    let text = shell.text();
    let (given_back, stopped) = (text.rfind(GIVEN_BACK), text.rfind("Stopped"));
    assert!(given_back.is_some() && given_back < stopped, "{text}");
    shell.send("stty -a > modes\r");
    let modes = scratch.project().join("modes");
    let modes = wait_for(DEADLINE, "the modes of the terminal", || {
        std::fs::read_to_string(&modes).ok().filter(|text| text.contains("icanon"))
    });
    let words: Vec<&str> = modes.split_whitespace().collect();
    assert!(words.contains(&"icanon") && words.contains(&"echo"), "as a shell has it: {modes}");

    shell.send("fg\r");
    wait_until(DEADLINE, "the picture again", || shell.text().matches(TAKEN).count() == 2);
    wait_until(DEADLINE, "figures", || shell.text().rsplit(TAKEN).next().is_some_and(|last| last.contains("└─")));
    shell.send("q");
    wait_until(DEADLINE, "the shell again", || shell.text().matches(GIVEN_BACK).count() >= 2);
    shell.send("exit\r");
    assert!(shell.wait(DEADLINE).success(), "{}", shell.text());
    scratch.down();
}

#[test]
fn a_signal_or_a_closed_window_ends_it() {
    let scratch = stack();
    let mut terminal = scratch.terminal(&["top"]);
    terminal.expect(DEADLINE, TAKEN);
    // Events come before the first figures.
    terminal.expect(DEADLINE, "└─");
    // Our own child, which nobody has waited for: the number is still its.
    let pid = i32::try_from(terminal.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert!(terminal.wait(DEADLINE).success());
    terminal.expect(DEADLINE, GIVEN_BACK);

    let mut closed = scratch.terminal(&["top"]);
    closed.expect(DEADLINE, TAKEN);
    closed.close();
    let _ended = closed.wait(DEADLINE);
    scratch.down();
}

#[test]
fn another_daemon_is_found() {
    let scratch = stack();
    let mut terminal = scratch.terminal(&["top", "--every", "200ms"]);
    // Events come before the first figures.
    terminal.expect(DEADLINE, "└─");
    scratch.down();
    terminal.expect(DEADLINE, "nothing runs any more");
    let _report = scratch.kennel(&["up", "-d"]);
    // What has not changed is drawn again on request only.
    wait_until(DEADLINE, "figures of the next daemon", || {
        terminal.send("\u{c}");
        let text = terminal.text();
        let last = text.rsplit("\u{1b}[2J").nth(1).unwrap_or_default();
        last.contains("└─") && !last.contains("nothing runs any more")
    });
    terminal.send("\u{3}");
    assert!(terminal.wait(DEADLINE).success());
    scratch.down();
}

//! The stack on a screen: looked at, driven, left, and ended with who looks at it.
//!
//! covers: C1, C2, D6, E2

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Seen, Signal, Tmux, send, wait_for, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

/// A database that takes its time, a server that waits for it and talks, and one that cannot start.
fn stack() -> Scratch {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    scratch.config(
        r#"
services:
  db:
    command: [sh, -c, 'while ! [ -e go ]; do sleep 0.05; done; echo open; exec sleep 1000']
    readiness: { log_line: open }
  web:
    command: [sh, -c, 'n=0; while [ $$n -lt 300 ]; do n=$$((n+1)); printf "\033[31mGET\033[0m /$$n\033[2J\n"; done; exec @badchild@ --cell 1 plain']
    depends_on: { db: { condition: service_healthy } }
  broken: { command: [./no-such-program], restart: no }
"#,
    );
    scratch
}

/// Lets the database be ready.
fn go(scratch: &Scratch) {
    scratch.file("go", "");
}

/// The `kennel up` or `kennel top` of a test.
fn shower(scratch: &Scratch, verb: &str) -> Seen {
    wait_for(DEADLINE, verb, || scratch.survivors().into_iter().find(|seen| seen.verb() == verb))
}

/// Has another daemon take over, which the picture says for some seconds.
fn take_over(scratch: &Scratch, screen: &Tmux<'_>, verb: &[&str]) {
    let before = scratch.daemon();
    let mut command = scratch.spawn(verb);
    screen.expect("another daemon took over");
    let output = command.wait(DEADLINE);
    assert_eq!(output.code(), 0, "{}", output.all());
    wait_until(DEADLINE, "another daemon alone", || scratch.daemon().pid != before.pid);
}

#[test]
fn a_stack_comes_up_is_looked_at_and_goes_down_with_the_picture() {
    let scratch = stack();
    let screen = Tmux::new(&scratch, 80, 24);
    screen.send("kennel up --tui; echo code=$?");
    screen.keys(&["Enter"]);
    // What waits, for what, and what has failed, while it comes up.
    let text = screen.until("the wait", |text| text.contains("waits for db") && text.contains("✗ broken"));
    assert!(text.contains("starting the stack …"), "{text}");
    go(&scratch);
    screen.expect("broken failed: cannot execute");

    // The log of the chosen line, with nothing of its sequences.
    screen.keys(&["e", "j", "Enter"]);
    screen.until("the log of web", |text| text.contains("GET /300") && text.contains("● web  ready ━━"));
    screen.keys(&["/"]);
    screen.send("/123");
    screen.keys(&["Enter"]);
    screen.expect("GET /123");
    screen.keys(&["End"]);
    screen.expect("GET /300");

    // Its figures may be a look old, from before it had a child.
    wait_until(DEADLINE, "both processes of web", || scratch.in_cells().len() == 2);
    wait_until(DEADLINE, "a question about both", || {
        screen.keys(&["s"]);
        let asks_of_both = screen.expect("Stop web (").contains("Stop web (2 processes)?");
        if !asks_of_both {
            screen.keys(&["n"]);
        }
        asks_of_both
    });
    screen.keys(&["y"]);
    let text = screen.expect("Receipt");
    assert!(text.contains("left 0") && text.contains("SIGTERM at TERM"), "{text}");
    screen.keys(&["u"]);
    screen.expect("✓ web");
    wait_until(DEADLINE, "web again", || scratch.in_cells().len() == 2);
    screen.expect("2 ready");

    screen.keys(&["q"]);
    screen.expect("Stop everything (2 services");
    screen.keys(&["n", "q", "y"]);
    // On the screen as it was before; a part of it had failed.
    let text = screen.expect("code=1");
    assert!(text.contains("2 services down in") && text.contains("kennel up --tui"), "{text}");
    screen.send("stty -a > modes");
    screen.keys(&["Enter"]);
    let modes = scratch.project().join("modes");
    wait_until(DEADLINE, "the terminal as a shell has it", || {
        let text = std::fs::read_to_string(&modes).unwrap_or_default();
        ["icanon", "echo"].iter().all(|mode| text.split_whitespace().any(|word| word == *mode))
    });
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn on_a_large_screen_everything_is_beside_everything_and_can_be_clicked() {
    let scratch = stack();
    go(&scratch);
    let _one_cannot_start = scratch.kennel(&["up", "-d"]);
    let screen = Tmux::new(&scratch, 200, 50);
    screen.send("kennel top");
    screen.keys(&["Enter"]);
    screen.until("charts", |text| text.contains("1 overview") && text.contains("CPU time"));
    screen.click("● web");
    screen.click("2 logs");
    screen.expect("GET /300");
    screen.click("3 events");
    screen.until("events of web", |text| text.contains("waiting for db") && !text.contains("GET /300"));
    screen.resize(80, 24);
    screen.until("a small picture", |text| text.lines().count() <= 24 && text.contains("2 logs"));
    screen.resize(200, 50);
    screen.until("a large picture", |text| text.lines().position(|line| line.contains("s stop")) > Some(30));
    screen.click("s stop");
    screen.expect("Stop web");
    screen.click("y yes");
    screen.expect("Receipt");
    wait_until(DEADLINE, "the stop", || scratch.ps("web")["state"] == "stopped");
    screen.keys(&["q", "q"]);
    screen.until("the shell", |text| !text.contains("SERVICE"));
    assert_eq!(scratch.ps("db")["state"], "ready", "leaving touches nothing");
    scratch.ok(&["down"]);
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_closed_window_ends_the_stack() {
    let scratch = stack();
    go(&scratch);
    let screen = Tmux::new(&scratch, 80, 24);
    screen.send("kennel up --tui");
    screen.keys(&["Enter"]);
    screen.expect("● web");
    wait_until(DEADLINE, "both processes of web", || scratch.in_cells().len() == 2);
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn a_signal_ends_the_stack_without_haste() {
    let scratch = stack();
    scratch.config("services: { slow: { command: [sh, -c, \"trap 'sleep 1; echo polite >> said; exit 0' TERM; echo up; while :; do sleep 0.05; done\"], readiness: { log_line: up } } }");
    let screen = Tmux::new(&scratch, 80, 24);
    screen.send("kennel up --tui; echo code=$?");
    screen.keys(&["Enter"]);
    screen.expect("1 ready");
    send(&shower(&scratch, "up"), Signal::TERM);
    let text = screen.expect("code=0");
    assert!(text.contains("1 service down") && !text.contains("hurrying"), "{text}");
    let said = std::fs::read_to_string(scratch.project().join("said")).unwrap_or_default();
    assert_eq!(said, "polite\n", "it had the time it takes");
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

#[test]
fn ctrl_c_asks_nobody_and_quitting_a_finished_stack_neither() {
    let scratch = stack();
    scratch.config("services: { job: { command: ['true'], restart: no } }");
    let screen = Tmux::new(&scratch, 80, 24);
    for key in ["q", "C-c"] {
        screen.send("clear; kennel up --tui; echo code=$?");
        screen.keys(&["Enter"]);
        screen.expect("✓ job");
        screen.expect("the service has started");
        screen.keys(&[key]);
        screen.expect("code=0");
    }
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

/// A daemon that is replaced takes the picture along; one that is lost takes the stack with it, and that is said.
#[test]
fn another_daemon_goes_on_and_a_lost_one_is_told() {
    let scratch = stack();
    go(&scratch);
    let screen = Tmux::new(&scratch, 80, 24);
    screen.send("kennel up --tui; echo code=$?");
    screen.keys(&["Enter"]);
    screen.expect("● web");
    screen.keys(&["e", "j", "2"]);
    screen.expect("GET /300");
    take_over(&scratch, &screen, &["daemon", "restart"]);
    screen.expect("● web  ready ──");
    // It goes on where it was: the log of what is started anew follows the one before.
    screen.keys(&["r", "y"]);
    screen.expect("Receipt");
    screen.keys(&["Escape"]);
    screen.until("the log of the next run", |text| text.contains("GET /300"));
    wait_until(DEADLINE, "the next run", || scratch.in_cells().len() == 2);
    send(&scratch.daemon(), Signal::KILL);
    let text = screen.expect("code=1");
    assert!(text.contains("the daemon was lost"), "{text}");
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

/// From the log to the picture and back, with another daemon meanwhile; the stack does not mind, and the terminal is as it was.
#[test]
fn t_opens_the_picture_over_the_log_and_leaving_it_comes_back() {
    let scratch = stack();
    let talks = "n=0; while [ $$n -lt 300 ]; do n=$$((n+1)); echo GET /$$n; done; exec @badchild@ --cell 1 plain";
    scratch.config(&format!("services: {{ web: {{ command: [sh, -c, '{talks}'] }} }}\n"));
    let screen = Tmux::new(&scratch, 80, 24);
    screen.send("kennel up; echo code=$?");
    screen.keys(&["Enter"]);
    screen.expect("GET /300");
    screen.keys(&["t"]);
    screen.until("the picture", |text| text.contains("● web") && !text.contains("GET"));
    for verb in [&["daemon", "restart"][..], &["upgrade"]] {
        take_over(&scratch, &screen, verb);
        screen.expect("● web  ready");
    }
    // What is written meanwhile is there afterwards, behind what was shown before, once.
    scratch.ok(&["restart", "web"]);
    screen.keys(&["q"]);
    screen.until("the log, with all of the next run", |text| text.contains("GET /300") && !text.contains("● web"));
    // Again, and Ctrl-C leaves no more than the picture.
    let main = scratch.ps("web")["pid"].clone();
    screen.keys(&["t"]);
    screen.until("the picture again", |text| text.contains("● web") && !text.contains("GET"));
    screen.keys(&["C-c"]);
    screen.until("the log again", |text| text.contains("GET /300") && !text.contains("● web"));
    assert_eq!(scratch.ps("web")["pid"], main);
    // Stopped and continued: the shell has the terminal meanwhile, and keys are heard again.
    screen.keys(&["C-z"]);
    screen.expect("Stopped");
    screen.send("clear; fg; echo code=$?");
    screen.keys(&["Enter"]);
    screen.expect("kennel up");
    screen.keys(&["t"]);
    screen.until("the picture after that", |text| text.contains("● web") && !text.contains("GET"));
    // Meant for all of it.
    send(&shower(&scratch, "up"), Signal::TERM);
    screen.expect("code=0");
    screen.send("clear; stty -a | grep -q -- ' icanon' && stty -a | grep -q -- ' echo ' && echo as it w''as");
    screen.keys(&["Enter"]);
    screen.expect("as it was");
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

/// Whoever names a process or writes a line has no say over the terminal of who looks at it.
#[test]
fn no_verb_shows_sequences_of_others() {
    let scratch = stack();
    scratch.config(
        r#"
services:
  evil: { command: [bash, -c, 'exec -a "$$(printf "name\033[2J\033]0;title\007")" sleep 1000'] }
  last: { command: [bash, -c, 'printf "words\033[2J\n"; exit 3'], restart: no }
"#,
    );
    for verb in
        [&["up", "-d"][..], &["ps", "--tree"], &["status", "evil"], &["logs"], &["stop", "-v", "evil"], &["events"]]
    {
        let mut terminal = scratch.terminal(verb);
        let _code = terminal.wait(DEADLINE);
        let part = match verb[0] {
            "logs" => "words",
            "up" | "events" => "evil",
            _ => "name",
        };
        terminal.expect(DEADLINE, part);
        let text = terminal.text();
        assert!(!text.contains("\u{1b}[2J") && !text.contains("\u{1b}]"), "{verb:?}: {text:?}");
    }
    scratch.down();
}

#[test]
fn without_a_terminal_the_log_follows() {
    let scratch = stack();
    scratch.config("services: { job: { command: [echo, done], restart: no } }");
    let output = scratch.kennel(&["up", "--tui"]);
    assert!(output.stderr.contains("--tui needs a terminal") && output.stdout.contains("done"), "{output:?}");
    assert_eq!(output.code(), 0);
    scratch.expect_nothing(DEADLINE);
}

/// Without a session of its own nobody sends it `SIGHUP`: it finds out by itself.
#[test]
fn a_terminal_that_vanishes_without_a_word_ends_the_stack() {
    let scratch = stack();
    go(&scratch);
    let mut terminal = scratch.terminal_of(Path::new("setsid"), &["--wait", "kennel", "up", "--tui"]);
    terminal.expect(DEADLINE, "web");
    wait_until(DEADLINE, "both processes of web", || scratch.in_cells().len() == 2);
    terminal.close();
    scratch.expect_nothing(DEADLINE);
}

/// On a terminal a wait says what it is for, and takes that away again; elsewhere there is nothing of it.
#[test]
fn a_wait_says_what_it_is_for() {
    let scratch = stack();
    go(&scratch);
    let _one_cannot_start = scratch.kennel(&["up", "-d"]);
    let daemon = scratch.daemon();
    let screen = Tmux::new(&scratch, 80, 24);
    // On a machine under load the command may have given up on the daemon before anybody has looked.
    wait_until(DEADLINE, "a wait", || {
        screen.send("clear");
        screen.keys(&["Enter"]);
        screen.until("a clear screen", |text| !text.contains("code="));
        send(&daemon, Signal::STOP);
        screen.send("kennel clean; echo code=$?");
        screen.keys(&["Enter"]);
        let text = screen.until("a wait, or its end", |text| text.contains("cleaning ") || text.contains("code=5"));
        send(&daemon, Signal::CONT);
        text.contains("cleaning ")
    });
    let text = screen.until("the end", |text| text.contains("code=0") || text.contains("code=6"));
    assert!(!text.contains("cleaning "), "{text}");
    scratch.ok(&["down"]);
    screen.close();
    scratch.expect_nothing(DEADLINE);
}

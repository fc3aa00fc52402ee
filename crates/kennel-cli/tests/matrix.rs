//! The acceptance matrix: every way to end × every way to escape × both back ends, and nothing is left.
//!
//! One test is one way to end on one back end, with all escapes as services of one stack. Who is left is found
//! without asking kennel: every process carries the test's mark, every service a second one, its cell.
//!
//! covers: C2, C3

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stderr, reason = "what was seen, for the reader of a failure")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::{Scratch, Seen, Signal, User, patience, send, state_of, wait_for, wait_until};

/// Name of the service and shape of the bad child; the cell is the position from 1.
const ESCAPES: [(&str, &str); 10] = [
    ("plain", "plain"),
    ("wrapper", "eats-signal"),
    ("stubborn", "ignores-term"),
    ("own-group", "own-group"),
    ("daemonised", "daemon"),
    ("forking", "forks"),
    ("holds-stdout", "holds-stdout"),
    ("stopped", "stopped"),
    ("empty-env", "empty-env"),
    // Not in the list: the kill of a cgroup misses this one on some kernels.
    ("lost-leader", "lost-leader"),
];

/// For everything that has to happen, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(30);
/// From kennel's word that nothing is left until `/proc` agrees: the kernel calls a cgroup empty a moment before
/// its last member shows as dead. Not a measure of speed.
const AGREE: Duration = Duration::from_secs(2);

struct Stack {
    scratch: Scratch,
}

impl Stack {
    /// `None` where the user cannot be had here.
    fn new(user: User) -> Option<Self> {
        let scratch = Scratch::new(user, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
        let mut yaml = "services:\n".to_owned();
        for (index, (name, shape)) in ESCAPES.iter().enumerate() {
            let cell = index + 1;
            write!(
                yaml,
                "  {name}:\n    command: ['@badchild@', --cell, '{cell}', {shape}]\n    restart: 'no'\n    \
                 readiness: {{ log_line: '^up$' }}\n    stop_grace_period: 500ms\n"
            )
            .unwrap();
            if *shape == "eats-signal" {
                // As wrappers are met in the wild: the signal goes to the main process and no further.
                yaml.push_str("    kill_mode: mixed\n");
            }
        }
        scratch.config(&yaml);
        Some(Self { scratch })
    }

    fn up(&self) {
        self.scratch.ok(&["up", "-d"]);
        self.check_shapes();
    }

    /// Every cell has a living process beside its main process: an escape that is not there proves nothing.
    fn check_shapes(&self) {
        for (index, (name, _)) in ESCAPES.iter().enumerate() {
            wait_until(DEADLINE, &format!("two living processes of {name}"), || {
                self.cell(index).iter().filter(|seen| seen.living).count() >= 2
            });
        }
        let stopped = ESCAPES.iter().position(|(name, _)| *name == "stopped").unwrap();
        wait_until(DEADLINE, "stopped is stopped", || {
            self.cell(stopped).iter().all(|seen| state_of(seen.pid) == Some('T'))
        });
    }

    /// Processes of one service, zombies included.
    fn cell(&self, index: usize) -> Vec<Seen> {
        let cell = u64::try_from(index + 1).unwrap();
        self.scratch.in_cells().into_iter().filter(|seen| seen.cell == Some(cell)).collect()
    }

    /// The main process of a service, by what `ps` says.
    fn main_of(&self, index: usize) -> Seen {
        let (name, _) = ESCAPES[index];
        let listed = self.scratch.json(&["ps", "--json"]);
        let listed = listed.as_array().expect("ps prints an array");
        let service = listed.iter().find(|service| service["name"] == name).expect("listed");
        let pid = service["pid"].as_u64().unwrap_or_else(|| panic!("{name} has no main process: {service}"));
        let mut seen = self.cell(index).into_iter();
        seen.find(|seen| u64::from(seen.pid) == pid).unwrap_or_else(|| panic!("{pid} is not of {name}"))
    }

    /// Waits until one service has nobody left; else says who is.
    fn cell_ends(&self, index: usize, deadline: Duration, failures: &mut Vec<String>) {
        let end = std::time::Instant::now() + patience(deadline);
        loop {
            let left = self.cell(index);
            if left.is_empty() {
                return;
            }
            if std::time::Instant::now() > end {
                failures.push(format!("{}: left after {deadline:?}: {}", ESCAPES[index].0, show(&left)));
                return;
            }
            std::thread::sleep(patience(Duration::from_millis(5)));
        }
    }

    fn cells_end(&self, deadline: Duration) -> Vec<String> {
        let mut failures = Vec::new();
        for index in 0..ESCAPES.len() {
            self.cell_ends(index, deadline, &mut failures);
        }
        failures
    }

    /// Nothing at all is left, then the whole goes up and down once more, at once.
    fn all_gone_and_again(&self, way: &str) {
        let mut failures = Vec::new();
        if let Err(left) = self.scratch.nothing_within(DEADLINE) {
            failures.push(format!("left: {}", show(&left)));
        }
        failures.extend(self.scratch.cgroups().iter().map(|dir| format!("cgroup left: {}", dir.display())));
        self.report(way, &failures);
        self.up();
        self.down();
    }

    fn down(&self) {
        let answer = self.scratch.json(&["down", "--json"]);
        assert_eq!(answer["left"], 0, "{answer}");
        assert_eq!(answer["ok"], true, "{answer}");
        let left = self.scratch.in_cells().into_iter().filter(|seen| seen.living).count();
        if left > 0 {
            wait_until(AGREE, "kennel and /proc agree that nothing lives", || {
                self.scratch.in_cells().iter().all(Seen::zombie)
            });
        }
        self.scratch.expect_nothing(DEADLINE);
    }

    fn report(&self, way: &str, failures: &[String]) {
        let user = self.scratch.user();
        assert!(failures.is_empty(), "{way} × {user:?}: these cells do not hold:\n  {}", failures.join("\n  "));
    }
}

fn show(left: &[Seen]) -> String {
    left.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn service_stop(stack: &Stack) {
    stack.up();
    let mut failures = Vec::new();
    for (index, (name, _)) in ESCAPES.iter().enumerate() {
        let answer = stack.scratch.json(&["stop", name, "--json"]);
        if answer["left"] != 0 || answer["ok"] != true {
            failures.push(format!("{name}: {answer}"));
        }
        let ended = answer["receipts"][0]["processes"].as_array().map_or(0, Vec::len);
        if ended < 2 {
            failures.push(format!("{name}: the receipt lists {ended} processes: {answer}"));
        }
        stack.cell_ends(index, AGREE, &mut failures);
    }
    stack.report("service stop", &failures);
    stack.down();
    stack.all_gone_and_again("service stop, then down");
}

fn main_exits(stack: &Stack) {
    main_ends(stack, "main exits by itself", |main| {
        send(main, Signal::USR1);
        // The one that is stopped has to be woken to exit; its child stays stopped.
        if main.state == 'T' {
            send(main, Signal::CONT);
        }
    });
}

fn main_killed(stack: &Stack) {
    main_ends(stack, "main SIGKILLed", |main| send(main, Signal::KILL));
}

fn main_ends(stack: &Stack, way: &str, end: impl Fn(&Seen)) {
    stack.up();
    for index in 0..ESCAPES.len() {
        end(&stack.main_of(index));
    }
    let failures = stack.cells_end(DEADLINE);
    stack.report(way, &failures);
    // Who was left behind had its two words in the receipt, and the service is not running any more.
    let listed = stack.scratch.json(&["ps", "--all", "--json"]);
    for service in listed.as_array().unwrap() {
        assert!(matches!(service["state"].as_str(), Some("completed" | "failed")), "{way}: {service}");
    }
    stack.down();
    stack.all_gone_and_again(way);
}

fn down(stack: &Stack) {
    stack.up();
    stack.down();
    stack.all_gone_and_again("down");
}

fn ctrl_c(stack: &Stack) {
    let mut terminal = stack.scratch.terminal(&["up"]);
    stack.check_shapes();
    wait_all_ready(stack);
    terminal.send("\x03");
    let status = terminal.wait(DEADLINE);
    assert_eq!(status.code(), Some(0), "{}", terminal.text());
    stack.all_gone_and_again("Ctrl-C");
}

fn terminal_closed(stack: &Stack) {
    let mut terminal = stack.scratch.terminal(&["up"]);
    stack.check_shapes();
    wait_all_ready(stack);
    terminal.close();
    stack.all_gone_and_again("terminal closed");
}

/// In the foreground the command does not return, so readiness is asked for.
fn wait_all_ready(stack: &Stack) {
    wait_until(DEADLINE, "all ready", || {
        let listed = stack.scratch.json(&["ps", "--json"]);
        let ready = listed.as_array().unwrap().iter().filter(|service| service["state"] == "ready").count();
        ready == ESCAPES.len()
    });
}

fn daemon_killed(stack: &Stack) {
    stack.up();
    let daemon = stack.scratch.daemon();
    send(&daemon, Signal::KILL);
    let failures = stack.cells_end(DEADLINE);
    stack.report("daemon SIGKILLed", &failures);
    // The keeper starts another, which answers and is told about the one before.
    let next = wait_for(DEADLINE, "another daemon", || {
        stack
            .scratch
            .survivors()
            .into_iter()
            .find(|seen| seen.verb() == "__daemon" && seen.living && seen.pid != daemon.pid)
    });
    assert_ne!(next.pid, daemon.pid);
    stack.up();
    stack.down();
    stack.all_gone_and_again("daemon SIGKILLed");
}

fn keeper_killed(stack: &Stack) {
    stack.up();
    send(&stack.scratch.keeper(), Signal::KILL);
    let failures = stack.cells_end(DEADLINE);
    stack.report("keeper SIGKILLed", &failures);
    stack.up();
    stack.down();
    stack.all_gone_and_again("keeper SIGKILLed");
}

/// Nobody is left to act: the scopes' reapers do, or the next command does.
fn both_killed(stack: &Stack) {
    stack.up();
    let (keeper, daemon) = (stack.scratch.keeper(), stack.scratch.daemon());
    // Stopped first, so that neither sees the other die.
    send(&daemon, Signal::STOP);
    send(&keeper, Signal::STOP);
    send(&daemon, Signal::KILL);
    send(&keeper, Signal::KILL);
    let old: Vec<u32> = stack.scratch.in_cells().iter().map(|seen| seen.pid).collect();
    stack.up();
    let left: Vec<Seen> = stack.scratch.in_cells().into_iter().filter(|seen| old.contains(&seen.pid)).collect();
    assert!(left.is_empty(), "of the stack before: {}", show(&left));
    stack.down();
    stack.all_gone_and_again("keeper and daemon SIGKILLed");
}

/// The command in the foreground holds the stack: without it, everything ends.
fn client_killed(stack: &Stack) {
    let mut client = stack.scratch.spawn(&["up"]);
    stack.check_shapes();
    wait_all_ready(stack);
    client.signal(Signal::KILL);
    client.wait(DEADLINE);
    stack.all_gone_and_again("foreground up SIGKILLed");
}

/// One test for each way to end and back end.
macro_rules! cells {
    ($($way:ident),* $(,)?) => {
        $(mod $way {
            use super::{Stack, User};

            #[test]
            fn matrix_cgroup() {
                if let Some(stack) = Stack::new(User::Root) {
                    super::$way(&stack);
                }
            }

            #[test]
            fn matrix_delegated() {
                if let Some(stack) = Stack::new(User::Delegated) {
                    super::$way(&stack);
                }
            }

            #[test]
            fn matrix_reaper() {
                if let Some(stack) = Stack::new(User::Plain) {
                    super::$way(&stack);
                }
            }
        })*
    };
}

cells!(
    service_stop,
    main_exits,
    main_killed,
    down,
    ctrl_c,
    terminal_closed,
    daemon_killed,
    keeper_killed,
    both_killed,
    client_killed,
);

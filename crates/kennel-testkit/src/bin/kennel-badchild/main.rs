//! One small program that behaves badly on request: `kennel-badchild [--cell N] SHAPE [ARGUMENT…]`.
//!
//! It prints the line `up` once the whole shape is in place, so that a test can wait for that and never sleeps.
//! `--cell N` sets the soft `RLIMIT_LOCKS` to N: the kernel has ignored that limit since 2.4 and every descendant
//! inherits it, so it says which service a process belongs to whatever became of its session, parent or environment.
//! Wherever it makes sense the main process exits with 0 on SIGUSR1: "the main process exits by itself".

#![allow(unsafe_code, reason = "a test program that forks and handles signals on purpose")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what the tests read")]

mod lone;
mod os;
mod shapes;
mod storm;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

const HELP: &str = "\
usage: kennel-badchild [--cell N] SHAPE

shapes with descendants (each prints `up`; SIGUSR1 makes the main process exit 0):
  plain          a sleeping child
  eats-signal    exits on TERM without passing it on; the child waits for its own
  ignores-term   main and child ignore TERM, INT and HUP
  own-group      main and child each in a process group of their own
  daemon         setsid and double fork, output closed
  forks          lineages that fork and exit all the time, and more on every TERM
  holds-stdout   setsid and double fork, output kept
  stopped        main and child stopped by SIGSTOP
  empty-env      main executed anew with an empty environment; so is its setsid child
  lost-leader    the first thread has exited, another lives, and there is a child
  many N         N sleeping children
  port PORT      the child listens on 127.0.0.1:PORT

without descendants:
  exit MS CODE   exits after MS milliseconds
  crash MS LINE  prints LINE without a newline, then kills itself
  sleep          sleeps; exits 0 on TERM
  ticks          prints a line ten times a second
  lines N        prints N numbered lines as fast as it can, then kills itself
  listen PORT    listens on 127.0.0.1:PORT, prints `up`, or exits 1 if the port is taken
  ask SOCKET     connects to a Unix socket, asks for /v1/info and prints what comes back
  environ        prints its environment, sorted

for tests to start others:
  marked MARK [--session] -- PROGRAM [ARGUMENT…]
                 sets RLIMIT_MSGQUEUE to MARK, with --session takes its standard input as controlling terminal
";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--cell") {
        let cell = number(&arguments, 1);
        os::set_soft_limit(rustix::process::Resource::Locks, cell);
        arguments.drain(..2);
    }
    let shape = arguments.first().cloned().unwrap_or_default();
    match shape.as_str() {
        "plain" => shapes::plain(),
        "eats-signal" => shapes::eats_signal(),
        "ignores-term" => shapes::ignores_term(),
        "own-group" => shapes::own_group(),
        "daemon" => shapes::daemon(true),
        "holds-stdout" => shapes::daemon(false),
        "stopped" => shapes::stopped(),
        "empty-env" => shapes::empty_env(),
        "lost-leader" => shapes::lost_leader(),
        "many" => shapes::many(number(&arguments, 1)),
        "port" => shapes::port(port(&arguments, 1)),
        "forks" => storm::run(),
        "exit" => lone::exit(number(&arguments, 1), number(&arguments, 2)),
        "crash" => lone::crash(number(&arguments, 1), arguments.get(2).map_or("", String::as_str)),
        "sleep" => lone::sleep(arguments.get(1).is_some()),
        "ticks" => lone::ticks(),
        "lines" => lone::lines(number(&arguments, 1)),
        "listen" => lone::listen(port(&arguments, 1)),
        "ask" => lone::ask(arguments.get(1).map_or("", String::as_str)),
        "environ" => lone::environ(),
        "marked" => marked(&arguments[1..]),
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn number(arguments: &[String], index: usize) -> u64 {
    let text = arguments.get(index).map_or("", String::as_str);
    text.parse().unwrap_or_else(|_| {
        eprint!("kennel-badchild: `{text}` is not a number\n{HELP}");
        std::process::exit(2)
    })
}

fn port(arguments: &[String], index: usize) -> u16 {
    u16::try_from(number(arguments, index)).unwrap_or_else(|_| {
        eprintln!("kennel-badchild: no such port");
        std::process::exit(2)
    })
}

/// Becomes another program that carries the mark, and so do all its descendants.
fn marked(arguments: &[String]) -> ExitCode {
    let mark = number(arguments, 0);
    os::set_hard_limit(rustix::process::Resource::Msgqueue, mark);
    let Some(split) = arguments.iter().position(|argument| argument == "--") else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    if arguments[..split].iter().any(|argument| argument == "--session") {
        os::take_terminal();
    }
    let call = &arguments[split + 1..];
    let error = Command::new(&call[0]).args(&call[1..]).exec();
    eprintln!("kennel-badchild: cannot execute `{}`: {error}", call[0]);
    ExitCode::from(127)
}

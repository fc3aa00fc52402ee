//! One small program that behaves badly on request: `kennel-badchild [--cell N] SHAPE [ARGUMENT…]`.
//!
//! It prints the line `up` once the whole shape is in place, so that a test can wait for that and never sleeps.
//! `--cell N` sets the soft `RLIMIT_LOCKS` to N: the kernel has ignored that limit since 2.4 and every descendant
//! inherits it, so it says which service a process belongs to whatever became of its session, parent or environment.
//! Wherever it makes sense the main process exits with 0 on SIGUSR1: "the main process exits by itself".

#![allow(unsafe_code, reason = "a test program that forks and handles signals on purpose")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what the tests read")]

mod bomb;
mod bytes;
mod cloak;
mod hog;
mod lone;
mod nests;
mod os;
mod outside;
mod shapes;
mod shared;
mod signals;
mod spray;
mod storm;
mod stranger;
mod waits;

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
  bomb N         a fork bomb that ignores TERM and that the kernel holds at N processes of its user
  leaderless N   such a bomb, and the first thread of each of its processes has ended
  double-forks   lineages of daemons that make daemons all the time, and more on every TERM
  spray RATE N   RATE processes a second that exit at once and that kennel has to reap, for 20 seconds; the kernel
                 holds them at N of its user
  stop-storm     members stop each other without end and ignore TERM
  cont-storm     as `forks`, and peers continue whoever is stopped
  killer         at TERM, or once main is gone, a child kills its siblings and main, and stays
  kills-reaper   a daemonised child kills its scope's reaper at TERM
  stops-reaper   a daemonised child stops its scope's reaper without end
  vfork          a parent that waits in vfork
  traced         main and child, which anybody of the same user may trace
  asks PATH      a child that looks at PATH, on a file system that may never answer
  pid-namespace  an init and two daemons in a PID namespace of their own; the init ignores TERM
  subreaper      a child that adopts two daemons and leaves a zombie
  sub-cgroups    two children in cgroups below that of the service
  other-cgroup DIR
                 a child that moves itself to another cgroup
  setuid PROGRAM a child that executes a setuid copy of this program, which takes all rights it gets
  cloak          a daemon with no descriptors, no environment, no arguments and a false name

without descendants:
  exit MS CODE   exits after MS milliseconds
  crash MS LINE  prints LINE without a newline, then kills itself
  sleep          sleeps; exits 0 on TERM
  ticks          prints a line ten times a second
  lines N        prints N numbered lines as fast as it can, then kills itself
  bytes MIB [PAUSE]
                 writes so many MiB of any bytes, the same each time, a half to stdout and another to stderr, in writes
                 of any length; with a pause of PAUSE ms after each MiB
  hog RATE MIB   fills RATE MiB of memory a second, MIB in all, and sleeps; with `on-usr1` it begins at SIGUSR1
  listen PORT    listens on 127.0.0.1:PORT, prints `up`, or exits 1 if the port is taken
  ask SOCKET     connects to a Unix socket, asks for /v1/info and prints what comes back
  environ        prints its environment, sorted

for tests to hold a service's processes from outside:
  trace [--exit] PID…  traces them and looks at nothing; with --exit they cannot end before the tracer
  stranger USER        reads process ids and starts a process of that user with just that id; needs root
  hung-files DIR       mounts a file system on DIR that takes requests (each prints `taken`) and never answers

for tests to start others:
  exec -- PROGRAM [ARGUMENT…]
                 becomes that, in the cell
  marked MARK [--session] [--cgroup DIR] -- PROGRAM [ARGUMENT…]
                 sets RLIMIT_MSGQUEUE to MARK, with --session takes its standard input as controlling terminal,
                 with --cgroup enters that cgroup first
  as-reaper -- PROGRAM [ARGUMENT…]
                 adopts what that leaves, under the name of a scope's reaper
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
        "forks" => storm::run(storm::Lineage::Forks),
        "double-forks" => storm::run(storm::Lineage::Daemons),
        "cont-storm" => storm::with_continue(),
        "bomb" => bomb::run(number(&arguments, 1), false),
        "leaderless" => bomb::run(number(&arguments, 1), true),
        "spray" => spray::run(number(&arguments, 1), number(&arguments, 2)),
        "stop-storm" => signals::stop_storm(),
        "killer" => signals::killer(),
        "kills-reaper" => signals::attacks_reaper(signals::Against::Kills),
        "stops-reaper" => signals::attacks_reaper(signals::Against::Stops),
        "vfork" => waits::vfork_parent(),
        "traced" => waits::traced(),
        "asks" => waits::asks_for(text(&arguments, 1)),
        "pid-namespace" => nests::pid_namespace(),
        "subreaper" => nests::subreaper(),
        "sub-cgroups" => nests::sub_cgroups(),
        "other-cgroup" => nests::other_cgroup(text(&arguments, 1)),
        "setuid" => nests::executes_setuid(text(&arguments, 1)),
        "takes-rights" => nests::takes_rights(),
        "cloak" => cloak::run(),
        "cloaked" => cloak::hide(),
        "trace" if text(&arguments, 1) == "--exit" => outside::trace(&arguments[2..], true),
        "trace" => outside::trace(&arguments[1..], false),
        "stranger" => stranger::run(number(&arguments, 1)),
        "hung-files" => outside::hung_files(text(&arguments, 1)),
        "exit" => lone::exit(number(&arguments, 1), number(&arguments, 2)),
        "crash" => lone::crash(number(&arguments, 1), text(&arguments, 2)),
        "sleep" => lone::sleep(arguments.get(1).is_some()),
        "ticks" => lone::ticks(),
        "lines" => lone::lines(number(&arguments, 1)),
        "bytes" => bytes::run(number(&arguments, 1), arguments.get(2).map_or(0, |_| number(&arguments, 2))),
        "hog" => hog::run(number(&arguments, 1), number(&arguments, 2), text(&arguments, 3) == "on-usr1"),
        "listen" => lone::listen(port(&arguments, 1)),
        "ask" => lone::ask(text(&arguments, 1)),
        "environ" => lone::environ(),
        "exec" => become_program(split(&arguments[1..]).1),
        "marked" => marked(&arguments[1..]),
        "as-reaper" => as_reaper(&arguments[1..]),
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn text(arguments: &[String], index: usize) -> &str {
    arguments.get(index).map_or("", String::as_str)
}

fn number(arguments: &[String], index: usize) -> u64 {
    let text = text(arguments, index);
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
    let (options, call) = split(arguments);
    if options.iter().any(|option| option == "--session") {
        os::take_terminal();
    }
    if let Some(at) = options.iter().position(|option| option == "--cgroup") {
        nests::enter(std::path::Path::new(text(options, at + 1)));
    }
    become_program(call)
}

/// What is before and after `--`.
fn split(arguments: &[String]) -> (&[String], &[String]) {
    match arguments.iter().position(|argument| argument == "--") {
        Some(at) if at + 1 < arguments.len() => (&arguments[..at], &arguments[at + 1..]),
        _ => {
            eprint!("{HELP}");
            std::process::exit(2)
        }
    }
}

fn become_program(call: &[String]) -> ExitCode {
    let error = Command::new(&call[0]).args(&call[1..]).exec();
    eprintln!("kennel-badchild: cannot execute `{}`: {error}", call[0]);
    ExitCode::from(127)
}

/// A stand-in for the process that an attack on a scope's reaper looks for.
fn as_reaper(arguments: &[String]) -> ExitCode {
    let (_, call) = split(arguments);
    let me = rustix::process::getpid();
    let adopts = rustix::process::set_child_subreaper(Some(me)).and(rustix::thread::set_name(c"kennel-reaper"));
    if let Err(error) = adopts {
        os::fail("subreaper", error);
    }
    os::fork(|| {
        become_program(call);
    });
    os::forever()
}

//! The `kennel` command: arguments to requests, answers to text.
//!
//! Has no feature and no piece of state that the protocol lacks.

mod exit_codes;

mod args;
mod parse;

mod command;
mod completion;

mod board;
mod context;
mod failure;
mod screen;
mod signals;

mod render;

#[cfg(test)]
mod help;
#[cfg(test)]
mod shapes;

use std::process::ExitCode;

use args::Cli;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // Before anything else: a keeper keeps what memory it has touched for as long as the stack runs.
    match arguments.next() {
        Some(verb) if verb == "__keeper" => {
            // What a half unwound keeper would do to its scopes nobody can say; the daemon deals with a lost one.
            kennel_sys::process::abort_on_panic();
            return kennel_keeper::main(arguments.collect::<Vec<_>>());
        }
        Some(verb) if verb == "__daemon" => {
            return kennel_server::daemon_main(arguments.collect(), |event| render::event::words(event).0);
        }
        #[cfg(feature = "crash-points")]
        Some(verb) if verb == "__crash-points" => return crash_points(),
        Some(verb) if verb == "__probe" => return kennel_keeper::probe_main(arguments.collect::<Vec<_>>()),
        _ => drop(arguments),
    }
    if completion::answered() {
        return ExitCode::SUCCESS;
    }
    ExitCode::from(command::run(Cli::read()))
}

/// Prints every step at which a test kills kennel, and where it can be reached.
#[cfg(feature = "crash-points")]
#[expect(clippy::print_stdout, reason = "for a test to read")]
fn crash_points() -> ExitCode {
    for (name, place) in kennel_sys::crash::POINTS {
        println!("{name} {place:?}");
    }
    ExitCode::SUCCESS
}

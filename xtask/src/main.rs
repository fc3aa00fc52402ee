//! kennel's chores, one command each: `cargo xtask help`.
//!
//! What a person runs, what the README names and what CI runs are the same functions.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod api;
mod chores;
mod matrix;
mod run;
mod setup;
mod tidy;
mod vm;

use std::process::ExitCode;

const HELP: &str = "\
kennel's chores

Usage: cargo xtask CHORE [ARGUMENTS]

  demo [ARGS]   set up what a build needs, build, and run the example stack in examples/zoo
  test [ARGS]   set up what the tests need, build, and run every test (ARGS go to nextest)
  web           build the page for browsers anew, compare it with the committed one, and use it in Chromium
  api           ask the API for everything that its document allows, and more (schemathesis, from PyPI)
  lint          format, clippy, tidy, dependency gates
  ci            lint, vm, web, api, then test: what .ci/run does
  setup         install what the tests need and is missing (Debian packages, npm packages, cargo-nextest)
  tidy          repository rules: crate arrows, file length, changelog fragments, links, markers, licences
  fmt           format everything
  incident      start the npm stack of incident/ and end it in every way; takes some minutes
  bench [ARGS]  measure kennel beside bare loops (release build, as root)
  vm [SERIES] [--shared] [--systemd]
                run chosen tests on machines with cgroup v2 alone, emulated: Linux 6.1 and 6.12, or the one named;
                with --shared: those that take long on one of both; with --systemd: what kennel does in units and login
                sessions of a real systemd
  matrix [--vm] every way to end × every way to escape × every environment, with --vm also on emulated machines;
                writes docs/matrix.md and fails if a cell does not hold or was not run; takes a quarter of an hour
                (--page: only writes the page again, from the results of the last run)
  sanitize [ARGS]
                the tests of kennel-sys and kennel-keeper under the address sanitizer (ARGS go to nextest)
  torture [--rounds N] [--seed S] [--mode M] [--victim V] [--json FILE]
                kill daemon, keeper or both at random instants (release build, as root); fails if a process is left
  soak [--minutes N] [--cycles N] [--svg FILE]
                services that fail, fork and flood while others start and stop, for ten minutes (release build, as
                root); fails if daemon or keeper grow, or a process is left, or a line is lost
";

/// A chore that did not succeed, in one line.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let chore = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = arguments.skip_while(|argument| argument == "--").collect();
    match dispatch(&chore, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {chore}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(chore: &str, rest: &[String]) -> Result {
    if !matches!(chore, "demo" | "test" | "bench" | "torture" | "soak" | "sanitize" | "vm" | "matrix")
        && !rest.is_empty()
    {
        return Err(format!("takes no arguments, got `{}`", rest.join(" ")));
    }
    match chore {
        "demo" => chores::demo(rest),
        "test" => chores::test(rest),
        "lint" => chores::lint(),
        "web" => chores::web(),
        "api" => api::api(),
        "ci" => {
            let before =
                chores::lint().and_then(|()| chores::vm(&["--shared".to_owned()])).and_then(|()| chores::web());
            before.and_then(|()| api::api()).and_then(|()| chores::test(&[]))
        }
        "setup" => setup::for_tests(),
        "tidy" => tidy::check(),
        "fmt" => run::cargo(["fmt", "--all"]),
        "incident" => chores::incident(),
        "bench" => chores::bench(rest),
        "vm" => chores::vm(rest),
        "matrix" => matrix::matrix(rest),
        "sanitize" => chores::sanitize(rest),
        "torture" => chores::torture(rest),
        "soak" => chores::soak(rest),
        "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no such chore\n\n{HELP}")),
    }
}

//! `kennel-soak KENNEL [--minutes N] [--cycles N] [--svg FILE]`: see `kennel_testkit::soak`. Exits with 1 if something
//! grew, was left or was lost.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use kennel_testkit::soak::Soak;

const USAGE: &str = "\
usage: kennel-soak KENNEL [--minutes N] [--cycles N] [--svg FILE]

  --minutes N   for so long; 10 if not given, 360 with --cycles
  --cycles N    ends earlier after so many starts and stops
  --svg FILE    draws what daemon and keeper held";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("kennel-soak: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<bool, String> {
    let kennel = PathBuf::from(arguments.next().ok_or("which kennel?")?);
    let (mut minutes, mut cycles, mut svg) = (None, None, None);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("`{value}` is not a number"));
        match option.as_str() {
            "--minutes" => minutes = Some(number()?),
            "--cycles" => cycles = Some(number()?),
            "--svg" => svg = Some(PathBuf::from(value)),
            _ => return Err(format!("no such option: {option}")),
        }
    }
    let minutes = minutes.unwrap_or(if cycles.is_some() { 360 } else { 10 });
    let soak = Soak { kennel, time: Duration::from_secs(60 * minutes), cycles };
    let report = soak.run(|look| println!("{look}")).ok_or("it needs root and cgroups")?;
    println!("\n{report}");
    if let Some(file) = svg {
        std::fs::write(&file, report.svg()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(report.failures.is_empty())
}

//! `kennel-torture KENNEL [--rounds N] [--seed S] [--mode MODE|all] [--victim VICTIM|all] [--json FILE]`:
//! see `kennel_testkit::torture`. Exits with 1 if a round failed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use kennel_testkit::torture::{Mode, Torture, Victim};

const USAGE: &str = "\
usage: kennel-torture KENNEL [--rounds N] [--seed S] [--mode MODE] [--victim VICTIM]
       [--seconds T] [--json FILE]

  MODE    cgroup, reaper, pidns, pidns-user or all (the default)
  VICTIM  daemon, keeper, both, every (both, and what holds scopes together) or all (the default)
  S       seed of the first round, the time if not given; each next round has the next number
  T       no round of a mode begins after so many seconds";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("kennel-torture: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<bool, String> {
    let kennel = PathBuf::from(arguments.next().ok_or("which kennel?")?);
    let (mut rounds, mut seed, mut limit, mut file) = (25, None, None, None);
    let (mut modes, mut victims) = (Mode::ALL.to_vec(), Victim::ALL.to_vec());
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("`{value}` is not a number"));
        match (option.as_str(), value.as_str()) {
            ("--rounds", _) => rounds = number()?,
            ("--seed", _) => seed = Some(number()?),
            ("--seconds", _) => limit = Some(Duration::from_secs(number()?)),
            ("--json", _) => file = Some(PathBuf::from(value)),
            ("--mode" | "--victim", "all") => {}
            ("--mode", name) => modes.retain(|mode| mode.name() == name),
            ("--victim", name) => victims.retain(|victim| victim.name() == name),
            _ => return Err(format!("no such option: {option}")),
        }
    }
    if modes.is_empty() || victims.is_empty() {
        return Err("no such mode or victim".to_owned());
    }
    let seed = seed.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        since.as_secs()
    });
    let mut reports = Vec::new();
    for mode in modes {
        let torture = Torture { kennel: kennel.clone(), mode, victims: victims.clone(), seed, rounds, limit };
        let report = torture.run(|seed, result| match result {
            Ok(figures) => println!("{} {seed}: {figures}", mode.name()),
            Err(failure) => println!("{} {seed}: {failure}", mode.name()),
        });
        match report {
            Some(report) => reports.push(report),
            None => println!("{}: cannot be had here", mode.name()),
        }
    }
    for report in &reports {
        println!("\n{report}");
    }
    let json: Vec<_> = reports.iter().map(kennel_testkit::torture::Report::json).collect();
    let json = serde_json::Value::from(json).to_string();
    match file {
        Some(file) => std::fs::write(&file, json + "\n").map_err(|error| format!("{}: {error}", file.display()))?,
        None => println!("{json}"),
    }
    Ok(reports.iter().all(|report| report.failures.is_empty()))
}

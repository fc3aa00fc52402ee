//! A machine with nothing but cgroup v2: kernel and emulator of Debian, our programs and tests in its memory.
//!
//! The guest is emulated, so a process starts some thirty times slower there: nothing about time is tested.

mod guest;
mod image;
mod packages;
mod tests;

use std::fs;
use std::path::Path;

use self::guest::Outcome;
use self::packages::{KERNELS, Machine};
use crate::{Result, run};

/// Boots each kernel, or those that are named, runs the chosen tests there and prints a table.
pub(crate) fn vm(arguments: &[String]) -> Result {
    let known = |name: &&str| KERNELS.iter().any(|(known, _)| known == name);
    if let Some(other) = arguments.iter().map(String::as_str).find(|name| !known(name)) {
        return Err(format!("no kernel `{other}`: there are 6.1 and 6.12"));
    }
    let cache = run::target_dir().join("vm");
    fs::create_dir_all(&cache).map_err(|error| format!("cannot make {}: {error}", cache.display()))?;
    let chosen = KERNELS.iter().filter(|(name, _)| arguments.is_empty() || arguments.iter().any(|it| it == name));
    let machines = chosen.map(|(series, _)| Machine::fetch(&cache, series)).collect::<Result<Vec<_>>>()?;
    let tests = tests::build()?;
    let mut outcomes = Vec::new();
    for machine in &machines {
        let image = cache.join("guest.cpio");
        tests::pack(&tests, machine, &image)?;
        outcomes.push(guest::run(machine, &image)?);
    }
    let results = cache.join("cells.ndjson");
    fs::write(&results, outcomes.iter().map(Outcome::json).collect::<String>())
        .map_err(|error| format!("cannot write {}: {error}", results.display()))?;
    report(&outcomes, &results)
}

fn report(outcomes: &[Outcome], results: &Path) -> Result {
    let mut failed = Vec::new();
    for outcome in outcomes {
        println!("{}", outcome.table());
        failed.extend(outcome.failures());
    }
    println!("results: {}", results.display());
    if failed.is_empty() { Ok(()) } else { Err(format!("in the guest:\n  {}", failed.join("\n  "))) }
}

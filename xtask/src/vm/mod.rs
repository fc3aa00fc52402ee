//! A machine with nothing but cgroup v2: kernel and emulator of Debian, our programs and tests in its memory.
//!
//! The guest is emulated, so a process starts some thirty times slower there: nothing about time is tested.

mod guest;
mod image;
mod packages;
mod systemd;
mod tests;

use std::{fs, thread};

use self::guest::Outcome;
use self::packages::{KERNELS, Machine};
use crate::{Result, run};

/// Boots each kernel, or those that are named, runs the chosen tests there and prints a table. With `--shared`, of those that take
/// long each kernel has its own. With `--systemd`, one guest that is run by systemd.
pub(crate) fn vm(arguments: &[String]) -> Result {
    let known =
        |name: &&str| ["--systemd", "--shared"].contains(name) || KERNELS.iter().any(|(known, _)| known == name);
    if let Some(other) = arguments.iter().map(String::as_str).find(|name| !known(name)) {
        return Err(format!("no kernel `{other}`: there are 6.1 and 6.12"));
    }
    let cache = run::target_dir().join("vm");
    fs::create_dir_all(&cache).map_err(|error| format!("cannot make {}: {error}", cache.display()))?;
    let named = |name: &str| arguments.iter().any(|it| it == name);
    let all = !KERNELS.iter().any(|(name, _)| named(name));
    let mut chosen: Vec<&str> = KERNELS.iter().map(|(name, _)| *name).filter(|name| all || named(name)).collect();
    let image = cache.join("guest.cpio");
    if named("--systemd") {
        let mut outcomes = Vec::new();
        if all {
            chosen.drain(..1);
        }
        for series in chosen {
            let machine = Machine::fetch(&cache, series)?.with_system(&cache)?;
            systemd::pack(&machine, &image)?;
            outcomes.push(guest::run(&machine, &image, "/usr/lib/systemd/systemd systemd.show_status=0")?);
        }
        return report(&outcomes);
    }
    let machines = chosen.into_iter().map(|series| Machine::fetch(&cache, series)).collect::<Result<Vec<_>>>()?;
    let tests = tests::build()?;
    if let Some(any) = machines.first() {
        tests::pack(&tests, any, &image)?;
    }
    let init = if named("--shared") { "/init KENNEL_SHARED=yes" } else { "/init" };
    // Side by side, for each has one processor. What one could not be started for is told after the others' end.
    let ended: Vec<Result<Outcome>> = thread::scope(|scope| {
        let image = &image;
        let started: Vec<_> =
            machines.iter().map(|machine| scope.spawn(move || guest::run(machine, image, init))).collect();
        let join = |it: thread::ScopedJoinHandle<'_, _>| it.join().unwrap_or_else(|_| Err("a panic".to_owned()));
        started.into_iter().map(join).collect()
    });
    let outcomes = ended.into_iter().collect::<Result<Vec<_>>>()?;
    let results = cache.join("cells.ndjson");
    fs::write(&results, outcomes.iter().map(Outcome::json).collect::<String>())
        .map_err(|error| format!("cannot write {}: {error}", results.display()))?;
    report(&outcomes)
}

fn report(outcomes: &[Outcome]) -> Result {
    let mut failed = Vec::new();
    for outcome in outcomes {
        println!("{}", outcome.table());
        failed.extend(outcome.failures());
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("in the guest:\n  {}", failed.join("\n  "))) }
}

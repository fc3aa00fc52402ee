//! The small process that owns every service process: spawns, reaps, signals, kills, keeps exits and pipe ends.
//!
//! Knows scopes and processes; no service, no configuration, no HTTP, no async runtime. One thread, one epoll.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

pub mod proto;

mod keeper;

mod daemon;
mod link;
mod start;

mod delegate;

mod bounds;
mod contain;
mod launch;
mod place;

mod dedicated;
mod heir;
mod hunt;
mod init;
mod reaper;
pub mod tag;

pub mod orphans;

mod advice;
mod probe;
mod promise;
mod whose;

mod channel;
pub mod codec;
mod saved;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use kennel_sys::signal::SignalFd;
use kennel_sys::spawn::Spawner;

pub use self::advice::{Advice, Container, Manager, Situation, advise, advise_limits};
use self::contain::{Cgroups, Contain, Reapers, Tools};
use self::delegate::{Answer, Asker};
pub use self::heir::inherit;
use self::keeper::Keeper;
pub use self::link::Link;
use self::place::{Place, Refused};
pub use self::probe::{Probe, probe, probe_main};
use self::proto::Reason;
use self::saved::{FORMAT, READS};
use self::start::{Options, Setup, Start, note};
pub use self::whose::{Whose, whose};

/// Environment variable that names the containment: `auto` (or not set), `cgroup` or `reaper`.
pub const CONTAINMENT: &str = "KENNEL_CONTAINMENT";

/// Directories of the groups that scopes are in below the root of a keeper, and whether what is there outlives it.
#[must_use]
pub fn parents_of_scopes(root: &Path) -> Vec<(PathBuf, bool)> {
    place::layout::parents(root)
}

/// Directories of groups that together have all scopes of a keeper in them, by its root.
#[must_use]
pub fn groups_of_scopes(root: &Path) -> Vec<PathBuf> {
    place::layout::tops(root)
}

/// Runs the keeper: `args` is what follows `__keeper`, that is `--name NAME --state-dir S --runtime-dir R
/// --ready-fd N` with N from 1 to 63. Returns when everything is empty and cleaned up; the caller then exits with the code.
///
/// Writes `busy` or `error: …` as one line to the ready descriptor if it cannot start, else leaves that to the
/// daemon. Closes every other descriptor from 3 on, so it must be called before anything is opened, and by a
/// process with a single thread.
///
/// With `--check-resume FORMAT VERSION` it only says whether it can take over from a keeper that leaves a table of this
/// format and whose daemon speaks this version of the protocol; with `--name NAME --resume-fd N` it does so.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        [keeper::CHECK, format, daemon] => check_resume(format, daemon),
        [_, _, keeper::RESUME, number] => resume(number, &READS),
        _ => begin(args),
    }
}

/// A keeper that has promised more than it can do: it reads another format than this one. For a test of just that.
#[doc(hidden)]
pub fn main_of_another_format(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let number = args.into_iter().last().unwrap_or_default();
    let other = FORMAT.wrapping_add(1);
    resume(&number.to_string_lossy(), &(other..=other))
}

fn check_resume(format: &str, daemon: &str) -> ExitCode {
    let said = keeper::can_resume(format, daemon).is_some_and(|yes| std::io::stdout().write_all(yes).is_ok());
    if said { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// Another program was this keeper until now.
fn resume(number: &str, reads: &RangeInclusive<u16>) -> ExitCode {
    let _unnamed = rustix::thread::set_name(c"kennel-keeper");
    let number = number.parse().map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput));
    match number.and_then(|number| keeper::resume(number, reads)) {
        Ok(keeper) => {
            note!("the keeper has another program now");
            run(keeper)
        }
        Err(error) => {
            note!("the keeper that was here is lost: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Until everything has ended.
fn run(keeper: Keeper) -> ExitCode {
    // A lock file that nobody holds and that is not empty tells of a keeper that was lost, or that had to leave
    // something to the next.
    let (lock, all_gone) = keeper.run();
    kennel_sys::crash_point!("end.place-removed");
    if all_gone && let Err(error) = lock.set_len(0) {
        note!("cannot clear the lock file: {error}");
    }
    ExitCode::SUCCESS
}

fn begin(args: Vec<OsString>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(error) => {
            note!("{error}");
            return ExitCode::from(2);
        }
    };
    let Ok(ready) = start::ready_fd(options.ready_fd) else {
        note!("nothing is open at the ready descriptor {}", options.ready_fd);
        return ExitCode::from(2);
    };
    match start(options, &ready) {
        Ok(Some(keeper)) => {
            // From here on the daemon alone has it, so its end shows when the daemon closes it or dies.
            drop(ready);
            run(keeper)
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            note!("{error}");
            answer(ready, &format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn start(options: Options, ready: &OwnedFd) -> Result<Option<Keeper>, String> {
    if !kennel_sys::proc::is_of_this_namespace() {
        let remedy = "inside of a service with `isolation: pid` make that `isolation: [pid, proc]`";
        return Err(format!(
            "/proc is that of another PID namespace, whose numbers mean other processes here; {remedy}"
        ));
    }
    let mut setup = match Setup::begin(&options, ready)? {
        Start::Go(setup) => *setup,
        Start::Busy => {
            if let Ok(ready) = ready.try_clone() {
                answer(ready, "busy\n");
            }
            return Ok(None);
        }
        Start::Elsewhere => return Ok(None),
    };
    kennel_sys::crash_point!("start.locked");
    // Only for eyes, in `ps` and `top`.
    let _unnamed = rustix::thread::set_name(c"kennel-keeper");
    // Nothing that a service of the same user sends may end us, but `SIGKILL`.
    let signals = SignalFd::all().map_err(|error| format!("cannot read signals: {error}"))?;
    let tools = keeper::tools(&setup).map_err(|error| format!("cannot make an event loop: {error}"))?;
    let asker = setup.asker.take();
    let Some(contain) = contain(&options, &setup, &tools, ready, asker)? else { return Ok(None) };
    kennel_sys::crash_point!("start.placed");
    let mut keeper = Keeper::new(options, setup, tools, signals, contain)
        .map_err(|error| format!("cannot make an event loop: {error}"))?;
    match keeper.start(ready) {
        Ok(()) => {
            kennel_sys::crash_point!("start.daemon-started");
            Ok(Some(keeper))
        }
        Err(error) => {
            keeper.abandon();
            Err(format!("cannot start the daemon: {error}"))
        }
    }
}

/// Chooses between the two ways to hold scopes together. `None`: another process goes on.
fn contain(
    options: &Options,
    setup: &Setup,
    tools: &Rc<Tools>,
    ready: &OwnedFd,
    asker: Option<Asker>,
) -> Result<Option<Contain>, String> {
    let wanted = std::env::var_os(CONTAINMENT).unwrap_or_default();
    let own = setup.own_pidfd.try_clone().map_err(|error| format!("cannot prepare reapers: {error}"))?;
    let reapers = Reapers::new(tools.clone(), own);
    let must = match wanted.to_str() {
        Some("" | "auto") => false,
        Some("cgroup") => true,
        Some("reaper") => {
            let refused = Refused::new(Reason::Forced, format!("{CONTAINMENT} says so"));
            return Ok(Some(Contain::new(Err(refused), reapers)));
        }
        _ => {
            let wanted = wanted.display();
            return Err(format!("{CONTAINMENT} is `{wanted}`, which is none of auto, cgroup and reaper"));
        }
    };
    let mut cgroups = match (place(options, setup), asker) {
        (Ok((place, spawner)), asker) => {
            asker.into_iter().for_each(Asker::entered);
            Cgroups::new(tools.clone(), place, spawner).map_err(Refused::other("cannot watch cgroups"))
        }
        (Err(refused), Some(asker)) => {
            asker.refused(&refused.because);
            return Ok(None);
        }
        (Err(refused), None) => Err(refused),
    };
    if let Err(refused) = &mut cgroups
        && refused.reason == Reason::NotDelegated
    {
        match delegate::ask(options, setup, ready) {
            Answer::Elsewhere => return Ok(None),
            Answer::No(why) => refused.because = format!("{}; {why}", refused.because),
            Answer::NobodyThere => {}
        }
    }
    match cgroups {
        Err(refused) if must => Err(refused.because),
        cgroups => Ok(Some(Contain::new(cgroups, reapers))),
    }
}

fn place(options: &Options, setup: &Setup) -> Result<(Place, Spawner), Refused> {
    let mut spawner = Spawner::new().map_err(Refused::other("cannot prepare to spawn"))?;
    Ok((Place::find(&options.name, setup.follows_a_loss, &mut spawner, &setup.null)?, spawner))
}

fn answer(ready: OwnedFd, line: &str) {
    // Nobody may be listening any more.
    let _unheard = File::from(ready).write_all(line.as_bytes());
}

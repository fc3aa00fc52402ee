//! `kennel sweep`: shows what runs untracked; ends it, or lets a new daemon adopt it, only if asked to.

use std::time::Duration;

use kennel_client::{ANSWER_WITHIN, Home};
use kennel_orphans::{Error, Whom, Wish};
use kennel_wire::{Fate, InstanceOrphans, Orphan, OrphanReport, OrphanStopRequest};

use super::{Found, NOT_ANSWERED, daemon, find, meant, show, silent};
use crate::args::Sweep;
use crate::command::progress::waiting;
use crate::context::{Context, start};
use crate::failure::Failure;
use crate::parse::millis;

pub(in crate::command) async fn sweep(context: &mut Context, args: &Sweep) -> Result<u8, Failure> {
    let mut instances = Vec::new();
    for home in meant(context, args.all_instances)? {
        let work = async {
            if args.stop {
                stop(&home, args.timeout.unwrap_or_default()).await
            } else if args.adopt {
                adopt(&home).await
            } else {
                find(&home).await
            }
        };
        let what = format!("looking for orphans of {}", home.name);
        instances.push(waiting(&mut context.screen, &what, work).await?);
    }
    show(context, &OrphanReport::of(instances), "no orphans\n")
}

/// Ends them: by the daemon where one runs, else under the lock of the instance.
async fn stop(home: &Home, grace: Duration) -> Result<InstanceOrphans, Failure> {
    loop {
        match daemon(home, ANSWER_WITHIN).await? {
            Found::Daemon(daemon) => {
                let request = OrphanStopRequest { pids: Vec::new(), timeout_ms: Some(millis(grace)) };
                return Ok(daemon.stop_orphans(&request).await?);
            }
            Found::Nobody => match kennel_orphans::stop(home, &Wish { whom: Whom::All, grace, for_a_start: false }) {
                // Somebody starts it at this moment.
                Err(Error::Held { .. }) => {}
                told => return Ok(told?),
            },
            Found::Silent => return Ok(silent(home, NOT_ANSWERED)),
        }
    }
}

/// Starts keeper and daemon, which take over what is kept. What cannot be kept is ended first, as at every start.
async fn adopt(home: &Home) -> Result<InstanceOrphans, Failure> {
    let mut told = match daemon(home, ANSWER_WITHIN).await? {
        Found::Daemon(daemon) => {
            let mut told = daemon.orphans().await?;
            if !told.orphans.is_empty() {
                told.note = Some("its daemon runs and has not adopted them".to_owned());
            }
            return Ok(told);
        }
        Found::Silent => return Ok(silent(home, NOT_ANSWERED)),
        Found::Nobody => kennel_orphans::find(home)?,
    };
    if told.orphans.is_empty() {
        return Ok(told);
    }
    let (daemon, cleared) = start(home).await?;
    if let Some(cleared) = cleared {
        (told.ended, told.removed) = (cleared.ended, cleared.removed);
        (told.survivors, told.left) = (cleared.survivors, cleared.left);
        told.note = cleared.note;
    }
    let after = daemon.orphans().await?.orphans;
    let is_there = |one: &&Orphan| is_alive(one) && !after.iter().any(|other| other.pid == one.pid);
    let kept = || told.orphans.iter().filter(|one| one.on_start == Fate::Adopted);
    let adopted: Vec<u32> = kept().filter(is_there).map(|one| one.pid).collect();
    let missed: Vec<String> =
        kept().map(|one| one.pid).filter(|pid| !adopted.contains(pid)).map(|pid| pid.to_string()).collect();
    told.adopted = adopted;
    if !missed.is_empty() {
        told.note = Some(format!("not adopted: {}", missed.join(", ")));
    }
    Ok(told)
}

/// Whether it is still the process that was found.
fn is_alive(one: &Orphan) -> bool {
    let identity =
        kennel_sys::identity::Identity { pid: one.pid, start_ticks: one.start_ticks, inode: one.inode.unwrap_or(0) };
    identity.open().is_ok_and(|fd| !kennel_sys::pidfd::has_exited(&fd).unwrap_or(true))
}

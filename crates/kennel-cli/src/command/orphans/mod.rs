//! Processes of ours that nobody tracks: shown, ended, adopted, cleared away.

mod adopt;
mod clean;
mod ps;
mod sweep;

use std::time::Duration;

use kennel_client::{ConnectError, Daemon, Home};
use kennel_wire::{InstanceOrphans, InstanceState, OrphanReport};

use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::orphans::block;

pub(super) use self::adopt::adopt;
pub(super) use self::clean::clean;
pub(super) use self::ps::ps;
pub(super) use self::sweep::sweep;

/// Why nothing can be said of an instance.
const NOT_ANSWERED: &str = "it does not answer, and only it can tell what is tracked";

/// The instances that are meant: that of the directory, or all of this user.
fn meant(context: &Context, all: bool) -> Result<Vec<Home>, Failure> {
    let home = context.home()?;
    Ok(if all { kennel_orphans::instances(&home) } else { vec![home] })
}

/// The daemon of an instance, if one answers. One that holds its lock without an answer is waited for: it is about to
/// begin, to be followed by another, or to end.
enum Found {
    Daemon(Box<Daemon>),
    Nobody,
    Silent,
}

async fn daemon(home: &Home, limit: Duration) -> Result<Found, Failure> {
    match Daemon::connect_within(home, limit).await {
        Ok(Some(daemon)) => Ok(Found::Daemon(Box::new(daemon))),
        Ok(None) => Ok(Found::Nobody),
        Err(ConnectError::NoAnswer { .. }) => Ok(Found::Silent),
        Err(error) => Err(error.into()),
    }
}

/// Of an instance that nothing can be said of.
fn silent(home: &Home, why: &str) -> InstanceOrphans {
    InstanceOrphans { note: Some(why.to_owned()), ..InstanceOrphans::new(&home.name, InstanceState::Silent) }
}

/// What of an instance runs untracked.
async fn find(home: &Home) -> Result<InstanceOrphans, Failure> {
    match daemon(home, kennel_client::ANSWER_WITHIN).await? {
        Found::Daemon(daemon) => Ok(daemon.orphans().await?),
        Found::Nobody => Ok(kennel_orphans::find(home)?),
        Found::Silent => Ok(silent(home, NOT_ANSWERED)),
    }
}

/// Shows what was found or done; answers with the exit code.
fn show(context: &mut Context, report: &OrphanReport, nothing: &str) -> Result<u8, Failure> {
    let quiet = context.global.quiet && report.ok;
    if context.global.json {
        context.screen.json(report)?;
    } else if !quiet {
        let (width, paint) = (context.screen.width(), context.screen.paint);
        match block(report, width, context.global.verbose, paint) {
            text if text.is_empty() => context.screen.remark(nothing),
            text => context.screen.out(&text)?,
        }
    }
    Ok(code(report))
}

fn code(report: &OrphanReport) -> u8 {
    if report.left > 0 {
        exit_codes::LEFT
    } else if report.instances.iter().any(|one| one.state == InstanceState::Silent && one.note.is_some()) {
        exit_codes::DAEMON
    } else if report.ok {
        exit_codes::OK
    } else {
        exit_codes::FAILED
    }
}

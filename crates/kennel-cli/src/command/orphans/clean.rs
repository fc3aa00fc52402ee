//! `kennel clean`: brings an instance to a clean slate, from whatever state it is in.

use std::time::Duration;

use kennel_client::{CallError, Daemon, Home};
use kennel_orphans::{Error, Whom, Wish};
use kennel_sys::proc;
use kennel_wire::{
    CleanRequest, DownReport, DownRequest, InstanceOrphans, InstanceState, OrphanReport, OrphanStopRequest, Urgency,
};

use tokio::time::Instant;

use super::{Found, daemon, meant, show, silent};
use crate::args::Clean;
use crate::command::progress::waiting;
use crate::context::Context;
use crate::failure::Failure;
use crate::parse::millis;

/// A daemon that does not answer within this time hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Why one is left as it is.
const HANGS: &str = "it does not answer; `kennel clean --all` ends it with everything it runs";
/// How long the services of a daemon that answers have to stop, unless it is said.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// And how long it may take beyond that: the kill, its receipts, and the end of the keeper.
const KILLS_WITHIN: Duration = Duration::from_secs(5);
/// How long those have to end who hold the lock and were killed.
const DIES_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two attempts at a lock that somebody else was quicker to take.
const PAUSE: Duration = Duration::from_millis(10);

pub(in crate::command) async fn clean(context: &mut Context, args: &Clean) -> Result<u8, Failure> {
    let mut instances = Vec::new();
    for home in meant(context, args.all_instances)? {
        let grace = args.timeout;
        let work = async { if args.all { everything(&home, grace).await } else { untracked(&home, grace).await } };
        let what = format!("cleaning {}", home.name);
        instances.push(waiting(&mut context.screen, &what, work).await?);
    }
    show(context, &OrphanReport::of(instances), "nothing to clean up\n")
}

/// What nobody tracks and no daemon would adopt.
async fn untracked(home: &Home, grace: Option<Duration>) -> Result<InstanceOrphans, Failure> {
    let grace = grace.unwrap_or_default();
    loop {
        match daemon(home, ANSWERS_WITHIN).await? {
            Found::Daemon(daemon) => {
                let request = OrphanStopRequest { pids: Vec::new(), timeout_ms: Some(millis(grace)) };
                let mut told = daemon.stop_orphans(&request).await?;
                told.forgotten = forgotten(&daemon).await?;
                return Ok(told);
            }
            Found::Nobody => match kennel_orphans::stop(home, &Wish { whom: Whom::NotKept, grace, for_a_start: false })
            {
                // Somebody starts it at this moment.
                Err(Error::Held { .. }) => {}
                told => return Ok(told?),
            },
            Found::Silent => return Ok(silent(home, HANGS)),
        }
    }
}

/// Has a daemon forget the results of runs on request.
async fn forgotten(daemon: &Daemon) -> Result<Vec<String>, Failure> {
    match daemon.clean(&CleanRequest::default()).await {
        Ok(report) => Ok(report.runs),
        // One of an older version knows no such runs, and no such route.
        Err(CallError::Problem(problem)) if problem.status == 404 => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Everything of an instance: by its daemon as long as that does what it is asked, then by force.
async fn everything(home: &Home, timeout: Option<Duration>) -> Result<InstanceOrphans, Failure> {
    let (mut state, mut down, mut ended) = (None, None, Vec::new());
    match daemon(home, ANSWERS_WITHIN).await? {
        Found::Daemon(daemon) => {
            state = Some(InstanceState::Running);
            down = politely(&daemon, timeout).await;
        }
        Found::Silent => state = Some(InstanceState::Silent),
        Found::Nobody => {}
    }
    let grace = if down.is_some() { Duration::ZERO } else { timeout.unwrap_or_default() };
    let deadline = Instant::now() + DIES_WITHIN * 2;
    let mut told = loop {
        if kennel_orphans::state(home).map_err(|source| look(home, source))? == InstanceState::Silent {
            ended.extend(kennel_orphans::end_holders(home, DIES_WITHIN).map_err(|source| look(home, source))?);
        }
        match kennel_orphans::stop(home, &Wish { whom: Whom::All, grace, for_a_start: false }) {
            // Somebody has started it anew, which is to go as well, or is just cleaning up, too.
            Err(Error::Held { .. }) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            told => break told?,
        }
    };
    // What the last daemon could not end is found by the search; what it did end is not left.
    told.down = down;
    told.state = match state {
        // It answered, and did not do what it was asked.
        Some(InstanceState::Running) if told.down.is_none() => InstanceState::Silent,
        Some(state) => state,
        None => told.state,
    };
    told.ended.splice(0..0, ended);
    Ok(told)
}

/// As `down` does it. `None`: it does not get done in time, or nobody is there to do it.
async fn politely(daemon: &Daemon, timeout: Option<Duration>) -> Option<DownReport> {
    let limit = timeout.unwrap_or(STOPS_WITHIN);
    let is_stopped = |pid: u32| proc::stat(pid).is_some_and(|stat| matches!(stat.state, 'T' | 't'));
    if is_stopped(daemon.known().keeper_pid) {
        return None;
    }
    let departure = daemon.departure().await.ok();
    let request = DownRequest { urgency: Urgency::Graceful, timeout_ms: Some(millis(limit)) };
    let report = tokio::time::timeout(limit + KILLS_WITHIN, daemon.down(&request)).await.ok()?.ok()?;
    if let Some(departure) = departure {
        // One that does not go is ended with whoever else holds the lock.
        let _late = departure.wait(KILLS_WITHIN).await;
    }
    Some(report)
}

fn look(home: &Home, source: std::io::Error) -> Failure {
    Error::Look { instance: home.name.clone(), source }.into()
}

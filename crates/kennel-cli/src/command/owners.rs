//! `kennel owners`, `kennel lease` and `kennel clean --owner`.

use std::time::Duration;

use kennel_client::{CallError, Daemon};
use kennel_wire::{CleanRequest, LeaseNews, OwnerEnd, OwnerRequest, OwnerStatus};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::down::timeout_ms;
use super::limits;
use crate::args::{Clean, Hold, Renew};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::{owners as render, receipt};
use crate::signals::Signals;

/// How long a daemon that went away is asked for again before a lease is given up.
const RETURNS_WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn owners(context: &mut Context) -> Result<u8, Failure> {
    let owners: Vec<OwnerStatus> =
        context.look(async |daemon: &Daemon| daemon.owners().await).await?.unwrap_or_default();
    if context.global.json {
        context.screen.json(&owners)?;
    } else if owners.is_empty() {
        context.screen.remark("no owners\n");
    } else {
        let text = render::table(&owners, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

pub(super) async fn renew(context: &mut Context, args: &Renew) -> Result<u8, Failure> {
    let status = context.running().await?.renew_owner(&args.owner).await?;
    if context.global.json {
        context.screen.json(&status)?;
    }
    Ok(exit_codes::OK)
}

/// Ends an owner with all below it, and forgets what is known of them.
pub(super) async fn clean(context: &mut Context, args: &Clean) -> Result<u8, Failure> {
    let request = CleanRequest { owner: args.owner.clone(), timeout_ms: timeout_ms(args.timeout) };
    let report = context.running().await?.clean(&request).await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if !context.global.quiet || !report.ok {
        let mut text = receipt::summary(&report.receipts, context.global.verbose, context.screen.paint);
        text.push_str(&render::cleaned(&report));
        context.screen.out(&text)?;
    }
    Ok(if report.left > 0 { exit_codes::LEFT } else { exit_codes::OK })
}

/// How a hold came to its end.
enum Over {
    /// By us: the end of our input, or a signal.
    LetGo,
    Ended(OwnerEnd),
    /// The daemon went away.
    Broken,
}

pub(super) async fn hold(context: &mut Context, args: Hold) -> Result<u8, Failure> {
    let request = OwnerRequest {
        name: args.owner,
        parent: args.parent,
        grace_ms: timeout_ms(args.grace),
        leases: Vec::new(),
        limits: limits::given(&args.limit, true)?,
    };
    let mut signals = Signals::to_forward().map_err(Failure::Own)?;
    let (_daemon, mut news) = context.insist(async |daemon: &Daemon| daemon.hold_owner(&request).await).await?;
    let mut input = input_ends();
    loop {
        let over = tokio::select! {
            over = follow(context, &mut news) => over?,
            _end = &mut input => Over::LetGo,
            _signal = signals.next() => Over::LetGo,
        };
        match over {
            Over::LetGo => return Ok(exit_codes::OK),
            Over::Ended(why) => {
                context.screen.error(&format!("owner `{}` ended: {}\n", request.name, render::end(&why)));
                return Ok(exit_codes::FAILED);
            }
            // Another daemon goes on, and gives us the grace to come back.
            Over::Broken => news = again(context, &request).await?,
        }
    }
}

async fn follow(context: &mut Context, news: &mut kennel_client::Lines<LeaseNews>) -> Result<Over, Failure> {
    loop {
        match news.next().await {
            Ok(Some(LeaseNews::Lease(id))) if context.global.json => {
                context.screen.json_lines(&[LeaseNews::Lease(id)])?;
            }
            Ok(Some(LeaseNews::Lease(_))) => {}
            Ok(Some(LeaseNews::Ended(why))) => return Ok(Over::Ended(why)),
            Ok(None) | Err(CallError::Lost(_)) => return Ok(Over::Broken),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the lease again, of the daemon that follows. That none comes is an end as well.
async fn again(context: &Context, request: &OwnerRequest) -> Result<kennel_client::Lines<LeaseNews>, Failure> {
    let deadline = Instant::now() + RETURNS_WITHIN;
    loop {
        let daemon = context.connect().await?;
        let Some(daemon) = daemon else { return Err(Failure::NoDaemon) };
        match daemon.hold_owner(request).await {
            Ok(news) => return Ok(news),
            Err(CallError::Lost(_)) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Resolves when our input ends. Read by a thread of its own, which nobody waits for at the end.
fn input_ends() -> oneshot::Receiver<()> {
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _over = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _nobody_waits = end.send(());
    });
    ended
}

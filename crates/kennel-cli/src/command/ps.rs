//! `kennel ps`.

use jiff::Timestamp;
use kennel_client::{CallError, Daemon};
use kennel_tui::{Detail, Look};
use kennel_wire::{ServiceStatus, ServiceUsage, State};
use serde::Serialize;

use crate::args::Ps;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::names;
use crate::render::ps::table;
use crate::render::tree;

pub(super) async fn ps(context: &mut Context, args: &Ps) -> Result<u8, Failure> {
    let services = context.look(async |daemon: &Daemon| daemon.services().await).await?.unwrap_or_default();
    check(&services, args)?;
    let services: Vec<ServiceStatus> = services.into_iter().filter(|one| shown(one, args)).collect();
    if context.global.json {
        context.screen.json(&services)?;
    } else if services.is_empty() {
        context.screen.remark("nothing runs here\n");
    } else {
        let text = table(&services, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

/// A service as `ps --json` has it, with what it uses.
#[derive(Serialize)]
struct WithUsage<'a> {
    #[serde(flatten)]
    status: &'a ServiceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a ServiceUsage>,
}

pub(super) async fn tree(context: &mut Context, args: &Ps) -> Result<u8, Failure> {
    let look = context.look(async |daemon: &Daemon| Look::ask(daemon, &[], Detail::Zombies).await).await?;
    look.iter().try_for_each(|look| check(&look.services, args))?;
    let lines: Vec<tree::Line<'_>> = look
        .iter()
        .flat_map(|look| {
            let chosen = look.services.iter().filter(|one| shown(one, args));
            chosen.map(move |one| (one, look.usage_of(one)))
        })
        .collect();
    if context.global.json {
        let lines: Vec<WithUsage<'_>> =
            lines.iter().map(|(status, usage)| WithUsage { status, usage: *usage }).collect();
        context.screen.json(&lines)?;
    } else if lines.is_empty() {
        context.screen.remark("nothing runs here\n");
    } else {
        let text = tree::table(&lines, Timestamp::now(), context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

/// Whether it was asked for by name or, without names, has ever been started: one that waits for nothing and never ran is of no interest.
fn shown(one: &ServiceStatus, args: &Ps) -> bool {
    if !args.names.is_empty() {
        return names::mean(&args.names, one);
    }
    args.all || one.wanted || one.state != State::Stopped || one.instance.is_some()
}

/// Whether there is what was asked for; where nothing runs at all, that is said instead.
fn check(services: &[ServiceStatus], args: &Ps) -> Result<(), Failure> {
    if services.is_empty() {
        return Ok(());
    }
    Ok(names::check_among(&args.names, services).map_err(CallError::from)?)
}

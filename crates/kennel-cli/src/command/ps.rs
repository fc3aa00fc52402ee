//! `kennel ps`.

use kennel_client::Daemon;
use kennel_wire::{ServiceStatus, State};

use crate::args::Ps;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::ps::table;

pub(super) async fn ps(context: &mut Context, args: &Ps) -> Result<u8, Failure> {
    let services = context.look(async |daemon: &Daemon| daemon.services().await).await?.unwrap_or_default();
    let services: Vec<ServiceStatus> = services.into_iter().filter(|one| args.all || shown(one)).collect();
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

/// Whether it has ever been started: one that waits for nothing and never ran is of no interest.
fn shown(one: &ServiceStatus) -> bool {
    one.wanted || one.state != State::Stopped || one.instance.is_some()
}

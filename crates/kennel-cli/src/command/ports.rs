//! `kennel ports`.

use kennel_client::Daemon;
use kennel_wire::PortStatus;

use crate::args::Ports;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::ports::table;

pub(super) async fn ports(context: &mut Context, args: &Ports) -> Result<u8, Failure> {
    let mut ports: Vec<PortStatus> =
        context.look(async |daemon: &Daemon| daemon.ports().await).await?.unwrap_or_default();
    if !args.names.is_empty() {
        let daemon = context.running().await?;
        let mut meant = Vec::new();
        for name in &args.names {
            let answer = daemon.service(name).await;
            let services = super::action::suggest(&daemon, std::slice::from_ref(name), answer).await?;
            meant.extend(services.into_iter().map(|one| one.name));
        }
        ports.retain(|one| meant.contains(&one.service));
    }
    if context.global.json {
        context.screen.json(&ports)?;
    } else if ports.is_empty() {
        context.screen.remark("no ports\n");
    } else {
        let text = table(&ports, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

//! `kennel status NAME`.

use super::action::suggest;
use crate::args::Status;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::status::block;

pub(super) async fn status(context: &mut Context, args: &Status) -> Result<u8, Failure> {
    let daemon = context.running().await?;
    let answer = daemon.service(&args.name).await;
    let services = suggest(&daemon, std::slice::from_ref(&args.name), answer).await?;
    if context.global.json {
        context.screen.json(&services)?;
    } else {
        let blocks: Vec<String> = services.iter().map(|one| block(one, context.screen.paint)).collect();
        context.screen.out(&blocks.join("\n"))?;
    }
    Ok(exit_codes::OK)
}

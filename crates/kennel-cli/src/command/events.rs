//! `kennel events`.

use crate::args::Events;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::event::line;

pub(super) async fn events(context: &mut Context, args: &Events) -> Result<u8, Failure> {
    let daemon = context.historian().await?;
    let mut events = daemon.events(args.since, args.follow).await?;
    let screen = &mut context.screen;
    while let Some(batch) = events.batch().await? {
        if context.global.json {
            screen.json_lines(&batch)?;
        } else {
            let paint = screen.paint;
            screen.out(&batch.iter().map(|event| line(event, paint)).collect::<String>())?;
        }
    }
    Ok(exit_codes::OK)
}

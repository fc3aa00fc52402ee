//! `kennel events`.

use super::again::{self, EventCursor};
use crate::args::Events;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::event::line;

pub(super) async fn events(context: &mut Context, args: &Events) -> Result<u8, Failure> {
    let mut daemon = context.historian().await?;
    let mut cursor = EventCursor { last: args.since, over: false };
    loop {
        let mut events = daemon.events(cursor.last, args.follow).await?;
        let ended = loop {
            let batch = match events.batch().await {
                Ok(Some(batch)) => batch,
                ended => break ended,
            };
            batch.iter().for_each(|event| cursor.see(event));
            let screen = &mut context.screen;
            if context.global.json {
                screen.json_lines(&batch)?;
            } else {
                let paint = screen.paint;
                screen.out(&batch.iter().map(|event| line(event, paint)).collect::<String>())?;
            }
        };
        let goes_on = args.follow && !cursor.over && again::may_go_on(&ended);
        match if goes_on { again::follower(&daemon).await? } else { None } {
            // It knows every event that was shown, and those that came meanwhile.
            Some(follower) => daemon = follower,
            None => return ended.map(|_| exit_codes::OK).map_err(Failure::from),
        }
    }
}

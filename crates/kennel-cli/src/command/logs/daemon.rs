//! Logs as the daemon tells them, from one daemon to the next.

use jiff::Timestamp;
use kennel_client::{Daemon, LogQuery};
use kennel_logs::Cursor;
use kennel_wire::LogLine;

use super::Form;
use crate::args::Logs;
use crate::command::action::suggest;
use crate::command::again;
use crate::command::progress::waiting;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;

pub(super) async fn logs(context: &mut Context, mut daemon: Daemon, args: Logs) -> Result<u8, Failure> {
    let now = Timestamp::now();
    let mut query = LogQuery {
        services: args.names.clone(),
        tail: args.tail,
        since: args.since.map(|since| since.rfc3339(now)),
        until: args.until.map(|until| until.rfc3339(now)),
        grep: args.grep.clone(),
        invert: args.invert,
        stream: args.stream.map(Into::into),
        follow: args.follow,
    };
    let answer = daemon.logs(&query).await;
    let mut lines = suggest(&daemon, &query.services, answer).await?;
    // Only for the width and colour of names; the log may be that of services that are no longer declared.
    let services = daemon.services().await.unwrap_or_default();
    let wanted = |name: &str, service: &str| {
        query.services.is_empty() || query.services.iter().any(|one| one == name || one == service)
    };
    let services = services.into_iter().filter(|one| wanted(&one.name, &one.service));
    let form = Form::new(context, &args, &services.map(|one| (one.name, one.color)).collect::<Vec<_>>());
    let mut cursor = Cursor::default();
    loop {
        let ended = loop {
            let next = match (args.grep.is_some() && !args.follow, lines.batch()) {
                // What follows may take for ever, and what is searched may take long.
                (true, next) => waiting(&mut context.screen, "searching", next).await,
                (false, next) => next.await,
            };
            let batch = match next {
                Ok(Some(batch)) => batch,
                ended => break ended,
            };
            let new: Vec<LogLine> = batch.into_iter().filter(|line| cursor.is_new(line.time)).collect();
            form.show(&mut context.screen, &new)?;
        };
        let goes_on = args.follow && again::may_go_on(&ended);
        match if goes_on { again::follower(&daemon).await? } else { None } {
            Some(follower) => daemon = follower,
            None => return ended.map(|_| exit_codes::OK).map_err(Failure::from),
        }
        // What was written meanwhile is in the files.
        query = LogQuery { tail: None, since: cursor.resume().map(|time| time.to_string()).or(query.since), ..query };
        lines = daemon.logs(&query).await?;
    }
}

//! `kennel logs`.

use jiff::Timestamp;
use kennel_client::LogQuery;
use kennel_wire::{LogLine, LogStream};

use super::action::suggest;
use super::again::{self, LogCursor};
use crate::args::{Logs, Stream};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::log_line::Prefixes;

/// What was written, with the newline if there was one.
fn raw(line: &LogLine) -> Vec<u8> {
    if line.lost.is_some() {
        return Vec::new();
    }
    let mut bytes = line.written();
    if line.complete {
        bytes.push(b'\n');
    }
    bytes
}

pub(super) async fn logs(context: &mut Context, args: Logs) -> Result<u8, Failure> {
    let mut daemon = context.historian().await?;
    let now = Timestamp::now();
    let mut query = LogQuery {
        services: args.names,
        tail: args.tail,
        since: args.since.map(|since| since.rfc3339(now)),
        until: args.until.map(|until| until.rfc3339(now)),
        grep: args.grep,
        invert: args.invert,
        stream: args.stream.map(|stream| match stream {
            Stream::Out => LogStream::Stdout,
            Stream::Err => LogStream::Stderr,
        }),
        follow: args.follow,
    };
    let answer = daemon.logs(&query).await;
    let mut lines = suggest(&daemon, &query.services, answer).await?;
    // Only for the width and colour of names; the log may be that of services that are no longer declared.
    let services = daemon.services().await.unwrap_or_default();
    let wanted = |name: &str, service: &str| {
        query.services.is_empty() || query.services.iter().any(|one| one == name || one == service)
    };
    let services: Vec<_> = services.into_iter().filter(|one| wanted(&one.name, &one.service)).collect();
    let screen = &mut context.screen;
    let prefixes = Prefixes::new(&services, screen.paint, screen.terminal, !args.no_prefix);
    let mut cursor = LogCursor::default();
    loop {
        let ended = loop {
            let batch = match lines.batch().await {
                Ok(Some(batch)) => batch,
                ended => break ended,
            };
            let new: Vec<LogLine> = batch.into_iter().filter(|line| cursor.is_new(line)).collect();
            if context.global.json {
                screen.json_lines(&new)?;
            } else if args.raw {
                screen.bytes(&new.iter().flat_map(raw).collect::<Vec<u8>>())?;
            } else {
                screen.out(&new.iter().map(|line| prefixes.line(line)).collect::<String>())?;
            }
        };
        let goes_on = args.follow && again::may_go_on(&ended);
        match if goes_on { again::follower(&daemon).await? } else { None } {
            Some(follower) => daemon = follower,
            None => return ended.map(|_| exit_codes::OK).map_err(Failure::from),
        }
        // What was written meanwhile is in the files.
        query = LogQuery { tail: None, since: cursor.resume().or(query.since), ..query };
        lines = daemon.logs(&query).await?;
    }
}

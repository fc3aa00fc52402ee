//! `kennel logs`.

use jiff::Timestamp;
use kennel_client::LogQuery;

use super::action::suggest;
use crate::args::Logs;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::log_line::Prefixes;

pub(super) async fn logs(context: &mut Context, args: Logs) -> Result<u8, Failure> {
    let daemon = context.historian().await?;
    let query = LogQuery {
        services: args.names,
        tail: args.tail,
        since: args.since.map(|since| since.rfc3339(Timestamp::now())),
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
    while let Some(batch) = lines.batch().await? {
        if context.global.json {
            screen.json_lines(&batch)?;
        } else {
            screen.out(&batch.iter().map(|line| prefixes.line(line)).collect::<String>())?;
        }
    }
    Ok(exit_codes::OK)
}

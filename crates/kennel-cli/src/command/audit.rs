//! `kennel audit`.

use jiff::Timestamp;
use kennel_client::{AuditQuery, Daemon};

use crate::args::Audit;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::audit::table;

pub(super) async fn audit(context: &mut Context, args: Audit) -> Result<u8, Failure> {
    let query = AuditQuery {
        limit: args.number,
        since: args.since.map(|since| since.rfc3339(Timestamp::now())),
        subject: args.subject,
    };
    let daemon: Daemon = context.historian().await?;
    let entries = daemon.audit(&query).await?;
    if context.global.json {
        context.screen.json(&entries)?;
    } else if entries.is_empty() {
        context.screen.remark("nothing of that was asked for\n");
    } else {
        let text = table(&entries, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

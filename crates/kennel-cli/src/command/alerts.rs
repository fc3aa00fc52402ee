//! `kennel alerts`.

use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::alerts::report as shown;

pub(super) async fn alerts(context: &mut Context) -> Result<u8, Failure> {
    let report = context.running().await?.alerts().await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else if report.alerts.is_empty() {
        context.screen.remark("nothing is too much, and nothing was\n");
    } else {
        let text = shown(&report, context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

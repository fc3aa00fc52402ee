//! `kennel notify`.

use crate::args::NotifyCommand;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;

pub(super) async fn notify(context: &mut Context, command: NotifyCommand) -> Result<u8, Failure> {
    let NotifyCommand::Test = command;
    let report = context.running().await?.test_notification().await?;
    if context.global.json {
        context.screen.json(&report)?;
    } else {
        let told = report.error.as_ref().map_or_else(|| "shown".to_owned(), |why| format!("not shown: {why}"));
        context.screen.out(&format!("{told}\n"))?;
        if !report.enabled {
            context.screen.remark("nothing else is: the configuration has no `notify: { desktop: true }`\n");
        }
    }
    Ok(if report.ok { exit_codes::OK } else { exit_codes::FAILED })
}

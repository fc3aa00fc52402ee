//! `kennel webhook`.

use std::io;

use kennel_wire::{Definition, WebhookRetryRequest, WebhookSecretRequest};

use crate::args::{AddWebhook, WebhookCommand};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::webhooks::{log, status, test};

const SHOWN_ONCE: &str = "it is not shown again; the receiver checks `webhook-signature` with it\n";

pub(super) async fn webhook(context: &mut Context, command: WebhookCommand) -> Result<u8, Failure> {
    let daemon = match &command {
        WebhookCommand::Add(_) | WebhookCommand::Remove { .. } => context.ensure().await?,
        _ => context.running().await?,
    };
    let (json, width, paint) = (context.global.json, context.screen.width(), context.screen.paint);
    match command {
        WebhookCommand::List => {
            let webhooks = daemon.webhooks().await?;
            if json {
                context.screen.json(&webhooks)?;
            } else if webhooks.is_empty() {
                context.screen.remark("there are no webhooks\n");
            } else {
                context.screen.out(&status(&webhooks, width, paint))?;
            }
        }
        WebhookCommand::Add(args) => {
            let report = daemon.register_webhook(&args.name, &definition(context, &args)?).await?;
            if json {
                context.screen.json(&report)?;
            } else {
                let done = if report.created { "added" } else { "changed" };
                context.screen.remark(&format!("{} {done}; `kennel webhook test {}` tries it\n", args.name, args.name));
                if let Some(secret) = &report.secret {
                    context.screen.out(&format!("{secret}\n"))?;
                    context.screen.remark(SHOWN_ONCE);
                }
            }
        }
        WebhookCommand::Remove { name } => {
            daemon.remove_webhook(&name).await?;
            context.screen.remark(&format!("{name} removed\n"));
        }
        WebhookCommand::Test { name } => {
            let report = daemon.test_webhook(&name).await?;
            if json {
                context.screen.json(&report)?;
            } else {
                context.screen.out(&test(&name, &report))?;
            }
            return Ok(if report.ok { exit_codes::OK } else { exit_codes::FAILED });
        }
        WebhookCommand::Log(args) => {
            let deliveries = daemon.deliveries(args.name.as_deref(), args.number).await?;
            if json {
                context.screen.json(&deliveries)?;
            } else if deliveries.is_empty() {
                context.screen.remark("nothing was to be sent\n");
            } else {
                context.screen.out(&log(&deliveries, width, paint))?;
            }
        }
        WebhookCommand::Retry { name, ids } => {
            let report = daemon.retry_webhook(&name, &WebhookRetryRequest { ids }).await?;
            if json {
                context.screen.json(&report)?;
            } else {
                let count = report.retried;
                let word = if count == 1 { "message" } else { "messages" };
                context.screen.remark(&format!("{count} {word} to {name} tried again\n"));
            }
        }
        WebhookCommand::Secret { name, rotate } => {
            let report = daemon.webhook_secret(&name, &WebhookSecretRequest { rotate }).await?;
            if json {
                context.screen.json(&report)?;
            } else {
                context.screen.out(&format!("{}\n", report.secret))?;
                context.screen.remark(SHOWN_ONCE);
            }
        }
    }
    Ok(exit_codes::OK)
}

/// What the options say, in the words of the configuration file.
fn definition(context: &Context, args: &AddWebhook) -> Result<Definition, Failure> {
    // What a shell has read already is not looked through for variables again.
    let literal = |text: &str| text.replace('$', "$$");
    let absolute = |path: &str| literal(&context.directory.join(path).to_string_lossy());
    let place = |text: &str| match text.strip_prefix("file:") {
        Some(path) => format!("file:{}", absolute(path)),
        None => literal(text),
    };
    let unread = |source| Failure::File { doing: "read", path: "-".into(), source };
    let url = match args.url.as_str() {
        "-" => io::read_to_string(io::stdin()).map_err(unread)?.trim().to_owned(),
        url => url.to_owned(),
    };
    let mut definition = Definition::new();
    definition.insert("url".to_owned(), literal(&url).into());
    for (key, several) in [("events", &args.events), ("services", &args.services)] {
        if !several.is_empty() {
            definition.insert(key.to_owned(), several.iter().map(|one| literal(one)).collect::<Vec<_>>().into());
        }
    }
    if !args.header.is_empty() {
        let headers: Definition = args.header.iter().map(|(name, value)| (name.clone(), place(value).into())).collect();
        definition.insert("headers".to_owned(), headers.into());
    }
    let secret = args.secret.as_deref().map(place);
    let ca_file = args.ca_file.as_deref().map(absolute);
    let (timeout, max_age) = (args.timeout.as_deref().map(literal), args.max_age.as_deref().map(literal));
    for (key, value) in [("secret", secret), ("ca_file", ca_file), ("timeout", timeout), ("max_age", max_age)] {
        definition.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    definition.extend(args.retries.map(|retries| ("retries".to_owned(), retries.into())));
    Ok(definition)
}

//! `kennel register`, `kennel unregister` and `kennel registered`.

use std::io::Read as _;

use kennel_client::{CallError, Daemon, Registering};
use kennel_wire::{Definition, Registry, ReloadReport};
use serde_json::json;

use super::progress::{Progress, WORTH_SHOWING};
use super::reload;
use crate::args::{Register, Unregister};
use crate::board::Goal;
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::registry::table;

pub(super) async fn register(context: &mut Context, args: &Register) -> Result<u8, Failure> {
    let how = Registering { start: args.start, dry_run: args.dry_run };
    let services = match &args.from {
        Some(_) => read(args)?,
        None => Registry { services: [(args.name.clone().unwrap_or_default(), definition(context, args))].into() },
    };
    let daemon = context.ensure().await?;
    let report = during(context, &daemon, daemon.register_all(&services, how)).await?;
    reload::show(context, &report)
}

pub(super) async fn unregister(context: &mut Context, args: &Unregister) -> Result<u8, Failure> {
    let daemon = context.ensure().await?;
    let mut worst = exit_codes::OK;
    for name in &args.names {
        let report = during(context, &daemon, daemon.unregister(name)).await?;
        worst = worst.max(reload::show(context, &report)?);
    }
    Ok(worst)
}

pub(super) async fn registered(context: &mut Context) -> Result<u8, Failure> {
    let registry = context.ensure().await?.registry(false).await?;
    if context.global.json {
        context.screen.json(&registry)?;
    } else if registry.services.is_empty() {
        context.screen.remark("no service is registered; `kennel register --help` tells how\n");
    } else {
        let text = table(&registry, context.screen.width(), context.screen.paint);
        context.screen.out(&text)?;
    }
    Ok(exit_codes::OK)
}

async fn during(
    context: &mut Context,
    daemon: &Daemon,
    call: impl Future<Output = Result<ReloadReport, CallError>>,
) -> Result<ReloadReport, Failure> {
    let mut progress = Progress::new(daemon, Goal::Up, WORTH_SHOWING).await;
    Ok(progress.during(&mut context.screen, call).await?)
}

/// What the options say, in the words of the configuration file.
fn definition(context: &Context, args: &Register) -> Definition {
    let cwd = args.cwd.as_ref().map_or_else(|| context.directory.clone(), |cwd| context.directory.join(cwd));
    let mut definition = Definition::new();
    // What a shell has read already is not looked through for variables again.
    let literal = |text: &String| text.replace('$', "$$");
    definition.insert("command".to_owned(), args.command.iter().map(literal).collect::<Vec<_>>().into());
    definition.insert("working_dir".to_owned(), literal(&cwd.to_string_lossy().into_owned()).into());
    if !args.env.is_empty() {
        definition.insert("environment".to_owned(), args.env.iter().map(literal).collect::<Vec<_>>().into());
    }
    if !args.port.is_empty() {
        definition.insert("ports".to_owned(), args.port.clone().into());
    }
    for (key, value) in [("color", &args.name_color), ("restart", &args.restart)] {
        if let Some(value) = value {
            definition.insert(key.to_owned(), json!(literal(value)));
        }
    }
    definition
}

fn read(args: &Register) -> Result<Registry, Failure> {
    let path = args.from.clone().unwrap_or_default();
    let text = match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(&path),
    };
    let failed = |source| Failure::File { doing: "read", path: path.clone(), source };
    let text = text.map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}

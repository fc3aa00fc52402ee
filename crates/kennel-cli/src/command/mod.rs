//! One module for each verb, or for verbs that are alike.

mod again;
mod ports;
mod progress;
mod stopping;

mod foreground;
mod freeze;
mod lost;
mod notify;
mod up;
mod webhooks;

mod action;
mod down;
mod registry;
mod reload;

mod alerts;
mod audit;
mod events;
mod health;
mod logs;
mod orphans;
mod ps;
mod stats;
mod status;
mod top;

mod limits;
mod owners;
mod run;

mod about;
mod access;
mod config;
mod doctor;
mod state;
mod succession;

use crate::args::{Cli, Command, DaemonCommand, LeaseCommand};
use crate::context::Context;
use crate::exit_codes;
use crate::failure::Failure;
use crate::render::paint::Paint;

/// Runs the command; answers with its exit code.
pub(crate) fn run(cli: Cli) -> u8 {
    let json = cli.global.json;
    let runs = matches!(cli.command, Command::Run(_) | Command::Exec(_));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Own);
    let mut context = match Context::new(cli.global) {
        Ok(context) => context,
        // Without a current directory there is no screen either.
        Err(failure) => return early(&failure, runs),
    };
    let result = runtime.and_then(|runtime| runtime.block_on(dispatch(&mut context, cli.command)));
    context.screen.clear();
    match result {
        Ok(code) => code,
        Err(failure) => {
            let text = if json && !matches!(failure, Failure::BrokenPipe) {
                serde_json::to_string(&failure.problem()).map(|text| text + "\n").unwrap_or_default()
            } else {
                failure.render(context.screen.width(), context.screen.remarks)
            };
            context.screen.error(&text);
            if runs { failure.run_code() } else { failure.exit_code() }
        }
    }
}

fn early(failure: &Failure, runs: bool) -> u8 {
    use std::io::Write;
    let text = failure.render(None, Paint { color: false });
    let _nobody_reads = std::io::stderr().write_all(text.as_bytes());
    if runs { exit_codes::RUN_FAILED } else { failure.exit_code() }
}

async fn dispatch(context: &mut Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Up(args) => up::up(context, args).await,
        Command::Down(args) => down::down(context, &args).await,
        Command::Start(args) => action::start(context, args).await,
        Command::Stop(args) => action::stop(context, args).await,
        Command::Restart(args) => action::restart(context, args).await,
        Command::Reload(args) => reload::reload(context, &args).await,
        Command::Register(args) => registry::register(context, &args).await,
        Command::Unregister(args) => registry::unregister(context, &args).await,
        Command::Registered => registry::registered(context).await,
        Command::Kill(args) => action::kill(context, args).await,
        Command::Freeze(args) => freeze::freeze(context, args).await,
        Command::Thaw(args) => freeze::thaw(context, args).await,
        Command::Ps(args) if args.orphans => orphans::ps(context).await,
        Command::Ps(args) if args.tree => ps::tree(context, &args).await,
        Command::Ps(args) => ps::ps(context, &args).await,
        Command::Stats(args) => stats::stats(context, args).await,
        Command::Adopt(args) => orphans::adopt(context, args).await,
        Command::Sweep(args) => orphans::sweep(context, &args).await,
        Command::Clean(args) if args.owner.is_some() => owners::clean(context, &args).await,
        Command::Clean(args) => orphans::clean(context, &args).await,
        Command::Top(args) => top::top(context, args).await,
        Command::Status(args) => status::status(context, &args).await,
        Command::Ports(args) => ports::ports(context, &args).await,
        Command::Health(args) => health::health(context, &args).await,
        Command::Summary => health::summary(context).await,
        Command::Logs(args) => logs::logs(context, args).await,
        Command::Run(args) => run::run(context, *args).await,
        Command::Owners => owners::owners(context).await,
        Command::Lease(LeaseCommand::Hold(args)) => owners::hold(context, args).await,
        Command::Lease(LeaseCommand::Renew(args)) => owners::renew(context, &args).await,
        Command::Exec(args) => run::exec(context, args).await,
        Command::Events(args) => events::events(context, args).await,
        Command::Alerts => alerts::alerts(context).await,
        Command::Audit(args) => audit::audit(context, args).await,
        Command::Dashboard(args) => access::dashboard(context, args).await,
        Command::Token(command) => access::token(context, command).await,
        Command::Webhook(command) => webhooks::webhook(context, command).await,
        Command::Notify(command) => notify::notify(context, command).await,
        Command::State(command) => state::state(context, command).await,
        Command::Daemon(DaemonCommand::Restart) => succession::restart(context).await,
        Command::Upgrade(args) => succession::upgrade(context, &args).await,
        Command::Doctor => doctor::doctor(context).await,
        Command::Config(args) => config::config(context, &args),
        Command::Init(args) => config::init(context, &args),
        Command::Version => about::version(context),
        Command::Completions(args) => about::completions(context, &args),
        Command::Man(args) => about::man(context, &args),
    }
}

//! Completion in shells, with the names of what runs: the scripts of `kennel completions` ask this program.
//!
//! Nothing is started for it and nothing is said: where nobody answers in time, the configuration has the names, or there are none.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, ArgMatches, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, EnvCompleter, Shells};
use kennel_client::{CallError, Daemon};
use kennel_core::model::webhook::KINDS;
use kennel_wire::UsageRequest;

use crate::args::{Cli, Color, Global};
use crate::context::Context;
use crate::render::ps;

/// In the environment of a call by a shell: which shell it is.
const VARIABLE: &str = "KENNEL_COMPLETE";
/// How long a daemon may take: somebody waits with a finger on the key.
const WITHIN: Duration = Duration::from_millis(80);
/// The same where it has to look at every process of the machine.
const LOOKS_WITHIN: Duration = Duration::from_millis(300);
/// Longest command that is shown beside a process, characters.
const COMMAND: usize = 50;

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Services and replicas that the daemon knows; without one those that are declared.
    Services,
    /// Services that are declared.
    Declared,
    Owners,
    Tokens,
    /// Process ids of services.
    Processes,
    /// Process ids that nobody tracks.
    Orphans,
    /// Profiles that services of the configuration are in.
    Profiles,
    /// Kennel instances of this user, whether they run or not.
    Instances,
    /// Kinds of events.
    Kinds,
    /// Webhooks that the daemon sends to; without one those that are declared.
    Webhooks,
}

/// The script for a shell.
pub(crate) fn script(shell: clap_complete::Shell) -> std::io::Result<Vec<u8>> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer: &dyn EnvCompleter =
        shells.completer(&name).ok_or_else(|| std::io::Error::other(format!("no completion for {name}")))?;
    completer.write_registration(VARIABLE, "kennel", "kennel", "kennel", &mut script)?;
    Ok(script)
}

/// Answers a shell, if it is one that asks.
pub(crate) fn answered() -> bool {
    if std::env::var_os(VARIABLE).is_none_or(|shell| shell.is_empty()) {
        return false;
    }
    let directory = std::env::current_dir().ok();
    // What cannot be completed is not: an error in the middle of a line that is typed helps nobody.
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .bin("kennel")
        .completer("kennel")
        .try_complete(std::env::args_os(), directory.as_deref())
        .unwrap_or(true)
}

fn command() -> Command {
    let mut command = Cli::whole();
    // With `--help` and what is the same for all verbs.
    command.build();
    with_names(command, "")
}

/// The command line, each argument with where its names come from.
fn with_names(command: Command, verb: &str) -> Command {
    let command = command.mut_args(|arg| {
        let option = !arg.is_positional();
        // Options are offered where nothing else is, or where one has been begun: names are looked for among few.
        let arg = arg.hide(option);
        match names_of(verb, &arg) {
            Some(names) => arg.add(ArgValueCandidates::new(move || candidates(names))),
            None => arg,
        }
    });
    command.mut_subcommands(|inner| {
        let verb = inner.get_name().to_owned();
        with_names(inner, &verb)
    })
}

fn names_of(verb: &str, arg: &Arg) -> Option<Names> {
    match (verb, arg.get_id().as_str()) {
        ("up", "services") => Some(Names::Declared),
        ("revoke", "name") => Some(Names::Tokens),
        ("status" | "exec", "name") | (_, "service") => Some(Names::Services),
        // Of these, events have names of their own.
        ("events", "names") => None,
        (_, "names") => Some(Names::Services),
        (_, "owner" | "parent") => Some(Names::Owners),
        ("kill", "pid") => Some(Names::Processes),
        ("adopt", "process") => Some(Names::Orphans),
        ("events", "kind") | ("add", "events") => Some(Names::Kinds),
        ("add", "services") => Some(Names::Services),
        ("test" | "log" | "retry" | "secret" | "remove", "name") => Some(Names::Webhooks),
        (_, "profile") => Some(Names::Profiles),
        (_, "instance") => Some(Names::Instances),
        _ => None,
    }
}

fn candidates(names: Names) -> Vec<CompletionCandidate> {
    let Some(mut context) = context() else { return Vec::new() };
    let plain = |names: Vec<String>| names.into_iter().map(CompletionCandidate::new).collect();
    match names {
        Names::Kinds => KINDS.iter().map(CompletionCandidate::new).collect(),
        Names::Instances => {
            // What is being typed is none yet.
            context.global.instance = None;
            let home = context.home().ok();
            plain(home.iter().flat_map(kennel_orphans::instances).map(|home| home.name).collect())
        }
        Names::Declared | Names::Profiles => plain(declared(&context, names)),
        Names::Services | Names::Webhooks | Names::Owners | Names::Tokens | Names::Processes | Names::Orphans => {
            asked(&context, names).unwrap_or_else(|| plain(declared(&context, names)))
        }
    }
}

/// What the configuration says, without a daemon; nothing where it has errors.
fn declared(context: &Context, names: Names) -> Vec<String> {
    let project = || context.project().ok();
    match names {
        Names::Services | Names::Declared => context.load(&[]).map(|loaded| loaded.services).unwrap_or_default(),
        Names::Webhooks => project().map(|it| it.webhooks.into_keys().collect()).unwrap_or_default(),
        Names::Profiles => {
            let services = project().into_iter().flat_map(|it| it.services.into_values());
            let all: BTreeSet<String> = services.flat_map(|service| service.profiles).collect();
            all.into_iter().collect()
        }
        Names::Owners | Names::Tokens | Names::Processes | Names::Orphans | Names::Instances | Names::Kinds => {
            Vec::new()
        }
    }
}

/// What the daemon knows; none if there is no daemon, or no answer in time.
fn asked(context: &Context, names: Names) -> Option<Vec<CompletionCandidate>> {
    let home = context.home().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let ask = async {
            let daemon = Daemon::connect_within(&home, WITHIN).await.ok()??;
            answer(&daemon, names).await.ok()
        };
        let limit = if names == Names::Orphans { LOOKS_WITHIN } else { WITHIN };
        tokio::time::timeout(limit, ask).await.ok()?
    })
}

async fn answer(daemon: &Daemon, names: Names) -> Result<Vec<CompletionCandidate>, CallError> {
    let with = |name: String, help: &str| CompletionCandidate::new(name).help(Some(StyledStr::from(help.to_owned())));
    Ok(match names {
        // These are known without a daemon.
        Names::Declared | Names::Profiles | Names::Instances | Names::Kinds => Vec::new(),
        Names::Webhooks => {
            let webhooks = daemon.webhooks().await?.into_iter();
            webhooks.map(|webhook| with(webhook.name, &webhook.receiver)).collect()
        }
        Names::Services => {
            let mut known = Vec::new();
            for one in daemon.services().await? {
                // The name of a service with several replicas stands for all of them, before the first.
                if one.name != one.service && !known.iter().any(|(name, _)| *name == one.service) {
                    known.push((one.service, "all replicas"));
                }
                known.push((one.name, ps::state(one.state)));
            }
            known.into_iter().map(|(name, help)| with(name, help)).collect()
        }
        Names::Owners => daemon.owners().await?.into_iter().map(|owner| CompletionCandidate::new(owner.name)).collect(),
        Names::Tokens => {
            let tokens = daemon.tokens().await?.into_iter();
            tokens.map(|token| with(token.name, &token.role.to_string())).collect()
        }
        Names::Orphans => {
            let each = daemon.orphans().await?.orphans.into_iter();
            each.map(|one| with(one.pid.to_string(), &of(one.service.as_deref().unwrap_or("?"), &one.command)))
                .collect()
        }
        Names::Processes => {
            let usage = daemon.usage(&UsageRequest { processes: true, ..UsageRequest::default() }).await?;
            let each = usage.services.into_iter().flat_map(|one| {
                let name = one.name;
                one.processes_detail.into_iter().map(move |process| (name.clone(), process))
            });
            each.map(|(name, process)| with(process.pid.to_string(), &of(&name, &process.command))).collect()
        }
    })
}

/// `web: node server.js`
fn of(name: &str, command: &str) -> String {
    let command: String = command.chars().take(COMMAND).collect();
    format!("{name}: {command}").chars().map(printable).collect()
}

/// A terminal shows it.
fn printable(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

/// Which instance and which configuration the line is about that is being typed.
fn context() -> Option<Context> {
    // Behind the first `--` stands what was typed.
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let matches = Cli::whole().ignore_errors(true).try_get_matches_from(words).ok()?;
    let global = Global {
        file: last::<PathBuf>(&matches, "file"),
        instance: last::<String>(&matches, "instance"),
        json: false,
        color: Color::Never,
        quiet: true,
        verbose: false,
    };
    Context::new(global).ok()
}

/// The value of an option, wherever it stands.
fn last<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, option: &str) -> Option<T> {
    let mut value = None;
    let mut at = Some(matches);
    while let Some(level) = at {
        if let Ok(Some(found)) = level.try_get_one::<T>(option) {
            value = Some(found.clone());
        }
        at = level.subcommand().map(|(_, inner)| inner);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every argument with names of something that runs, as `verb argument names`.
    fn told(command: &Command, verb: &str, lines: &mut Vec<String>) {
        for arg in command.get_arguments() {
            if let Some(names) = names_of(verb, arg) {
                lines.push(format!("{verb} {} {names:?}", arg.get_id()).trim_start().to_owned());
            }
        }
        for inner in command.get_subcommands() {
            told(inner, inner.get_name(), lines);
        }
    }

    #[test]
    fn what_names_something() {
        let mut lines = Vec::new();
        told(&Cli::whole(), "", &mut lines);
        insta::assert_snapshot!(lines.join("\n"), @"
        instance Instances
        up profile Profiles
        up services Declared
        start names Services
        stop names Services
        restart names Services
        unregister names Services
        kill names Services
        kill pid Processes
        freeze names Services
        thaw names Services
        ps names Services
        top names Services
        stats names Services
        status name Services
        ports names Services
        health names Services
        logs names Services
        run owner Owners
        run parent Owners
        exec name Services
        hold owner Owners
        hold parent Owners
        renew owner Owners
        events service Services
        events kind Kinds
        create service Services
        create owner Owners
        revoke name Tokens
        add events Kinds
        add services Services
        remove name Webhooks
        test name Webhooks
        log name Webhooks
        retry name Webhooks
        secret name Webhooks
        adopt process Orphans
        adopt service Services
        clean owner Owners
        config profile Profiles
        ");
    }
}

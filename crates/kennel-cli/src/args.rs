//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod access;
mod files;
mod notify;
mod owners;
mod records;
mod registry;
mod top;
mod usage;
mod webhooks;

pub(crate) use self::access::{CreateToken, Dashboard, TokenCommand};
pub(crate) use self::files::{Config, ConfigCommand, Export, ExportFormat, Import, ImportFormat, Init, StateCommand};
pub(crate) use self::notify::NotifyCommand;
pub(crate) use self::owners::{Hold, LeaseCommand, Lifetime, OwnerOptions, Renew, RestartMode};
pub(crate) use self::records::{Audit, EventNames, Events, Logs};
pub(crate) use self::registry::{Register, Unregister};
pub(crate) use self::top::{Top, TopOrder};
pub(crate) use self::usage::Stats;
pub(crate) use self::webhooks::{AddWebhook, WebhookCommand};
use crate::exit_codes;
use crate::parse;

/// Runs a stack of services and leaves no process behind.
#[derive(Debug, Parser)]
#[command(name = "kennel", version, after_long_help = exit_codes::TABLE, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, infer_subcommands = false)]
pub(crate) struct Cli {
    /// Configuration file [default: kennel.yaml, .yml or .toml here or above]
    #[arg(short, long, value_name = "FILE", help_heading = GLOBAL)]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const GLOBAL: &str = "Global options";

/// Verbs whose `-f` is `--follow`: there the file has its long name only.
const FOLLOWERS: [&str; 2] = ["logs", "events"];

impl Cli {
    /// The whole command line.
    pub(crate) fn whole() -> clap::Command {
        with_file(<Self as clap::CommandFactory>::command())
    }

    /// Reads the arguments of this process; on a mistake or `--help` says so and ends it.
    pub(crate) fn read() -> Self {
        let matches = Self::whole().get_matches();
        Self::from_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    fn from_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = <Self as clap::FromArgMatches>::from_arg_matches(matches)?;
        let mut at = Some(matches);
        // The innermost one wins, as with every option that is given twice.
        while let Some(level) = at {
            if let Ok(Some(file)) = level.try_get_one::<PathBuf>("file") {
                cli.global.file = Some(file.clone());
            }
            at = level.subcommand().map(|(_, inner)| inner);
        }
        Ok(cli)
    }
}

/// Adds `-f/--file` to every verb.
///
/// Not with `global = true`, which would not let `logs -f` and `events -f` follow.
fn with_file(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|verb| {
        let file = clap::Arg::new("file")
            .long("file")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Configuration file [default: kennel.yaml, .yml or .toml here or above]")
            .help_heading(GLOBAL);
        let follows = FOLLOWERS.contains(&verb.get_name());
        with_file(verb.arg(if follows { file } else { file.short('f') }))
    })
}

/// Options that stand before or after the verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = GLOBAL)]
pub(crate) struct Global {
    /// Wherever it stood.
    #[arg(skip)]
    pub(crate) file: Option<PathBuf>,
    /// Name of the kennel instance [default: one for each project directory]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) instance: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,
    /// Print results and errors only, no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// List every process in the summary of a stop
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the stack, or some services and what they depend on
    Up(Up),
    /// Stop everything, then the daemon
    Down(Down),
    /// Start services of a running stack
    Start(Targets),
    /// Stop services
    Stop(StopTargets),
    /// Stop services and start them again
    Restart(StopTargets),
    /// Load the configuration again, and start, restart and stop what has changed
    Reload(Reload),
    /// Make a service known beside those of the configuration file
    #[command(after_help = registry::HELP)]
    Register(Box<Register>),
    /// Stop services that were registered, and forget them
    Unregister(Unregister),
    /// List what is registered
    Registered,
    /// Kill services or a process of theirs at once, or send a signal
    Kill(Kill),
    /// Have services stand still, so that they can be looked at
    Freeze(FreezeTargets),
    /// Let services go on that were frozen
    Thaw(FreezeTargets),
    /// List services
    #[command(visible_aliases = ["list", "ls"])]
    Ps(Ps),
    /// Show what services and their processes use, live
    #[command(after_help = top::HELP)]
    Top(Top),
    /// Show what services use, or used over a time
    Stats(Stats),
    /// Show one service with its processes and the receipt of its last stop
    Status(Status),
    /// Show who listens on which port, and what kennel keeps for services
    Ports(Ports),
    /// Say whether services are well; the exit code tells it to scripts
    #[command(after_help = "Exit code 0 if all that is to run is well, 1 if not. Quick: no process is looked at.")]
    Health(HealthOf),
    /// Show how many services are in which state, and what they use together
    Summary,
    /// Show what was too much, whose it was, and what was done
    Alerts,
    /// Show what services wrote
    Logs(Logs),
    /// Run one command in a scope of its own, and end all it started
    #[command(after_help = RUN_HELP)]
    Run(Box<Run>),
    /// Run one command with the environment, directory and user of a service
    Exec(Exec),
    /// Show for whom things run, and what keeps them alive
    Owners,
    /// Keep an owner and all that runs for it alive
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Show what happened
    Events(Events),
    /// Show who asked for what
    Audit(Audit),
    /// Open the page in a browser, logged in
    Dashboard(Dashboard),
    /// Give rights away to those who come over TCP
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show where events are sent to, test it, and try again what did not arrive
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Try out what tells people of events
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Export what runs for other tools, and import what they have recorded
    #[command(subcommand)]
    State(StateCommand),
    /// Have another daemon take over while every service runs on
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Have a daemon of another kennel binary take over while every service runs on
    #[command(
        after_help = "If the new one does not come up, the old one goes on: nothing is stopped and nothing is lost."
    )]
    Upgrade(Upgrade),
    /// Show what kennel can promise on this machine, and what is wrong on it
    #[command(after_help = "Exit code 1 if something is wrong that kennel's promises depend on: it stands first.")]
    Doctor,
    /// Show what runs of a kennel that was lost; end it or have it adopted
    Sweep(Sweep),
    /// Have a process that nobody tracks held again, with all that belongs to it
    #[command(after_help = ADOPT_HELP)]
    Adopt(Adopt),
    /// Clear away what a lost kennel left; with --all everything of this one, whatever state it is in
    Clean(Clean),
    /// Print the configuration as it is understood
    Config(Config),
    /// Write a commented configuration file
    Init(Init),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print a manual page, or write all of them
    Man(Man),
}

const UP_HELP: &str = "\
In the foreground, the first Ctrl-C stops everything, the second hurries, the third kills; t opens the terminal UI.";

/// `kennel up`
#[derive(Debug, Args)]
#[command(after_help = UP_HELP)]
pub(crate) struct Up {
    /// Return when everything is ready, and leave it running
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Show the stack as `kennel top` does instead of its log; leaving stops it
    #[arg(long, conflicts_with = "detach")]
    pub(crate) tui: bool,
    /// Also start services of this profile; may be repeated
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Vec<String>,
    /// Give up when not everything is ready after this time, for example 30s
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
    /// Only these and what they depend on
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
}

/// `kennel down`
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Longest time before the kill, for example 5s [default: as configured]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// Which services.
#[derive(Debug, Args)]
pub(crate) struct Targets {
    /// Services, or single replicas such as worker.2
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All services
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Give up when not everything is ready after this time, for example 30s
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// Which services to stop, and how long to wait.
#[derive(Debug, Args)]
pub(crate) struct StopTargets {
    /// Services, or single replicas such as worker.2
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All services
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Longest time before the kill, for example 5s [default: as configured]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// `kennel freeze` and `kennel thaw`
#[derive(Debug, Args)]
#[command(
    after_help = "A frozen service uses no processor time and keeps its memory, files and ports. `kennel stop` ends it as any other."
)]
pub(crate) struct FreezeTargets {
    /// Services, or single replicas such as worker.2
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) names: Vec<String>,
    /// All services
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
}

/// `kennel reload`
#[derive(Debug, Args)]
#[command(after_help = "A service that was stopped by hand is not started. A file with errors changes nothing.")]
pub(crate) struct Reload {
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `kennel kill`
#[derive(Debug, Args)]
#[command(after_help = "A process that belongs to no service of this kennel is refused: nothing is sent, exit code 8.")]
pub(crate) struct Kill {
    /// Services, or single replicas such as worker.2
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "pid"])]
    pub(crate) names: Vec<String>,
    /// All services
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// One process of any service instead, by its number
    #[arg(long, value_name = "PID", conflicts_with_all = ["names", "all", "timeout"])]
    pub(crate) pid: Option<u32>,
    /// Signal, by name or number; for a service, it goes to every process of it
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL", value_parser = parse::signal)]
    pub(crate) signal: i32,
    /// Longest time to wait for the answer
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// `kennel ps`
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Also those that were never started
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Also their processes, each below the one that started it, with what they use
    #[arg(long)]
    pub(crate) tree: bool,
    /// Processes of this kennel that nobody tracks instead
    #[arg(long, conflicts_with_all = ["all", "tree", "names"])]
    pub(crate) orphans: bool,
    /// Services, or single replicas such as worker.2 [default: all that were started]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// `kennel sweep`
#[derive(Debug, Args)]
#[command(after_help = "Without --stop and --adopt nothing is changed.")]
pub(crate) struct Sweep {
    /// End them, and prove it
    #[arg(long)]
    pub(crate) stop: bool,
    /// Start the daemon, which takes over services with `on_daemon_loss: keep`; others are ended
    #[arg(long, conflicts_with = "stop")]
    pub(crate) adopt: bool,
    /// Every kennel instance of this user
    #[arg(long, conflicts_with = "instance")]
    pub(crate) all_instances: bool,
    /// Ask with SIGTERM first, and kill after this time, for example 5s [default: kill at once]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "stop")]
    pub(crate) timeout: Option<Duration>,
}

/// `kennel adopt`
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// One of its processes; with @START only if it began then (clock ticks since boot, as `ps --orphans --json` tells)
    #[arg(value_name = "PID[@START]", value_parser = parse::began)]
    pub(crate) process: parse::Began,
    /// Service that it is to be a run of, which does not run [default: the one it was started for, else a run on its own]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Also if it is only likely that it is of this kennel
    #[arg(long)]
    pub(crate) likely: bool,
}

const ADOPT_HELP: &str = "\
`kennel ps --orphans` lists who can be adopted. Needs cgroups; nothing is started, and what cannot be held is left as it is.";

/// `kennel clean`
#[derive(Debug, Args)]
pub(crate) struct Clean {
    /// Also running services, what waits to be adopted, and a daemon that hangs
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this owner instead: end it with all that runs for it and for those below it, and forget it
    #[arg(long, value_name = "OWNER", conflicts_with_all = ["all", "all_instances"])]
    pub(crate) owner: Option<String>,
    /// Every kennel instance of this user
    #[arg(long, conflicts_with = "instance")]
    pub(crate) all_instances: bool,
    /// Longest time before the kill, for example 5s [default: 10s for running services, else none]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
}

/// `kennel health`
#[derive(Debug, Args)]
pub(crate) struct HealthOf {
    /// Services, or single replicas such as worker.2 [default: all that are to run]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// `kennel status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// A service, or a single replica such as worker.2
    pub(crate) name: String,
}

/// `kennel ports`
#[derive(Debug, Args)]
pub(crate) struct Ports {
    /// Services, or single replicas such as worker.2 [default: all]
    pub(crate) names: Vec<String>,
}

const RUN_HELP: &str = "\
With --owner, the run ends with its owner: when `kennel clean --owner` is called, or when the last
of the owner's leases is lost and none comes within its grace.";

/// `kennel run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Return when it is started, and leave it running; prints its name
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Name in `kennel ps` [default: run-N]
    #[arg(long, value_name = "NAME", requires = "detach")]
    pub(crate) name: Option<String>,
    /// When it ends at the latest [default: owner with --owner, daemon without, call without --detach]
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) lifetime: Option<Lifetime>,
    /// Whether it is started again after its end
    #[arg(long, value_name = "MODE", value_enum, default_value_t = RestartMode::No)]
    pub(crate) restart: RestartMode,
    /// Longest run time, for example 10m; then it is stopped
    #[arg(long, value_name = "TIME", value_parser = parse::duration, visible_alias = "timeout")]
    pub(crate) max_runtime: Option<Duration>,
    /// Longest time without output; then it is stopped
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "detach")]
    pub(crate) idle_timeout: Option<Duration>,
    /// What it may use, as `limits` of a service: memory=512MiB, pids=100, cpus=1.5, action=stop; again for another one
    #[arg(long, value_name = "LIMIT")]
    pub(crate) limit: Vec<String>,
    /// Program and arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) owner: OwnerOptions,
}

/// `kennel exec`
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Longest run time, for example 10m; then it is stopped
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) timeout: Option<Duration>,
    /// The service whose environment, directory and user are taken
    pub(crate) name: String,
    /// Program and arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

/// `kennel daemon`
#[derive(Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Replace the daemon by a new one of the same binary
    Restart,
}

/// `kennel upgrade`
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The binary to change to [default: the one that runs this command]
    #[arg(long, value_name = "BINARY")]
    pub(crate) to: Option<PathBuf>,
}

/// `kennel man`
#[derive(Debug, Args)]
#[command(after_help = "For example: `kennel man up | man -l -`, or `kennel man --dir ~/.local/share/man/man1`.")]
pub(crate) struct Man {
    /// The page of this verb [default: that of kennel]
    pub(crate) verb: Option<String>,
    /// Write all pages into this directory, which is made
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    pub(crate) dir: Option<PathBuf>,
}

/// `kennel completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

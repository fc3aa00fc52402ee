//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod owners;
mod top;
mod usage;

pub(crate) use self::owners::{Hold, LeaseCommand, Lifetime, OwnerOptions, Renew, RestartMode};
pub(crate) use self::top::{Top, TopOrder};
pub(crate) use self::usage::Stats;
use crate::exit_codes;
use crate::parse::{self, Since};

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
}

/// `kennel up`
#[derive(Debug, Args)]
#[command(after_help = "In the foreground, the first Ctrl-C stops everything, the second hurries, the third kills.")]
pub(crate) struct Up {
    /// Return when everything is ready, and leave it running
    #[arg(short, long)]
    pub(crate) detach: bool,
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
    #[arg(long, conflicts_with_all = ["all", "tree"])]
    pub(crate) orphans: bool,
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

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stream {
    /// Standard output
    #[value(alias = "stdout")]
    Out,
    /// Standard error
    #[value(alias = "stderr")]
    Err,
}

/// `kennel logs`
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on with new lines
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last lines of each service
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) tail: Option<u64>,
    /// Only lines younger than this, for example 10m, or since a time such as 12:00, yesterday or an RFC 3339 one
    #[arg(long, value_name = "TIME", value_parser = parse::since)]
    pub(crate) since: Option<Since>,
    /// Only lines up to this, written in the same way
    #[arg(long, value_name = "TIME", value_parser = parse::since)]
    pub(crate) until: Option<Since>,
    /// Only lines that match this regular expression
    #[arg(short, long, value_name = "RE")]
    pub(crate) grep: Option<String>,
    /// With --grep: only those that do not
    #[arg(long, requires = "grep")]
    pub(crate) invert: bool,
    /// Only what was written there
    #[arg(long, value_name = "STREAM", value_enum)]
    pub(crate) stream: Option<Stream>,
    /// The bytes as they were written, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// Without the names before each line
    #[arg(long)]
    pub(crate) no_prefix: bool,
    /// Services, or single replicas such as worker.2 [default: all]
    #[arg(value_name = "NAME")]
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

/// `kennel events`
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with new events
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only those after this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) since: u64,
    /// Only the last N of those that are there already
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) tail: Option<u64>,
    /// Only those of this service, or of a single replica such as worker.2; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Vec<String>,
    /// Only those whose name begins with this, for example instance. or service.failed; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub(crate) kind: Vec<String>,
    /// Under which names
    #[arg(long, value_name = "NAMES", value_enum, default_value_t = EventNames::Kennel)]
    pub(crate) names: EventNames,
}

/// Names of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventNames {
    /// Such as instance.started
    Kennel,
    /// Such as processStarted, as the dashboard family has them
    Dashboard,
}

/// `kennel audit`
#[derive(Debug, Args)]
#[command(after_help = "What was changed is shown by `kennel events`; this shows who asked for it.")]
pub(crate) struct Audit {
    /// Only the last N entries [default: 100]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) number: Option<u64>,
    /// Only entries younger than this, for example 10m, or since an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = parse::since)]
    pub(crate) since: Option<Since>,
    /// Only entries about exactly this, as the last column has it
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
}

/// `kennel config`
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: Option<ConfigCommand>,
    /// Also services of this profile; may be repeated
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Vec<String>,
}

/// `kennel config …`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the JSON Schema of configuration files, for editors
    Schema,
    /// Check the configuration and print nothing but errors
    Check,
}

/// `kennel init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Write kennel.toml instead of kennel.yaml
    #[arg(long)]
    pub(crate) toml: bool,
    /// Replace an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

/// `kennel state`
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Write services and their processes in the format of another tool
    #[command(
        after_help = "Without a daemon it shows what is recorded, with processes that live now. Nothing is started."
    )]
    Export(Export),
    /// Make a configuration of what another tool has recorded
    #[command(after_help = "Process ids of the file are looked at and told, never trusted and never signalled.")]
    Import(Import),
}

/// `kennel state export`
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportFormat::DashboardJson)]
    pub(crate) format: ExportFormat,
    /// File to write; with pids, the directory of the three files [default: standard output; with pids, this directory]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
}

/// Formats of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The state of a dashboard, one JSON document
    DashboardJson,
    /// services.pids, services.groups and services.services, for scripts
    Pids,
}

/// `kennel state import`
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ImportFormat::DashboardJson)]
    pub(crate) format: ImportFormat,
    /// Write the configuration to this file [default: print it]
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "write")]
    pub(crate) force: bool,
    /// Only check the file and tell what of it runs
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The file of the other tool
    #[arg(value_name = "STATE")]
    pub(crate) input: PathBuf,
}

/// Formats that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// The state of a dashboard, one JSON document
    DashboardJson,
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

/// `kennel completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

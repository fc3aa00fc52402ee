//! Of what was recorded: logs, events, audit.

use clap::{Args, ValueEnum};
use kennel_wire::LogStream;

use crate::parse::{self, Since};

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

impl From<Stream> for LogStream {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Out => Self::Stdout,
            Stream::Err => Self::Stderr,
        }
    }
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

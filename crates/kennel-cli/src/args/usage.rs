//! Options of what shows usage.

use clap::Args;

use crate::parse::{self, Since};

/// `kennel stats`
#[derive(Debug, Args)]
#[command(after_help = STATS_HELP)]
pub(crate) struct Stats {
    /// Over the time since then, for example 1h, or an RFC 3339 time, instead of now
    #[arg(long, value_name = "TIME", value_parser = parse::since)]
    pub(crate) since: Option<Since>,
    /// Services, or single replicas such as worker.2 [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

const STATS_HELP: &str = "\
CPU is percent of one core. Figures are of everything that a service has started, processes that
have ended included. Usage is recorded while somebody looks, and always with `sampling` in the
configuration: ten-second steps for a day, five minutes for 30 days.";

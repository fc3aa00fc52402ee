//! Options for owners, leases and lifetimes.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::parse;

/// For whom something runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Owner")]
pub(crate) struct OwnerOptions {
    /// For whom it runs; made if it is not there
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    /// The owner that it belongs to itself, and with which it ends
    #[arg(long, value_name = "OWNER", requires = "owner")]
    pub(crate) parent: Option<String>,
    /// Keep the owner alive while this process lives
    #[arg(long, value_name = "PID", requires = "owner")]
    pub(crate) lease_pid: Option<u32>,
    /// Keep the owner alive while `kennel lease renew` is called at least this often
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "owner")]
    pub(crate) lease_ttl: Option<Duration>,
    /// How long the owner lives on without a lease [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "owner")]
    pub(crate) grace: Option<Duration>,
    /// What everything of the owner may use together, for example memory=1GiB; again for another one
    #[arg(long, value_name = "LIMIT", requires = "owner")]
    pub(crate) owner_limit: Vec<String>,
}

/// When a run ends at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lifetime {
    /// With this command
    Call,
    /// With its owner; it outlives the daemon
    Owner,
    /// With the daemon, or its owner
    Daemon,
    /// When it is stopped; it outlives the daemon
    Keep,
}

/// Whether an end is followed by another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestartMode {
    /// Never
    No,
    /// After a failure
    OnFailure,
    /// After every end that nobody asked for
    Always,
}

/// `kennel lease`
#[derive(Debug, Subcommand)]
pub(crate) enum LeaseCommand {
    /// Hold an owner until this command or its standard input ends; made if it is not there
    Hold(Hold),
    /// Renew the heartbeat of an owner
    Renew(Renew),
}

/// `kennel lease hold`
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The owner
    pub(crate) owner: String,
    /// The owner that it belongs to itself, and with which it ends
    #[arg(long, value_name = "OWNER")]
    pub(crate) parent: Option<String>,
    /// How long the owner lives on without a lease [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) grace: Option<Duration>,
    /// What everything of the owner may use together, for example memory=1GiB; again for another one
    #[arg(long, value_name = "LIMIT")]
    pub(crate) limit: Vec<String>,
}

/// `kennel lease renew`
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// The owner
    pub(crate) owner: String,
}

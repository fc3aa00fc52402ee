//! Options of the page and of tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use kennel_wire::Role;

use crate::parse;

/// `kennel dashboard`
#[derive(Debug, Args)]
#[command(
    after_help = "The link logs in once and for five minutes. The page stays where it is over restarts of the daemon, until --close or `kennel down`.\nAn address that is not of this machine alone takes TLS; without, use `ssh -L` or a proxy with TLS."
)]
pub(crate) struct Dashboard {
    /// Where to listen, for example 127.0.0.1:4747 [default: where it is, else a free port]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Another name of this server, for example that of a proxy; again for another one
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Speak TLS, with a certificate that kennel makes
    #[arg(long)]
    pub(crate) tls: bool,
    /// Speak TLS with this certificate, in PEM; it is read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Print the link, and open no browser
    #[arg(long)]
    pub(crate) no_open: bool,
    /// Close it; who is connected is disconnected
    #[arg(long, conflicts_with_all = ["listen", "host", "no_open", "tls", "tls_cert"])]
    pub(crate) close: bool,
}

/// `kennel token`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Give a right away; its secret is printed once
    Create(CreateToken),
    /// Show which rights were given away
    List,
    /// Take one back, with the sessions that were opened with it
    Revoke {
        /// Name of the token
        name: String,
    },
}

/// `kennel token create`
#[derive(Debug, Args)]
pub(crate) struct CreateToken {
    /// What the audit calls its holder
    pub(crate) name: String,
    /// What its holder may do: read, operate (start, stop, kill, freeze, signal) or admin
    #[arg(long, default_value = "read")]
    pub(crate) role: Role,
    /// Only for this service, by name; again for another one
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Vec<String>,
    /// Only for what runs for this owner and those below it; again for another one
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Vec<String>,
    /// How long it is good, for example 30d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub(crate) expires: Option<Duration>,
}

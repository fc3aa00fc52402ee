//! Arguments of `kennel register` and its like.

use std::path::PathBuf;

use clap::Args;

/// At the end of `kennel register --help`.
pub(crate) const HELP: &str = "\
A service that is registered is as one of the configuration file, and stays known until it is unregistered, also without a file:
`kennel up` starts what is registered. Whatever the file can say of a service can be said with --from:

    {\"services\": {\"web\": {\"command\": \"npm start\", \"working_dir\": \"/srv/web\", \"restart\": \"always\"}}}";

/// `kennel register`
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Name of the service
    #[arg(required_unless_present = "from")]
    pub(crate) name: Option<String>,
    /// Program and arguments
    #[arg(last = true, required_unless_present = "from")]
    pub(crate) command: Vec<String>,
    /// Where it runs [default: here]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cwd: Option<PathBuf>,
    /// A variable of its environment; again for another one
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A port that it listens on; again for another one
    #[arg(long, short, value_name = "NUMBER")]
    pub(crate) port: Vec<u16>,
    /// Colour of its name in the log
    #[arg(long, value_name = "COLOR")]
    pub(crate) name_color: Option<String>,
    /// When it is started again: never, on-failure or always
    #[arg(long, value_name = "WHEN")]
    pub(crate) restart: Option<String>,
    /// Register all services of this file in JSON; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "command", "cwd", "env", "port", "name_color", "restart"])]
    pub(crate) from: Option<PathBuf>,
    /// Start what is registered
    #[arg(long)]
    pub(crate) start: bool,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `kennel unregister`
#[derive(Debug, Args)]
pub(crate) struct Unregister {
    /// Services that were registered
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

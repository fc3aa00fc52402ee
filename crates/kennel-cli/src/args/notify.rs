//! Options of `kennel notify`.

use clap::Subcommand;

/// `kennel notify`
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    /// Show a notification on the desktop that says that it is a test
    Test,
}

//! Of files: configurations, and what is exported and imported.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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

//! `kennel top`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::parse;

pub(super) const HELP: &str = "\
Keys are explained by `?`. What is done to a service is asked for with one key and agreed to with
another. Where standard output is no terminal, one picture is printed as text.";

/// `kennel top`
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print one picture as text
    #[arg(long, conflicts_with = "number")]
    pub(crate) once: bool,
    /// Print so many pictures as text; with --json, one document a line
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) number: Option<u64>,
    /// Time between two looks [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::interval)]
    pub(crate) every: Option<Duration>,
    /// What lines are ordered by at first
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = TopOrder::Declared)]
    pub(crate) sort: TopOrder,
    /// Services, or single replicas such as worker.2 [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// What lines are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopOrder {
    /// As in the configuration
    Declared,
    /// The most CPU first
    Cpu,
    /// The most memory first
    Memory,
    /// The most read and written first
    Io,
    /// The most threads first
    Threads,
    /// By name
    Name,
}

//! What services use, on a terminal, live: a tree of processes for each, figures, charts, and what can be done to them.
//!
//! Knows the client and the protocol, and neither the engine nor the command line: words that both have are given to it.

mod look;
mod words;

mod order;
mod pane;
mod rows;
mod span;
mod state;
mod text;
mod traffic;
mod written;

mod action;
mod keymap;
mod keys;
mod mouse;

mod chart;
mod columns;
mod theme;
mod units;

mod draw;
mod plain;

mod deed;
mod live;
mod terminal;
mod typing;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

pub use live::{Notice, live};
pub use look::{Detail, Look};
pub use order::Order;
pub use plain::text;
pub use ratatui::style::Color;
pub use typing::Typing;
pub use words::Words;

/// How it is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the kennel instance.
    pub instance: String,
    /// Only these services, or single replicas by their name in `ps`; empty: all.
    pub services: Vec<String>,
    /// Between two looks.
    pub every: Duration,
    /// How lines are ordered at first.
    pub order: Order,
    /// Whether to use colours.
    pub color: bool,
    /// What runs ends when nobody looks any more: leaving is asked for first.
    pub holds: bool,
}

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is no terminal, or it has gone away.
    #[error("cannot draw on the terminal")]
    Terminal(#[source] io::Error),
}

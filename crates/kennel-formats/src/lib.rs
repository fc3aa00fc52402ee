//! What of an instance other tools read and write: the state of dashboards, and files of process ids.
//!
//! Knows no HTTP, no async and no engine: it turns what a daemon answers, or what the store has without one, into
//! [`Server`]s, and those into files. Nothing here signals anybody; a process id from a file is looked at and no more.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

mod server;

mod answered;
mod recorded;

mod dashboard;
mod pids;

mod whose;

pub use dashboard::{Dashboard, dashboard};
pub use pids::{FILES, Listed, listed, write};
pub use recorded::{Recorded, recorded};
pub use server::{Main, Server};
pub use whose::{Claim, Ours, whose};

pub use answered::answered;

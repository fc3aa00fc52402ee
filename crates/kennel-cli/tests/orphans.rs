//! Services that outlive keeper and daemon: told, ended and cleared away by one command, and nobody else's with them.
//!
//! covers: A5, B7, C7, E9

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "orphans/lost.rs"]
mod lost;

#[path = "orphans/adopt.rs"]
mod adopt;
#[path = "orphans/clean.rs"]
mod clean;
#[path = "orphans/kept.rs"]
mod kept;
#[path = "orphans/strangers.rs"]
mod strangers;
#[path = "orphans/sweep.rs"]
mod sweep;

//! Pictures, keys, and what they do, on a stack that does not change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod keys;
mod mouse;
mod pane;
mod picture;
pub(crate) mod samples;
mod terminal;
mod tree;
mod written;

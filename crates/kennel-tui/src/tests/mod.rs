//! Pictures, keys, and what they do, on a stack that does not change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod keys;
mod picture;
pub(crate) mod samples;
mod tree;

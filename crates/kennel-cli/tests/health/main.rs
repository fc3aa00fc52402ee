//! Whether what runs also works: liveness, what is done about it, and in which words it is told.
//!
//! covers: B2, E2, E4

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod common;

mod hang;
mod liveness;
mod words;

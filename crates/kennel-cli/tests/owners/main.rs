//! Owners, leases and runs that outlive their request, with real processes.
//!
//! covers: C6, D1, E1, E3, E5, E6, E9

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod common;

mod leases;
mod limits;
mod loss;
mod runs;
mod tree;

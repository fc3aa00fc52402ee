//! Logs written and read through the public interface, in whatever order things happen to them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a panic is how a test fails"
)]

mod bounds;
mod damage;
mod life;
mod rig;
mod search;

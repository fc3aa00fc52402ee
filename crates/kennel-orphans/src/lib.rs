//! What of a kennel instance runs untracked: found, told and ended, beside its daemon and without one.
//!
//! Knows no service's policy, no HTTP and no async: everything here blocks. Who is an orphan is decided by
//! [`kennel_keeper::orphans`]; this reads what an instance has in its files, and speaks the words of the protocol.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails"))]

mod adopt;
mod instance;
mod search;
mod stop;
mod words;

pub use kennel_keeper::orphans::Tracking;

pub use self::adopt::{AdoptError, Meant, Target, pick};
pub use self::instance::{end_holders, instances, state};
pub use self::search::{Error, find, find_beside};
pub use self::stop::{Whom, Wish, stop, stop_beside};

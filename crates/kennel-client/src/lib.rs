//! Connects to the daemon, calls it, follows its streams.
//!
//! Knows not how things are shown: it has no output, no words for people beyond its errors, and no exit codes.

mod access;
mod attended;
mod connect;
mod daemon;
mod error;
mod gone;
mod http;
mod notify;
mod owners;
mod record;
mod registry;
mod run;
mod start;
mod stream;
mod succession;
mod webhooks;

pub use connect::ANSWER_WITHIN;
pub use daemon::{Daemon, FROM_NOW, LogQuery};
pub use error::{CallError, ConnectError, GoneError, StartError};
pub use gone::Departure;
pub use kennel_sys::home::Home;
pub use record::{AuditQuery, EventQuery};
pub use registry::Registering;
pub use run::Running;
pub use stream::{Lease, Lines};

//! The shell around `kennel-core`: drives the machines, talks to the keeper, probes, records logs and events.
//!
//! Knows no HTTP server and no terminal. Speaks `kennel-wire`, so that what is recorded and what is published are
//! one and the same form.

mod adoption;
mod alarm;
mod announce;
mod clock;
mod desktop;
mod driver;
mod events;
mod handle;
mod held;
mod history;
mod journal;
mod logs;
mod lost;
mod notify;
mod orphans;
pub mod panics;
mod ports;
mod probe;
mod receipt;
mod records;
mod sampling;
pub mod shutdown;
mod timers;
mod tripwire;
mod watch;
mod webhooks;

pub use desktop::Words;
pub use driver::{Beginning, Driver, End, Ended, Grant, become_keeper, start};
pub use events::Events;
pub use handle::{Handle, LoadedFrom, Reload, StdioGuard, Up};
pub use kennel_core::instance::Reason;
pub use kennel_logs::told::{Batch, Query};
pub use kennel_logs::{Beside, Matcher, PatternError};
pub use logs::Reader;

/// The example of the documentation is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/shutdown.md")]
pub struct Documented;

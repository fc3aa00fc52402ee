//! What services write: captured by one thread of its own, kept in files, read back by anybody at any pace.
//!
//! Files are in the line format of the Kubernetes container runtime interface:
//! `<RFC 3339 time> <stdout|stderr> <F|P> <bytes>\n`, where `P` marks a part that goes on in the next record of its
//! stream (or an output that ended without a newline). Payload bytes are exactly those written.

mod counter;
mod file;
mod reader;
mod recorder;
mod stage;
mod thread;

pub(crate) use counter::Counter;
pub use reader::{Query, Reader};
pub(crate) use recorder::{Found, Output, Recorder};

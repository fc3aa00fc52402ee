//! What services write: captured by one thread of its own, kept in files, read back by anybody at any pace.
//!
//! How they are kept is [`kennel_logs`]'s; here is what is read when, by whom, and what becomes of it.

mod bucket;
mod counter;
mod old;
mod packer;
mod pattern;
mod reader;
mod recorder;
mod shelf;
mod sink;
mod stage;
mod thread;

pub(crate) use counter::Counter;
pub use reader::Reader;
pub(crate) use recorder::{Found, Output, Recorder};
pub(crate) use shelf::{Keep, Notice};

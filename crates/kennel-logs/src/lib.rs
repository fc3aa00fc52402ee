//! What services wrote, in files: bytes exactly as they came, in segments that are bounded, compressed and searched.
//!
//! One directory for each name in `ps`. A [`Log`] appends [chunks](chunk) to its newest segment, each what one read gave; a
//! [`Reader`] makes lines of them, of several logs in the order of time, at its own pace. [`pack()`] compresses a closed
//! segment, with an index by which a search skips what cannot hold what is looked for.
//!
//! [`told`] has its lines in the words of the wire.
//!
//! Knows no services and no policies of theirs, no async and no HTTP. Nothing here waits but for the disk.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")
)]

pub mod chunk;
mod segment;

mod log;
mod writing;

mod filter;
mod index;
mod pack;

mod lines;
mod scan;
mod source;

mod cursor;
mod matcher;
mod reader;
pub mod told;

mod budget;

pub use budget::{Trimmed, Usage, keep_within, usage};
pub use chunk::{HEADER, Header, Kind, Stream};
pub use cursor::Cursor;
pub use lines::{Line, Loss, Lost, PART};
pub use log::{Appended, Bounds, Log, Room};
pub use matcher::{Matcher, PatternError};
pub use pack::{Packed, pack};
pub use reader::{Batch, Beside, Query, Reader};
pub use segment::names;

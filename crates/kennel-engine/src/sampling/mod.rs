//! What scopes use, read by a thread of its own that is there only as long as somebody wants to know.

mod detail;
mod machine;
mod reader;
mod ring;
mod thread;
mod version_1;

pub(crate) use ring::{Ring, capacity};
pub(crate) use thread::{Asked, Found, Sampler, Subject};
pub(crate) use version_1::groups as groups_1;

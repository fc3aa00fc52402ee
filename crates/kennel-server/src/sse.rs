//! Server-sent events, as browsers read them.
//!
//! Source: HTML Living Standard, "Server-sent events".

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

/// After so long without anything else something is sent, so that both ends and all between them know that the other lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Appends one event. `id` is what a reader says that begins again.
pub(crate) fn push<T: Serialize>(out: &mut Vec<u8>, id: Option<u64>, name: &str, data: &T) {
    // JSON has no line breaks of its own, and a Vec takes everything.
    if let Some(id) = id {
        let _never_fails = writeln!(out, "id: {id}");
    }
    let _never_fails = write!(out, "event: {name}\ndata: ");
    let _never_fails = serde_json::to_writer(&mut *out, data);
    out.extend(b"\n\n");
}

/// A sign of life without an event: up to here nothing has happened that was asked for.
pub(crate) fn heartbeat(seen: u64) -> Vec<u8> {
    format!("id: {seen}\n\n").into_bytes()
}

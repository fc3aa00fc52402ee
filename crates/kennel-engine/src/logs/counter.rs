//! What a run has written so far, for whoever wants to know without asking the recording thread.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;
use crate::receipt::millis;

/// How much a run has written and when it last did; counted by the recording thread, read by anybody.
///
/// The three are not read as one: who needs figures that agree reads them twice. They begin with the run, or with the
/// daemon that took it over.
#[derive(Debug)]
pub(crate) struct Counter {
    /// When something was last read of its output, milliseconds by [`crate::clock`]; the begin of the run until then.
    pub(crate) last_ms: AtomicU64,
    /// Bytes of output that were read, both streams together.
    pub(crate) bytes: AtomicU64,
    /// Bytes of these that are in no file: no room, or more than its limit allows.
    pub(crate) lost: AtomicU64,
}

impl Counter {
    /// One that has written nothing until now.
    pub(crate) fn new() -> Self {
        Self { last_ms: AtomicU64::new(now_ms()), bytes: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    /// Something was written just now.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.touch();
    }

    /// So much of what was written is in no file.
    pub(crate) fn lose(&self, bytes: usize) {
        self.lost.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Silence counts from now on.
    pub(crate) fn touch(&self) {
        self.last_ms.store(now_ms(), Ordering::Relaxed);
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

fn now_ms() -> u64 {
    millis(clock::now())
}

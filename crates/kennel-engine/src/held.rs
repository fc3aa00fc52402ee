//! Processes that are held until it is known how they ended, though it is their own parent that reaps them.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use kennel_sys::{pidfd, wait};
use kennel_wire::Exit;

/// Most that are held at a time, over all stops: a descriptor each, of a limit that is often 1,024.
const MOST: usize = 256;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// One process, alive when it was taken hold of.
#[derive(Debug)]
pub(crate) struct Held(OwnedFd);

impl Held {
    /// Keeps the descriptor, unless there are too many already.
    pub(crate) fn new(pidfd: OwnedFd) -> Option<Self> {
        // Counted before it is known whether it is one too many; dropping it counts it out again.
        let held = Self(pidfd);
        (HELD.fetch_add(1, Ordering::Relaxed) < MOST).then_some(held)
    }

    /// How it ended; `None` as long as it is not reaped, and on a kernel that does not tell.
    pub(crate) fn exit(&self) -> Option<Exit> {
        Some(match pidfd::exit(&self.0)? {
            wait::Exit::Code(code) => Exit::Code { code },
            wait::Exit::Signal(signal) => Exit::Signal { signal },
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

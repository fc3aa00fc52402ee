//! Low descriptors in which a new process finds what it is to keep.
//!
//! A process that holds thousands of descriptors, as one with hundreds of services does, would have each child copy
//! the whole table and close it again at exec. Instead the child shares the table, and its first step takes a copy
//! of the lower end alone (`close_range` with `CLOSE_RANGE_UNSHARE`), where its own have been laid before the clone.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Most descriptors that a new process can be given this way.
const SLOTS: i32 = 8;

/// Slots that hold the null device between two starts, so that nobody else gets their numbers.
#[derive(Debug)]
pub(super) struct Window {
    null: OwnedFd,
    slots: Vec<OwnedFd>,
}

impl Window {
    /// Takes the slots, at the lowest numbers that are free. `None` on a kernel without `close_range` (before 5.9).
    pub(super) fn new() -> io::Result<Option<Self>> {
        // SAFETY: closes nothing, for no descriptor has this number.
        let known = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) } == 0;
        if !known {
            return Ok(None);
        }
        let null: OwnedFd = File::open("/dev/null")?.into();
        // Above all targets, so that none is overwritten before its turn.
        let slots = (0..SLOTS).map(|_| Ok(rustix::io::fcntl_dupfd_cloexec(&null, SLOTS)?));
        let slots = slots.collect::<io::Result<_>>()?;
        Ok(Some(Self { null, slots }))
    }

    /// Lays these descriptors into the slots; answers with the slots' numbers. `None`: they are too many.
    pub(super) fn lay(&mut self, fds: &[BorrowedFd<'_>]) -> io::Result<Option<Vec<i32>>> {
        if fds.len() > self.slots.len() {
            return Ok(None);
        }
        for (fd, slot) in fds.iter().zip(&mut self.slots) {
            rustix::io::dup3(fd, slot, rustix::io::DupFlags::CLOEXEC)?;
        }
        Ok(Some(self.slots.iter().take(fds.len()).map(AsRawFd::as_raw_fd).collect()))
    }

    /// Lets go of what was laid: the end of a pipe must not stay open here.
    pub(super) fn clear(&mut self, count: usize) {
        for slot in self.slots.iter_mut().take(count) {
            // Cannot fail for two descriptors that are open.
            let _open = rustix::io::dup3(&self.null, slot, rustix::io::DupFlags::CLOEXEC);
        }
    }

    /// The first number that is above all slots.
    pub(super) fn end(&self) -> u32 {
        self.slots.iter().map(|slot| slot.as_raw_fd().unsigned_abs() + 1).max().unwrap_or(0)
    }
}

//! Children for the probes: copies of this process that do one thing and end.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::process::{Side, exit_now, fork};
use crate::{pidfd, wait};

/// Longest time any child is waited for before it is killed.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A child that is not reaped yet.
#[derive(Debug)]
#[must_use = "only `end` reaps it"]
pub(super) struct Child {
    pub(super) pid: u32,
    pub(super) fd: OwnedFd,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal, or because the time was over.
    Killed,
}

/// Copies this process; the copy ends with the code that `body` answers. `None` where that cannot be done.
pub(super) fn child(body: impl FnOnce() -> u8) -> Option<Child> {
    match fork().ok()? {
        Side::Parent(pid) => match pidfd::open(pid) {
            Ok(fd) => Some(Child { pid, fd }),
            Err(_) => {
                // Ends by itself, as all of them do.
                let _reaped = wait::reap(pid, true);
                None
            }
        },
        Side::Child => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            exit_now(code.map_or(101, i32::from));
        }
    }
}

impl Child {
    /// Waits for its end, kills it when the time is over, and reaps it. Gives the descriptor back, for questions
    /// about a process that is reaped.
    pub(super) fn end(self) -> (OwnedFd, Ended) {
        let by_itself = self.ends_within(PATIENCE);
        if !by_itself {
            let _gone = pidfd::send_signal(&self.fd, libc::SIGKILL);
        }
        let exit = wait::reap(self.pid, true).ok().flatten().map(|reaped| reaped.exit);
        match exit {
            Some(wait::Exit::Code(code)) if by_itself => (self.fd, Ended::Code(code)),
            _ => (self.fd, Ended::Killed),
        }
    }

    /// Kills it by its own descriptor, and reaps it.
    pub(super) fn kill(self) {
        let _gone = pidfd::send_signal(&self.fd, libc::SIGKILL);
        let _ended = self.end();
    }

    /// Whether it has ended, reaped or not, within this time.
    pub(super) fn ends_within(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).ok();
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, limit.as_ref())).is_ok_and(|count| count > 0)
    }
}

/// Asks for a clone with arguments that no kernel takes: one that knows the call says what is wrong with them.
pub(super) fn has_clone3() -> bool {
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: a size of 0 is refused before the arguments are looked at, so nothing is cloned and nothing is read.
    let rc = unsafe { libc::syscall(libc::SYS_clone3, none, 0_usize) };
    rc == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

/// Whether the kernel gives a file handle for a pidfd.
///
/// Source: `name_to_handle_at(2)`; the answer without room for a handle is `EOVERFLOW`.
pub(super) fn has_handle(pidfd: OwnedFd) -> bool {
    // Size of the room for the handle, its type, and no room.
    let mut handle = [0_u32; 2];
    let mut mount = 0;
    // SAFETY: `handle` is a `struct file_handle` without any bytes behind it, which is what its first field says, so
    // the kernel writes those two fields at most; the path is an empty string, and both pointers outlive the call.
    let rc = unsafe {
        libc::name_to_handle_at(
            pidfd.as_raw_fd(),
            c"".as_ptr(),
            handle.as_mut_ptr().cast(),
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    rc == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EOVERFLOW)
}

/// Gives this process, or the children to come, namespaces of their own; whether that is allowed.
pub(super) fn unshare(user: bool, pid: bool) -> bool {
    let flags = if user { libc::CLONE_NEWUSER } else { 0 } | if pid { libc::CLONE_NEWPID } else { 0 };
    // SAFETY: changes what this process belongs to and no memory of it.
    unsafe { libc::unshare(flags) == 0 }
}

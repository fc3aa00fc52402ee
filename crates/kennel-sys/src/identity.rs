//! Which process is meant, for later: a number alone may belong to another process by then.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use crate::{pidfd, proc};

/// A process, as far as the machine can tell it from every other until the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot. With the number alone it can be the same for two processes that
    /// follow each other within one tick.
    pub start_ticks: u64,
    /// Inode of its pidfd, never used twice; 0 where the kernel has no pidfs (before 6.9).
    pub inode: u64,
}

/// `PID_FS_MAGIC` of `linux/magic.h`. Before pidfs all pidfds shared one anonymous inode, which says nothing.
const PIDFS: u64 = 0x5049_4446;

impl Identity {
    /// What can be told of the process behind `pidfd`, which has the number `pid`.
    ///
    /// # Errors
    /// `NotFound` if it is reaped.
    pub fn read(pid: u32, pidfd: impl AsFd) -> io::Result<Self> {
        let start_ticks = proc::stat(pid).ok_or(io::ErrorKind::NotFound)?.start_ticks;
        // Still there, so the number was still its own when the time was read.
        pidfd::send_signal(&pidfd, 0).or_else(|error| match error.raw_os_error() {
            Some(libc::EPERM) => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        })?;
        Ok(Self::known(pid, start_ticks, pidfd))
    }

    /// Of the process behind `pidfd`, whose number and start the caller has read while it could not be reaped.
    pub fn known(pid: u32, start_ticks: u64, pidfd: impl AsFd) -> Self {
        Self { pid, start_ticks, inode: inode(pidfd) }
    }

    /// Opens the process if it is still this one.
    ///
    /// # Errors
    /// `NotFound` if there is none with that number, `InvalidData` if it is another one.
    pub fn open(&self) -> io::Result<OwnedFd> {
        let fd = pidfd::open(self.pid).map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => io::ErrorKind::NotFound.into(),
            _ => error,
        })?;
        if Self::read(self.pid, &fd)? == *self { Ok(fd) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Name of this boot: process ids, start times and inodes of pidfds hold within one.
///
/// # Errors
/// What reading `/proc/sys/kernel/random/boot_id` says.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

/// Inode of a pidfd where that tells processes apart, else 0.
fn inode(pidfd: impl AsFd) -> u64 {
    // One kernel answers the same for all.
    static HAS_PIDFS: OnceLock<bool> = OnceLock::new();
    let asked = || rustix::fs::fstatfs(&pidfd).is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|it| it == PIDFS));
    if *HAS_PIDFS.get_or_init(asked) { rustix::fs::fstat(&pidfd).map_or(0, |stat| stat.st_ino) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone_args::CloneArgs;

    #[test]
    fn another_process_with_the_number_is_refused() {
        let child = crate::spawn::tests::start(&["sleep", "600"]).unwrap();
        let identity = Identity::read(child.pid, &child.pidfd).unwrap();
        assert!(identity.open().is_ok());
        let later = Identity { start_ticks: identity.start_ticks + 1, ..identity };
        assert_eq!(later.open().unwrap_err().kind(), io::ErrorKind::InvalidData);
        if identity.inode != 0 {
            let other = Identity { inode: identity.inode + 1, ..identity };
            assert_eq!(other.open().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        pidfd::send_signal(&child.pidfd, libc::SIGKILL).unwrap();
        crate::wait::reap(child.pid, true).unwrap();
        assert_eq!(identity.open().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A child with a number that is free, which only waits for its end. Source: `clone(2)`, `set_tid`.
    fn with_number(pid: u32) -> io::Result<OwnedFd> {
        let wanted = [i32::try_from(pid).unwrap()];
        let mut args = CloneArgs {
            exit_signal: u64::try_from(libc::SIGCHLD).unwrap(),
            set_tid: wanted.as_ptr().addr() as u64,
            set_tid_size: 1,
            ..CloneArgs::default()
        };
        // SAFETY: as `fork`: nothing is shared, and the child makes system calls only. `args` outlives the call.
        match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) } {
            -1 => Err(io::Error::last_os_error()),
            0 => loop {
                // SAFETY: takes nothing.
                unsafe { libc::pause() };
            },
            _ => pidfd::open(pid),
        }
    }

    /// So many strangers with equal number and start time are to be refused.
    const EQUAL: u32 = 5;

    // covers: E9
    #[test]
    fn a_stranger_with_number_and_start_time_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // Both have to be born within one tick of ten milliseconds, which a busy machine does not give each time.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let mut equal = 0;
        while equal < EQUAL && std::time::Instant::now() < end {
            let child = crate::spawn::tests::start(&["true"]).unwrap();
            let identity = Identity::read(child.pid, &child.pidfd);
            crate::wait::reap(child.pid, true).unwrap();
            let Ok(identity) = identity else { continue };
            // Taken by somebody else on this machine: another try.
            let Ok(stranger) = with_number(child.pid) else { continue };
            let now = Identity::read(child.pid, &stranger).unwrap();
            if now.start_ticks == identity.start_ticks && identity.inode != 0 {
                equal += 1;
            }
            let opened = identity.open().map(drop).map_err(|error| error.kind());
            pidfd::send_signal(&stranger, libc::SIGKILL).unwrap();
            crate::wait::reap(child.pid, true).unwrap();
            if identity.inode != 0 || now.start_ticks != identity.start_ticks {
                assert_eq!(opened, Err(io::ErrorKind::InvalidData));
            } else {
                // Without pidfs nothing tells two apart that follow each other within one tick.
                return;
            }
        }
        assert_eq!(equal, EQUAL, "so many had the same start time");
    }
}

//! Process identity: descriptors that name a process, not its number.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::wait::Exit;

/// Opens the process that has `pid` now. What it is must be checked *after* this, through `/proc` or [`info`]:
/// a descriptor taken first makes the check hold.
///
/// # Errors
/// `ESRCH` if there is none, `EMFILE` if this process may open no more, `InvalidInput` for 0.
///
/// Source: `pidfd_open(2)`, Linux 5.3.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends `signal` to the process that `pidfd` refers to; 0 only asks whether it could be sent.
///
/// Never hits a recycled process id. Success for a zombie.
///
/// # Errors
/// `ESRCH` once it is reaped, `EPERM` if it runs as another user, `EINVAL` if the kernel does not know `signal`.
///
/// Source: `pidfd_send_signal(2)`, Linux 5.1.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: `pidfd` is borrowed, so it stays open for the call. A null `siginfo_t` asks the kernel to fill it in
    // as kill(2) does, so no memory of ours is read or kept.
    let rc = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, 0_u32) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends `SIGKILL` to every process of the user `uid` but this one, in one step that no fork outruns. Before that this
/// process takes on that user for good, after which it may signal nobody else: so it is for a copy that ends next.
///
/// # Errors
/// `InvalidInput` for root, `PermissionDenied` if rights over others are left after the change of user, and nothing
/// is sent then; `EPERM` if the user cannot be taken on, `ESRCH` if there is no process of that user.
///
/// Source: `kill(2)`: with -1 every process that the caller may signal, except itself and the first one.
pub fn kill_all_as(uid: u32) -> io::Result<()> {
    if uid == 0 || uid == u32::MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: takes numbers alone. This process has a single thread, so nobody keeps the old user.
    if unsafe { libc::setresuid(uid, uid, uid) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: three live numbers for the kernel to fill.
    let rc = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    // Some settings keep capabilities over a change of user, and then this would reach the whole machine.
    let rights = rustix::thread::capabilities(None)?.effective;
    if rc != 0 || [real, effective, saved] != [uid; 3] || !rights.is_empty() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // SAFETY: takes numbers alone, and reaches those only that this user may signal.
    if unsafe { libc::kill(-1, libc::SIGKILL) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the process has ended, reaped or not. Does not wait.
///
/// # Errors
/// What `poll(2)` says.
pub fn has_exited(pidfd: impl AsFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match rustix::event::poll(&mut fds, Some(&now)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What the kernel tells of a process through its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Process id in our namespace; 0 once it is reaped.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Inode of its cgroup v2 directory, if told.
    pub cgroup_id: Option<u64>,
    /// Wait status as `waitpid(2)` has it, once it is reaped, if the kernel keeps it.
    pub wait_status: Option<i32>,
}

const WANT_CGROUP: u64 = 1 << 2;
const WANT_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)` with the 64-byte struct of its first version, which every later kernel takes.
const PIDFD_GET_INFO: u64 = 0xC040_FF0B;

/// `struct pidfd_info`, version 0.
#[repr(C)]
#[derive(Default)]
struct RawInfo {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

const _: () = assert!(size_of::<RawInfo>() == 64);

/// Asks the kernel about a process.
///
/// # Errors
/// `EINVAL` or `ENOTTY` on a kernel without it (before 6.13), `ESRCH` once it is reaped and nothing is kept.
///
/// Source: `PIDFD_GET_INFO` in `linux/pidfd.h`, Linux 6.13; exit status 6.15.
pub fn info(pidfd: impl AsFd) -> io::Result<Info> {
    let mut raw = RawInfo { mask: WANT_CGROUP | WANT_EXIT, ..RawInfo::default() };
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: `raw` is a live 64-byte struct of the layout whose size the request number carries; the kernel writes
    // no more than that size. The descriptor stays open for the call.
    let rc = unsafe { libc::ioctl(fd, PIDFD_GET_INFO as _, &raw mut raw) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Info {
        pid: raw.pid,
        ppid: raw.ppid,
        cgroup_id: (raw.mask & WANT_CGROUP != 0).then_some(raw.cgroup_id),
        wait_status: (raw.mask & WANT_EXIT != 0).then_some(raw.exit_code),
    })
}

/// How a process ended that somebody else reaped, if the descriptor was open before that; `None` as long as it is not
/// reaped, and on a kernel that does not tell (before 6.15).
#[must_use]
pub fn exit(pidfd: impl AsFd) -> Option<Exit> {
    let status = info(pidfd).ok()?.wait_status?;
    Some(if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_until_it_is_reaped() {
        let child = crate::spawn::tests::start(&["sleep", "600"]).unwrap();
        let fd = open(child.pid).unwrap();
        send_signal(&fd, 0).unwrap();
        assert!(!has_exited(&fd).unwrap());
        if let Ok(info) = info(&fd) {
            assert_eq!((info.pid, info.ppid), (child.pid, std::process::id()));
        }
        assert_eq!(exit(&fd), None);
        send_signal(&fd, libc::SIGKILL).unwrap();
        let reaped = crate::wait::reap(child.pid, true).unwrap().unwrap();
        assert_eq!(reaped.exit, crate::wait::Exit::Signal(libc::SIGKILL));
        assert!(has_exited(&fd).unwrap());
        assert!([None, Some(reaped.exit)].contains(&exit(&fd)));
        assert_eq!(send_signal(&fd, 0).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn root_is_never_killed_as_a_whole() {
        for uid in [0, u32::MAX] {
            assert_eq!(kill_all_as(uid).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_signal_that_is_none_is_refused() {
        let me = open(std::process::id()).unwrap();
        assert_eq!(send_signal(&me, 4711).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}

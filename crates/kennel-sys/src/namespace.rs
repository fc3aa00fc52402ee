//! A PID namespace and its first process.
//!
//! What that process does not outlive: everything in the namespace is killed by the kernel when it ends, and it can
//! only be reaped after all of that is gone. Source: `pid_namespaces(7)`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::Signal;
use rustix::thread::CapabilitySet;

use crate::clone_args::CloneArgs;
use crate::proc::{self, Stat};
use crate::process::require_single_thread;

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_NEWPID: u64 = 0x2000_0000;

/// Which namespaces the first process gets beside that of process ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// Mounts.
    pub mounts: bool,
}

/// Side of a [`fork_init`].
#[derive(Debug)]
pub enum Born {
    /// The first process of the new namespace.
    Init(Newborn),
    /// The old one, with the id of the new one as it is here.
    Parent(u32),
}

/// Whether this process needs a user namespace to make any other: it lacks `CAP_SYS_ADMIN`.
#[must_use]
pub fn needs_user_namespace() -> bool {
    rustix::thread::capabilities(None).map_or(true, |sets| !sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Copies this process, the copy being the first of a new PID namespace, and of a new user namespace where there is
/// no other way.
///
/// # Errors
/// `EPERM`, `ENOSPC`, `EUSERS` or `EINVAL` where namespaces are not allowed, used up, too deep or not built in;
/// else as [`crate::process::fork`].
///
/// Source: `clone(2)`, `user_namespaces(7)`.
pub fn fork_init(namespaces: Namespaces) -> io::Result<Born> {
    require_single_thread()?;
    let ids =
        needs_user_namespace().then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    let mut flags = CLONE_NEWPID;
    if ids.is_some() {
        flags |= CLONE_NEWUSER;
    }
    if namespaces.mounts {
        flags |= CLONE_NEWNS;
    }
    let mut args = CloneArgs { flags, exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    // SAFETY: without a new stack and without shared memory this returns twice, as `fork` does. This is the only
    // thread, so no lock is held by anybody else and the copy is complete; nothing was registered to run at a fork.
    // What the C library keeps of the thread's number is stale in the copy, as after any clone of one's own; it is
    // used for locks shared with other threads, of which there are none.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) } {
        0 => Ok(Born::Init(Newborn { ids })),
        pid @ 1.. => Ok(Born::Parent(u32::try_from(pid).unwrap_or(0))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A first process that is not set up yet.
#[derive(Debug)]
pub struct Newborn {
    /// User and group to be in the new user namespace, if there is one.
    ids: Option<(u32, u32)>,
}

impl Newborn {
    /// Has the kernel kill this process when its parent ends, and everything in the namespace with it.
    ///
    /// `parent` is readable once it has ended, which may have been before this: `getppid` tells nothing here, for
    /// the parent has no number in this namespace.
    ///
    /// # Errors
    /// `NotFound` if the parent has ended.
    ///
    /// Source: `PR_SET_PDEATHSIG(2const)`: bound to the thread that forked; cleared by a change of credentials, of
    /// which there is none after this.
    pub fn end_with(&self, parent: impl AsFd) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if crate::pidfd::has_exited(parent)? { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    /// Becomes itself again where it has a new user namespace: until then it is nobody there. Then takes hold of the
    /// `/proc` of the old namespace, and with it of the numbers that are understood there.
    ///
    /// # Errors
    /// `EPERM` where user namespaces are allowed and of no use.
    ///
    /// Source: `user_namespaces(7)`: groups cannot be set any more, else an ordinary user could shed one that it is
    /// kept out of something by.
    pub fn settle(self) -> io::Result<Init> {
        if let Some((uid, gid)) = self.ids {
            std::fs::write("/proc/self/setgroups", "deny")?;
            std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
            std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Init { proc: rustix::fs::open("/proc", flags, Mode::empty())? })
    }
}

/// This process as the first of a PID namespace.
#[derive(Debug)]
pub struct Init {
    /// `/proc` as it is outside.
    proc: OwnedFd,
}

impl Init {
    /// Mounts a `/proc` of this namespace over the old one, here alone.
    ///
    /// # Errors
    /// `EPERM` where the old one is not complete, as in most containers: the new one would show what was hidden.
    pub fn mount_proc(&self) -> io::Result<()> {
        // Nothing mounted here may be seen outside, for the old tree may be shared.
        rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        Ok(rustix::mount::mount("proc", "/proc", "proc", flags, None)?)
    }

    /// Sends a signal to everything in the namespace but this process, at once: nothing that is being forked
    /// meanwhile is missed.
    ///
    /// # Errors
    /// `ESRCH` if there is nothing; `EPERM` if none of it may be signalled.
    ///
    /// Source: `kill(2)`; a fork in whose parent a signal is pending starts over.
    pub fn signal_all(&self, signal: i32) -> io::Result<()> {
        // Only the first process of a namespace ever has this type. Still, nothing may go wrong here.
        if std::process::id() != 1 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: passes numbers only. The process is the first of a namespace that was made for it, so "all" ends
        // at what was started in there.
        let rc = unsafe { libc::kill(-1, signal) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The number that a process of this namespace has outside; also of a zombie.
    ///
    /// # Errors
    /// `NotFound` once it is reaped.
    ///
    /// Source: `pidfd_open(2)`, `proc_pid_fdinfo(5)`: `Pid` is as the `/proc` that is read sees it.
    pub fn outside(&self, pidfd: impl AsFd) -> io::Result<u32> {
        let text = self.read(&format!("self/fdinfo/{}", pidfd.as_fd().as_raw_fd()))?;
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Pid:"));
        let number = line.and_then(|value| std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok());
        number.filter(|pid| *pid > 0).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What `/proc/PID/stat` says, by the number outside; `None` once it is gone.
    #[must_use]
    pub fn stat(&self, outside: u32) -> Option<Stat> {
        proc::parse_stat(&self.read(&format!("{outside}/stat")).ok()?)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let fd = rustix::fs::openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut buffer = [0; 2048];
        let length = rustix::io::read(&fd, &mut buffer)?;
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    }
}

impl AsFd for Init {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.proc.as_fd()
    }
}

//! Learning how children ended: the only `wait*` calls of kennel.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::{WaitId, WaitIdOptions};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit code.
    Code(i32),
    /// Signal number.
    Signal(i32),
}

impl Exit {
    /// From a wait status. Source: `waitpid(2)`.
    #[must_use]
    pub fn of_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(libc::WEXITSTATUS(status))
        }
    }
}

/// What happened to a child that [`peek`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It ended and waits to be reaped.
    Ended,
    /// It was stopped; only with `stops`. Consumed by [`forget_stop`].
    Stopped,
}

/// A reaped child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its process id, free for another process from now on.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
    /// User plus system CPU time of it and of the children it waited for, microseconds.
    pub cpu_us: u64,
    /// Peak resident set of the largest of these processes, bytes.
    pub max_rss_bytes: u64,
}

/// A child with news, without reaping it: while it is a zombie its id and its cgroup can still be read.
///
/// `Ok(None)`: there are children, none with news.
///
/// # Errors
/// `ECHILD`: there is no child at all.
pub fn peek(stops: bool) -> io::Result<Option<(u32, News)>> {
    let mut options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if stops {
        options |= WaitIdOptions::STOPPED;
    }
    // rustix hides the process id of the result, so the call is made here.
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = options.bits().cast_signed();
    loop {
        // SAFETY: `info` is a live, zeroed `siginfo_t` for the kernel to fill.
        let rc = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) };
        if rc == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: all-zero is a valid `siginfo_t`, and the kernel wrote into it or left it alone.
    let info = unsafe { info.assume_init() };
    // SAFETY: `waitid` fills the SIGCHLD variant of the union, or nothing, and then the field is zero.
    let pid = unsafe { info.si_pid() };
    let news = if info.si_code == libc::CLD_STOPPED { News::Stopped } else { News::Ended };
    Ok((pid > 0).then_some((pid.cast_unsigned(), news)))
}

/// Takes the notice that the child `pid` was stopped.
///
/// # Errors
/// `ECHILD` if it is no child of ours.
pub fn forget_stop(pid: u32) -> io::Result<()> {
    if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)?;
    }
    Ok(())
}

/// Reaps the child `pid` if it has ended; `block` waits for that.
///
/// # Errors
/// `ECHILD` if it is no child of ours.
///
/// Source: `wait4(2)`, `getrusage(2)`: `ru_maxrss` is in KiB.
pub fn reap(pid: u32, block: bool) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let flags = if block { 0 } else { libc::WNOHANG };
    let pid = loop {
        // SAFETY: both pointers are to live memory of the right type for the kernel to fill.
        let rc = unsafe { libc::wait4(pid.cast_signed(), &raw mut status, flags, usage.as_mut_ptr()) };
        match rc {
            0 => return Ok(None),
            1.. => break rc.cast_unsigned(),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    // SAFETY: all-zero is a valid `rusage`, and the kernel has overwritten it.
    let usage = unsafe { usage.assume_init() };
    let exit = Exit::of_status(status);
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Ok(Some(Reaped {
        pid,
        exit,
        cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    }))
}

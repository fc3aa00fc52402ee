//! Signals: names and numbers, and reading them from a descriptor instead of a handler.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// Names by number, without `SIG`.
///
/// Source: `signal(7)`; the numbers are those of x86, ARM and most others.
const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

/// Highest signal number of Linux.
pub const MAX: i32 = 64;

/// Number of a signal from `SIGTERM`, `TERM`, `term` or `15`; real-time ones as `SIGRTMIN+3` or by number.
///
/// `None` for anything else; nothing is guessed.
#[must_use]
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=MAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = short.strip_prefix("RTMIN") {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? };
        let number = libc::SIGRTMIN().checked_add(offset)?;
        return (offset >= 0 && number <= MAX).then_some(number);
    }
    let short = if short == "POLL" { "IO" } else { short };
    NAMES.iter().find(|(name, _)| *name == short).map(|(_, number)| *number)
}

/// Name of a signal, for example `SIGTERM` or `SIGRTMIN+3`; a number that is none as `signal 99`.
#[must_use]
pub fn name(number: i32) -> String {
    if let Some((name, _)) = NAMES.iter().find(|(_, known)| *known == number) {
        return format!("SIG{name}");
    }
    let first = libc::SIGRTMIN();
    match number - first {
        0 => "SIGRTMIN".to_owned(),
        offset if offset > 0 && number <= MAX => format!("SIGRTMIN+{offset}"),
        _ => format!("signal {number}"),
    }
}

/// Whether a process that gets this signal stops instead of acting, so that continuing it would undo the request.
#[must_use]
pub fn stops(number: i32) -> bool {
    [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&number)
}

/// Gives `signal` its default action in this process. A parent may have left it ignored, and an ignored `SIGCHLD`
/// makes children vanish unreaped.
///
/// # Errors
/// `EINVAL` for a signal that has no other action.
pub fn set_default(signal: i32) -> io::Result<()> {
    // SAFETY: installs no handler, so no code of ours can run at a bad time.
    let before = unsafe { libc::signal(signal, libc::SIG_DFL) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Signals of this thread that are blocked and read from a descriptor.
///
/// Blocked signals are inherited by children: `spawn` clears the mask before it executes anything.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` in the calling thread and opens a non-blocking descriptor for them.
    ///
    /// # Errors
    /// What `sigprocmask(2)` and `signalfd(2)` say.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is writable memory of the right type; the call initialises all of it.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: `set` is initialised; an unknown number is an error that leaves it alone.
            unsafe { libc::sigaddset(&raw mut set, *signal) };
        }
        // SAFETY: `set` is initialised and outlives the call; the old mask is not asked for.
        if unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `set` is initialised and only read.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Blocks everything that can be blocked, so that only `SIGKILL` and `SIGSTOP` still reach this thread.
    ///
    /// # Errors
    /// As [`SignalFd::new`].
    pub fn all() -> io::Result<Self> {
        let every: Vec<i32> = (1..=MAX).collect();
        Self::new(&every)
    }

    /// Takes everything that is pending; bit `n - 1` is signal `n`. Several of one signal count once.
    ///
    /// # Errors
    /// What `read(2)` says; nothing pending is no error.
    pub fn take(&self) -> io::Result<u64> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut pending = 0;
        let mut buffer = [0_u8; SIZE * 8];
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(bytes) => {
                    for info in buffer.get(..bytes).unwrap_or_default().chunks_exact(SIZE) {
                        // `ssi_signo` is the first field of `struct signalfd_siginfo`.
                        let number = info.first_chunk::<4>().map_or(0, |first| u32::from_ne_bytes(*first));
                        if (1..=64).contains(&number) {
                            pending |= 1 << (number - 1);
                        }
                    }
                    if bytes < buffer.len() {
                        return Ok(pending);
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(pending),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for number in 1..=MAX {
            if number == 32 || number == 33 {
                continue; // Used by the C library itself.
            }
            let name = name(number);
            assert_eq!(parse(&name), Some(number), "{name}");
            assert_eq!(parse(&number.to_string()), Some(number));
            assert_eq!(parse(name.trim_start_matches("SIG")), Some(number));
            assert_eq!(parse(&name.to_lowercase()), Some(number));
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in ["", "0", "65", "-1", "SIG", "SIGTERMX", "RTMIN-1", "RTMIN+99", "TERM ", "9x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_blocked_signal_is_read() {
        let fd = SignalFd::new(&[libc::SIGURG]).unwrap();
        assert_eq!(fd.take().unwrap(), 0);
        // SAFETY: sends a signal that this thread has blocked to this thread itself.
        unsafe { libc::raise(libc::SIGURG) };
        assert_eq!(fd.take().unwrap(), 1 << (libc::SIGURG - 1));
    }
}

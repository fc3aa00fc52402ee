//! The few system calls the shapes are made of. The program has one thread unless a shape says otherwise, so a
//! forked child may go on in Rust.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit};

/// Ends the program with what went wrong; a shape that is not as promised would make a test pass for nothing.
pub(crate) fn fail(what: &str, error: impl std::fmt::Display) -> ! {
    eprintln!("kennel-badchild: {what}: {error}");
    std::process::exit(70)
}

pub(crate) fn set_soft_limit(resource: Resource, value: u64) {
    let maximum = rustix::process::getrlimit(resource).maximum;
    set_limit(resource, Rlimit { current: Some(value), maximum });
}

pub(crate) fn set_hard_limit(resource: Resource, value: u64) {
    set_limit(resource, Rlimit { current: Some(value), maximum: Some(value) });
}

fn set_limit(resource: Resource, limit: Rlimit) {
    if let Err(error) = rustix::process::setrlimit(resource, limit) {
        fail("setrlimit", error);
    }
}

/// Whether this process leads its session. Not rustix's `getsid`: a leader outside of this PID namespace has the
/// number 0, which its `Pid` cannot hold.
pub(crate) fn leads_session() -> bool {
    // SAFETY: `getsid` takes a number and answers with one.
    let session = unsafe { libc::getsid(0) };
    session == rustix::process::getpid().as_raw_pid()
}

/// Begins a session whose controlling terminal is our standard input.
pub(crate) fn take_terminal() {
    if let Err(error) = rustix::process::setsid() {
        fail("setsid", error);
    }
    if let Err(error) = rustix::process::ioctl_tiocsctty(std::io::stdin()) {
        fail("TIOCSCTTY", error);
    }
}

/// Forks; the child runs `body` and ends. Returns the child's process id.
pub(crate) fn fork(body: impl FnOnce()) -> i32 {
    // SAFETY: the caller's process has one thread, so the child holds no lock that another thread would release.
    match unsafe { libc::fork() } {
        -1 => fail("fork", std::io::Error::last_os_error()),
        0 => {
            body();
            leave(0)
        }
        pid => pid,
    }
}

/// Waits for one child by its process id.
pub(crate) fn wait_for(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` outlives the call, which writes nothing else.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return;
        }
    }
}

/// Sleeps until a signal ends the process.
pub(crate) fn forever() -> ! {
    loop {
        // SAFETY: takes no arguments and touches no memory.
        unsafe { libc::pause() };
    }
}

/// Ends the process at once, running no handlers of the runtime: all that is safe in a signal handler.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

extern "C" fn exit_ok(_: i32) {
    leave(0);
}

/// The signal makes the process exit with 0.
pub(crate) fn exits_on(signal: i32) {
    handle(signal, exit_ok as extern "C" fn(i32) as usize);
}

pub(crate) fn ignore(signal: i32) {
    handle(signal, libc::SIG_IGN);
}

pub(crate) fn by_default(signal: i32) {
    handle(signal, libc::SIG_DFL);
}

/// `handler` is `SIG_IGN`, `SIG_DFL` or a function that only makes async-signal-safe calls.
pub(crate) fn handle(signal: i32, handler: usize) {
    // SAFETY: an all-zero `sigaction` is a valid one: no flags, empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` outlives the call; the old action is not asked for.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
        fail("sigaction", std::io::Error::last_os_error());
    }
}

/// How descendants tell the main process that they are in place: one byte each.
pub(crate) struct Muster {
    read: File,
    write: File,
}

impl Muster {
    pub(crate) fn new() -> Self {
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (read, write): (OwnedFd, OwnedFd) = pipe.unwrap_or_else(|error| fail("pipe", error));
        Self { read: read.into(), write: write.into() }
    }

    /// Called by a descendant.
    pub(crate) fn here(&self) {
        if let Err(error) = (&self.write).write_all(b"+") {
            fail("muster", error);
        }
    }

    /// Called by the main process: waits for that many, then says `up`.
    pub(crate) fn up(self, expected: usize) {
        self.wait(expected);
        say_up();
    }

    pub(crate) fn wait(self, expected: usize) {
        drop(self.write);
        let mut seen = vec![0; expected];
        if let Err(error) = (&self.read).read_exact(&mut seen) {
            fail("a descendant is not in place", error);
        }
    }
}

/// Announces readiness, whole and at once.
pub(crate) fn say_up() {
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(b"up\n").and_then(|()| out.flush()) {
        fail("stdout", error);
    }
}

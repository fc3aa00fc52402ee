//! The few system calls the shapes are made of. The program has one thread unless a shape says otherwise, so a
//! forked child may go on in Rust.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, Uid};

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

/// Begins a session without a terminal.
pub(crate) fn new_session() {
    if let Err(error) = rustix::process::setsid() {
        fail("setsid", error);
    }
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

/// Makes a child that shares our memory, and waits in the kernel until it has exited or executed something.
///
/// `body` runs beside us in our memory: it makes a system call and nothing else. `flags` are those of `clone(2)`.
/// Answers whether there was a child.
pub(crate) fn vfork(flags: i32, body: extern "C" fn(*mut libc::c_void) -> i32) -> bool {
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0_u8; STACK];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | flags;
    // The stack grows down from an aligned address.
    let top = (stack.as_mut_ptr().expose_provenance() + STACK) & !15;
    // SAFETY: the stack is the child's alone until it has ended, and lives until then: the call returns no earlier.
    let child = unsafe { libc::clone(body, std::ptr::with_exposed_provenance_mut(top), flags, std::ptr::null_mut()) };
    child != -1
}

/// Becomes another program, this one by `/proc/self/exe`.
pub(crate) fn execute(program: &CStr, arguments: &[&str], with_environment: bool) -> ! {
    let arguments: Vec<CString> = arguments.iter().filter_map(|argument| CString::new(*argument).ok()).collect();
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    if with_environment {
        // SAFETY: the array ends with a null pointer and its strings live until the call has replaced us.
        unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    } else {
        let empty = [std::ptr::null()];
        // SAFETY: as above, for both arrays.
        unsafe { libc::execve(program.as_ptr(), pointers.as_ptr(), empty.as_ptr()) };
    }
    fail(&program.to_string_lossy(), std::io::Error::last_os_error())
}

/// Closes every descriptor.
pub(crate) fn close_everything() {
    // SAFETY: whoever calls this uses none of them any more.
    unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
}

/// All three user ids of this process.
pub(crate) fn become_user(uid: Uid) -> std::io::Result<()> {
    let uid = uid.as_raw();
    // SAFETY: takes numbers.
    match unsafe { libc::setresuid(uid, uid, uid) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Our number as `/proc` counts, which may be that of another PID namespace.
pub(crate) fn own_number() -> String {
    match std::fs::read_link("/proc/self") {
        Ok(number) => number.to_string_lossy().into_owned(),
        Err(error) => fail("/proc/self", error),
    }
}

/// Takes hold of a process that cannot have ended for good: whoever has to wait for it does not.
pub(crate) fn hold(pid: i32) -> OwnedFd {
    let held = Pid::from_raw(pid).map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
    match held {
        Some(Ok(held)) => held,
        other => fail("pidfd", format!("{pid}: {other:?}")),
    }
}

/// Signals a process, if it is still there.
pub(crate) fn signal(held: &OwnedFd, signal: Signal) {
    let _gone = rustix::process::pidfd_send_signal(held, signal);
}

/// Ends the calling thread alone, which owns nothing that another one uses.
pub(crate) fn end_thread() -> ! {
    // SAFETY: takes a number. The raw call: that of the C library would end the process with its first thread.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    forever()
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

/// A signal that is waited for, held back from its making on so that none is missed.
pub(crate) struct Awaited(libc::sigset_t);

impl Awaited {
    pub(crate) fn new(signal: i32) -> Self {
        // SAFETY: an all-zero set is memory that `sigemptyset` makes a set of.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` outlives the call.
        unsafe { libc::sigemptyset(&raw mut set) };
        // SAFETY: as above.
        unsafe { libc::sigaddset(&raw mut set, signal) };
        // SAFETY: as above, and the old mask is not asked for.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
            fail("sigprocmask", std::io::Error::last_os_error());
        }
        Self(set)
    }

    /// Sleeps until it has come.
    pub(crate) fn wait(self) {
        let mut signal = 0;
        // SAFETY: both outlive the call.
        if unsafe { libc::sigwait(&raw const self.0, &raw mut signal) } != 0 {
            fail("sigwait", "refused");
        }
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

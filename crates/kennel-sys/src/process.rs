//! What a process sets up for itself: session, subreaper, limits, a child without exec.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Resource, Rlimit};

/// The environment of this process; what is not UTF-8 cannot travel as JSON and is left out.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// From now on a panic of any thread ends this process by `SIGABRT`, after its message, instead of unwinding.
pub fn abort_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        std::process::abort()
    }));
}

/// Becomes leader of a session of its own, without a terminal.
///
/// # Errors
/// `EPERM` if the process leads a group already.
pub fn new_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Whether this process leads its session.
#[must_use]
pub fn leads_session() -> bool {
    // Not rustix's `getsid`: the number is 0 when the leader lives outside this PID namespace, which its `Pid` cannot hold.
    // SAFETY: `getsid` takes a number and answers with one.
    let session = unsafe { libc::getsid(0) };
    session == rustix::process::getpid().as_raw_pid()
}

/// Makes descendants whose parent dies children of this process.
///
/// # Errors
/// None known on Linux 3.4 and later.
///
/// Source: `PR_SET_CHILD_SUBREAPER(2const)`; not inherited by `fork`, kept over `execve`.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Raises the soft limit of open descriptors to the hard one; answers with what it was, for children.
///
/// # Errors
/// What `setrlimit(2)` says.
pub fn raise_nofile() -> io::Result<Nofile> {
    let before = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })?;
    Ok(Nofile { current: before.current, maximum: before.maximum })
}

/// Sets the limits of open descriptors to what [`raise_nofile`] has found.
///
/// # Errors
/// What `setrlimit(2)` says.
pub fn lower_nofile(before: Nofile) -> io::Result<()> {
    let Nofile { current, maximum } = before;
    Ok(rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum })?)
}

/// Has this thread wait for its turn when it is woken, instead of interrupting whoever runs.
///
/// # Errors
/// What `sched_setscheduler(2)` says; none is known.
///
/// Source: `sched(7)`, `SCHED_BATCH`.
pub fn never_interrupts() -> io::Result<()> {
    // SAFETY: all-zero is a valid `sched_param`, and 0 the only priority that this policy has.
    let priority: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: reads one live `sched_param`; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A limit of open descriptors; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nofile {
    /// Soft limit.
    pub current: Option<u64>,
    /// Hard limit.
    pub maximum: Option<u64>,
}

/// Side of a [`fork`].
#[derive(Debug)]
pub enum Side {
    /// The new process.
    Child,
    /// The old one, with the id of the new one.
    Parent(u32),
}

/// Copies this process.
///
/// # Errors
/// `EAGAIN` or `ENOMEM`; also `Unsupported` when this process has more than one thread: the copy would have only
/// the calling one, and locks that the others held would stay locked in it for good.
pub fn fork() -> io::Result<Side> {
    require_single_thread()?;
    // SAFETY: this is the only thread, so no lock is held by anybody else and the copy is complete.
    match unsafe { libc::fork() } {
        0 => Ok(Side::Child),
        pid @ 1.. => Ok(Side::Parent(pid.cast_unsigned())),
        _ => Err(io::Error::last_os_error()),
    }
}

pub(crate) fn require_single_thread() -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads == 1 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, "only a process with a single thread is copied"))
}

/// Ends this process at once: no destructor, no buffer flushed, which after a [`fork`] belong to the other side.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing of ours runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Ends the calling thread alone. As the main thread it leaves a process whose leader is gone, which some kernels
/// cannot kill through its cgroup: for tests of just that.
pub fn exit_thread() -> ! {
    loop {
        // SAFETY: ends this thread; nothing of ours runs on it afterwards, and nothing is freed that others use.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// Children of the calling thread, zombies included; complete as long as nobody reaps meanwhile.
///
/// # Errors
/// `NotFound` on a kernel built without it.
///
/// Source: `proc_tid_children(5)`.
pub fn children() -> io::Result<Vec<u32>> {
    let text = std::fs::read_to_string("/proc/thread-self/children")?;
    Ok(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Children of all threads of a process, zombies included; none once it is gone. Those that end meanwhile may make
/// others be missed.
#[must_use]
pub fn children_of(pid: u32) -> Vec<u32> {
    crate::proc::threads(pid).into_iter().flat_map(|thread| children_of_thread(pid, thread)).collect()
}

/// As [`children_of`], of one thread. One that has ended has none: its process's other threads got them.
///
/// Source: `proc_tid_children(5)`.
#[must_use]
pub fn children_of_thread(pid: u32, thread: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Waits, signals or not. Only for a process that has nothing else to do and nothing to wait for.
pub fn pause(time: std::time::Duration) {
    let Ok(span) = rustix::time::Timespec::try_from(time) else {
        return;
    };
    // An interruption only means that the caller looks earlier.
    let _rest = rustix::thread::nanosleep(&span);
}

/// Takes over the descriptor that a parent placed at `number`, and makes it close-on-exec.
///
/// To be called at the start, before anything else is opened, by the program whose contract says what is there: the
/// value owns the descriptor from then on.
///
/// # Errors
/// `EBADF` if nothing is open there, `AlreadyExists` if it was taken over before, `InvalidInput` for standard
/// descriptors and numbers from 64 on.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 64 { take(number) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// The same for all these, of any number, that the program before this one left open over [`replace`].
///
/// # Errors
/// As [`inherited`]. None is closed then, for who called this may still go back.
pub fn left_open(numbers: &[i32]) -> io::Result<Vec<OwnedFd>> {
    let mut taken = Vec::new();
    for number in numbers {
        match take(*number) {
            Ok(fd) => taken.push(fd),
            Err(error) => {
                taken.into_iter().for_each(std::mem::forget);
                return Err(error);
            }
        }
    }
    Ok(taken)
}

fn take(number: i32) -> io::Result<OwnedFd> {
    static TAKEN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
    if number < 3 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: only asks for flags; a number that is not open is an answer, not an access.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if !TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(number) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: open, as just seen; by the contract above nobody else's, and given away only once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Replaces the program of this process by the one that `program` is open on; children, session, cgroup, blocked and
/// pending signals stay. Of the descriptors only 0 to 2 and `keep` stay open, under their numbers, for [`left_open`].
/// Returns only if that fails, and then nothing has changed.
///
/// # Errors
/// `Unsupported` with more than one thread, which would vanish; what `execve(2)` says.
pub fn replace(program: BorrowedFd<'_>, argv: &[CString], env: &[CString], keep: &[BorrowedFd<'_>]) -> io::Error {
    if let Err(error) = require_single_thread().and_then(|()| cloexec_from(3)) {
        return error;
    }
    // The file itself, whatever its name is by now. It stays open as well: the interpreter of a script opens it.
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd())) else {
        return io::ErrorKind::InvalidInput.into();
    };
    for fd in keep.iter().chain([&program]) {
        if let Err(error) = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()) {
            let _open = cloexec_from(3);
            return error.into();
        }
    }
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: a string and two arrays of strings that each end in a null pointer, all alive during the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    let error = io::Error::last_os_error();
    let _open = cloexec_from(3);
    error
}

/// Attaches to a process as its tracer and holds it when it ends, until this process ends itself: such a process
/// cannot be killed. For tests of just that.
///
/// # Errors
/// What `ptrace(2)` says.
pub fn hold_at_end(pid: u32) -> io::Result<()> {
    let options = libc::c_long::from(libc::PTRACE_O_TRACEEXIT);
    // SAFETY: reads and writes no memory of ours: the address is unused and the data is a number.
    let rc = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.cast_signed(), 0 as libc::c_long, options) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Marks every open descriptor from `first` on as close-on-exec, whoever opened it.
///
/// # Errors
/// `EINVAL` or `ENOSYS` before Linux 5.11.
///
/// Source: `close_range(2)`.
pub fn cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: changes flags only; nothing is closed.
    let rc = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from 3 on except `keep`.
///
/// Only for a process made by [`fork`] that will not return: every other owner of a descriptor in its memory is
/// dead weight from here on and must not be used or dropped.
///
/// # Errors
/// What `close_range(2)` says.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers.into_iter().chain([u32::MAX]) {
        if number > first {
            let last = if number == u32::MAX { number } else { number - 1 };
            // SAFETY: the caller has promised that nothing else uses the descriptors in this range.
            let rc = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
            if rc != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        first = first.max(number.saturating_add(1));
    }
    Ok(())
}

/// Makes descriptors 0, 1 and 2 copies of these.
///
/// # Errors
/// What `dup2(2)` says.
pub fn set_stdio(input: impl AsFd, output: impl AsFd, errors: impl AsFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(errors)?;
    Ok(())
}

/// Whether the process `pid` is the parent of this one, as far as this pid namespace can see.
#[must_use]
pub fn parent_is(pid: u32) -> bool {
    rustix::process::getppid().map(Pid::as_raw_pid).is_some_and(|parent| parent.cast_unsigned() == pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_copied() {
        // The test harness runs tests in threads of their own.
        assert_eq!(fork().unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}

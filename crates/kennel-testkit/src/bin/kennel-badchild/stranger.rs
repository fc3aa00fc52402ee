//! A process of nobody's that takes the number of one that has just ended.

use std::io::BufRead;
use std::process::ExitCode;

use crate::os;

/// `struct clone_args` up to `set_tid`. Source: `clone(2)`, Linux 5.5.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Reads process ids, one a line. For each starts a child with that very id, which runs as `user` and only sleeps, and
/// prints its id and start time in ticks, or `0` and an error number where the id is taken. The one before is killed.
pub(crate) fn run(user: u64) -> ExitCode {
    let user = u32::try_from(user).unwrap_or_else(|_| os::fail("user", "too large"));
    let mut before = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap_or_else(|error| os::fail("stdin", error));
        end(before.take());
        let wanted = line.trim().parse().unwrap_or_else(|error| os::fail(&line, error));
        match take(wanted, user) {
            Ok(()) => {
                before = Some(wanted);
                println!("{wanted} {}", start_ticks(wanted));
            }
            Err(error) => println!("0 {}", error.raw_os_error().unwrap_or(0)),
        }
    }
    end(before);
    ExitCode::SUCCESS
}

fn end(child: Option<i32>) {
    let Some(pid) = child else { return };
    // SAFETY: passes two numbers; the child is not reaped, so the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    os::wait_for(pid);
}

/// Needs `CAP_CHECKPOINT_RESTORE`. Source: `clone(2)`, `set_tid`.
fn take(pid: i32, user: u32) -> std::io::Result<()> {
    let wanted = [pid];
    let mut args = CloneArgs {
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        set_tid: wanted.as_ptr().addr() as u64,
        set_tid_size: 1,
        ..CloneArgs::default()
    };
    // SAFETY: as `fork`, for neither memory nor a stack is shared, and this process has one thread; `args` and what it
    // points to outlive the call.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => sleep_as(user),
        _ => Ok(()),
    }
}

fn sleep_as(user: u32) -> ! {
    // SAFETY: passes numbers only.
    let changed = unsafe { libc::setresuid(user, user, user) };
    // If our parent is killed, so are we. After the change of user, which would undo it.
    // SAFETY: passes numbers only.
    let bound = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if changed != 0 || bound != 0 {
        os::leave(70);
    }
    // What must not hit it must be able to: nothing is ignored or handled.
    os::by_default(libc::SIGTERM);
    os::forever()
}

/// Field 22 of `/proc/PID/stat`, the 20th after the name. Source: `proc_pid_stat(5)`.
fn start_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let field = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19));
    field.and_then(|ticks| ticks.parse().ok()).unwrap_or_else(|| os::fail("stat", stat))
}

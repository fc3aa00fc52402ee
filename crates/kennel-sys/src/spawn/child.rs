//! The new process between clone and exec.
//!
//! It shares memory, and with it allocator and thread-local state, with a thread that sleeps: only system calls
//! are made here, raw ones, because the C library's `setuid` would try to change every thread of the process.

use std::ffi::c_long;

use super::settings::{self, Prepared};
use super::{Stage, User};

pub(super) const BORN: u32 = 0;
const SETUP: u32 = 1;
const USER: u32 = 2;
const CWD: u32 = 3;
const DESCRIPTORS: u32 = 4;
const EXEC: u32 = 5;

/// Where the child says what it is doing and what failed.
#[repr(C)]
pub(super) struct Report {
    pub(super) stage: u32,
    /// 0: nothing failed.
    pub(super) errno: i32,
}

pub(super) fn stage(number: u32) -> Stage {
    match number {
        BORN => Stage::Born,
        USER => Stage::User,
        CWD => Stage::Cwd,
        DESCRIPTORS => Stage::Descriptors,
        EXEC => Stage::Exec,
        settings::NICE => Stage::Nice,
        settings::CPUS => Stage::Cpus,
        settings::IO_PRIORITY => Stage::IoPriority,
        settings::OOM_SCORE_ADJ => Stage::OomScoreAdj,
        settings::CAPABILITIES => Stage::Capabilities,
        settings::GROUPS => Stage::Groups,
        settings::LIMIT.. => Stage::Limit(number - settings::LIMIT),
        _ => Stage::Setup,
    }
}

/// All that the child needs, prepared before the clone so that it allocates nothing.
pub(super) struct Plan<'a> {
    /// Programs to try, ended by null.
    pub(super) programs: &'a [*const libc::c_char],
    /// Ended by null.
    pub(super) argv: *const *const libc::c_char,
    /// Ended by null.
    pub(super) env: *const *const libc::c_char,
    pub(super) cwd: *const libc::c_char,
    pub(super) user: Option<User<'a>>,
    pub(super) umask: Option<u32>,
    /// Signals to set back to their default.
    pub(super) ignored: &'a [i32],
    pub(super) fds: &'a [i32],
    /// The table of descriptors is shared: take a copy of what lies below this number.
    pub(super) unshare_from: Option<u32>,
    pub(super) nofile: Option<libc::rlimit>,
    /// Of real-time CPU time.
    pub(super) tag: Option<libc::rlimit>,
    pub(super) settings: Prepared<'a>,
    pub(super) no_new_privs: bool,
    pub(super) report: *mut Report,
}

/// Handler, flags, restorer and mask, all zero: the default. The kernel's `struct sigaction`, not the C library's.
static DEFAULT_ACTION: [u64; 4] = [0; 4];
/// Size of the kernel's signal set, bytes.
const SIGSET: usize = 8;
/// The C library keeps the first two real-time signals for itself and refuses to touch them; the kernel does not.
const SIGNALS: i32 = 64;

/// The signals that this process ignores now.
pub(super) fn ignored() -> Vec<i32> {
    let is_ignored = |signal: &i32| {
        let mut action = DEFAULT_ACTION;
        // SAFETY: the kernel writes one `struct sigaction` of its own, for which there is room.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                c_long::from(*signal),
                std::ptr::null::<u64>(),
                action.as_mut_ptr(),
                SIGSET,
            )
        };
        // The handler comes first; 1 is `SIG_IGN`.
        result == 0 && action[0] == 1
    };
    (1..=SIGNALS).filter(is_ignored).collect()
}

/// First function of the child.
///
/// # Safety
/// `plan` and all it points to must stay valid until the process has executed or ended.
pub(super) unsafe extern "C" fn run(plan: *const Plan<'_>) -> ! {
    // SAFETY: valid by the contract of this function.
    let plan = unsafe { &*plan };
    let (stage, errno) = match set_up(plan) {
        Err(failed) => failed,
        Ok(()) => (EXEC, execute(plan)),
    };
    report(plan, stage, errno);
    // SAFETY: ends this process. The raw call, for `_exit` of the C library is the same with more around it.
    unsafe { libc::syscall(libc::SYS_exit_group, 127 as c_long) };
    unreachable_end()
}

/// Only to have the type: the process ended in the line before.
fn unreachable_end() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// What a child was doing, and the `errno` that ended it.
pub(super) type Failed = (u32, i32);

fn report(plan: &Plan<'_>, stage: u32, errno: i32) {
    // SAFETY: the parent's memory for this, which it reads only after we have ended or executed.
    unsafe { plan.report.write_volatile(Report { stage, errno }) };
}

/// Makes one system call and turns its result into stage and `errno`.
macro_rules! call {
    ($stage:expr, $($argument:expr),+) => {{
        // SAFETY: each call below passes numbers, or pointers into the plan or to constants that outlive it.
        let result = unsafe { libc::syscall($($argument),+) };
        if result < 0 { Err(($stage, $crate::spawn::child::errno())) } else { Ok(result) }
    }};
}
pub(super) use call;

pub(super) fn errno() -> i32 {
    // SAFETY: only computes an address.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: the thread-local of the sleeping parent thread, which is ours to use until it wakes.
    unsafe { *location }
}

fn set_up(plan: &Plan<'_>) -> Result<(), Failed> {
    report(plan, SETUP, 0);
    if let Some(first) = plan.unshare_from {
        // Before anything else: what we open or place from here on is ours alone.
        let all = c_long::from(u32::MAX);
        let flag = libc::CLOSE_RANGE_UNSHARE as c_long;
        call!(DESCRIPTORS, libc::SYS_close_range, c_long::from(first), all, flag)?;
    }
    call!(SETUP, libc::SYS_setsid)?;
    for signal in plan.ignored {
        // The clone has reset handlers, but what we ignore would stay ignored.
        let signal = c_long::from(*signal);
        call!(SETUP, libc::SYS_rt_sigaction, signal, &raw const DEFAULT_ACTION, std::ptr::null::<u64>(), SIGSET)?;
    }
    let empty = 0_u64;
    call!(
        SETUP,
        libc::SYS_rt_sigprocmask,
        c_long::from(libc::SIG_SETMASK),
        &raw const empty,
        std::ptr::null::<u64>(),
        SIGSET
    )?;
    if let Some(mask) = plan.umask {
        call!(SETUP, libc::SYS_umask, c_long::from(mask & 0o777))?;
    }
    // Before a limit of descriptors could be in the way.
    place_descriptors(plan.fds)?;
    if let Some(limit) = &plan.nofile {
        let resource = libc::RLIMIT_NOFILE as c_long;
        let limit: *const libc::rlimit = limit;
        call!(SETUP, libc::SYS_prlimit64, 0 as c_long, resource, limit, std::ptr::null::<libc::rlimit>())?;
    }
    if let Some(limit) = &plan.tag {
        let resource = libc::RLIMIT_RTTIME as c_long;
        let limit: *const libc::rlimit = limit;
        // A second way to find it, and no reason not to start it.
        let _refused =
            call!(SETUP, libc::SYS_prlimit64, 0 as c_long, resource, limit, std::ptr::null::<libc::rlimit>());
    }
    plan.settings.apply()?;
    if let Some(user) = plan.user {
        call!(USER, libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr())?;
        call!(USER, libc::SYS_setresgid, user.gid as c_long, user.gid as c_long, user.gid as c_long)?;
        call!(USER, libc::SYS_setresuid, user.uid as c_long, user.uid as c_long, user.uid as c_long)?;
    }
    plan.settings.finish()?;
    if plan.no_new_privs {
        let zero = 0 as c_long;
        call!(SETUP, libc::SYS_prctl, c_long::from(libc::PR_SET_NO_NEW_PRIVS), 1 as c_long, zero, zero, zero)?;
    }
    call!(CWD, libc::SYS_chdir, plan.cwd)?;
    Ok(())
}

/// The sources all lie above the targets, so none is overwritten before its turn; `dup3` clears close-on-exec.
fn place_descriptors(fds: &[i32]) -> Result<(), Failed> {
    let mut target: c_long = 0;
    for fd in fds {
        call!(DESCRIPTORS, libc::SYS_dup3, c_long::from(*fd), target, 0 as c_long)?;
        target += 1;
    }
    let all = c_long::from(u32::MAX);
    // Refused before Linux 5.11; all that we open ourselves is close-on-exec anyway.
    let _refused = call!(DESCRIPTORS, libc::SYS_close_range, target, all, libc::CLOSE_RANGE_CLOEXEC as c_long);
    Ok(())
}

/// Tries each program as `execvp(3)` does; answers with the `errno` that says most. Does not return on success.
fn execute(plan: &Plan<'_>) -> i32 {
    report(plan, EXEC, 0);
    let mut denied = None;
    let mut last = libc::ENOENT;
    for program in plan.programs {
        if program.is_null() {
            break;
        }
        let failed: Result<c_long, Failed> = call!(EXEC, libc::SYS_execve, *program, plan.argv, plan.env);
        last = failed.map_or_else(|(_, errno)| errno, |_| libc::EINVAL);
        match last {
            // Not this one; remembered, for it says more than "not found" at the end.
            libc::EACCES => denied = Some(last),
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            _ => return last,
        }
    }
    denied.unwrap_or(last)
}

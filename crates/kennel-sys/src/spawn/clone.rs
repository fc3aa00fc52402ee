//! `clone3` onto a stack of its own, which the C library cannot do for us.

use std::io;

use super::child::{self, Plan};
use crate::clone_args::CloneArgs;

const CLONE_VM: u64 = 0x100;
const CLONE_FILES: u64 = 0x400;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Runs the plan in a new process; returns its id and its pidfd once it has executed or ended.
///
/// # Errors
/// What `clone3(2)` says; nothing exists then.
///
/// # Safety
/// `stack` (lowest address, size) must be writable, used by nobody else, and its end aligned to 16 bytes; `plan`
/// must be valid, and the child must not return from what it runs.
pub(super) unsafe fn vfork_like(
    stack: (*mut u8, usize),
    cgroup: Option<i32>,
    plan: &Plan<'_>,
) -> io::Result<(u32, i32)> {
    let mut pidfd = -1_i32;
    let mut args = CloneArgs {
        flags: CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if plan.unshare_from.is_some() {
        args.flags |= CLONE_FILES;
    }
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(fd.cast_unsigned());
    }
    // SAFETY: passed on from our own contract.
    let pid = unsafe { clone_and_run(&mut args, stack, plan) };
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(i32::try_from(-pid).unwrap_or(libc::EINVAL)));
    }
    // SAFETY: written by the kernel behind the compiler's back.
    let pidfd = unsafe { (&raw const pidfd).read_volatile() };
    Ok((u32::try_from(pid).unwrap_or(0), pidfd))
}

/// # Safety
/// As [`vfork_like`].
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_run(args: &mut CloneArgs, stack: (*mut u8, usize), plan: &Plan<'_>) -> i64 {
    args.flags |= CLONE_VM;
    args.stack = stack.0.addr() as u64;
    args.stack_size = stack.1 as u64;
    let result: i64;
    // SAFETY: the child never leaves `run`, works on its own stack, and the parent sleeps until it is done, so this
    // frame is not touched by two processes. The kernel clobbers rcx and r11 only; memory is not declared
    // untouched, so the compiler assumes that the child may have changed any of it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp", // Ends stack traces here.
            "mov rdi, {plan}",
            "call {run}",
            "ud2",
            "2:",
            plan = in(reg) plan,
            run = in(reg) child::run as unsafe extern "C" fn(*const Plan<'_>) -> !,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") args as *mut CloneArgs,
            in("rsi") size_of::<CloneArgs>(),
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// # Safety
/// As [`vfork_like`].
#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_run(args: &mut CloneArgs, stack: (*mut u8, usize), plan: &Plan<'_>) -> i64 {
    args.flags |= CLONE_VM;
    args.stack = stack.0.addr() as u64;
    args.stack_size = stack.1 as u64;
    let result: i64;
    // SAFETY: as on x86_64; `svc` preserves every register but x0, and memory is not declared untouched.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr", // Ends stack traces here.
            "mov x30, xzr",
            "mov x0, {plan}",
            "blr {run}",
            "brk #1",
            "2:",
            plan = in(reg) plan,
            run = in(reg) child::run as unsafe extern "C" fn(*const Plan<'_>) -> !,
            in("x8") libc::SYS_clone3,
            inlateout("x0") args as *mut CloneArgs => result,
            in("x1") size_of::<CloneArgs>(),
        );
    }
    result
}

/// Elsewhere the child gets a copy of memory, as with `fork`, but the report page is shared and the parent waits.
///
/// # Safety
/// As [`vfork_like`].
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone_and_run(args: &mut CloneArgs, _stack: (*mut u8, usize), plan: &Plan<'_>) -> i64 {
    // SAFETY: without a new stack and without shared memory this returns twice, as `fork` does.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args as *mut CloneArgs, size_of::<CloneArgs>()) };
    match pid {
        // SAFETY: the child's copy of the plan is as valid as the original.
        0 => unsafe { child::run(plan) },
        -1 => -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
        pid => pid.into(),
    }
}

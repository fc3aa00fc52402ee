//! Fork bombs that fill again whatever room a kill makes, and cannot take the machine: the kernel refuses more
//! processes than the number given, and after so many forks or so much time they only sleep.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Uid};

use crate::{os, shared};

/// Forks of all members together.
const ALTOGETHER: i64 = 100_000;
/// And this long.
const LASTS: Duration = Duration::from_secs(120);
/// Pause after a refused fork.
const PAUSE: Duration = Duration::from_millis(10);
/// The limit holds for no root: as root, each bomb is a user of its own, from here on.
const FIRST_UID: u32 = 61_000;

/// `leaderless`: the first thread of each member exits, another forks. `cgroup.kill` of some kernels misses those.
pub(crate) fn run(most: u64, leaderless: bool) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    bound(most);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        os::ignore(signal);
    }
    // Nobody waits for anybody here.
    os::ignore(libc::SIGCHLD);
    let shared = shared::get();
    let until = Instant::now() + LASTS;
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        if leaderless { without_leader(until) } else { explode(until, false) }
    });
    shared::wait(|| shared.refused.load(Ordering::Relaxed) != 0);
    os::say_up();
    os::forever()
}

/// No more processes of this bomb than that, zombies included. Others' work goes first.
///
/// The kernel counts all processes of a user together: a bomb that starts when another one of its user has grown past
/// its own limit could not make a single process. So each is a user of its own, or is counted in a user namespace of
/// its own; where neither can be had, all share what there is. Source: `getrlimit(2)`, `user_namespaces(7)`, Linux 5.14.
pub(crate) fn bound(most: u64) {
    // As far back as it goes: a thousand that fork are a thousand shares of the machine. At 10 the daemon got 2 % of it.
    if let Err(error) = rustix::process::nice(19) {
        os::fail("nice", error);
    }
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        // SAFETY: takes flags; this process has one thread and shares nothing with another.
        unsafe { libc::unshare(libc::CLONE_NEWUSER) };
    }
    // After that, or the limit would hold for what is counted outside.
    os::set_hard_limit(Resource::Nproc, most);
    if is_root {
        let uid = FIRST_UID + own_number();
        // Root of a user namespace that knows no other user is held by the limit as it is.
        if let Err(error) = os::become_user(Uid::from_raw(uid))
            && error.raw_os_error() != Some(libc::EINVAL)
        {
            os::fail("setresuid", error);
        }
    }
}

/// Of both cell and process: in a PID namespace each first process has the same number, and tests that run at the same
/// time have the same cells.
fn own_number() -> u32 {
    let cell = rustix::process::getrlimit(Resource::Locks).current.and_then(|cell| u32::try_from(cell).ok());
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    // Primes, so that two that differ in one of them never meet.
    pid.wrapping_mul(131).wrapping_add(cell.unwrap_or(0).wrapping_mul(7919)) % 30_011
}

/// Forks for ever; every child does the same.
fn explode(until: Instant, leaderless: bool) -> ! {
    let shared = shared::get();
    loop {
        if shared.forked.load(Ordering::Relaxed) >= ALTOGETHER || Instant::now() > until {
            os::forever();
        }
        // SAFETY: takes nothing. The only thread that lives forks, and the C library keeps its own locks right.
        match unsafe { libc::fork() } {
            -1 => {
                shared.refused.store(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
            0 if leaderless => without_leader(until),
            0 => {}
            _ => {
                shared.forked.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A second thread goes on, the first one ends.
fn without_leader(until: Instant) -> ! {
    let thread = std::thread::Builder::new().stack_size(64 * 1024);
    if thread.spawn(move || explode(until, true)).is_err() {
        // The limit counts threads, too.
        shared::get().refused.store(1, Ordering::Relaxed);
        os::leave(0);
    }
    os::end_thread()
}

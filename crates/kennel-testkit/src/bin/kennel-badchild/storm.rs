//! Forks while it is being killed: lineages whose every member forks its successor and exits, so that a pid that
//! was read is already another's, and that answer each TERM with more members.

use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::os;

/// Lineages at the start.
const LINEAGES: i64 = 4;
/// Never more members alive than this, counted by forks and orderly exits: killed ones are not counted down, so
/// the storm also weakens while it is killed.
const MOST: i64 = 60;
/// A storm that nobody ends blows over: after so many forks the members only sleep.
const ALTOGETHER: i64 = 50_000;
/// How long each member lives before it hands over.
const LIFE: Duration = Duration::from_millis(8);

struct Counters {
    alive: AtomicI64,
    forked: AtomicI64,
}

/// Shared by all members: mapped before the first fork, never unmapped.
static COUNTERS: std::sync::OnceLock<&'static Counters> = std::sync::OnceLock::new();

fn counters() -> &'static Counters {
    COUNTERS.get_or_init(|| {
        let size = std::mem::size_of::<Counters>();
        // SAFETY: a fresh anonymous mapping; no address is asked for.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            os::fail("mmap", std::io::Error::last_os_error());
        }
        // SAFETY: the mapping is page-aligned, big enough, zeroed (a valid value of both counters) and permanent.
        unsafe { &*at.cast::<Counters>() }
    })
}

/// Starts the storm; main stays.
pub(crate) fn run() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let _ = counters();
    os::handle(libc::SIGTERM, more as extern "C" fn(i32) as usize);
    // The children of main are never its business: the kernel reaps them.
    os::ignore(libc::SIGCHLD);
    for _ in 0..LINEAGES {
        member();
    }
    os::say_up();
    os::forever()
}

/// Answers TERM with two more lineages.
extern "C" fn more(_: i32) {
    member();
    member();
}

/// Forks one member, unless there are enough.
fn member() {
    let counters = counters();
    if counters.alive.fetch_add(1, Ordering::Relaxed) >= MOST {
        counters.alive.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: one thread; and the child makes async-signal-safe calls only, for this runs in a handler as well.
    match unsafe { libc::fork() } {
        -1 => {
            counters.alive.fetch_sub(1, Ordering::Relaxed);
        }
        0 => live(counters),
        _ => {}
    }
}

/// A member's life: sleep a moment, fork the successor, exit.
fn live(counters: &Counters) -> ! {
    os::by_default(libc::SIGUSR1);
    // SAFETY: a zeroed `sigset_t` is the empty set.
    let nothing: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `nothing` outlives the call. Born in a handler, a member would never see TERM otherwise.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const nothing, std::ptr::null_mut()) };
    loop {
        std::thread::sleep(LIFE);
        if counters.forked.fetch_add(1, Ordering::Relaxed) >= ALTOGETHER {
            os::forever();
        }
        // SAFETY: as in `member`.
        let born = unsafe { libc::fork() };
        // The parent leaves, the child is the lineage now; without a child the parent goes on.
        if born > 0 {
            os::leave(0);
        }
    }
}

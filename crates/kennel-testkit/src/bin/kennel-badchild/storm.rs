//! Forks while it is being killed: lineages whose every member forks its successor and exits, so that a pid that
//! was read is already another's, and that answer each TERM with more members.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::os;
use crate::shared::{self, Shared};

/// Lineages at the start.
const LINEAGES: i64 = 4;
/// Never more members alive than this; killed ones are not counted down, so the storm also weakens while it is
/// killed.
const MOST: i64 = 60;
/// A storm that nobody ends blows over: after so many forks the members only sleep.
const ALTOGETHER: i64 = 50_000;
/// How long each member lives before it hands over.
const LIFE: Duration = Duration::from_millis(8);

/// What a member does to hand over.
#[derive(Clone, Copy)]
pub(crate) enum Lineage {
    /// Forks its successor.
    Forks,
    /// Forks twice, and the successor is in a session of its own: a daemon that makes a daemon.
    Daemons,
}

/// Starts the storm; main stays.
pub(crate) fn run(lineage: Lineage) -> ExitCode {
    begin(lineage);
    os::say_up();
    os::forever()
}

/// A storm, and peers that continue whoever of them is stopped: all are in one process group.
pub(crate) fn with_continue() -> ExitCode {
    begin(Lineage::Forks);
    for _ in 0..2 {
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            os::ignore(libc::SIGTERM);
            loop {
                // SAFETY: takes numbers; 0 is our own group, which lives as long as we do.
                unsafe { libc::kill(0, libc::SIGCONT) };
                std::thread::sleep(Duration::from_micros(200));
            }
        });
    }
    os::say_up();
    os::forever()
}

fn begin(lineage: Lineage) {
    os::exits_on(libc::SIGUSR1);
    let shared = shared::get();
    let more = match lineage {
        Lineage::Forks => more_forks as extern "C" fn(i32) as usize,
        Lineage::Daemons => more_daemons as extern "C" fn(i32) as usize,
    };
    os::handle(libc::SIGTERM, more);
    // The children of main are never its business: the kernel reaps them.
    os::ignore(libc::SIGCHLD);
    for _ in 0..LINEAGES {
        member(shared, lineage);
    }
}

/// Answers TERM with two more lineages.
extern "C" fn more_forks(_: i32) {
    member(shared::get(), Lineage::Forks);
    member(shared::get(), Lineage::Forks);
}

extern "C" fn more_daemons(_: i32) {
    member(shared::get(), Lineage::Daemons);
    member(shared::get(), Lineage::Daemons);
}

/// Forks one member, unless there are enough.
fn member(shared: &Shared, lineage: Lineage) {
    if shared.alive.fetch_add(1, Ordering::Relaxed) >= MOST {
        shared.alive.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: one thread; and the child makes async-signal-safe calls only, for this runs in a handler as well.
    match unsafe { libc::fork() } {
        -1 => {
            shared.alive.fetch_sub(1, Ordering::Relaxed);
        }
        0 => live(shared, lineage),
        _ => {}
    }
}

/// A member's life: sleep a moment, make the successor, exit.
fn live(shared: &Shared, lineage: Lineage) -> ! {
    os::by_default(libc::SIGUSR1);
    // SAFETY: a zeroed `sigset_t` is the empty set.
    let nothing: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `nothing` outlives the call. Born in a handler, a member would never see TERM otherwise.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const nothing, std::ptr::null_mut()) };
    loop {
        std::thread::sleep(LIFE);
        if shared.forked.fetch_add(1, Ordering::Relaxed) >= ALTOGETHER {
            os::forever();
        }
        match lineage {
            // The parent leaves, the child is the lineage now; without a child the parent goes on.
            Lineage::Forks => {
                // SAFETY: as in `member`.
                if unsafe { libc::fork() } > 0 {
                    os::leave(0);
                }
            }
            Lineage::Daemons => daemon(),
        }
    }
}

/// Returns in the successor. Parent and successor overlap a little, so that a kill meets both, and the one between
/// is gone at once.
fn daemon() {
    // SAFETY: as in `member`.
    if unsafe { libc::fork() } != 0 {
        std::thread::sleep(LIFE);
        os::leave(0);
    }
    // SAFETY: takes no arguments; refused only to who leads a group already.
    unsafe { libc::setsid() };
    // SAFETY: as in `member`.
    if unsafe { libc::fork() } != 0 {
        os::leave(0);
    }
}

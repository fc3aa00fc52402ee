//! Shapes that send signals to each other and to those around them. Whoever is signalled is held by a descriptor:
//! a number that somebody else has by now is never hit.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::os::{self, Muster};
use crate::shared;

const PAUSE: Duration = Duration::from_millis(1);
/// Members of a storm.
const STORM: usize = 4;

/// Members stop each other again and again and ignore TERM, so one that is continued is stopped at once.
pub(crate) fn stop_storm() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let shared = shared::get();
    let muster = Muster::new();
    for _ in 0..STORM {
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            os::ignore(libc::SIGTERM);
            let others = shared.hold_each_other(STORM);
            muster.here();
            // Who is stopped cannot say that it is there.
            shared::wait(|| shared.go.load(Ordering::SeqCst));
            loop {
                for other in &others {
                    os::signal(other, Signal::STOP);
                }
                std::thread::sleep(PAUSE);
            }
        });
    }
    muster.wait(STORM);
    shared.go.store(true, Ordering::SeqCst);
    os::say_up();
    os::forever()
}

static TERM: AtomicBool = AtomicBool::new(false);

extern "C" fn note_term(_: i32) {
    TERM.store(true, Ordering::SeqCst);
}

/// At TERM, or once its parent is gone, a child kills its siblings and its parent and stays.
pub(crate) fn killer() -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let shared = shared::get();
    let muster = Muster::new();
    let siblings = STORM - 1;
    for _ in 0..siblings {
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            os::ignore(libc::SIGTERM);
            shared.hold_each_other(STORM);
            muster.here();
            os::forever()
        });
    }
    let main = rustix::process::getpid();
    os::fork(|| {
        os::by_default(libc::SIGUSR1);
        os::handle(libc::SIGTERM, note_term as extern "C" fn(i32) as usize);
        let parent = os::hold(main.as_raw_pid());
        let siblings = shared.hold_each_other(STORM);
        muster.here();
        shared::wait(|| TERM.load(Ordering::SeqCst) || rustix::process::getppid() != Some(main));
        for victim in siblings.iter().chain([&parent]) {
            os::signal(victim, Signal::KILL);
        }
        os::forever()
    });
    muster.up(STORM);
    os::forever()
}

/// What a daemonised child does to the process of kennel's that adopted it.
#[derive(Clone, Copy)]
pub(crate) enum Against {
    /// Kills it at TERM.
    Kills,
    /// Stops it, again and again.
    Stops,
}

/// Only the small process that holds one scope together is attacked, by its name; where there is none this is a
/// daemon that ignores TERM.
pub(crate) fn attacks_reaper(how: Against) -> ExitCode {
    os::exits_on(libc::SIGUSR1);
    let muster = Muster::new();
    let between = os::fork(|| {
        os::new_session();
        let between = rustix::process::getpid();
        os::fork(|| {
            os::by_default(libc::SIGUSR1);
            os::handle(libc::SIGTERM, note_term as extern "C" fn(i32) as usize);
            muster.here();
            shared::wait(|| rustix::process::getppid() != Some(between));
            loop {
                let due = matches!(how, Against::Stops) || TERM.load(Ordering::SeqCst);
                if due && let Some(reaper) = reaper() {
                    let signal = if matches!(how, Against::Kills) { Signal::KILL } else { Signal::STOP };
                    os::signal(&reaper, signal);
                }
                std::thread::sleep(PAUSE);
            }
        });
        os::leave(0)
    });
    os::wait_for(between);
    muster.up(1);
    os::forever()
}

/// Our parent, if it is a scope's reaper.
fn reaper() -> Option<OwnedFd> {
    let parent = rustix::process::getppid()?;
    let name = std::fs::read_to_string(format!("/proc/{}/comm", parent.as_raw_nonzero())).ok()?;
    let held = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).ok()?;
    // Still our parent, so the descriptor is not of another that has its number now.
    (name.trim_end() == "kennel-reaper" && rustix::process::getppid() == Some(parent)).then_some(held)
}

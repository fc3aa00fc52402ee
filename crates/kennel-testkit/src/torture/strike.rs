//! Finds keeper and daemon quickly, and kills them.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::processes::{self, Seen};
use crate::scratch::Scratch;
use crate::{Background, wait_for};

/// Longest time that a start of kennel itself may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A process that is held, so that the signal hits it or nobody.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seen: Seen,
    fd: OwnedFd,
}

impl Held {
    fn of(scratch: &Scratch, pid: u32, verb: &str) -> Option<Self> {
        let seen = processes::look(pid)?;
        let right = seen.mark == Some(scratch.mark().value()) && seen.living && seen.verb() == verb;
        let fd = right.then(|| processes::hold(&seen))??;
        Some(Self { seen, fd })
    }

    pub(super) fn kill(&self) {
        // It may have ended by itself, which the round then shows.
        let _gone = rustix::process::pidfd_send_signal(&self.fd, Signal::KILL);
    }
}

/// The keeper by what its lock says: a search of all processes would take longer than many a burst.
pub(super) fn keeper(scratch: &Scratch) -> Option<Held> {
    let instances = std::fs::read_dir(scratch.path("state/kennel")).ok()?;
    let lock = instances.filter_map(Result::ok).find_map(|dir| std::fs::read(dir.path().join("lock")).ok())?;
    let lock: serde_json::Value = serde_json::from_slice(&lock).ok()?;
    Held::of(scratch, u32::try_from(lock["keeper_pid"].as_u64()?).ok()?, "__keeper")
}

/// The daemon of a keeper.
pub(super) fn daemon(scratch: &Scratch, keeper: &Held) -> Option<Held> {
    children(keeper).into_iter().find_map(|child| Held::of(scratch, child, "__daemon"))
}

/// The processes that hold scopes together: copies of the keeper, which carry its arguments.
pub(super) fn holders(scratch: &Scratch, keeper: &Held) -> Vec<Held> {
    children(keeper).into_iter().filter_map(|child| Held::of(scratch, child, "__keeper")).collect()
}

fn children(of: &Held) -> Vec<u32> {
    let pid = of.seen.pid;
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Both, as soon as both are there; less if the command that was to start them has ended without.
pub(super) fn parts(scratch: &Scratch, command: &Background) -> (Option<Held>, Option<Held>) {
    let end = Instant::now() + DEADLINE;
    loop {
        let keeper = keeper(scratch);
        let daemon = keeper.as_ref().and_then(|keeper| daemon(scratch, keeper));
        if daemon.is_some() || command.has_ended() {
            return (keeper, daemon);
        }
        assert!(Instant::now() < end, "no keeper and daemon within {DEADLINE:?}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// A daemon other than the lost one; `None` if the keeper has ended instead.
pub(super) fn next_daemon(scratch: &Scratch, lost: u32) -> Option<Held> {
    wait_for(DEADLINE, "another daemon, or the end of the keeper", || {
        let Some(keeper) = keeper(scratch) else { return Some(None) };
        let next = daemon(scratch, &keeper).filter(|next| next.seen.pid != lost);
        next.map(Some)
    })
}

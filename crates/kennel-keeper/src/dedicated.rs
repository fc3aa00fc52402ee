//! Ending everything of a user that runs nothing but one service, with a single signal.
//!
//! A process may signal everybody it has the right to with one call, and the kernel lets nobody fork meanwhile. So a
//! helper takes on the service's user, after which it has a right to nobody else's processes, and makes that call.

use std::fs;
use std::io;
use std::time::Duration;

use kennel_sys::process::{self, Side};
use kennel_sys::tag::Tag;
use kennel_sys::{pidfd, proc, wait};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::proto::Spawn;
use crate::start::note;

/// The helper only makes two calls, but the service may stop it: it is its user's for a moment.
const HELPER: Duration = Duration::from_millis(500);
/// Ancestors are followed this far.
const DEEPEST: u32 = 1000;

/// Everything of this user may be killed, as far as the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dedicated {
    uid: u32,
    tag: Tag,
}

impl Dedicated {
    /// `None`: not said, or not possible: only root can take on another user, and root's own are not to be killed.
    pub(crate) fn user_of(spawn: &Spawn, tag: Tag) -> Option<Self> {
        let uid = spawn.user.as_ref().filter(|_| spawn.privileges.dedicated_user)?.uid;
        (rustix::process::geteuid().is_root() && uid != 0).then_some(Self { uid, tag })
    }

    /// Kills every process of the user, unless somebody runs who does not descend from this process. Answers whether
    /// it did; if not, somebody has to be hunted.
    pub(crate) fn kill_all(self) -> bool {
        let uid = self.uid;
        if let Some(stranger) = self.stranger() {
            let command = proc::command(stranger, 80).unwrap_or_default();
            note!("user {uid} is not the service's alone: {stranger} ({command}) is in no scope of it");
            return false;
        }
        match help(uid) {
            Ok(killed) => killed,
            Err(error) => {
                note!("cannot kill everything of user {uid} at once: {error}");
                false
            }
        }
    }

    /// A living process of the user outside of the scope.
    fn stranger(self) -> Option<u32> {
        let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.find(|pid| {
            proc::user_ids(*pid).is_some_and(|ids| ids.contains(&self.uid))
                && Tag::of(*pid) != Some(self.tag)
                && !descends(*pid)
                && proc::stat(*pid).is_some_and(|stat| !proc::has_ended(&stat))
        })
    }
}

/// Whether a process without the tag is below this one, or gone.
fn descends(pid: u32) -> bool {
    let own = std::process::id();
    let mut at = pid;
    for _ in 0..DEEPEST {
        match proc::stat(at) {
            Some(stat) if stat.ppid == own => return true,
            Some(stat) if stat.ppid > 1 => at = stat.ppid,
            Some(_) => return false,
            None if at == pid => return true,
            // Its parent ended meanwhile, and it has another one now.
            None => at = pid,
        }
    }
    false
}

/// Forks the helper and waits for it; answers whether it made its call.
fn help(uid: u32) -> io::Result<bool> {
    let helper = match process::fork()? {
        Side::Child => process::exit_now(i32::from(pidfd::kill_all_as(uid).is_err())),
        Side::Parent(pid) => pid,
    };
    let fd = pidfd::open(helper)?;
    let limit = Timespec::try_from(HELPER).map_err(io::Error::other)?;
    let _late = rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit));
    // Without effect if it has ended.
    pidfd::send_signal(&fd, Signal::KILL.as_raw())?;
    let reaped = wait::reap(helper, true)?;
    Ok(reaped.is_some_and(|reaped| reaped.exit == wait::Exit::Code(0)))
}

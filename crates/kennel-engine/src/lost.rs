//! Empties scopes after the keeper was lost, which would have done it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_keeper::proto::Place;
use kennel_sys::cgroup::{Group, Killer, Step};
use kennel_sys::{pidfd, process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long one try may take before it is said that something does not get empty.
const PATIENCE: Duration = Duration::from_secs(5);

/// The reaper process of a scope, held so that its number cannot come to mean another.
#[derive(Debug)]
pub(crate) struct Reaper(OwnedFd);

impl Reaper {
    /// Takes hold of it while it lives; `None` once it is gone.
    pub(crate) fn of(place: &Place) -> Option<Self> {
        match place {
            Place::Reaper(pid) => pidfd::open(*pid).ok().map(Self),
            Place::Cgroup(_) => None,
        }
    }

    /// Waits until it has ended, which it does after the last of its scope: it watches the keeper itself. Blocks,
    /// so it is for a thread of its own; says so every five seconds if something in the scope cannot be ended.
    pub(crate) fn wait(&self) {
        let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
        while poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience)).is_ok_and(|count| count == 0) {
            tracing::error!("a scope of the lost keeper does not get empty");
        }
    }
}

/// Returns when no scope is left below the keeper's cgroup. Blocks, as [`Reaper::wait`].
///
/// Looks at what is there and not at what is known: the keeper may have been lost between the start of a process
/// and the word about it.
pub(crate) fn sweep(root: &Path) {
    let begin = Instant::now();
    let mut said = begin;
    loop {
        let mut groups: Vec<(Group, Killer)> = leaves(root).map(|group| start(group, Instant::now())).collect();
        if groups.is_empty() {
            return;
        }
        while !groups.is_empty() {
            let now = Instant::now();
            groups.retain_mut(|(group, killer)| killer.step(group, now) != Step::Empty);
            if now.duration_since(said) >= PATIENCE {
                said = now;
                tracing::error!(scopes = groups.len(), after = ?now - begin, "scopes of the lost keeper do not get empty");
            }
            if !groups.is_empty() {
                process::pause(Duration::from_millis(1));
            }
        }
    }
}

fn start(group: Group, now: Instant) -> (Group, Killer) {
    // If the one write fails, the steps kill one by one.
    let (killer, _failed) = Killer::start(&group, now);
    (group, killer)
}

fn leaves(root: &Path) -> impl Iterator<Item = Group> {
    let entries = fs::read_dir(root.join("svc")).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Group::at(&entry.path()).ok())
}

//! Empties scopes after the keeper was lost, which would have done it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_keeper::proto::Place;
use kennel_sys::cgroup::{Group, Killer, Step};
use kennel_sys::{pidfd, proc, process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long one try may take before it is said that something does not get empty.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the reapers have for what they do by themselves.
const REAPERS: Duration = Duration::from_secs(2);

/// The reaper process of a scope, held so that its number cannot come to mean another.
#[derive(Debug)]
pub(crate) struct Reaper(OwnedFd);

impl Reaper {
    /// Takes hold of it while it lives; `None` once it is gone.
    pub(crate) fn of(place: &Place, keeper: u32) -> Option<Self> {
        let Place::Reaper(pid) = place else { return None };
        let fd = pidfd::open(*pid).ok()?;
        // The number may be another process by now; a child of the keeper is the one that was meant, or one of the
        // keeper's own kind, which ends with it as well.
        proc::stat(*pid).filter(|stat| stat.ppid == keeper).map(|_| Self(fd))
    }

    /// Waits until it has ended, which it does after the last of its scope: it watches the keeper itself. But no
    /// longer than until `limit`: it may have been stopped, and nobody is left to continue it.
    fn wait(&self, limit: Instant) {
        let left = Timespec::try_from(limit.saturating_duration_since(Instant::now()));
        let _late = left.map(|left| poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&left)));
    }
}

/// Returns when nothing is left of what a lost keeper held: its reapers are given some time to end their scopes,
/// then every cgroup below `root` is emptied, and last whatever carries a tag of the instance is ended, wherever it
/// is. Blocks, so it is for a thread of its own.
pub(crate) fn end(reapers: &[Reaper], root: Option<&Path>, lock: &Path) {
    let limit = Instant::now() + REAPERS;
    reapers.iter().for_each(|reaper| reaper.wait(limit));
    if let Some(root) = root {
        sweep(root);
    }
    kennel_keeper::tag::end_all(lock, |pids| {
        tracing::error!(?pids, "processes of the lost keeper cannot be ended");
    });
}

/// Returns when no scope is left below the keeper's cgroup.
///
/// Looks at what is there and not at what is known: the keeper may have been lost between the start of a process
/// and the word about it.
fn sweep(root: &Path) {
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
    let parents = kennel_keeper::parents_of_scopes(root).into_iter().filter(|(_, is_kept)| !is_kept);
    let entries = parents.flat_map(|(parent, _)| fs::read_dir(parent).into_iter().flatten().flatten());
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Group::at(&entry.path()).ok())
}

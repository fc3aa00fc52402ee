//! Brings orphans together in a fresh group, for the keeper to adopt.
//!
//! Everybody is stopped until none moves, or those who are moved would fork behind the back of those who move them; then each is
//! moved, by number, for the kernel knows no other way. A number may be somebody else's by then: identities are compared before and
//! after, and a stranger that was moved is put back where its parent is. At the end those go on who were going.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kennel_sys::cgroup::{self, Group, Hierarchy};
use kennel_sys::identity::Identity;
use kennel_sys::proc::{self, Stat};
use kennel_sys::tag::{Instance, Tag};
use kennel_sys::{pidfd, process};
use rustix::process::Signal;

use crate::hunt::{self, Chosen, Quarry, Still};
use crate::place::layout;

/// Whom to gather.
#[derive(Debug, Clone)]
pub struct Gathering {
    /// Of this instance; who carries the tag of another one is not moved.
    pub instance: Option<Instance>,
    /// These, with all their descendants.
    pub known: Vec<Identity>,
    /// And whoever carries one of these tags, with descendants.
    pub tags: Vec<Tag>,
    /// Until when they may take to stand still.
    pub until: Instant,
}

/// Why they could not be gathered. Those who were moved by then stay in the group, and all of them go on.
#[derive(Debug)]
pub enum GatherError {
    /// The group could not be made.
    Group {
        /// Its directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not let one of them be moved.
    Move {
        /// The process.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// They would not stand still: one is in an uninterruptible sleep, belongs to another user, or somebody else continues it.
    Restless,
    /// One of them belongs to a kennel that runs below them, whose groups it would be torn out of.
    OtherKennel {
        /// The process.
        pid: u32,
    },
    /// All of them have ended.
    Gone,
}

/// Makes the group `leaf` in the scopes of a keeper's root and gathers them there; answers with who is in it, by process id.
///
/// Blocks for as long as it takes, at most until [`Gathering::until`] and some 10 ms for each process.
///
/// # Errors
/// [`GatherError`]. A group that stayed empty is removed.
pub fn gather(root: &Path, leaf: &str, kept: bool, wanted: &Gathering) -> Result<Vec<Identity>, GatherError> {
    let directory = root.join(layout::parent(&[], kept)).join(leaf);
    let made =
        directory.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::create_dir(&directory));
    let group = made.and_then(|()| Group::at(&directory));
    let group = group.map_err(|source| GatherError::Group { directory: directory.clone(), source })?;
    let result = gather_in(&group, wanted);
    if result.is_err() {
        // Busy if somebody was moved: an orphan by its group now.
        let _busy = group.remove();
    }
    result
}

fn gather_in(group: &Group, wanted: &Gathering) -> Result<Vec<Identity>, GatherError> {
    let chosen =
        Chosen { known: wanted.known.clone(), tags: wanted.tags.iter().copied().collect(), ..Chosen::default() };
    let quarry = Quarry::These(&chosen);
    let mut still = Still::new(Instant::now());
    let result = stop_and_move(group, wanted, &quarry, &mut still);
    for stat in hunt::living_of(&quarry) {
        if still.has_stopped(stat.pid, stat.start_ticks)
            && let Some((fd, _)) = open(&stat)
        {
            let _gone = pidfd::send_signal(&fd, Signal::CONT.as_raw());
        }
    }
    result
}

fn stop_and_move(
    group: &Group,
    wanted: &Gathering,
    quarry: &Quarry<'_>,
    still: &mut Still,
) -> Result<Vec<Identity>, GatherError> {
    loop {
        while !still.pass_on(quarry) {
            if Instant::now() >= wanted.until {
                return Err(GatherError::Restless);
            }
            process::pause(still.due().saturating_duration_since(Instant::now()));
        }
        let members = hunt::living_of(quarry);
        let is_foreign = |stat: &&Stat| Tag::of(stat.pid).is_some_and(|tag| Some(tag.instance()) != wanted.instance);
        if let Some(stat) = members.iter().find(is_foreign) {
            return Err(GatherError::OtherKennel { pid: stat.pid });
        }
        let is_outside = |stat: &&Stat| cgroup::of_process(stat.pid).is_some_and(|path| !group.covers(&path));
        let outside: Vec<&Stat> = members.iter().filter(is_outside).collect();
        if outside.is_empty() {
            let mut found: Vec<Identity> = members.iter().filter_map(open).map(|(_, identity)| identity).collect();
            found.sort_by_key(|identity| identity.pid);
            return if found.is_empty() { Err(GatherError::Gone) } else { Ok(found) };
        }
        for stat in outside {
            move_in(group, stat).map_err(|source| GatherError::Move { pid: stat.pid, source })?;
        }
    }
}

/// The process that was seen, if it is still there.
fn open(stat: &Stat) -> Option<(OwnedFd, Identity)> {
    let fd = pidfd::open(stat.pid).ok()?;
    let identity = Identity::read(stat.pid, &fd).ok()?;
    (identity.start_ticks == stat.start_ticks).then_some((fd, identity))
}

/// Moves one process. One that has ended is no error.
fn move_in(group: &Group, stat: &Stat) -> io::Result<()> {
    let Some((fd, identity)) = open(stat) else { return Ok(()) };
    match group.take(stat.pid) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    match Identity::read(stat.pid, &fd) {
        Ok(now) if now == identity => {}
        // It ended while the kernel made room, and the number may be somebody else's.
        _ => put_back(group, stat.pid, identity),
    }
    Ok(())
}

/// Moves whoever has the number of one that has ended to where its parent is.
fn put_back(group: &Group, pid: u32, was: Identity) {
    let Ok(fd) = pidfd::open(pid) else { return };
    if !group.contains(pid, &fd) || Identity::read(pid, &fd).is_ok_and(|now| now == was) {
        return;
    }
    let Some(parent) = proc::stat(pid).and_then(|stat| cgroup::of_process(stat.ppid)) else { return };
    let directories = Hierarchy::mounted().unwrap_or_default();
    let Some(directory) = directories.iter().find_map(|it| it.directory(&parent)) else { return };
    // Its parent's may be another's to move into; then it stays, alive and as it is.
    let _refused = Group::at(&directory).and_then(|home| home.take(pid));
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::disallowed_methods,
        clippy::print_stderr,
        reason = "a test starts what it moves, and says when it cannot"
    )]

    use std::process::Command;
    use std::time::Duration;

    use super::*;

    /// A group of its own below that of this process, if this user may make one.
    fn group(name: &str) -> Option<Group> {
        let make = || {
            let own = cgroup::of_self()?;
            let home = Hierarchy::mounted().ok()?.iter().find_map(|it| it.directory(&own))?;
            let directory = home.join(format!("gather-{name}-{}", std::process::id()));
            std::fs::create_dir(&directory).ok()?;
            Group::at(&directory).ok()
        };
        let group = make();
        if group.is_none() {
            assert!(std::env::var_os("KENNEL_TEST_NO_SKIP").is_none(), "may not be skipped");
            eprintln!("SKIPPED: this user may make no cgroup");
        }
        group
    }

    fn gathering(known: Vec<Identity>) -> Gathering {
        Gathering { instance: None, known, tags: Vec::new(), until: Instant::now() + Duration::from_secs(20) }
    }

    fn identity(pid: u32) -> Identity {
        Identity::read(pid, pidfd::open(pid).unwrap()).unwrap()
    }

    fn state(pid: u32) -> char {
        proc::stat(pid).unwrap().state
    }

    // covers: E9
    #[test]
    fn who_was_going_goes_on_and_who_stood_still_does_not() {
        let Some(group) = group("still") else { return };
        let mut going = Command::new("sleep").arg("600").spawn().unwrap();
        let mut stopped = Command::new("sleep").arg("600").spawn().unwrap();
        pidfd::send_signal(pidfd::open(stopped.id()).unwrap(), Signal::STOP.as_raw()).unwrap();
        while state(stopped.id()) != 'T' {
            process::pause(Duration::from_millis(1));
        }
        let known = vec![identity(going.id()), identity(stopped.id())];
        let mut found = gather_in(&group, &gathering(known.clone())).unwrap();
        let mut members = group.members();
        members.sort_unstable();
        found.sort_by_key(|it| it.pid);
        assert_eq!(members, found.iter().map(|it| it.pid).collect::<Vec<_>>());
        assert_eq!(found.len(), 2);
        let end = Instant::now() + Duration::from_secs(20);
        while state(going.id()) != 'S' && Instant::now() < end {
            process::pause(Duration::from_millis(1));
        }
        assert_eq!((state(going.id()), state(stopped.id())), ('S', 'T'));
        for child in [&mut going, &mut stopped] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        group.remove().unwrap();
    }

    // covers: E9
    #[test]
    fn whoever_has_the_number_of_one_that_has_ended_is_not_touched() {
        let Some(group) = group("number") else { return };
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let real = identity(child.id());
        let home = cgroup::of_process(child.id()).unwrap();
        let before = Identity { start_ticks: real.start_ticks - 1, ..real };
        assert!(matches!(gather_in(&group, &gathering(vec![before])), Err(GatherError::Gone)));
        assert_eq!(cgroup::of_process(child.id()), Some(home.clone()));
        assert_ne!(state(child.id()), 'T', "nobody has stopped it");
        // And if it came to be there while the kernel made room, it comes back.
        group.take(child.id()).unwrap();
        put_back(&group, child.id(), real);
        assert!(group.contains(child.id(), &pidfd::open(child.id()).unwrap()), "it is the one that was meant");
        put_back(&group, child.id(), before);
        assert_eq!(cgroup::of_process(child.id()), Some(home));
        child.kill().unwrap();
        child.wait().unwrap();
        group.remove().unwrap();
    }
}

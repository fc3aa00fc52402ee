//! Where the scopes' groups are made, and whether that works on this machine.

pub(crate) mod layout;
mod refused;
mod saved;
mod sweep;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_sys::cgroup::bounds::{self, Controller, Resource};
use kennel_sys::cgroup::{self, Group, Hierarchy};
use kennel_sys::process;
use kennel_sys::spawn::{Exec, Spawner, Stage};

pub(crate) use self::refused::Refused;
use crate::proto::Reason;
use crate::start::{is_plain, note};

/// How long a keeper that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(2);
/// Weight of the group of keeper and daemon; all scopes together have 100.
const OWN_WEIGHT: u64 = 1000;
/// How many names are tried when one is taken.
const TRIES: u32 = 100;
/// Directories of ours below a cgroup. The later ones are for a kernel that kills whatever is born below the first:
/// some remember there what was killed before.
const PARENTS: [&str; 3] = ["kennel", "kennel~1", "kennel~2"];

/// `…/kennel/<name>` with `self`, where the keeper and its daemon are, and `stack`, where the scopes are ([`layout`]).
///
/// No process is ever in an inner group: there the kernel refuses processes as soon as controllers are enabled.
#[derive(Debug)]
pub(crate) struct Place {
    root: Node,
    /// Roots of earlier keepers in which something is kept, each with its lock.
    others: Vec<(Node, File)>,
    own: PathBuf,
    /// Where the keeper was before.
    home: PathBuf,
    /// The last keeper with this state was killed.
    follows_a_loss: bool,
    /// Keeps another keeper from these directories.
    lock: File,
}

/// A group that others are below.
#[derive(Debug, Clone)]
struct Node {
    directory: PathBuf,
    /// How `/proc/PID/cgroup` shows it.
    path: PathBuf,
}

impl Node {
    fn child(&self, name: impl AsRef<Path>) -> Self {
        Self { directory: self.directory.join(&name), path: self.path.join(&name) }
    }

    fn create(self) -> io::Result<Group> {
        Group::create(self.directory, self.path)
    }
}

/// A cgroup to make ours below.
#[derive(Debug, Clone, Copy)]
struct Base<'a> {
    directory: &'a Path,
    /// How `/proc/PID/cgroup` shows it.
    path: &'a Path,
    /// Directory of the group that this process is in.
    home: &'a Path,
    /// The last keeper with this state was killed.
    follows_a_loss: bool,
}

impl Place {
    /// Finds a place, moves this process into it and tries it out.
    ///
    /// # Errors
    /// Why there is none: of all that were tried, the reason that says most.
    pub(crate) fn find(
        name: &OsStr,
        follows_a_loss: bool,
        spawner: &mut Spawner,
        null: &OwnedFd,
    ) -> Result<Self, Refused> {
        let hierarchies = Hierarchy::mounted().map_err(Refused::other("/proc/self/mountinfo"))?;
        let mut refused = Refused::new(Reason::NoCgroup2, "no cgroup v2 is mounted");
        let Some(own) = cgroup::of_self().filter(|_| !hierarchies.is_empty()) else { return Err(refused) };
        for hierarchy in &hierarchies {
            let home = hierarchy.directory(&own).unwrap_or_else(|| hierarchy.mount.clone());
            for path in bases(&own, cgroup::is_delegated(&home)) {
                let Some(directory) = hierarchy.directory(path) else {
                    let because = format!("cgroup {} is not mounted here", path.display());
                    refused = refused.or(Refused::new(Reason::NotVisible, because));
                    continue;
                };
                let base = Base { directory: &directory, path, home: &home, follows_a_loss };
                match first_alive(|parent| Self::prepare(base, parent, name, spawner, null)) {
                    Ok(place) => return Ok(place),
                    Err(reason) => refused = refused.or(reason),
                }
            }
        }
        Err(refused)
    }

    fn prepare(
        base: Base<'_>,
        parent: &str,
        name: &OsStr,
        spawner: &mut Spawner,
        null: &OwnedFd,
    ) -> Result<Self, Refused> {
        let say = |error: io::Error| Refused::by_system(base.directory, &error, is_root());
        let patience = if base.follows_a_loss { DYING } else { Duration::ZERO };
        let (root, lock) = claim(&base.directory.join(parent), name, patience).map_err(say)?;
        let inside = root.strip_prefix(base.directory).map_err(Refused::other("a group outside of its parent"))?;
        let own = fresh(&root, "self").map_err(say)?;
        let root = Node { path: base.path.join(inside), directory: root };
        let place = Self {
            root,
            others: Vec::new(),
            own,
            home: base.home.to_owned(),
            follows_a_loss: base.follows_a_loss,
            lock,
        };
        let tried = place.try_out(spawner, null);
        place.prefer_ourselves();
        if tried.is_err() {
            place.remove();
        }
        tried.map(|()| place)
    }

    fn try_out(&self, spawner: &mut Spawner, null: &OwnedFd) -> Result<(), Refused> {
        let say = |error: io::Error| Refused::by_system(self.root(), &error, is_root());
        if !self.own.join("cgroup.kill").exists() {
            return Err(Refused::new(Reason::OldKernel, "this kernel cannot kill a group as a whole"));
        }
        cgroup::enter(&self.own).map_err(say)?;
        for kept in [false, true] {
            fs::create_dir_all(self.root().join(layout::parent(&[], kept))).map_err(say)?;
        }
        // Twice: a kernel that remembers kills in the wrong place lets the first live and not the second.
        for _ in 0..2 {
            let group = self.leaf("probe", &[], false, |_| false).map_err(say)?;
            let result = born_in(&group, spawner, null).and_then(|()| group.kill().map_err(say));
            group.remove().map_err(say)?;
            result?;
        }
        Ok(())
    }

    /// Makes a fresh group for a scope of these owners; if the name is taken, with a number behind it. Never one that was used.
    /// `taken` is asked for the path of a group.
    pub(crate) fn leaf(
        &self,
        name: &str,
        owners: &[String],
        keep: bool,
        taken: impl Fn(&Path) -> bool,
    ) -> io::Result<Group> {
        let parent = self.root.child(layout::parent(owners, keep));
        let mut leaf = name.to_owned();
        for number in 1..=TRIES {
            let group = parent.child(&leaf);
            if taken(&group.path) {
                leaf = format!("{name}~{number}");
                continue;
            }
            let made = match group.clone().create() {
                // The first one of its owner.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&parent.directory).and_then(|()| group.create())
                }
                made => made,
            };
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => leaf = format!("{name}~{number}"),
                result => return result,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The group of nobody in particular with this name, and whether it outlives the keeper. The daemon makes such a group to
    /// gather orphans in.
    pub(crate) fn leaf_named(&self, leaf: &str) -> Option<(Group, bool)> {
        let open = |kept: bool| {
            let Node { directory, path } = self.root.child(layout::parent(&[], kept)).child(leaf);
            Some((Group::open(directory, path).ok()?, kept))
        };
        is_plain(leaf.as_ref()).then(|| [true, false].into_iter().find_map(open)).flatten()
    }

    /// Path of the leaf that a process is in, or was when it was removed, if it is one of ours.
    pub(crate) fn leaf_of(&self, pid: u32) -> Option<PathBuf> {
        let path = cgroup::of_process(pid)?;
        let roots = std::iter::once(&self.root).chain(self.others.iter().map(|(root, _lock)| root));
        roots.into_iter().find_map(|root| {
            let leaf = layout::leaf_in(path.strip_prefix(&root.path).ok()?)?;
            Some(root.path.join(leaf))
        })
    }

    /// Directory of what all scopes of these owners are in, which is made if it is not there.
    pub(crate) fn pool(&self, owners: &[String]) -> io::Result<PathBuf> {
        let pool = self.pool_directory(owners);
        fs::create_dir_all(&pool)?;
        Ok(pool)
    }

    pub(crate) fn pool_directory(&self, owners: &[String]) -> PathBuf {
        self.root().join(layout::pool(owners))
    }

    pub(crate) fn has_pool(&self, owners: &[String]) -> bool {
        self.pool_directory(owners).is_dir()
    }

    /// Removes the groups of these owners that nothing is in any more, in both versions.
    pub(crate) fn remove_pool(&self, owners: &[String]) {
        layout::remove_pool(self.root(), owners);
        if let Ok(inside) = self.root().strip_prefix(self.base()) {
            let own_1 = bounds::own_1().unwrap_or_default();
            own_1.iter().for_each(|(_, own)| layout::remove_pool(&own.join(inside), owners));
        }
    }

    /// The cgroup that ours are below.
    fn base(&self) -> &Path {
        self.root().ancestors().nth(2).unwrap_or(self.root())
    }

    /// Has keeper and daemon come before all scopes together where there is not enough of the CPU, so that a service that takes
    /// all of it is heard of and ended. Only where the controller has come this far down: for this alone the rest of the
    /// machine is not divided up. Version 1 has nobody of ours in a group of its own; there the kernel's grouping by session
    /// does as much.
    fn prefer_ourselves(&self) {
        bounds::pass_on(self.root(), [Controller::Cpu]);
        let _not_here = bounds::set(&self.own, Resource::CpuWeight, Some(OWN_WEIGHT));
    }

    /// Tries to have the group of this directory get a controller, from the base down. Nobody is in any of the groups between.
    pub(crate) fn pass_on(&self, group: &Path, controller: Controller) {
        let mut above: Vec<&Path> = group.ancestors().skip(1).take_while(|it| it.starts_with(self.base())).collect();
        above.reverse();
        above.into_iter().for_each(|it| bounds::pass_on(it, [controller]));
        if controller == Controller::Cpu {
            self.prefer_ourselves();
        }
    }

    /// What stands for the group of this directory in the hierarchy of version 1 of a controller, if there is one.
    pub(crate) fn group_1(&self, group: &Path, controller: Controller) -> Option<PathBuf> {
        let inside = group.strip_prefix(self.base()).ok()?;
        let (_, own) = bounds::own_1().ok()?.into_iter().find(|(of, _)| *of == controller)?;
        Some(own.join(inside))
    }

    /// Removes what is left in the hierarchies of version 1 and nobody is in.
    pub(crate) fn remove_1(&self) {
        if let Ok(inside) = self.root().strip_prefix(self.base()) {
            bounds::remove_1(inside);
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root.directory
    }

    /// Moves this process back to where it was and removes the directories. What is still in use stays, for the
    /// sweep of the next keeper.
    pub(crate) fn remove(&self) {
        if cgroup::enter(&self.home).is_err() {
            // Where we came from takes no processes any more.
            note!("cannot go back to {}", self.home.display());
        }
        self.remove_1();
        for (root, _lock) in &self.others {
            let _used = cgroup::remove_tree(&root.directory);
        }
        layout::remove_empty(self.root());
        for directory in [&self.own, &self.root.directory] {
            if let Err(error) = fs::remove_dir(directory)
                && error.kind() != io::ErrorKind::NotFound
            {
                note!("cannot remove {}: {error}", directory.display());
            }
        }
        if let Some(parent) = self.root().parent() {
            // Shared with other keepers: the last one succeeds.
            let _used = fs::remove_dir(parent);
        }
    }
}

/// Cgroups below which to try, best first.
fn bases(own: &Path, delegated: bool) -> Vec<&Path> {
    let top = Path::new("/");
    // What was given to us is better than the top of a tree that another manager keeps; inside of a scope, ours goes
    // below it for that kennel to find.
    if own == top || delegated || is_in_scope(own) || !is_root() { vec![own] } else { vec![top, own] }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a cgroup belongs to a scope of some kennel.
fn is_in_scope(path: &Path) -> bool {
    let mut parts = path.iter();
    while let Some(part) = parts.next() {
        let mut below = parts.clone();
        let is_root = PARENTS.iter().any(|parent| part == *parent) && below.next().is_some();
        if is_root && layout::leaf_in(below.as_path()).is_some() {
            return true;
        }
    }
    false
}

/// Whether a group of this name may have groups of keepers in it.
pub(crate) fn is_parent(name: &str) -> bool {
    PARENTS.contains(&name)
}

/// Tries the parents in turn until one does not kill what is born below it.
fn first_alive<T>(mut try_out: impl FnMut(&str) -> Result<T, Refused>) -> Result<T, Refused> {
    let mut result = try_out(PARENTS[0]);
    for parent in PARENTS.iter().skip(1) {
        match &result {
            Err(refused) if refused.reason == Reason::KilledAtBirth => {
                note!("{}; trying {parent}", refused.because);
                result = try_out(parent);
            }
            _ => break,
        }
    }
    result
}

/// Makes or takes over `<kennel>/<name>`, which no other keeper may have; else the next number behind it.
///
/// A keeper that was killed lets go of its state before it lets go of its groups, some milliseconds later: so long,
/// up to `patience`, the name itself is waited for, or what is below it would be swept by nobody.
fn claim(kennel: &Path, name: &OsStr, patience: Duration) -> io::Result<(PathBuf, File)> {
    let begin = Instant::now();
    let mut root = kennel.join(name);
    let mut number = 0;
    while number < TRIES {
        // Another keeper may remove either while it leaves, so both are made anew each time.
        for directory in [kennel, &root] {
            match fs::create_dir(directory) {
                Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        match cgroup::lock(&root) {
            Ok(Some(lock)) => return Ok((root, lock)),
            Ok(None) if number == 0 && begin.elapsed() < patience => process::pause(Duration::from_millis(2)),
            Ok(None) => {
                number += 1;
                let mut other = name.to_owned();
                other.push(format!("~{number}"));
                root = kennel.join(other);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => number += 1,
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Makes a directory that has not been used: the kernel remembers kills.
fn fresh(root: &Path, name: &str) -> io::Result<PathBuf> {
    let mut directory = root.join(name);
    for number in 1..=TRIES {
        // One of an earlier keeper; busy if something is in it that is not ours to end.
        let _busy = cgroup::remove_tree(&directory);
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                directory = root.join(format!("{name}~{number}"));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Whether a new process lives in `group`: it is one that fails to execute, which it can only tell alive.
pub(crate) fn born_in(group: &Group, spawner: &mut Spawner, null: &OwnedFd) -> Result<(), Refused> {
    use std::os::fd::AsFd;
    let argv = [c"/proc/self/no-such-program".to_owned()];
    let fds = [null.as_fd(), null.as_fd(), null.as_fd()];
    let exec = Exec { cgroup: Some(group.fd().as_fd()), ..Exec::new(&argv, &[], &fds) };
    match spawner.spawn(&exec) {
        Err(failure) if failure.stage == Stage::Exec => Ok(()),
        Err(failure) => Err(Refused::by_birth(group.directory(), &failure, is_root())),
        Ok(_) => Err(Refused::new(Reason::Other, "a program that does not exist was executed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_of_a_kennel_is_recognised() {
        assert!(is_in_scope(Path::new("/kennel/x/svc/web.1")));
        assert!(is_in_scope(Path::new("/user.slice/kennel/x/svc/web.1/sub")));
        assert!(is_in_scope(Path::new("/kennel~1/x/svc/web.1")));
        assert!(is_in_scope(Path::new("/kennel/x/keep/web.1")));
        assert!(is_in_scope(Path::new("/kennel/x/stack/own/a/svc/web.1")));
        assert!(!is_in_scope(Path::new("/kennel/x/self")));
        assert!(!is_in_scope(Path::new("/kennel/x/svc")));
        assert!(!is_in_scope(Path::new("/")));
    }

    #[test]
    fn another_parent_is_tried_only_where_newborns_are_killed() {
        let mut tried = Vec::new();
        let killed = || Refused::new(Reason::KilledAtBirth, "killed");
        let mut run = |good: &str, other: Refused| {
            tried.clear();
            let result = first_alive(|parent| {
                tried.push(parent.to_owned());
                if parent == good { Ok(()) } else { Err(other.clone()) }
            });
            (result.is_ok(), tried.len())
        };
        assert_eq!(run("kennel", killed()), (true, 1));
        assert_eq!(run("kennel~2", killed()), (true, 3));
        assert_eq!(run("nowhere", killed()), (false, 3));
        assert_eq!(run("kennel~1", Refused::new(Reason::ReadOnly, "read-only")), (false, 1));
    }

    #[test]
    fn what_was_delegated_comes_before_the_top() {
        assert_eq!(bases(Path::new("/"), false), [Path::new("/")]);
        assert_eq!(bases(Path::new("/system.slice/kennel.service"), true), [Path::new("/system.slice/kennel.service")]);
    }
}

//! Where the scopes' groups are made, and whether that works on this machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_sys::cgroup::{self, Group, Hierarchy, Killer};
use kennel_sys::spawn::{Exec, Spawner, Stage};

use crate::start::note;

/// How long the start waits for what an earlier keeper left.
const SWEEP: Duration = Duration::from_secs(5);
/// How many names are tried when one is taken.
const TRIES: u32 = 100;

/// `…/kennel/<name>` with `self`, where the keeper and its daemon are, and `svc`, where the scopes are.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    /// `svc`, and how `/proc/PID/cgroup` shows it.
    scopes: PathBuf,
    scopes_path: PathBuf,
    own: PathBuf,
    /// Where the keeper was before.
    home: PathBuf,
    /// Keeps another keeper from these directories.
    _lock: File,
}

impl Place {
    /// Finds a place, moves this process into it and tries it out.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub(crate) fn find(name: &OsStr, spawner: &mut Spawner, null: &OwnedFd) -> Result<Self, String> {
        let hierarchies = Hierarchy::mounted().map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
        let mut because = "no cgroup v2 is mounted".to_owned();
        let own = cgroup::of_self().ok_or_else(|| because.clone())?;
        for hierarchy in &hierarchies {
            for base in bases(&own) {
                let Some(directory) = hierarchy.directory(base) else {
                    because = format!("cgroup {} is not mounted here", base.display());
                    continue;
                };
                let home = hierarchy.directory(&own).unwrap_or_else(|| hierarchy.mount.clone());
                match Self::prepare(&directory, base, home, name, spawner, null) {
                    Ok(place) => return Ok(place),
                    Err(reason) => because = reason,
                }
            }
        }
        Err(because)
    }

    fn prepare(
        base: &Path,
        base_path: &Path,
        home: PathBuf,
        name: &OsStr,
        spawner: &mut Spawner,
        null: &OwnedFd,
    ) -> Result<Self, String> {
        let say = |error: io::Error| format!("cannot use {}: {error}", base.display());
        let (root, lock) = claim(&base.join("kennel"), name).map_err(say)?;
        let scopes = root.join("svc");
        let inside = root.strip_prefix(base).map_err(|_| "a group outside of its parent".to_owned())?;
        let scopes_path = base_path.join(inside).join("svc");
        let own = fresh(&root, "self").map_err(say)?;
        let place = Self { root, scopes, scopes_path, own, home, _lock: lock };
        let tried = place.try_out(spawner, null);
        if tried.is_err() {
            place.remove();
        }
        tried.map(|()| place)
    }

    fn try_out(&self, spawner: &mut Spawner, null: &OwnedFd) -> Result<(), String> {
        let say = |error: io::Error| format!("cannot use {}: {error}", self.root.display());
        cgroup::enter(&self.own).map_err(say)?;
        match fs::create_dir(&self.scopes) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(say(error)),
            _ => {}
        }
        // Twice: a kernel that remembers kills in the wrong place lets the first live and not the second.
        for _ in 0..2 {
            let group = self.leaf("probe", |_| false).map_err(say)?;
            let result = born_in(&group, spawner, null).and_then(|()| group.kill().map_err(say));
            group.remove().map_err(say)?;
            result?;
        }
        Ok(())
    }

    /// Makes a fresh group for a scope; if the name is taken, with a number behind it. Never one that was used.
    pub(crate) fn leaf(&self, name: &str, taken: impl Fn(&Path) -> bool) -> io::Result<Group> {
        let mut leaf = name.to_owned();
        for number in 1..=TRIES {
            if taken(Path::new(&leaf)) {
                leaf = format!("{name}~{number}");
                continue;
            }
            match Group::create(self.scopes.join(&leaf), self.scopes_path.join(&leaf)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => leaf = format!("{name}~{number}"),
                result => return result,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Empties what an earlier keeper left; answers with what would not go.
    pub(crate) fn sweep(&self) -> Vec<Group> {
        let mut left = Vec::new();
        for entry in fs::read_dir(&self.scopes).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(group) = Group::open(entry.path(), self.scopes_path.join(entry.file_name()))
            {
                // All at once first, so that they die side by side.
                let _later = group.kill();
                left.push(group);
            }
        }
        left.retain(|group| {
            note!("emptying {}, left by an earlier keeper", group.directory().display());
            !Killer::run(group, SWEEP)
        });
        left
    }

    /// Name of the leaf that a process is in, or was when it was removed, if it is one of ours.
    pub(crate) fn leaf_of(&self, pid: u32) -> Option<PathBuf> {
        let path = cgroup::of_process(pid)?;
        let inside = path.strip_prefix(&self.scopes_path).ok()?;
        let leaf = inside.iter().next()?.as_bytes();
        // No name of ours has a blank, so this is the kernel's remark.
        let leaf = leaf.strip_suffix(b" (deleted)").unwrap_or(leaf);
        Some(PathBuf::from(OsStr::from_bytes(leaf)))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Moves this process back to where it was and removes the directories. What is still in use stays, for the
    /// sweep of the next keeper.
    pub(crate) fn remove(&self) {
        if cgroup::enter(&self.home).is_err() {
            // Where we came from takes no processes any more.
            note!("cannot go back to {}", self.home.display());
        }
        for directory in [&self.own, &self.scopes, &self.root] {
            if let Err(error) = fs::remove_dir(directory)
                && error.kind() != io::ErrorKind::NotFound
            {
                note!("cannot remove {}: {error}", directory.display());
            }
        }
        if let Some(parent) = self.root.parent() {
            // Shared with other keepers: the last one succeeds.
            let _used = fs::remove_dir(parent);
        }
    }
}

/// Cgroups below which to try, best first.
fn bases(own: &Path) -> Vec<&Path> {
    let root = rustix::process::geteuid().is_root();
    if is_in_scope(own) || !root { vec![own] } else { vec![Path::new("/"), own] }
}

/// Whether a cgroup belongs to a scope of some kennel: then ours goes below it, for that kennel to find.
fn is_in_scope(path: &Path) -> bool {
    let parts: Vec<&OsStr> = path.iter().collect();
    parts.windows(4).any(|four| matches!(four, [kennel, _, svc, _] if *kennel == "kennel" && *svc == "svc"))
}

/// Makes or takes over `<kennel>/<name>`, which no other keeper may have; else the next number behind it.
fn claim(kennel: &Path, name: &OsStr) -> io::Result<(PathBuf, File)> {
    let mut root = kennel.join(name);
    for number in 1..=TRIES {
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
            Ok(None) => {
                let mut other = name.to_owned();
                other.push(format!("~{number}"));
                root = kennel.join(other);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
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
fn born_in(group: &Group, spawner: &mut Spawner, null: &OwnedFd) -> Result<(), String> {
    use std::os::fd::AsFd;
    let argv = [c"/proc/self/no-such-program".to_owned()];
    let fds = [null.as_fd(), null.as_fd(), null.as_fd()];
    let exec = Exec {
        argv: &argv,
        env: &[],
        cwd: c"/",
        user: None,
        umask: None,
        fds: &fds,
        nofile: None,
        no_new_privs: false,
        cgroup: Some(group.fd().as_fd()),
    };
    match spawner.spawn(&exec) {
        Err(failure) if failure.stage == Stage::Exec => Ok(()),
        Err(failure) if failure.stage == Stage::Born => {
            Err(format!("this kernel kills what is born in {}", group.directory().display()))
        }
        Err(failure) => {
            let error = io::Error::from_raw_os_error(failure.errno);
            Err(format!("nothing can be born in {}: {error}", group.directory().display()))
        }
        Ok(_) => Err("a program that does not exist was executed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_of_a_kennel_is_recognised() {
        assert!(is_in_scope(Path::new("/kennel/x/svc/web.1")));
        assert!(is_in_scope(Path::new("/user.slice/kennel/x/svc/web.1/sub")));
        assert!(!is_in_scope(Path::new("/kennel/x/self")));
        assert!(!is_in_scope(Path::new("/kennel/x/svc")));
        assert!(!is_in_scope(Path::new("/")));
    }
}

//! Control groups, version 2: where they are, and what can be done with one that holds one scope.

pub mod bounds;
mod kill;
mod namespace;
mod tree;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

pub use self::kill::{Killer, Step, Survivor, survivors};
use crate::pidfd;

/// The cgroup v2 hierarchy as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The part of the hierarchy that is mounted there, `/` for all of it.
    pub root: PathBuf,
}

impl Hierarchy {
    /// Every mounted cgroup v2 hierarchy, as the only one or beside version 1; of one that was mounted outside of
    /// this process's cgroup namespace the part that is inside.
    ///
    /// # Errors
    /// What reading `/proc/self/mountinfo` says.
    ///
    /// Source: `proc_pid_mountinfo(5)`.
    pub fn mounted() -> io::Result<Vec<Self>> {
        let own = of_self();
        let mounts = parse_mounts(&fs::read_to_string("/proc/self/mountinfo")?);
        Ok(mounts.into_iter().map(|it| namespace::from_inside(it, own.as_deref())).collect())
    }

    /// Directory of the cgroup that `/proc/PID/cgroup` calls `path`; `None` if it lies outside of this mount.
    #[must_use]
    pub fn directory(&self, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix(&self.root).ok()?;
        Some(if inside.as_os_str().is_empty() { self.mount.clone() } else { self.mount.join(inside) })
    }

    /// What `/proc/PID/cgroup` calls the cgroup of this directory; `None` if it lies outside of this mount.
    #[must_use]
    pub fn path(&self, directory: &Path) -> Option<PathBuf> {
        Some(self.root.join(directory.strip_prefix(&self.mount).ok()?))
    }
}

fn parse_mounts(text: &str) -> Vec<Hierarchy> {
    text.lines()
        .filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            if kind.split(' ').next()? != "cgroup2" {
                return None;
            }
            let mut fields = mount.split(' ').skip(3);
            let (root, mount) = (unescape(fields.next()?), unescape(fields.next()?));
            Some(Hierarchy { mount, root })
        })
        .collect()
}

/// Blanks, tabs, newlines and backslashes are octal there.
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// Version 2 cgroup of a process, as a path in the hierarchy; also of a zombie. `None` once it is reaped.
///
/// A removed directory ends in ` (deleted)`.
#[must_use]
pub fn of_process(pid: u32) -> Option<PathBuf> {
    own_line(&fs::read(format!("/proc/{pid}/cgroup")).ok()?)
}

/// Version 2 cgroup of this process. `None` on a system without.
#[must_use]
pub fn of_self() -> Option<PathBuf> {
    own_line(&fs::read("/proc/self/cgroup").ok()?)
}

fn own_line(text: &[u8]) -> Option<PathBuf> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    Some(std::ffi::OsString::from_vec(line.to_vec()).into())
}

/// What is told of a group by its `cgroup.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Condition {
    /// A living process is in it or below; zombies do not count, frozen ones do.
    pub populated: bool,
    /// Every process in it and below stands still.
    pub frozen: bool,
}

/// One cgroup directory: a leaf of ours, with whatever its members made below it.
#[derive(Debug)]
pub struct Group {
    directory: PathBuf,
    /// As `/proc/PID/cgroup` shows it.
    path: PathBuf,
    fd: OwnedFd,
}

impl Group {
    /// Makes a fresh one. `path` is the directory's name in `/proc/PID/cgroup`.
    ///
    /// # Errors
    /// `AlreadyExists`: a used one must never be used again, for the kernel remembers what was killed in it.
    pub fn create(directory: PathBuf, path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&directory)?;
        Self::open(directory, path)
    }

    /// Opens an existing one.
    ///
    /// # Errors
    /// `NotFound` and what else the system says.
    pub fn open(directory: PathBuf, path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&directory, flags, Mode::empty())?;
        Ok(Self { directory, path, fd })
    }

    /// One that is open already, which may be removed by now.
    #[must_use]
    pub fn opened(directory: PathBuf, path: PathBuf, fd: OwnedFd) -> Self {
        Self { directory, path, fd }
    }

    /// Opens an existing one by its directory alone.
    ///
    /// # Errors
    /// As [`Group::open`]; `InvalidInput` if no cgroup v2 hierarchy is mounted there.
    pub fn at(directory: &Path) -> io::Result<Self> {
        let path = Hierarchy::mounted()?.iter().find_map(|it| it.path(directory));
        let path = path.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not in a cgroup v2 hierarchy"))?;
        Self::open(directory.to_owned(), path)
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its name in `/proc/PID/cgroup`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Descriptor of its directory, to be born in.
    #[must_use]
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether any living process is in it or below. Zombies do not count, frozen ones do.
    ///
    /// # Errors
    /// What the system says; a directory that is gone is empty.
    pub fn populated(&self) -> io::Result<bool> {
        self.condition().map(|condition| condition.populated)
    }

    /// What its `cgroup.events` says.
    ///
    /// # Errors
    /// What the system says; a directory that is gone is empty, and not frozen.
    ///
    /// Source: kernel documentation, cgroup v2, `cgroup.events`; `frozen` since Linux 5.2.
    pub fn condition(&self) -> io::Result<Condition> {
        match self.read("cgroup.events") {
            Ok(text) => {
                let says = |what: &[u8]| text.split(|byte| *byte == b'\n').any(|line| line == what);
                Ok(Condition { populated: says(b"populated 1"), frozen: says(b"frozen 1") })
            }
            Err(error) if is_gone(&error) => Ok(Condition::default()),
            Err(error) => Err(error),
        }
    }

    /// Kills every member with one write; misses those whose main thread has ended.
    ///
    /// # Errors
    /// What the system says; a directory that is gone is no error.
    ///
    /// Source: kernel documentation, cgroup v2, `cgroup.kill`, Linux 5.14.
    pub fn kill(&self) -> io::Result<()> {
        self.write("cgroup.kill", b"1")
    }

    /// Stops every member where it is, newborns included, or lets them go on. Takes effect some time later.
    ///
    /// # Errors
    /// What the system says; a directory that is gone is no error.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.write("cgroup.freeze", if frozen { b"1" } else { b"0" })
    }

    /// Whether it was told to stand still. Unlike what [`condition`](Self::condition) says, which is untrue for a moment
    /// while a member takes a signal or dies of it, this holds until it is told to go on.
    #[must_use]
    pub fn is_told_to_freeze(&self) -> bool {
        self.read("cgroup.freeze").is_ok_and(|text| text.starts_with(b"1"))
    }

    /// Lets every member of it and of the groups below go on, whoever stopped them there.
    pub fn thaw(&self) {
        self.each(|group| {
            let open = rustix::fs::openat(group, "cgroup.freeze", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
            // It may be gone, and then nobody is in it.
            let _gone = open.and_then(|file| rustix::io::write(&file, b"0"));
        });
    }

    /// Living members of it and of the groups below, in no order.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        let mut pids = Vec::new();
        self.each(|group| pids.extend(members_of(group)));
        pids
    }

    fn each(&self, visit: impl FnMut(&OwnedFd)) {
        if let Ok(top) = self.fd.try_clone() {
            tree::each(top, visit);
        }
    }

    /// Whether a cgroup, as `/proc/PID/cgroup` shows it, is this one or below it. Also when this one is removed.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        if path.starts_with(&self.path) {
            return true;
        }
        // The kernel's remark on a removed directory.
        path.as_os_str()
            .as_bytes()
            .strip_suffix(b" (deleted)")
            .is_some_and(|path| path == self.path.as_os_str().as_bytes())
    }

    /// Whether a process is in it or below; with the descriptor open, the answer is about that process and no
    /// later one with its number.
    #[must_use]
    pub fn contains(&self, pid: u32, pidfd: &OwnedFd) -> bool {
        let inode = rustix::fs::fstat(&self.fd).ok().map(|stat| stat.st_ino);
        if inode.is_some() && pidfd::info(pidfd).is_ok_and(|info| info.cgroup_id == inode) {
            return true;
        }
        // An older kernel, or a group below ours.
        let inside = of_process(pid).is_some_and(|path| path.starts_with(&self.path));
        inside && pidfd::send_signal(pidfd, 0).is_ok()
    }

    /// Sends `signal` to every member that is there now. Each is opened first and its membership checked after,
    /// so a number that was used again is never hit. Answers with how many got it.
    pub fn signal(&self, signal: i32) -> usize {
        let (mut pids, mut groups) = (Vec::new(), HashSet::new());
        self.each(|group| {
            pids.extend(members_of(group));
            groups.extend(rustix::fs::fstat(group).map(|stat| stat.st_ino));
        });
        // The kernel's own word first: it also has one where the path is too long to be shown.
        let is_below =
            |fd: &OwnedFd| pidfd::info(fd).is_ok_and(|info| info.cgroup_id.is_some_and(|id| groups.contains(&id)));
        let send = |pid: u32| {
            pidfd::open(pid)
                .is_ok_and(|fd| (is_below(&fd) || self.contains(pid, &fd)) && pidfd::send_signal(&fd, signal).is_ok())
        };
        pids.into_iter().filter(|pid| send(*pid)).count()
    }

    /// Moves the process with this number here, whoever has the number when the kernel looks: some 10 ms after this was
    /// called, the first time. So the caller compares before and after.
    ///
    /// # Errors
    /// `NotFound` if nobody has it; `PermissionDenied` without the right to move between the two groups.
    ///
    /// Source: kernel documentation, cgroup v2, "Delegation"; the wait is for `cgroup_threadgroup_rwsem`.
    pub fn take(&self, pid: u32) -> io::Result<()> {
        let file = rustix::fs::openat(&self.fd, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        match rustix::io::write(&file, pid.to_string().as_bytes()) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::SRCH) => Err(io::ErrorKind::NotFound.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the directory and those below it, deepest first.
    ///
    /// # Errors
    /// `ResourceBusy` while a living process is in one of them; one that is gone is no error.
    pub fn remove(&self) -> io::Result<()> {
        remove_tree(&self.directory)
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let fd = rustix::fs::openat(&self.fd, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        // `cgroup.events` is two short lines.
        let mut buffer = [0; 256];
        let length = rustix::io::read(&fd, &mut buffer)?;
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    }

    fn write(&self, file: &str, value: &[u8]) -> io::Result<()> {
        let open = rustix::fs::openat(&self.fd, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let result = open.and_then(|fd| rustix::io::write(&fd, value)).map_err(io::Error::from);
        match result {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Living members of a cgroup and of every group below it, in no order; none if it is gone.
#[must_use]
pub fn members(directory: &Path) -> Vec<u32> {
    let top = File::open(directory).map(OwnedFd::from).ok();
    top.and_then(|top| list(&top, |top| Some(members_of(top)))).unwrap_or_default()
}

/// The same of an open one. `alone` lists the members of a group without those of the groups below it, as a caller can do that best.
pub(crate) fn list(group: &OwnedFd, alone: impl FnOnce(&OwnedFd) -> Option<Vec<u32>>) -> Option<Vec<u32>> {
    // A directory has two links, and one for each in it. Most have none, and to list one costs more than all else here.
    if rustix::fs::fstat(group).ok()?.st_nlink == 2 {
        return alone(group);
    }
    let mut pids = Vec::new();
    tree::each(group.try_clone().ok()?, |group| pids.extend(members_of(group)));
    Some(pids)
}

/// Living members of a group alone. None in a threaded one: those are members of the group above that is not.
fn members_of(group: &OwnedFd) -> Vec<u32> {
    let open = rustix::fs::openat(group, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let read = |file: OwnedFd| {
        // The kernel says of such a file that it is empty; so as not to begin with a few bytes.
        let mut text = String::with_capacity(512);
        File::from(file).read_to_string(&mut text).map(|_| text)
    };
    let text = open.map_err(io::Error::from).and_then(read);
    text.map(|text| text.lines().filter_map(|line| line.parse().ok()).collect()).unwrap_or_default()
}

/// Moves this process into the cgroup `directory`. Takes about 10 ms: once, never per spawn.
///
/// # Errors
/// What the system says.
pub fn enter(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("cgroup.procs"), "0")
}

/// Whether a manager has marked the group as handed over to whoever runs in it, as systemd does for `Delegate=yes`.
///
/// Source: systemd, "Control Group APIs and Delegation", the attribute `user.delegate` (older: `trusted.delegate`).
#[must_use]
pub fn is_delegated(directory: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0_u8; 8];
        rustix::fs::getxattr(directory, *name, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// Removes a directory and those below it, deepest first.
///
/// # Errors
/// `ResourceBusy` while a living process is in one of them; one that is gone is no error.
pub fn remove_tree(directory: &Path) -> io::Result<()> {
    // First without looking: hardly any scope has groups of its own.
    match fs::remove_dir(directory) {
        Ok(()) => return Ok(()),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(_) => {}
    }
    match File::open(directory) {
        Ok(top) => tree::remove_below(&top.into())?,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    match fs::remove_dir(directory) {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Takes a cgroup directory for this process alone, as long as the answer lives. `None`: another one has it.
///
/// # Errors
/// What the system says.
pub fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = File::open(directory)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // It may have been removed, and made again by another, between opening and locking.
    let same = fs::metadata(directory).is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
    if same { Ok(Some(file)) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// A file of a removed directory answers `ENODEV`, its path `ENOENT`.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_in_every_layout() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n\
                    42 31 0:38 /a\\040b /mnt/c\\134d rw - cgroup2 none rw\n\
                    garbage\n";
        let found = parse_mounts(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].directory(Path::new("/kennel/x")), Some("/sys/fs/cgroup/unified/kennel/x".into()));
        assert_eq!(found[1].directory(Path::new("/a b/x")), Some("/mnt/c\\d/x".into()));
        assert_eq!(found[1].directory(Path::new("/elsewhere")), None);
        assert_eq!(found[0].path(Path::new("/sys/fs/cgroup/unified/kennel/x")), Some("/kennel/x".into()));
        assert_eq!(found[1].path(Path::new("/mnt/c\\d/x")), Some("/a b/x".into()));
    }

    #[test]
    fn the_unified_line_is_taken() {
        let text = b"4:memory:/m\n1:cpu:/\n0::/kennel/x/svc/web.1\n";
        assert_eq!(own_line(text), Some("/kennel/x/svc/web.1".into()));
        assert_eq!(own_line(b"4:memory:/m\n"), None);
    }
}

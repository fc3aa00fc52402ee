//! Who holds a file lock, as the kernel says it of open files.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::identity::Identity;
use crate::pidfd;

/// A process that holds a lock, taken hold of.
#[derive(Debug)]
pub struct Holder {
    /// Which.
    pub identity: Identity,
    /// Itself, opened before it was seen to hold the lock.
    pub pidfd: OwnedFd,
}

/// Every process through which the exclusive `flock(2)` of a file is held, this one excluded: the one that took it,
/// and all that it gave the open file to. Those of other users are seen by root alone.
///
/// # Errors
/// What `stat(2)` says of the file; one that is not there is held by nobody.
///
/// Source: `proc_pid_fdinfo(5)`: the line `lock:` of a descriptor is about the open file, so it is there in every
/// process that shares it, and in none that has opened the file for itself.
pub fn holders(path: &Path) -> io::Result<Vec<Holder>> {
    let file = match fs::metadata(path) {
        Ok(meta) => (meta.dev(), meta.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let name = path.file_name().unwrap_or_default();
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let others = pids.filter(|pid| *pid != std::process::id());
    Ok(others.filter_map(|pid| holder(pid, name, file)).collect())
}

fn holder(pid: u32, name: &OsStr, file: (u64, u64)) -> Option<Holder> {
    // Most processes have nothing of the kind; those that may are looked at again once they cannot be replaced.
    locking(pid, name, file)?;
    let fd = pidfd::open(pid).ok()?;
    let identity = Identity::read(pid, &fd).ok()?;
    locking(pid, name, file)?;
    // Still there, so what was read is its own.
    identity.open().ok()?;
    Some(Holder { identity, pidfd: fd })
}

/// A descriptor of the process through which it holds the lock.
fn locking(pid: u32, name: &OsStr, file: (u64, u64)) -> Option<PathBuf> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let mut paths = fds.map(|entry| entry.path());
    paths.find(|path| {
        // By its name first: to ask a file system about each file may take long.
        let is_named = fs::read_link(path).is_ok_and(|target| target.file_name() == Some(name));
        is_named
            && fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == file)
            && path.file_name().is_some_and(|number| is_locked(pid, number))
    })
}

fn is_locked(pid: u32, descriptor: &OsStr) -> bool {
    let info = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(descriptor);
    let text = fs::read_to_string(info).unwrap_or_default();
    text.lines().any(is_exclusive)
}

/// `lock: 1: FLOCK  ADVISORY  WRITE 812 00:1f:2041 0 EOF`
fn is_exclusive(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.next() == Some("lock:") && words.nth(1) == Some("FLOCK") && words.nth(1) == Some("WRITE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn the_kernels_line_is_read() {
        assert!(is_exclusive("lock:\t1: FLOCK  ADVISORY  WRITE 812 00:1f:2041 0 EOF"));
        assert!(!is_exclusive("lock:\t1: FLOCK  ADVISORY  READ 812 00:1f:2041 0 EOF"));
        assert!(!is_exclusive("lock:\t1: POSIX  ADVISORY  WRITE 812 00:1f:2041 0 EOF"));
        assert!(!is_exclusive("flags:\t02"));
        assert!(!is_exclusive(""));
    }

    #[test]
    fn who_shares_the_lock_holds_it_and_who_looks_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = File::create(&path).unwrap();
        held.lock().unwrap();
        let looks = File::open(&path).unwrap();
        let sharer = crate::spawn::tests::start_on(&["sleep", "600"], &held).unwrap();
        let looker = crate::spawn::tests::start_on(&["sleep", "600"], &looks).unwrap();
        let pids = |found: Vec<Holder>| found.iter().map(|one| one.identity.pid).collect::<Vec<_>>();
        let found = pids(holders(&path).unwrap());
        drop(held);
        let found_later = pids(holders(&path).unwrap());
        for child in [&sharer, &looker] {
            pidfd::send_signal(&child.pidfd, libc::SIGKILL).unwrap();
            crate::wait::reap(child.pid, true).unwrap();
        }
        assert_eq!((found, found_later), (vec![sharer.pid], vec![sharer.pid]));
        assert!(holders(&path).unwrap().is_empty());
        assert!(holders(&dir.path().join("none")).unwrap().is_empty());
    }
}

//! Pipes that outlive the one who reads them: found again through the processes that write to them.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

/// What identifies a pipe; both ends have the same. Unique among the pipes that are open.
///
/// # Errors
/// What `fstat(2)` says.
pub fn inode(end: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(end)?.st_ino)
}

/// A second way to a pipe, that both reads and writes. Whoever writes to it has a reader in itself: it never gets
/// `SIGPIPE`, and waits when the pipe is full.
///
/// # Errors
/// `NotFound` without `/proc`, and what `open(2)` says.
///
/// Source: `pipe(7)`, `fifo(7)`: opening for both never blocks on Linux.
pub fn both_ends(end: impl AsFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", end.as_fd().as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// Another read end, non-blocking, of the pipe with this inode, if the process has any end of it open. `None` also
/// when this process may not look at the descriptors of that one.
///
/// Source: `proc_pid_fd(5)`: opening an entry of a pipe opens that pipe anew.
#[must_use]
pub fn reader_through(pid: u32, wanted: u64) -> Option<OwnedFd> {
    let name = format!("pipe:[{wanted}]");
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    let path = paths.find(|path| fs::read_link(path).is_ok_and(|target| target == Path::new(&name)))?;
    let reader = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // The descriptor may have become another in between.
    let stat = rustix::fs::fstat(&reader).ok()?;
    let is_it = stat.st_ino == wanted && FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
    is_it.then_some(reader)
}

/// Inodes of the pipes that stdout and stderr of a process are, as far as it has both ends of them: nobody else is there to
/// read such a pipe, and it was made so by [`both_ends`]. 0 for one that is anything else; `None` if both are.
///
/// Source: `proc_pid_fdinfo(5)`; `flags` is octal.
#[must_use]
pub fn outliving(pid: u32) -> Option<[u64; 2]> {
    let inodes = [1, 2].map(|fd| outliving_at(pid, fd).unwrap_or(0));
    (inodes != [0, 0]).then_some(inodes)
}

fn outliving_at(pid: u32, fd: u32) -> Option<u64> {
    let target = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()?;
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
    (flags & OFlags::RWMODE.bits() == OFlags::RDWR.bits()).then_some(inode)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_pipe_is_found_again_and_only_that() {
        let (reader, writer) = io::pipe().unwrap();
        let (other, _other_writer) = io::pipe().unwrap();
        let wanted = inode(&writer).unwrap();
        assert_eq!(inode(&reader).unwrap(), wanted);
        rustix::io::write(&writer, b"before").unwrap();
        drop(reader);
        // Nobody else in this process has it, so this is found through the write end.
        let found = reader_through(std::process::id(), wanted).unwrap();
        assert_eq!(inode(&found).unwrap(), wanted);
        let mut bytes = [0; 16];
        assert_eq!(rustix::io::read(&found, &mut bytes).unwrap(), 6);
        assert_eq!(rustix::io::read(&found, &mut bytes), Err(rustix::io::Errno::AGAIN));
        let gone = inode(&other).unwrap();
        drop((other, _other_writer));
        assert!(reader_through(std::process::id(), gone).is_none());
        assert!(reader_through(u32::MAX, wanted).is_none());
    }

    #[test]
    fn only_a_pipe_with_both_ends_outlives_its_reader() {
        let (_reader, writer) = io::pipe().unwrap();
        let both = both_ends(&writer).unwrap();
        let own = std::process::id();
        let number = |end: &OwnedFd| u32::try_from(end.as_raw_fd()).unwrap();
        assert_eq!(outliving_at(own, number(&both)), Some(inode(&both).unwrap()));
        assert_eq!(outliving_at(own, number(&writer.into())), None);
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
        assert_eq!(outliving_at(own, number(&null.into())), None);
    }

    #[test]
    fn who_has_both_ends_is_never_without_a_reader() {
        let (mut reader, writer) = io::pipe().unwrap();
        let both = both_ends(&writer).unwrap();
        drop(writer);
        rustix::io::write(&both, b"text").unwrap();
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).unwrap();
        drop(reader);
        // The test ignores `SIGPIPE`, so without a reader this would be an error.
        assert_eq!(rustix::io::write(&both, b"still there").unwrap(), 11);
    }
}

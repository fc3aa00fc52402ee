//! Output that is recorded exactly once, also when the daemon is killed at any instant.
//!
//! Between reading from a pipe and writing to a file, bytes are nowhere but in this process. So they are looked at first and stay
//! in the kernel: what is going to be written is moved into a pipe that nobody else writes to and that the keeper holds as
//! well, and thrown away there after it was written. A small file says which of both is due, and where in which log the
//! record begins. The next daemon either writes again what is in that pipe, at the same place, or throws it away.
//!
//! Only whole lines are taken; the begin of one waits in the service's own pipe for its end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use kennel_wire::LogStream;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};

use super::file::LogFile;

/// Wanted capacity of both pipes; with less, more turns are needed.
const CAPACITY: usize = 1 << 20;
/// Length of the mark: one write of it is whole or not there.
const MARK: usize = 512;
const TAKING: u8 = b'T';
const WRITTEN: u8 = b'W';

/// The way from a pipe to a file.
#[derive(Debug)]
pub(super) struct Stage {
    /// Read and write end of the pipe in between.
    between: [OwnedFd; 2],
    /// Read and write end of a pipe for looking.
    copy: [OwnedFd; 2],
    mark: File,
    null: File,
}

/// What the mark says of a move that was cut short.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) name: String,
    pub(super) stream: LogStream,
    /// Length of the log without what is between.
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

impl Stage {
    /// Opens it with this file as its mark. `between` is the pipe of the daemon before this one; the keeper had it.
    pub(super) fn open(path: &Path, between: Option<[OwnedFd; 2]>) -> io::Result<Self> {
        let mark = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let null = OpenOptions::new().write(true).open("/dev/null")?;
        let between = match between {
            Some(between) => between,
            None => {
                // Nothing is in a new one, whatever the mark says.
                mark.set_len(0)?;
                pipe()?
            }
        };
        Ok(Self { between, copy: pipe()?, mark, null })
    }

    /// Both ends of the pipe in between, for the keeper.
    pub(super) fn ends(&self) -> io::Result<[OwnedFd; 2]> {
        let [read, write] = &self.between;
        Ok([read.as_fd().try_clone_to_owned()?, write.as_fd().try_clone_to_owned()?])
    }

    /// Takes what an earlier daemon had moved and not written; what it had written is thrown away. To be called before
    /// anything is moved, and followed by [`Stage::written`].
    pub(super) fn unfinished(&mut self) -> io::Result<Option<Unfinished>> {
        let mut mark = [0; MARK];
        let read = self.mark.read_at(&mut mark, 0)?;
        let said = mark.get(..read).unwrap_or_default();
        let Some((name, stream, offset)) = parse(said) else {
            self.drain()?;
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.between[0], &mut buffer[..]) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok((!bytes.is_empty()).then_some(Unfinished { name, stream, offset, bytes }))
    }

    /// Copies the begin of what is in `from`, as far as `buffer` holds it: 0 at its end, `WouldBlock` with nothing there now.
    pub(super) fn look(&self, from: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
        let copied = tee(from, &self.copy[1], buffer.len(), SpliceFlags::NONBLOCK)?;
        let mut read = 0;
        while read < copied {
            match rustix::io::read(&self.copy[0], buffer.get_mut(read..copied).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(read)
    }

    /// Moves the first `count` bytes, which [`Stage::look`] gave, out of `from` and writes their `records`.
    ///
    /// What cannot be written is lost, as everything that does not fit on a disk; the service goes on.
    pub(super) fn record(
        &mut self,
        from: &OwnedFd,
        count: usize,
        log: (&mut LogFile, LogStream),
        records: &[u8],
    ) -> io::Result<()> {
        let (file, stream) = log;
        let offset = file.begin(records.len())?;
        self.taking(file.name(), stream, offset)?;
        let mut moved = 0;
        while moved < count {
            match splice(from, None, &self.between[1], None, count - moved, SpliceFlags::NONBLOCK) {
                Ok(0) => break,
                Ok(some) => moved += some,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        kennel_sys::crash_point!("logs.moved");
        let written = file.append(records);
        kennel_sys::crash_point!("logs.appended");
        self.written()?;
        written
    }

    /// What is in between is in its file, or lost for good.
    pub(super) fn written(&mut self) -> io::Result<()> {
        self.mark.write_all_at(&[WRITTEN], 0)?;
        kennel_sys::crash_point!("logs.marked");
        self.drain()
    }

    fn taking(&self, name: &str, stream: LogStream, offset: u64) -> io::Result<()> {
        let stream = match stream {
            LogStream::Stdout => "o",
            LogStream::Stderr => "e",
        };
        let line = format!("{}{stream} {offset} {name}\n", char::from(TAKING));
        self.mark.write_all_at(line.as_bytes(), 0)
    }

    fn drain(&self) -> io::Result<()> {
        loop {
            match splice(&self.between[0], None, &self.null, None, CAPACITY, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn parse(mark: &[u8]) -> Option<(String, LogStream, u64)> {
    let line = mark.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    let stream = match words.next()? {
        "To" => LogStream::Stdout,
        "Te" => LogStream::Stderr,
        _ => return None,
    };
    let (offset, name) = (words.next()?.parse().ok()?, words.next()?);
    Some((name.to_owned(), stream, offset))
}

fn pipe() -> io::Result<[OwnedFd; 2]> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Refused beyond what a user may have in all pipes together; it works with less.
    let _as_it_is = fcntl_setpipe_size(&write, CAPACITY);
    Ok([read, write])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]
    use super::*;

    fn service() -> [OwnedFd; 2] {
        pipe().unwrap()
    }

    fn say(service: &[OwnedFd; 2], text: &str) {
        assert_eq!(rustix::io::write(&service[1], text.as_bytes()).unwrap(), text.len());
    }

    fn again(dir: &Path, stage: &Stage) -> Stage {
        Stage::open(&dir.join("mark"), Some(stage.ends().unwrap())).unwrap()
    }

    #[test]
    fn what_is_looked_at_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (stage, service) = (Stage::open(&dir.path().join("mark"), None).unwrap(), service());
        assert_eq!(stage.look(&service[0], &mut [0; 9]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        say(&service, "one\ntwo\n");
        let mut buffer = [0; 64];
        for _ in 0..2 {
            let count = stage.look(&service[0], &mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"one\ntwo\n");
        }
        let [read, write] = service;
        drop(write);
        assert_eq!(stage.look(&read, &mut buffer).unwrap(), 8);
    }

    // covers: B7
    #[test]
    fn what_was_moved_and_not_written_is_found_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (stage, service) = (Stage::open(&dir.path().join("mark"), None).unwrap(), service());
        say(&service, "one\ntwo\nthr");
        stage.taking("web.2", LogStream::Stderr, 17).unwrap();
        let moved = splice(&service[0], None, &stage.between[1], None, 8, SpliceFlags::NONBLOCK).unwrap();
        assert_eq!(moved, 8);
        let mut next = again(dir.path(), &stage);
        let unfinished = next.unfinished().unwrap().unwrap();
        let expected =
            Unfinished { name: "web.2".into(), stream: LogStream::Stderr, offset: 17, bytes: b"one\ntwo\n".into() };
        assert_eq!(unfinished, expected);
        // Before anything was moved there is nothing to do.
        stage.taking("web.2", LogStream::Stdout, 17).unwrap();
        assert_eq!(again(dir.path(), &stage).unfinished().unwrap(), None);
        let mut buffer = [0; 64];
        assert_eq!(next.look(&service[0], &mut buffer).unwrap(), 3);
    }

    #[test]
    fn what_was_written_is_not_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut stage, service) = (Stage::open(&dir.path().join("mark"), None).unwrap(), service());
        let mut file = LogFile::new(dir.path(), "web");
        say(&service, "one\ntwo\n");
        stage.record(&service[0], 4, (&mut file, LogStream::Stdout), b"[one]\n").unwrap();
        assert_eq!(again(dir.path(), &stage).unfinished().unwrap(), None);
        // Marked as written and not thrown away yet.
        splice(&service[0], None, &stage.between[1], None, 4, SpliceFlags::NONBLOCK).unwrap();
        assert_eq!(again(dir.path(), &stage).unfinished().unwrap(), None);
        assert_eq!(stage.unfinished().unwrap(), None);
        assert_eq!(std::fs::read(dir.path().join("web.log")).unwrap(), b"[one]\n");
    }
}

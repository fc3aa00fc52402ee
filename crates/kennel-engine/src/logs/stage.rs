//! Output that is recorded exactly once, also when the daemon is killed at any instant.
//!
//! Between reading from a pipe and writing to a file, bytes would be nowhere but in this process. So they never are in it: they
//! are moved into a pipe that nobody else writes to and that the keeper holds as well, and from there into the file, by
//! the kernel. Each of both moves takes every byte along that it says it has taken, so at any instant a byte is in
//! exactly one of the three. A small file says which log the pipe in between is for, and where its chunk begins; the next
//! daemon completes that chunk with what is left in the pipe.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use kennel_logs::{Appended, Header, Kind, Log, Stream};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};

/// Wanted capacity of the pipe in between; with less, more turns are needed.
const CAPACITY: usize = 1 << 20;
/// What is looked through for a pattern at once, bytes.
const LOOK: usize = 64 << 10;
/// Length of the mark: one write of it is whole or not there.
const MARK: usize = 512;

/// The way from a pipe to a file.
#[derive(Debug)]
pub(super) struct Stage {
    /// Read and write end of the pipe in between.
    between: [OwnedFd; 2],
    /// The same of a pipe for looking; made when somebody looks.
    copy: Option<[OwnedFd; 2]>,
    mark: File,
    null: File,
}

/// What the mark says of a move that was cut short.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) name: String,
    pub(super) stream: Stream,
    pub(super) run: u32,
    /// Segment and place where its chunk begins; none in the mark of an older daemon.
    pub(super) at: Option<(u64, u64)>,
    /// What is left in the pipe in between, bytes.
    pub(super) rest: usize,
}

/// What [`Stage::record`] has moved.
#[derive(Debug)]
pub(super) enum Moved {
    /// So many bytes, and what became of them.
    Some(usize, Appended),
    /// Nothing is there now.
    Nothing,
    /// Nobody writes to it any more.
    End,
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
        Ok(Self { between, copy: None, mark, null })
    }

    /// Both ends of the pipe in between, for the keeper.
    pub(super) fn ends(&self) -> io::Result<[OwnedFd; 2]> {
        let [read, write] = &self.between;
        Ok([read.as_fd().try_clone_to_owned()?, write.as_fd().try_clone_to_owned()?])
    }

    /// What an earlier daemon had moved and not written. To be called before anything is moved.
    pub(super) fn unfinished(&self) -> io::Result<Option<Unfinished>> {
        let rest = usize::try_from(rustix::io::ioctl_fionread(&self.between[0])?).unwrap_or(0);
        let mut mark = [0; MARK];
        let read = self.mark.read_at(&mut mark, 0)?;
        Ok(parse(mark.get(..read).unwrap_or_default(), rest).filter(|_| rest > 0))
    }

    /// Completes what [`Stage::unfinished`] has told of.
    pub(super) fn finish(&self, log: &mut Log, unfinished: &Unfinished) -> io::Result<Appended> {
        let Unfinished { stream, run, rest, .. } = *unfinished;
        let header = Header { run, ..header(stream, rest) };
        let appended = match unfinished.at {
            Some(at) => log.finish_from(&self.between[0], at, header, rest),
            None => match log.begin() {
                Ok((_, place)) => log.append_from(&self.between[0], place, header),
                Err(error) => Appended { error: Some(error), ..Appended::default() },
            },
        };
        self.drain()?;
        Ok(appended)
    }

    /// Copies the begin of what is in `from`, for a look at it: at most what `buffer` has room for, 0 at its end,
    /// `None` with nothing there now.
    pub(super) fn look(&mut self, from: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let copy = match &mut self.copy {
            Some(copy) => copy,
            none => none.insert(pipe()?),
        };
        let copied = match tee(from, &copy[1], buffer.len().min(LOOK), SpliceFlags::NONBLOCK) {
            Ok(copied) => copied,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let mut read = 0;
        while read < copied {
            match rustix::io::read(&copy[0], buffer.get_mut(read..copied).unwrap_or_default()) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Some(read))
    }

    /// Moves what is there out of `from` and into its log, at most `most` bytes.
    ///
    /// What cannot be written is lost, as everything that does not fit on a disk; the service goes on.
    pub(super) fn record(
        &self,
        from: &OwnedFd,
        most: usize,
        log: (&mut Log, &str),
        header: Header,
    ) -> io::Result<Moved> {
        let (log, name) = log;
        // Without a file there is no place, and without a mark nobody would find it: what comes is lost, and counted as such.
        let at = log.begin().and_then(|at| self.taking(name, &header, at).map(|()| at));
        kennel_sys::crash_point!("logs.marked");
        let moved = match splice(from, None, &self.between[1], None, most.min(CAPACITY), SpliceFlags::NONBLOCK) {
            Ok(0) => return Ok(Moved::End),
            Ok(moved) => moved,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Moved::Nothing),
            Err(errno) => return Err(errno.into()),
        };
        kennel_sys::crash_point!("logs.moved");
        let appended = match at {
            Ok((_, place)) => {
                let length = u32::try_from(moved).unwrap_or(u32::MAX);
                log.append_from(&self.between[0], place, Header { length, ..header })
            }
            Err(error) => Appended { error: Some(error), ..Appended::default() },
        };
        kennel_sys::crash_point!("logs.appended");
        if appended.error.is_some() {
            self.drain()?;
        }
        Ok(Moved::Some(moved, appended))
    }

    fn taking(&self, name: &str, header: &Header, (segment, place): (u64, u64)) -> io::Result<()> {
        let stream = match header.stream {
            Stream::Out => "o",
            Stream::Err => "e",
        };
        let line = format!("M{stream} {segment} {place} {} {name}\n", header.run);
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

/// Of data; the log sets its time.
pub(super) fn header(stream: Stream, length: usize) -> Header {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Header { length, time: 0, run: 0, stream, kind: Kind::Data, is_fresh: false }
}

fn parse(mark: &[u8], rest: usize) -> Option<Unfinished> {
    let line = std::str::from_utf8(mark.split(|byte| *byte == b'\n').next()?).ok()?;
    let (kind, line) = line.split_once(' ')?;
    let (stream, is_old) = match kind {
        "Mo" => (Stream::Out, false),
        "Me" => (Stream::Err, false),
        // By a daemon that wrote lines into one file; there is no place in ours.
        "To" => (Stream::Out, true),
        "Te" => (Stream::Err, true),
        _ => return None,
    };
    let mut words = line.splitn(if is_old { 2 } else { 4 }, ' ');
    let first = words.next()?.parse().ok()?;
    let (at, run) = match is_old {
        true => (None, 0),
        false => (Some((first, words.next()?.parse().ok()?)), words.next()?.parse().ok()?),
    };
    Some(Unfinished { name: words.next()?.to_owned(), stream, run, at, rest })
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
    use kennel_logs::{Bounds, Query, Reader};
    use std::path::Path;

    fn say(service: &[OwnedFd; 2], text: &str) {
        assert_eq!(rustix::io::write(&service[1], text.as_bytes()).unwrap(), text.len());
    }

    fn again(dir: &Path, stage: &Stage) -> Stage {
        Stage::open(&dir.join("mark"), Some(stage.ends().unwrap())).unwrap()
    }

    fn log(dir: &Path) -> Log {
        Log::new(&dir.join("logs"), "web.2", Bounds::default())
    }

    fn lines(dir: &Path) -> Vec<(Stream, String)> {
        let mut reader = Reader::new(&dir.join("logs"), Query::default());
        let mut lines = Vec::new();
        loop {
            let batch = reader.batch(100);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            lines.extend(batch.lines.iter().map(|(_, line)| (line.stream, text(&line.bytes))));
            if !batch.more {
                return lines;
            }
        }
    }

    #[test]
    fn what_is_looked_at_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (mut stage, service) = (Stage::open(&dir.path().join("mark"), None).unwrap(), pipe().unwrap());
        let mut buffer = [0; 64];
        assert_eq!(stage.look(&service[0], &mut buffer).unwrap(), None);
        say(&service, "one\ntwo\n");
        for _ in 0..2 {
            let count = stage.look(&service[0], &mut buffer).unwrap().unwrap();
            assert_eq!(&buffer[..count], b"one\ntwo\n");
        }
    }

    #[test]
    fn what_is_there_is_moved_and_its_end_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (stage, service) = (Stage::open(&dir.path().join("mark"), None).unwrap(), pipe().unwrap());
        let mut log = log(dir.path());
        let mut record = |most| {
            let to = (&mut log, "web.2");
            stage.record(&service[0], most, to, header(Stream::Err, 0)).unwrap()
        };
        assert!(matches!(record(9), Moved::Nothing));
        say(&service, "one\ntwo\nthr");
        assert!(matches!(record(5), Moved::Some(5, _)));
        assert!(matches!(record(100), Moved::Some(6, _)));
        assert_eq!(stage.unfinished().unwrap(), None);
        let [_, write] = &service;
        rustix::io::write(write, b"ee\n").unwrap();
        assert!(matches!(record(100), Moved::Some(3, _)));
        let expected = ["one", "two", "three"].map(|line| (Stream::Err, line.to_owned()));
        assert_eq!(lines(dir.path()), expected);
        let [read, write] = service;
        drop(write);
        let to = (&mut log, "web.2");
        assert!(matches!(stage.record(&read, 9, to, header(Stream::Err, 0)).unwrap(), Moved::End));
    }

    // covers: B7
    #[test]
    fn whatever_was_moved_and_not_written_is_written_by_the_next() {
        // Cut after the mark, after the move, after the header, and after so many bytes of the payload.
        for written in [None, Some(0), Some(3), Some(8)] {
            let dir = tempfile::tempdir().unwrap();
            let (stage, service) = (Stage::open(&dir.path().join("mark"), None).unwrap(), pipe().unwrap());
            let mut first = log(dir.path());
            say(&service, "zero\n");
            stage.record(&service[0], 5, (&mut first, "web.2"), header(Stream::Out, 0)).unwrap();
            say(&service, "one\ntwo\n");
            let at = first.begin().unwrap();
            stage.taking("web.2", &Header { run: 9, ..header(Stream::Err, 0) }, at).unwrap();
            assert_eq!(again(dir.path(), &stage).unfinished().unwrap(), None);
            let moved = splice(&service[0], None, &stage.between[1], None, 8, SpliceFlags::NONBLOCK).unwrap();
            assert_eq!(moved, 8);
            if let Some(count) = written {
                let path = dir.path().join("logs/web.2/00000001.log");
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.write_all_at(&header(Stream::Err, 8).encode(), at.1).unwrap();
                let mut place = at.1 + kennel_logs::HEADER as u64;
                if count > 0 {
                    splice(&stage.between[0], None, &file, Some(&mut place), count, SpliceFlags::NONBLOCK).unwrap();
                }
            }
            let next = again(dir.path(), &stage);
            let mut second = log(dir.path());
            if let Some(unfinished) = next.unfinished().unwrap() {
                assert_eq!((unfinished.rest, unfinished.run), (8 - written.unwrap_or(0), 9));
                assert!(next.finish(&mut second, &unfinished).unwrap().error.is_none());
            }
            assert_eq!(next.unfinished().unwrap(), None);
            let expected = [(Stream::Out, "zero"), (Stream::Err, "one"), (Stream::Err, "two")];
            assert_eq!(lines(dir.path()), expected.map(|(stream, line)| (stream, line.to_owned())), "{written:?}");
        }
    }

    #[test]
    fn the_mark_of_an_older_daemon_is_understood() {
        let found = parse(b"Te 17 web.2\nrest", 5).unwrap();
        assert_eq!(found, Unfinished { name: "web.2".into(), stream: Stream::Err, run: 0, at: None, rest: 5 });
        let found = parse(b"Mo 3 17 9 web\n", 5).unwrap();
        assert_eq!((found.at, found.run, &found.name[..]), (Some((3, 17)), 9, "web"));
        assert_eq!(parse(b"W", 5), None);
    }
}

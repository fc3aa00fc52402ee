//! A file that the user names: the bytes as they were written, line by line of both streams.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kennel_logs::Line;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Target;

/// How often it is looked whether the file was moved away.
const LOOK: Duration = Duration::from_secs(1);
/// How long a pipe that is full is waited for at once.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The file, opened with the first line.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    open: Option<fs::File>,
    looked: Option<Instant>,
}

impl File {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, looked: None }
    }

    fn file(&mut self, begins: bool) -> io::Result<&fs::File> {
        if begins && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            if self.looked.replace(Instant::now()).is_none()
                && let Some(dir) = self.path.parent()
            {
                // Once: one that is removed later was removed by somebody.
                let _shows_below = fs::create_dir_all(dir);
            }
            if self.open.as_ref().is_some_and(|file| !self.is_at_path(file)) {
                self.open = None;
            }
        }
        match &mut self.open {
            Some(file) => Ok(file),
            none => {
                // Not through a link that whoever may write to the directory has put there, and not waiting for the reader of a pipe.
                let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
                let mut options = OpenOptions::new();
                Ok(none.insert(options.append(true).create(true).mode(0o600).custom_flags(flags).open(&self.path)?))
            }
        }
    }

    fn is_at_path(&self, file: &fs::File) -> bool {
        let same = |one: &fs::Metadata, other: &fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        matches!((file.metadata(), fs::symlink_metadata(&self.path)), (Ok(one), Ok(other)) if same(&one, &other))
    }
}

impl Target for File {
    fn pieces(&self, lines: &[Line]) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        for line in lines.iter().filter(|line| line.lost.is_none()) {
            bytes.extend_from_slice(&line.bytes);
            if line.complete {
                bytes.push(b'\n');
            }
        }
        vec![bytes]
    }

    fn send(&mut self, piece: &[u8], begins: bool) -> io::Result<usize> {
        let file = self.file(begins)?;
        let error = match rustix::io::write(file, piece) {
            Ok(count) => return Ok(count),
            Err(Errno::AGAIN) => {
                let _looked_at_again = poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&MOMENT));
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(error) => error,
        };
        if error != Errno::INTR {
            // Opened anew next time: another one may be there by then.
            (self.open, self.looked) = (None, Some(Instant::now()));
        }
        Err(error.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn write(file: &mut File, text: &str) -> io::Result<usize> {
        file.looked = file.looked.and_then(|looked| looked.checked_sub(LOOK));
        file.send(text.as_bytes(), true)
    }

    #[test]
    fn one_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/web.log");
        let mut file = File::new(&path);
        assert_eq!(write(&mut file, "one\n").unwrap(), 4);
        fs::rename(&path, dir.path().join("old")).unwrap();
        write(&mut file, "two\n").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("old")).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        // As with `copytruncate`.
        fs::File::create(&path).unwrap();
        write(&mut file, "three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(write(&mut file, "x").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(path.parent().unwrap()).unwrap();
        write(&mut file, "four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("web.log"), dir.path().join("other"));
        fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(write(&mut File::new(&path), "x").is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "");
    }
}

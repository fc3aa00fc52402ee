//! One log file with its older parts, and the line format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kennel_wire::{LogLine, LogStream};

/// A file is set aside beyond this size.
const MAX_BYTES: u64 = 16 << 20;
/// How many files are set aside, `.1` the youngest.
pub(super) const OLD_FILES: u32 = 4;
/// A line longer than this is kept in parts.
pub(super) const MAX_LINE: usize = 64 << 10;

/// Path of a part: 0 is the one being written.
pub(super) fn path(dir: &Path, name: &str, part: u32) -> PathBuf {
    match part {
        0 => dir.join(format!("{name}.log")),
        part => dir.join(format!("{name}.log.{part}")),
    }
}

/// The file being written; made with its first record. Whole records are appended in one write, so a reader sees no
/// half of one but at the very end after a crash.
#[derive(Debug)]
pub(super) struct LogFile {
    dir: PathBuf,
    name: String,
    file: Option<File>,
    bytes: u64,
    max_bytes: u64,
}

impl LogFile {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { dir: dir.to_owned(), name: name.to_owned(), file: None, bytes: 0, max_bytes: MAX_BYTES }
    }

    #[cfg(test)]
    pub(super) fn with_max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes ready for records of this length together; gives the length of the file before them.
    pub(super) fn begin(&mut self, records: usize) -> io::Result<u64> {
        if self.file.is_none() {
            fs::create_dir_all(&self.dir)?;
            let file = open(&self.dir, &self.name)?;
            self.bytes = file.metadata()?.len();
            self.file = Some(file);
        }
        if self.bytes > 0 && self.bytes + records as u64 > self.max_bytes {
            self.rotate()?;
        }
        Ok(self.bytes)
    }

    /// Takes away everything from `length` on; a file that is shorter stays as it is.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        self.begin(0)?;
        if let Some(file) = self.file.as_ref().filter(|_| length < self.bytes) {
            file.set_len(length)?;
            self.bytes = length;
        }
        Ok(())
    }

    /// Removes it with its older parts; with the next record it is there again.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        self.bytes = 0;
        for part in 0..=OLD_FILES {
            match fs::remove_file(path(&self.dir, &self.name, part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Appends whole records.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.begin(records.len())?;
        if let Some(file) = &mut self.file {
            file.write_all(records)?;
        }
        self.bytes += records.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for part in (0..OLD_FILES).rev() {
            match fs::rename(path(&self.dir, &self.name, part), path(&self.dir, &self.name, part + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = Some(open(&self.dir, &self.name)?);
        self.bytes = 0;
        Ok(())
    }
}

fn open(dir: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path(dir, name, 0))
}

/// Appends one record to `out`.
pub(super) fn format(out: &mut Vec<u8>, time: &str, stream: LogStream, complete: bool, payload: &[u8]) {
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(match stream {
        LogStream::Stdout => b" stdout ",
        LogStream::Stderr => b" stderr ",
    });
    out.extend_from_slice(if complete { b"F " } else { b"P " });
    out.extend_from_slice(payload);
    out.push(b'\n');
}

/// Reads one record, without its newline; `None` for what is none, such as the torn end left by a crash.
pub(super) fn parse(service: &str, record: &[u8]) -> Option<LogLine> {
    let mut parts = record.splitn(4, |byte| *byte == b' ');
    let time: Timestamp = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let stream = match parts.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let complete = match parts.next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    let payload = parts.next()?;
    let (line, bytes) = match std::str::from_utf8(payload) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(payload).into_owned(), Some(base64(payload))),
    };
    Some(LogLine { time, service: service.to_owned(), stream, line, bytes, complete })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(payload in proptest::collection::vec(any::<u8>(), 0..200), complete: bool) {
            let payload: Vec<u8> = payload.into_iter().filter(|byte| *byte != b'\n').collect();
            let mut out = Vec::new();
            format(&mut out, "2026-11-21T01:02:03.000004Z", LogStream::Stderr, complete, &payload);
            let line = parse("web", out.strip_suffix(b"\n").unwrap()).unwrap();
            prop_assert_eq!(line.complete, complete);
            match line.bytes {
                None => prop_assert_eq!(line.line.as_bytes(), &payload[..]),
                Some(coded) => prop_assert_eq!(coded, base64(&payload)),
            }
        }
    }

    #[test]
    fn rotation_keeps_a_bounded_number_of_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(dir.path(), "web").with_max_bytes(10);
        for _ in 0..20 {
            file.append(b"12345678\n").unwrap();
        }
        let parts = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(parts, 1 + OLD_FILES as usize);
    }

    #[test]
    fn garbage_is_no_record() {
        for record in [&b""[..], b"x", b"2026-11-21T01:02:03Z stdout", b"2026-11-21T01:02:03Z stdin F x"] {
            assert!(parse("web", record).is_none());
        }
    }
}

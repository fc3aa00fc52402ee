//! How far a sink is, for the next daemon.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kennel_core::model::LogSink;
use kennel_logs::Cursor;

/// A small file: time of the last line that was passed on, how many lines of that time were, and to whom.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    to: String,
}

impl Mark {
    /// Opens that of a sink of this name; with the position where an earlier one to the same place has stopped.
    pub(super) fn open(dir: &Path, name: &str, to: &LogSink) -> io::Result<(Self, Option<Cursor<i64>>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join(match to {
            LogSink::Path(_) => format!("{name}.path"),
            LogSink::Journald => format!("{name}.journald"),
        });
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mark = Self { file, path, to: place(to) };
        let position = parse(&text, &mark.to);
        Ok((mark, position))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes how far it is. A page of the cache, which outlives this process; where it cannot be written, lines come twice after a crash.
    pub(super) fn note(&self, cursor: &Cursor<i64>) {
        let Some((time, seen)) = cursor.position() else { return };
        // Of one length, so that a longer one never shows behind it.
        let line = format!("{time:>20} {seen:>20} {}\n", self.to);
        let _comes_twice = self.file.write_all_at(line.as_bytes(), 0);
    }
}

/// Who takes the lines, on one line.
pub(super) fn place(to: &LogSink) -> String {
    match to {
        LogSink::Path(path) => path.to_string_lossy().replace('\n', " "),
        LogSink::Journald => "journald".to_owned(),
    }
}

fn parse(text: &str, to: &str) -> Option<Cursor<i64>> {
    let (time, rest) = text.trim_start().split_once(' ')?;
    let (seen, of) = rest.trim_start().split_once(' ')?;
    (of.lines().next() == Some(to)).then_some(())?;
    Some(Cursor::at(time.parse().ok()?, seen.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn a_position_is_for_the_same_place_only() {
        let dir = tempfile::tempdir().unwrap();
        let marks = dir.path().join("sinks");
        let long = LogSink::Path("/a/file with spaces".into());
        let (mark, position) = Mark::open(&marks, "web", &long).unwrap();
        assert!(position.is_none());
        let mut cursor = Cursor::at(17, 2);
        mark.note(&cursor);
        let again = |to: &LogSink| Mark::open(&marks, "web", to).unwrap().1.and_then(|cursor| cursor.position());
        assert_eq!(again(&long), Some((17, 2)));
        assert_eq!(again(&LogSink::Path("/b".into())), None);
        assert_eq!(again(&LogSink::Journald), None);
        assert!(cursor.is_new(18));
        mark.note(&cursor);
        assert_eq!(again(&long), Some((18, 1)));
    }
}

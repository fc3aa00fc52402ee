//! Where segments are: `logs/NAME/00000017.log`, or `.zst` once it is compressed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One segment as it is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) is_packed: bool,
    pub(crate) bytes: u64,
}

impl Segment {
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        if self.is_packed { packed(dir, self.number) } else { raw(dir, self.number) }
    }
}

/// Of one that is written, or waits to be compressed.
pub(crate) fn raw(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

pub(crate) fn packed(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.zst"))
}

/// While it is being compressed.
pub(crate) fn unfinished(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.tmp"))
}

/// Segments of one log, the oldest first. Of one that is there in both forms (a crash between the two steps that end a
/// compression) the compressed one.
pub(crate) fn list(dir: &Path) -> Vec<Segment> {
    let mut found: Vec<Segment> = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((number, kind)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        let (Ok(number), "log" | "zst") = (number.parse(), kind) else { continue };
        let bytes = entry.metadata().map_or(0, |meta| meta.len());
        found.push(Segment { number, is_packed: kind == "zst", bytes });
    }
    found.sort_by_key(|one| (one.number, !one.is_packed));
    found.dedup_by_key(|one| one.number);
    found
}

/// Names of all logs below this directory, sorted.
#[must_use]
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Clears away what a crash in the middle of a compression has left: a file that was not finished, and the first form of
/// one that was.
pub(crate) fn tidy(dir: &Path) {
    let mut raws = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.extension().and_then(|kind| kind.to_str()) {
            Some("tmp") => drop(remove(&path)),
            Some("log") => raws.push(path),
            _ => {}
        }
    }
    for path in raws.into_iter().filter(|path| path.with_extension("zst").exists()) {
        let _next_time = remove(&path);
    }
}

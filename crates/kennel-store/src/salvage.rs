//! What happens to a damaged store: it is set aside, and what is readable of it is taken over.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::pages;
use crate::table::Row;

const MARK: &str = "store.db.damaged-";
/// What belongs to a database file. The index (`-shm`) goes with it, for it says what SQLite last believed.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// Renames the store to `store.db.damaged-<time>`, with its log and index.
pub(crate) fn set_aside(dir: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
    let mut to = dir.join(format!("{MARK}{stamp}"));
    for number in 2.. {
        if path_is_free(&to) {
            break;
        }
        to = dir.join(format!("{MARK}{stamp}.{number}"));
    }
    // Its name is what `newest` finds, also where only the log is left.
    if path_is_free(&dir.join("store.db")) {
        std::fs::write(dir.join("store.db"), "")?;
    }
    // The file itself goes last: cut short, this is done again at the next start.
    for part in PARTS.iter().rev() {
        match std::fs::rename(with(&dir.join("store.db"), part), with(&to, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(to)
}

/// The one that was set aside last.
pub(crate) fn newest(dir: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let newest =
        names.filter(|name| name.starts_with(MARK) && !name.ends_with("-wal") && !name.ends_with("-shm")).max();
    newest.map(|name| dir.join(name))
}

/// All events that can be read in a store that was set aside. It is not changed.
pub(crate) fn read(path: &Path, ceiling: u64) -> BTreeMap<u64, Row> {
    let bytes = |part| std::fs::read(with(path, part)).unwrap_or_default();
    pages::events(&bytes(""), &bytes("-wal"), ceiling)
}

/// First number that is missing after the oldest one that was kept.
pub(crate) fn first_hole(rows: &BTreeMap<u64, Row>) -> u64 {
    let Some(oldest) = rows.keys().next() else { return 1 };
    rows.keys()
        .zip(*oldest..)
        .find(|(seq, expected)| **seq != *expected)
        .map_or_else(|| rows.keys().next_back().map_or(1, |last| last + 1), |(_, expected)| expected)
}

fn path_is_free(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}

pub(crate) fn with(path: &Path, part: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(part);
    name.into()
}

//! What happens to a damaged store: it is set aside, and what is readable of it is taken over.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::events::Row;
use crate::pages::{self, PAGE_BYTES};
use crate::records::{self, Found, Receipts};
use crate::waiting::Entry;

const MARK: &str = "store.db.damaged-";
/// What belongs to a database file. The index (`-shm`) goes with it, for it says what SQLite last believed.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

const HEAD_BYTES: usize = 100;
/// What is appended to the name of a copy while it is read.
const COPY: &str = ".reading";

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
    let newest = names
        .filter(|name| name.starts_with(MARK) && [COPY, "-wal", "-shm"].iter().all(|end| !name.ends_with(end)))
        .max();
    newest.map(|name| dir.join(name))
}

/// All events that can be read in a store that was set aside. It is not changed.
pub(crate) fn events(path: &Path, ceiling: u64) -> BTreeMap<u64, Row> {
    let bytes = |part| std::fs::read(with(path, part)).unwrap_or_default();
    pages::events(&bytes(""), &bytes("-wal"), ceiling)
}

/// All rows of state that SQL can still read in a store that was set aside. It is not changed: a copy is read, beside it, and
/// goes again.
pub(crate) fn records(path: &Path) -> Vec<Entry> {
    let copy = with(path, COPY);
    let found = read_copy(path, &copy);
    for part in PARTS {
        let _not_made = std::fs::remove_file(with(&copy, part));
    }
    match found {
        Ok(found) => {
            if let Some(why) = found.unreadable {
                tracing::warn!(why, "some of the state in the damaged store cannot be read");
            }
            found.entries
        }
        Err(error) => {
            tracing::warn!(%error, "the state in the damaged store cannot be read");
            Vec::new()
        }
    }
}

fn read_copy(path: &Path, copy: &Path) -> Result<Found, Box<dyn std::error::Error>> {
    let mut bytes = std::fs::read(path)?;
    // Nothing opens it without its first bytes, and they are alike in all of our stores.
    if let Some(head) = bytes.get_mut(..HEAD_BYTES) {
        head.copy_from_slice(&head_of_ours());
    }
    bytes.resize(bytes.len().div_ceil(PAGE_BYTES) * PAGE_BYTES, 0);
    write_private(copy, &bytes)?;
    if let Ok(wal) = std::fs::read(with(path, "-wal")) {
        write_private(&with(copy, "-wal"), &wal)?;
    }
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Reads on where the file is shorter than it says, and where an entry of its schema is not understood.
    connection
        .execute_batch("PRAGMA writable_schema = ON; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF")?;
    Ok(records::read(&connection, Receipts::All))
}

/// Magic, pages of 4096 bytes, a write-ahead log, the three fractions, format 4, UTF-8; no number of pages, so that they
/// are counted. Source: "Database File Format", 1.3.
fn head_of_ours() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let begin = b"SQLite format 3\0\x10\x00\x02\x02\x00\x40\x20\x20";
    head.iter_mut().zip(begin).for_each(|(to, from)| *to = *from);
    (head[47], head[59]) = (4, 1);
    head
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
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

//! A connection that only reads, for tools beside a daemon or without one.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::salvage::with;
use crate::schema;

/// How often a store that somebody opens and closes meanwhile is read again.
const TRIES: u32 = 5;

/// Calls `read` with a connection to a store that is there; `None` if no table was ever made in it.
///
/// Writes nothing. One that was closed has no log, and SQLite would make one: it is read as a file that does not change, and
/// again if it did.
pub(crate) fn read<T>(
    path: &Path,
    read: impl Fn(&Connection, i64) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let before = state(path);
        let closed = before.as_ref().is_some_and(|state| !state.has_log);
        let result = open(path, closed).and_then(|connection| with_tables(&connection, &read));
        if !closed || tries == TRIES || state(path) == before {
            return match result {
                Ok(Ok(result)) => Ok(result),
                Ok(Err(found)) => Err(StoreError::TooNew { path: path.to_owned(), found, known: schema::known() }),
                Err(source) => Err(StoreError::Database { path: path.to_owned(), source }),
            };
        }
    }
}

/// What tells whether a closed store was changed.
#[derive(PartialEq, Eq)]
struct State {
    has_log: bool,
    bytes: u64,
    modified: Option<std::time::SystemTime>,
}

fn state(path: &Path) -> Option<State> {
    let meta = std::fs::metadata(path).ok()?;
    Some(State { has_log: with(path, "-wal").exists(), bytes: meta.len(), modified: meta.modified().ok() })
}

fn open(path: &Path, closed: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let end = if closed { "?immutable=1" } else { "" };
    let connection = Connection::open_with_flags(format!("file:{}{end}", escaped(path)), flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA cache_size = -128; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF")?;
    Ok(connection)
}

/// With the version of a newer kennel where there is one.
fn with_tables<T>(
    connection: &Connection,
    read: impl Fn(&Connection, i64) -> rusqlite::Result<T>,
) -> rusqlite::Result<Result<Option<T>, i64>> {
    // One whose first daemon was killed before it had made the tables has recorded nothing.
    if connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Ok(None));
    }
    let version = schema::version(connection)?;
    if version > schema::known() {
        return Ok(Err(version));
    }
    read(connection, version).map(|result| Ok(Some(result)))
}

/// As the path of a URI. Source: "Uniform Resource Identifiers", sqlite.org/uri.html.
fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri
}

//! Readers of what is recorded. They have connections of their own and never hold up the writer.

use std::path::{Path, PathBuf};

use kennel_wire::Event;
use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::table;

/// Events that are read at a time.
pub const PAGE: usize = 512;

/// What is recorded in the store of one state directory, for any process that may read it, with or without a daemon.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
}

impl History {
    /// Of the store in a state directory. Nothing is opened yet.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { path: state_dir.join("store.db") }
    }

    /// Events after number `since` and below `before`, oldest first, `limit` at most. Reads files: not for a thread
    /// that must not wait.
    ///
    /// One that is there and cannot be understood is an `event.unreadable`, so that the numbers stay without a gap.
    ///
    /// # Errors
    /// There is no store, or it cannot be read.
    pub fn page(&self, since: u64, before: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        // A connection for each page: one that stays open costs more memory than opening costs time (0.2 ms).
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.execute_batch("PRAGMA cache_size = -128; PRAGMA mmap_size = 0")?;
            // One whose first daemon was killed before it had made the tables has recorded nothing.
            if connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0 {
                return Ok(Vec::new());
            }
            table::page(&connection, since, before, limit)
        };
        read().map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }
}

//! Readers of what is recorded. They have connections of their own and never hold up the writer.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kennel_wire::{Event, Receipt};
use rusqlite::params;

use crate::change::{Change, Restored};
use crate::error::StoreError;
use crate::events;
use crate::numbers;
use crate::reader;
use crate::records::{self, Found, Receipts};
use crate::waiting::Entry;

/// Events that are read at a time.
pub const PAGE: usize = 512;
/// The first version with tables of state.
const WITH_STATE: i64 = 2;
/// The first one with webhooks.
const WITH_WEBHOOKS: i64 = 3;

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
    /// There is no store, or it cannot be read, or it is of a newer version.
    pub fn page(&self, since: u64, before: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        // A connection for each page: one that stays open costs more memory than opening costs time (0.2 ms).
        let page = reader::read(&self.path, |connection, _| events::page(connection, since, before, limit))?;
        Ok(page.unwrap_or_default())
    }

    /// The newest receipts of a service, by its name in `ps`, newest first, `limit` at most, with when each was recorded;
    /// only of instances below `before`.
    ///
    /// # Errors
    /// As [`History::page`].
    pub fn receipts(&self, service: &str, before: u64, limit: usize) -> Result<Vec<(Timestamp, Receipt)>, StoreError> {
        let entries = self.entries(
            "SELECT id, service, instance, time, body, sum FROM receipts
             WHERE service = ?1 AND instance < ?3 ORDER BY id DESC LIMIT ?2",
            service,
            limit,
            before,
            records::read_receipt,
        )?;
        let receipts = entries.into_iter().filter_map(|Entry { time, change }| match change {
            Change::Receipt { receipt, .. } => Some((timestamp(time), *receipt)),
            _ => None,
        });
        Ok(receipts.collect())
    }

    /// The newest entries of the audit whose subject this is, or of all for an empty one: newest first, `limit` at most, each a
    /// [`Change::Audit`] with its time.
    ///
    /// # Errors
    /// As [`History::page`].
    pub fn audit(&self, subject: &str, limit: usize) -> Result<Vec<(Timestamp, Change)>, StoreError> {
        let entries = self.entries(
            "SELECT id, time, actor, action, subject, outcome, sum FROM audit
             WHERE (subject = ?1 OR ?1 = '') AND id < ?3 ORDER BY id DESC LIMIT ?2",
            subject,
            limit,
            u64::MAX,
            records::read_audit,
        )?;
        Ok(entries.into_iter().map(|entry| (timestamp(entry.time), entry.change)).collect())
    }

    /// What is sent with a delivery; none if it is not there, or damaged.
    ///
    /// # Errors
    /// As [`History::page`].
    pub fn payload(&self, id: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let found = reader::read(&self.path, |connection, version| {
            if version < WITH_WEBHOOKS { Ok(None) } else { records::payload(connection, id) }
        })?;
        Ok(found.flatten())
    }

    /// Rows that are damaged are left out, and that is logged: the writer says so at its next start.
    fn entries(
        &self,
        sql: &str,
        of: &str,
        limit: usize,
        before: u64,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<Entry, String>,
    ) -> Result<Vec<Entry>, StoreError> {
        let entries = reader::read(&self.path, |connection, version| {
            let mut entries = Vec::new();
            if version < WITH_STATE {
                return Ok(entries);
            }
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query(params![
                of,
                i64::try_from(limit).unwrap_or(i64::MAX),
                i64::try_from(before).unwrap_or(i64::MAX)
            ])?;
            while let Some(row) = rows.next()? {
                match read(row) {
                    Ok(entry) => entries.push(entry),
                    Err(why) => tracing::warn!(why, "a row of the store is damaged"),
                }
            }
            Ok(entries)
        })?;
        Ok(entries.unwrap_or_default())
    }
}

/// The state that is recorded, for tools that have no daemon to ask.
#[derive(Debug)]
pub struct Records;

impl Records {
    /// Reads what the last writer of a state directory has left, or a living one has recorded so far. Writes nothing. Where
    /// nothing was ever recorded, that is nothing.
    ///
    /// Of a damaged store it has what can be read, and [`Restored::damaged`] says so.
    ///
    /// # Errors
    /// The store is of a newer version, or may not be read.
    pub fn read(state_dir: &Path) -> Result<Restored, StoreError> {
        let path = state_dir.join("store.db");
        let known = numbers::read(&state_dir.join("store.seq"));
        let clean = known.as_ref().is_none_or(|known| known.clean);
        let had_events = known.is_some_and(|known| known.newest > 0);
        let empty = Restored { clean, ..Restored::default() };
        let missing =
            |why: &str| had_events.then(|| format!("{} {why}, and events were recorded in it", path.display()));
        if !path.exists() {
            return Ok(Restored { damaged: missing("is gone"), ..empty });
        }
        let found = match reader::read(&path, |connection, version| {
            let has_state = version >= WITH_STATE;
            Ok(if has_state { records::read(connection, Receipts::Newest) } else { Found::default() })
        }) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Restored { damaged: missing("is empty"), ..empty }),
            Err(StoreError::Database { path, source }) if crate::open::is_damage(&source) => {
                return Ok(Restored { damaged: Some(format!("{}: {source}", path.display())), ..empty });
            }
            Err(error) => return Err(error),
        };
        let mut restored = empty;
        restored.damaged = found.unreadable.map(|why| format!("{}: {why}", path.display()));
        found.entries.into_iter().for_each(|entry| restored.take(entry.change));
        Ok(restored)
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

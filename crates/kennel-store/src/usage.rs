//! What services used over time, in a file of its own (`usage.db`).
//!
//! Apart from `store.db` because it is another kind of thing: much of it, written once a minute, and nothing rests on it. So it is not
//! checked at a start, nobody waits for it to be on the disk, and a damaged one is thrown away. It is opened for each write and
//! each question: a connection that stays costs more memory than opening one a minute costs time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_core::history::{COARSE, FINE, Step, regroup};
use rusqlite::{Connection, OpenFlags, Row, params};

use crate::error::StoreError;
use crate::open::is_damage;
use crate::salvage::with;

/// How long fine steps are kept, seconds.
pub const FINE_KEPT: u64 = 24 * 3600;
/// The same of coarse ones.
pub const COARSE_KEPT: u64 = 30 * FINE_KEPT;
/// Rows that are kept at most: some 20 MB. The oldest fine ones go first.
const MOST: u64 = 300_000;
/// Marks the file as ours (`kenu`).
const APPLICATION_ID: i64 = 0x6b65_6e75;
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS usage (
        service   TEXT NOT NULL,
        length    INTEGER NOT NULL, -- of the step, seconds
        begin     INTEGER NOT NULL, -- seconds since 1970, UTC
        over_ms   INTEGER NOT NULL, -- how much of it was sampled
        cpu_usec  INTEGER,
        cpu_max   REAL,             -- percent of one CPU
        memory    INTEGER,          -- mean, bytes
        memory_max INTEGER,
        processes INTEGER NOT NULL, -- the most
        read      INTEGER,          -- bytes
        written   INTEGER,          -- bytes
        log       INTEGER NOT NULL, -- bytes
        PRIMARY KEY (service, length, begin)
    ) STRICT, WITHOUT ROWID;";

/// The recorded usage of one state directory.
#[derive(Debug, Clone)]
pub struct UsageLog {
    path: PathBuf,
}

impl UsageLog {
    /// Of a state directory. Nothing is opened yet.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { path: state_dir.join("usage.db") }
    }

    /// Adds fine steps, each to what is recorded of it already, and to the coarse one it is part of; forgets what is too old at
    /// `now`, seconds since 1970. Reads and writes files: not for a thread that must not wait.
    ///
    /// A file that is damaged is thrown away, and another one begun.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&self, steps: &[(String, Step)], now: u64) -> Result<(), StoreError> {
        let result = self.try_add(steps, now);
        match result {
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, path = %self.path.display(), "what was recorded of usage is damaged and thrown away");
                for end in ["", "-wal", "-shm"] {
                    let _not_there = std::fs::remove_file(with(&self.path, end));
                }
                self.try_add(steps, now).map_err(|error| self.error(error))
            }
            result => result.map_err(|error| self.error(error)),
        }
    }

    fn try_add(&self, steps: &[(String, Step)], now: u64) -> rusqlite::Result<()> {
        let mut connection = self.open()?;
        let transaction = connection.transaction()?;
        for (service, step) in steps {
            merge(&transaction, service, FINE, step)?;
            merge(&transaction, service, COARSE, &Step { begin: step.begin - step.begin % COARSE, ..*step })?;
        }
        let old = |kept: u64| number(now.saturating_sub(kept));
        let forget = "DELETE FROM usage WHERE length = ?1 AND begin < ?2";
        transaction.execute(forget, params![number(FINE), old(FINE_KEPT)])?;
        transaction.execute(forget, params![number(COARSE), old(COARSE_KEPT)])?;
        let count: i64 = transaction.query_row("SELECT count(*) FROM usage", [], |row| row.get(0))?;
        let over = count - number(MOST);
        if over > 0 {
            // Some more, so that it is not done at each write.
            transaction.execute(
                "DELETE FROM usage WHERE (service, length, begin) IN
                 (SELECT service, length, begin FROM usage ORDER BY length, begin LIMIT ?1)",
                [over + number(MOST / 20)],
            )?;
        }
        transaction.commit()
    }

    /// Steps of these services, or of all, that begin at or after `since` and before `until`, seconds since 1970; by service and
    /// time. Of a length that is no multiple of five minutes, what is older than a day is missing.
    ///
    /// # Errors
    /// It cannot be read. That nothing was ever recorded is no error.
    pub fn read(
        &self,
        services: &[String],
        since: u64,
        until: u64,
        length: u64,
    ) -> Result<Vec<(String, Vec<Step>)>, StoreError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let recorded = if length.is_multiple_of(COARSE) { COARSE } else { FINE };
        let found = self.try_read(services, since, until, recorded).map_err(|error| self.error(error))?;
        Ok(found.into_iter().map(|(name, steps)| (name, regroup(steps, length.max(FINE)))).collect())
    }

    fn try_read(
        &self,
        services: &[String],
        since: u64,
        until: u64,
        length: u64,
    ) -> rusqlite::Result<Vec<(String, Vec<Step>)>> {
        let connection = self.open()?;
        let mut statement = connection.prepare(
            "SELECT service, begin, over_ms, cpu_usec, cpu_max, memory, memory_max, processes, read, written, log
             FROM usage WHERE length = ?1 AND begin >= ?2 AND begin < ?3 ORDER BY service, begin",
        )?;
        let mut found: Vec<(String, Vec<Step>)> = Vec::new();
        let mut rows = statement.query(params![number(length), number(since), number(until)])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            if !services.is_empty() && !services.contains(&name) {
                continue;
            }
            let step = step(row)?;
            match found.last_mut().filter(|(last, _)| *last == name) {
                Some((_, steps)) => steps.push(step),
                None => found.push((name, vec![step])),
            }
        }
        Ok(found)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA cache_size = -256; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;
             PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        )?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            // Of another version, or new: nothing rests on what is in it.
            connection.execute_batch("DROP TABLE IF EXISTS usage")?;
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", VERSION)?;
        }
        Ok(connection)
    }

    fn error(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }
}

/// The same as [`Step::merge`], where it is.
fn merge(connection: &Connection, service: &str, length: u64, step: &Step) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT DO UPDATE SET
            memory = CASE WHEN memory IS NULL OR excluded.memory IS NULL OR over_ms + excluded.over_ms = 0
                THEN coalesce(memory, excluded.memory)
                ELSE CAST((1.0 * memory * over_ms + 1.0 * excluded.memory * excluded.over_ms)
                    / (over_ms + excluded.over_ms) AS INTEGER) END,
            over_ms = over_ms + excluded.over_ms,
            cpu_usec = coalesce(cpu_usec + excluded.cpu_usec, cpu_usec, excluded.cpu_usec),
            cpu_max = coalesce(max(cpu_max, excluded.cpu_max), cpu_max, excluded.cpu_max),
            memory_max = coalesce(max(memory_max, excluded.memory_max), memory_max, excluded.memory_max),
            processes = max(processes, excluded.processes),
            read = coalesce(read + excluded.read, read, excluded.read),
            written = coalesce(written + excluded.written, written, excluded.written),
            log = log + excluded.log",
    )?;
    statement.execute(params![
        service,
        number(length),
        number(step.begin),
        number(step.over_ms),
        step.cpu_usec.map(number),
        step.cpu_percent_max,
        step.memory.map(number),
        step.memory_max.map(number),
        step.processes,
        step.read_bytes.map(number),
        step.written_bytes.map(number),
        number(step.log_bytes),
    ])?;
    Ok(())
}

fn step(row: &Row<'_>) -> rusqlite::Result<Step> {
    let count = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(i64::unsigned_abs));
    let some = |at: usize| Ok::<_, rusqlite::Error>(count(at)?.unwrap_or(0));
    Ok(Step {
        begin: some(1)?,
        over_ms: some(2)?,
        cpu_usec: count(3)?,
        cpu_percent_max: row.get(4)?,
        memory: count(5)?,
        memory_max: count(6)?,
        processes: row.get(7)?,
        read_bytes: count(8)?,
        written_bytes: count(9)?,
        log_bytes: some(10)?,
    })
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn part(begin: u64, memory: u64) -> (String, Step) {
        let step = Step {
            begin,
            over_ms: 5000,
            cpu_usec: Some(1_000_000),
            cpu_percent_max: Some(30.0),
            memory: Some(memory),
            memory_max: Some(memory),
            processes: 2,
            read_bytes: None,
            written_bytes: Some(10),
            log_bytes: 7,
        };
        ("web".to_owned(), step)
    }

    #[test]
    fn what_is_recorded_is_what_core_puts_together() {
        let dir = tempfile::tempdir().unwrap();
        let log = UsageLog::of(dir.path());
        assert_eq!(log.read(&[], 0, u64::MAX, FINE).unwrap(), []);
        let parts = [part(600, 100), part(600, 300), part(610, 50), part(900, 1)];
        for part in &parts {
            log.add(std::slice::from_ref(part), 1000).unwrap();
        }
        let steps = || parts.iter().map(|(_, step)| *step);
        for length in [FINE, 20, COARSE, 2 * COARSE] {
            let found = log.read(&["web".to_owned()], 0, 2000, length).unwrap();
            assert_eq!(found, [("web".to_owned(), regroup(steps(), length))], "{length}");
        }
        assert_eq!(log.read(&["db".to_owned()], 0, 2000, FINE).unwrap(), []);
        let later = log.read(&[], 610, 900, FINE).unwrap();
        assert_eq!(later[0].1.len(), 1);
    }

    #[test]
    fn what_is_old_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = UsageLog::of(dir.path());
        log.add(&[part(600, 100)], 1000).unwrap();
        let a_day_later = 600 + FINE_KEPT + FINE;
        log.add(&[part(a_day_later, 100)], a_day_later).unwrap();
        assert_eq!(log.read(&[], 0, u64::MAX, FINE).unwrap()[0].1.len(), 1);
        assert_eq!(log.read(&[], 0, u64::MAX, COARSE).unwrap()[0].1.len(), 2);
        log.add(&[], a_day_later + COARSE_KEPT + COARSE).unwrap();
        assert_eq!(log.read(&[], 0, u64::MAX, COARSE).unwrap(), []);
    }

    #[test]
    fn a_damaged_one_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = UsageLog::of(dir.path());
        std::fs::write(dir.path().join("usage.db"), "no database at all, for sure".repeat(200)).unwrap();
        assert!(log.read(&[], 0, 1, FINE).is_err());
        log.add(&[part(600, 100)], 1000).unwrap();
        assert_eq!(log.read(&[], 0, u64::MAX, FINE).unwrap().len(), 1);
    }
}

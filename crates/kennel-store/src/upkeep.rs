//! What waits for the disk now and then: numbers that are reserved, and the log that is written back.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::numbers::Numbers;

/// Pages in the write-ahead log (4 MiB) after which a checkpoint is due.
const CHECKPOINT: u64 = 1000;
/// Most passes of one checkpoint: beside a writer that never rests it could go on for ever. That writer then does the rest.
const PASSES: u32 = 5;

/// A thread that ends when it is done: for most of the time there is none.
#[derive(Debug)]
pub(crate) struct Upkeep {
    path: PathBuf,
    /// Pages written since the last checkpoint, about.
    since_checkpoint: u64,
    thread: Option<JoinHandle<Option<u64>>>,
}

impl Upkeep {
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), since_checkpoint: 0, thread: None }
    }

    /// A commit has appended that many bytes and changed that many rows elsewhere.
    ///
    /// What that is in pages is an estimate on the safe side: each row may be in a page of its own, with its index.
    pub(crate) fn committed(&mut self, bytes: usize, rows: usize) {
        self.since_checkpoint += 3 + u64::try_from(bytes / 2048 + 2 * rows).unwrap_or(0);
    }

    /// Begins what is due, if nothing is under way.
    pub(crate) fn look(&mut self, numbers: &mut Option<Numbers>, newest: u64) {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish(numbers);
        }
        let log_is_long = self.since_checkpoint >= CHECKPOINT;
        let half_used = numbers.as_ref().is_some_and(|numbers| numbers.is_half_used(newest));
        if self.thread.is_some() || !(half_used || log_is_long) {
            return;
        }
        let raised = numbers.as_mut().filter(|_| half_used).and_then(|numbers| numbers.raise(newest).ok());
        let path = log_is_long.then(|| self.path.clone());
        if log_is_long {
            self.since_checkpoint = 0;
        }
        let work = move || {
            let granted = raised.and_then(|(file, reserved)| file.sync_data().is_ok().then_some(reserved));
            if let Some(Err(error)) = path.as_deref().map(checkpoint) {
                tracing::warn!(%error, "cannot write the log of the store back to it");
            }
            granted
        };
        // Without a thread the numbers are reserved where they are needed, and SQLite looks after its log.
        self.thread = std::thread::Builder::new().name("kennel-store".into()).spawn(work).ok();
    }

    /// Waits for what is under way.
    pub(crate) fn finish(&mut self, numbers: &mut Option<Numbers>) {
        let granted = self.thread.take().and_then(|thread| thread.join().ok()).flatten();
        if let (Some(granted), Some(numbers)) = (granted, numbers) {
            numbers.grant(granted);
        }
    }
}

/// Writes the log back as far as no reader needs it, and holds nobody up.
///
/// The log begins anew only if all of it was written back. What is committed during one pass is the work of the next, which
/// is shorter, so that beside a busy writer one of them ends with nothing left.
fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA cache_size = -128; PRAGMA synchronous = NORMAL")?;
    let mut before = -1;
    for _ in 0..PASSES {
        let pass = "PRAGMA wal_checkpoint(PASSIVE)";
        let (log, written): (i64, i64) = connection.query_row(pass, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        // A reader that sits in the log lets no more of it be written back.
        if written >= log || written <= before {
            break;
        }
        before = written;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use std::time::{Duration, Instant};

    /// A writer that never rests: the log begins anew all the same, again and again.
    #[test]
    fn the_log_begins_anew_beside_a_busy_writer() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = crate::Store::open(dir.path(), "boot").unwrap();
        let log = dir.path().join("store.db-wal");
        let deadline = Instant::now() + Duration::from_secs(60);
        let (mut written, mut most) = (0, 0);
        // How long it gets is a matter of how fast the disk is, and always a small part of what goes through it.
        while written < 20_000 || written * 1000 < most * 5 {
            assert!(Instant::now() < deadline, "{} MiB for {written} events", most >> 20);
            for _ in 0..50 {
                let reason = "x".repeat(1000);
                store.number(None, None, kennel_wire::EventKind::Unhealthy { reason });
            }
            store.flush();
            written += 50;
            most = most.max(std::fs::metadata(&log).unwrap().len());
        }
    }
}

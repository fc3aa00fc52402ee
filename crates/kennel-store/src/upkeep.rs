//! What waits for the disk now and then: numbers that are reserved, and the log that is written back.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::numbers::Numbers;

/// Pages in the write-ahead log (4 MiB) after which a checkpoint is due.
const CHECKPOINT: u64 = 1000;

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

    /// A commit has written that many bytes, about.
    pub(crate) fn committed(&mut self, bytes: usize) {
        self.since_checkpoint += 2 + u64::try_from(bytes / 4096).unwrap_or(0);
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
fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA cache_size = -128; PRAGMA synchronous = NORMAL")?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

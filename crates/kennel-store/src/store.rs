//! The writer: numbers events, commits them with the changes of the same turn, then publishes; with a full disk it goes on
//! from memory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_wire::EventKind;
use rusqlite::Connection;

use crate::change::{Change, Restored};
use crate::error::StoreError;
use crate::history::History;
use crate::numbers::Numbers;
use crate::retention::{LIMITS, LOOK_EVERY, prune};
use crate::stream::{Recent, Stream};
use crate::sync::Syncer;
use crate::upkeep::Upkeep;
use crate::waiting::{Part, Waiting};
use crate::{begin, events, records};

/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// Rows of each kind in one transaction while what has waited is written.
const PART: usize = 256;

/// The one writer of a store. Its caller holds the instance's lock.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    history: History,
    /// `None` once closed.
    writer: Option<Connection>,
    /// `None` if `store.seq` cannot be written; then a power cut may repeat numbers.
    numbers: Option<Numbers>,
    stream: Stream,
    waiting: Waiting,
    /// Commits of changes without an event.
    silent_commits: u64,
    /// Rows since the last look at what is kept.
    since_look: u64,
    failing: Option<Failing>,
    syncer: Syncer,
    upkeep: Upkeep,
}

#[derive(Debug)]
struct Failing {
    retry_at: Instant,
    why: String,
}

impl Store {
    /// Opens the store in a state directory, which exists and is ours, and goes on where the last daemon ended; with what that
    /// one has left.
    ///
    /// A damaged store is set aside, what is readable of it taken over; the first event of the stream then tells of it
    /// (`store.recovered`). `boot_id` is the kernel's: it decides whether the page cache of the last run is still there.
    ///
    /// # Errors
    /// The store is of a newer version or another user, it is on a file system of a network, or it cannot be written.
    pub fn open(state_dir: &Path, boot_id: &str) -> Result<(Self, Restored), StoreError> {
        let begun = begin::begin(state_dir, boot_id)?;
        let path = begun.path;
        let syncer = Syncer::of_log(&path)
            .map_err(|source| StoreError::Io { path: crate::salvage::with(&path, "-wal"), source })?;
        let mut store = Self {
            history: History::of(state_dir),
            upkeep: Upkeep::of(&path),
            path,
            writer: Some(begun.writer),
            numbers: Some(begun.numbers),
            stream: Stream::new(begun.next, begun.recorded),
            waiting: Waiting::default(),
            silent_commits: begun.silent_commits,
            // What was kept by the last run is looked at in the first commit.
            since_look: LOOK_EVERY,
            failing: None,
            syncer,
        };
        if let Some(told) = begun.told {
            store.number(None, None, told);
        }
        Ok((store, begun.restored))
    }

    /// Numbers an event; [`Store::flush`] records and publishes it, with all that came before.
    pub fn number(&mut self, service: Option<&str>, instance: Option<u64>, kind: EventKind) -> u64 {
        self.stream.number(service, instance, kind)
    }

    /// Takes in a change; [`Store::flush`] records it, in one transaction with the events. A later one of the same thing
    /// replaces it.
    pub fn change(&mut self, change: Change) {
        self.waiting.add(nanoseconds(Timestamp::now()), change);
    }

    /// Records in one transaction what is pending, then publishes it: the number of the newest event, if there is news.
    ///
    /// Waits for no disk but for one small sync in some hundred calls (when SQLite begins its log anew). What cannot
    /// be recorded is published all the same and recorded later: of events, receipts and the audit the 4096 newest each, what
    /// is beyond is counted and told; of everything else the last state.
    pub fn flush(&mut self) -> Option<u64> {
        let due = self.failing.as_ref().is_none_or(|failing| Instant::now() >= failing.retry_at);
        let before = self.stream.newest();
        self.stream.publish();
        if due {
            match self.save_if_any() {
                Ok(()) => self.works(),
                Err(error) => self.fails(&error),
            }
        }
        self.stream.forget();
        self.allow();
        if self.failing.is_none() {
            self.upkeep.look(&mut self.numbers, self.stream.newest());
        }
        let newest = self.stream.newest();
        (newest > before).then_some(newest)
    }

    /// Runs `then` on a thread of the store once all that was committed is on the disk, so that a power cut does not take
    /// it. If the disk refuses, it runs as well, after a warning: services go on. It must not use this store.
    pub fn when_durable(&mut self, then: Box<dyn FnOnce() + Send>) {
        self.syncer.when_durable(then);
    }

    /// Why nothing can be recorded now, or not for good: a full disk, a read-only file system …
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let failing = self.failing.as_ref().map(|failing| {
            format!("cannot write {}, so what happens is held in memory: {}", self.path.display(), failing.why)
        });
        failing.or_else(|| self.syncer.trouble())
    }

    /// When [`Store::flush`] tries again what failed; `None` if nothing waits for that, or the store is closed.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.failing.as_ref().filter(|_| self.writer.is_some()).map(|failing| failing.retry_at)
    }

    /// Number of the newest event that was published; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.stream.newest()
    }

    /// Published events after number `since`, oldest first, `limit` at most, if they are in memory.
    #[must_use]
    pub fn after(&self, since: u64, limit: usize) -> Recent {
        self.stream.after(since, limit)
    }

    /// A reader of what is recorded.
    #[must_use]
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Lets go of pages that are in memory to be read again sooner.
    pub fn release_memory(&mut self) {
        if let Some(Err(error)) = self.writer.as_ref().map(Connection::release_memory) {
            tracing::debug!(%error, "the store keeps its memory");
        }
    }

    /// Records what is pending and brings all of it to the disk. Afterwards nothing is recorded any more.
    pub fn close(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.retry_at = Instant::now();
        }
        self.flush();
        self.upkeep.finish(&mut self.numbers);
        let Some(writer) = self.writer.take() else { return };
        self.syncer.finish();
        kennel_sys::crash_point!("store.closing");
        let busy = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        let closed = writer.close().is_ok();
        // With a reader that sits in the log, some of that is not in the file; the next start finds it there.
        let saved = self.stream.is_saved() && self.waiting.count() == 0 && self.failing.is_none();
        if let Some(numbers) = self.numbers.as_mut().filter(|_| closed && busy == Ok(0) && saved)
            && let Err(error) = numbers.close()
        {
            tracing::warn!(%error, "cannot record the end of the events");
        }
    }

    /// Commits all that waits. After a time without room that is done in parts, state first, so that what fits is written.
    fn save(&mut self) -> rusqlite::Result<()> {
        if self.failing.is_none() {
            return self.commit(Part::ALL);
        }
        self.commit(Part { state: true, ..Part::NONE })?;
        while self.stream.backlog() > 0 {
            self.commit(Part { events: PART, ..Part::NONE })?;
        }
        while self.waiting.history() > 0 {
            self.commit(Part { receipts: PART, audit: PART, ..Part::NONE })?;
        }
        Ok(())
    }

    fn commit(&mut self, part: Part) -> rusqlite::Result<()> {
        let Some(writer) = &mut self.writer else { return Err(rusqlite::Error::InvalidQuery) };
        let rows = self.stream.unsaved(part.events);
        let newest = rows.last().map_or(self.stream.recorded(), |row| row.seq);
        let mut changes = 0;
        let silent_commits = self.silent_commits + u64::from(rows.is_empty());
        let entries = self.waiting.entries(part);
        let (mut look, mut since_look) = (false, self.since_look);
        transact(writer, |writer| {
            events::insert(writer, rows.iter())?;
            for entry in entries {
                records::apply(writer, entry)?;
                changes += 1;
            }
            if rows.is_empty() {
                records::count_silent_commit(writer, silent_commits)?;
            }
            since_look += u64::try_from(rows.len() + changes).unwrap_or(0);
            look = since_look >= LOOK_EVERY;
            if look { prune(writer, LIMITS, newest, Timestamp::now()) } else { Ok(()) }
        })?;
        kennel_sys::crash_point!("store.committed");
        self.silent_commits = silent_commits;
        self.since_look = if look { 0 } else { since_look };
        self.stream.saved(rows.len(), newest);
        self.waiting.committed(part);
        self.syncer.committed();
        self.upkeep.committed(rows.iter().map(|row| row.body.len() + 64).sum(), changes);
        Ok(())
    }

    /// All that waited is committed.
    fn works(&mut self) {
        let Some(_) = self.failing.take() else { return };
        let (lost, lost_records) = (self.stream.take_lost(), self.waiting.take_lost());
        let (lost_from, lost_to) = lost.unzip();
        tracing::info!(lost_from, lost_to, lost_records, "what happens is recorded again");
        if lost_records > 0 {
            self.change(Change::Audit {
                actor: "kennel".to_owned(),
                action: "lose".to_owned(),
                subject: format!("{lost_records} receipts and entries of the audit"),
                outcome: "they were too many to wait until the store could be written".to_owned(),
            });
        }
        if lost.is_some() {
            let kept = u64::try_from(self.stream.held()).unwrap_or(0);
            self.number(None, None, EventKind::StoreRecovered { file: None, kept, lost_from, lost_to });
            self.stream.publish();
        }
        if let Err(error) = self.save_if_any() {
            self.fails(&error);
        }
    }

    fn save_if_any(&mut self) -> rusqlite::Result<()> {
        if self.stream.is_saved() && self.waiting.count() == 0 { Ok(()) } else { self.save() }
    }

    fn fails(&mut self, error: &rusqlite::Error) {
        let (retry_at, why) = (Instant::now() + RETRY, error.to_string());
        if self.failing.is_none() {
            let path = self.path.display();
            tracing::error!(%error, %path, "cannot record what happens; it is held in memory, and tried again");
        }
        self.failing = Some(Failing { retry_at, why });
        let Some(writer) = &self.writer else { return };
        // One that cannot be asked for is kept: to remove what is not there does no harm.
        self.waiting.forget_removals(|key| records::is_recorded(writer, key).unwrap_or(true));
    }

    /// Sees to it that nobody is shown a number that could be given again.
    fn allow(&mut self) {
        let (newest, recorded, silent_commits) = (self.stream.newest(), self.stream.recorded(), self.silent_commits);
        let Some(numbers) = &mut self.numbers else { return };
        let mut allow = || {
            if !numbers.allows(newest) {
                let (file, reserved) = numbers.raise(newest)?;
                file.sync_data()?;
                numbers.grant(reserved);
            }
            numbers.published(newest, recorded, silent_commits)
        };
        if let Err(error) = allow() {
            tracing::error!(%error, "cannot record the numbers of events; after a power cut they may be given again");
            self.numbers = None;
        }
    }
}

impl Drop for Store {
    /// As an end of the process would leave it: only [`Store::close`] makes a clean end.
    fn drop(&mut self) {
        self.upkeep.finish(&mut self.numbers);
    }
}

/// Does all of it or nothing. Begin and end are statements like others, prepared once: there is one for every turn of the
/// driver.
fn transact(writer: &mut Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let run = |sql| writer.prepare_cached(sql)?.execute([]).map(drop);
    run("BEGIN IMMEDIATE")?;
    let result = work(writer).and_then(|()| run("COMMIT"));
    // Some errors have ended the transaction already.
    if result.is_err() && !writer.is_autocommit() {
        let _worse = writer.execute_batch("ROLLBACK");
    }
    result
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use serde_json::json;

    /// Runs come and go for as long as nothing can be written: what waits is what there is, not what there was.
    #[test]
    fn what_came_and_went_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path(), "boot").unwrap();
        store.change(Change::Run { id: 0, body: Some(json!("recorded")) });
        store.flush();
        let in_the_way = Connection::open(dir.path().join("store.db")).unwrap();
        in_the_way.execute_batch("BEGIN IMMEDIATE").unwrap();
        for id in 0..2000 {
            store.change(Change::Run { id, body: Some(json!("meanwhile")) });
            store.change(Change::Run { id, body: None });
        }
        store.change(Change::Run { id: 7, body: Some(json!("living")) });
        store.flush();
        assert!(store.trouble().is_some());
        assert_eq!(store.waiting.count(), 2, "one is there, and one was recorded and is gone");
        in_the_way.execute_batch("ROLLBACK").unwrap();
        store.close();
        let runs = crate::Records::read(dir.path()).unwrap().runs;
        assert_eq!(runs.into_iter().collect::<Vec<_>>(), [(7, json!("living"))]);
    }
}

//! The writer of the stream: numbers, commits, then publishes; with a full disk it goes on from memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_wire::{Event, EventKind};
use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;
use crate::history::History;
use crate::numbers::{self, Found, Numbers};
use crate::table::{self, LIMITS, LOOK_EVERY, Limits, Row};
use crate::{import, open, salvage};

/// Recent events are answered from memory, and as many wait there while the disk is full.
const RECENT: usize = 4096;
/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// Pages in the write-ahead log (4 MiB) after which a checkpoint is due.
const CHECKPOINT: u64 = 1000;

/// The one writer of a store. Its caller holds the instance's lock.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    history: History,
    /// `None` once closed.
    writer: Option<Connection>,
    /// `None` if `store.seq` cannot be written; then a power cut may repeat numbers.
    numbers: Option<Numbers>,
    next: u64,
    /// Number of the newest event that is committed.
    recorded: u64,
    limits: Limits,
    /// Numbered, neither recorded nor published yet.
    pending: Vec<Event>,
    /// Published, the newest last.
    recent: VecDeque<Event>,
    /// How many of `recent`, at its end, are not recorded, because that failed.
    unsaved: usize,
    failing: Option<Failing>,
    /// Pages written since the last checkpoint, about.
    since_checkpoint: u64,
    upkeep: Option<JoinHandle<Option<u64>>>,
}

#[derive(Debug)]
struct Failing {
    retry_at: Instant,
    /// First and last of the events that were too many to wait.
    lost: Option<(u64, u64)>,
}

/// What [`Journal::after`] knows.
#[derive(Debug)]
pub enum Recent {
    /// All that was asked for, up to the limit.
    Events(Vec<Event>),
    /// Some of it is older than what is in memory: [`History::page`] has it, with this as `before`.
    Older(u64),
}

impl Journal {
    /// Opens the store in a state directory, which exists and is ours, and goes on where the last daemon ended.
    ///
    /// A damaged store is set aside, what is readable of it taken over; the first event of the stream then tells of it
    /// (`store.recovered`). `boot_id` is the kernel's: it decides whether the page cache of the last run is still there.
    ///
    /// # Errors
    /// The store is of a newer version or another user, or the file system does not let us write.
    pub fn open(state_dir: &Path, boot_id: &str) -> Result<Self, StoreError> {
        let path = state_dir.join("store.db");
        let numbers_path = state_dir.join("store.seq");
        let known = numbers::read(&numbers_path);
        let recorded = known.as_ref().filter(|known| known.is_exact(boot_id)).map_or(0, |known| known.recorded);
        let (mut writer, set_aside) = open::open(state_dir, recorded)?;
        let database = |source| StoreError::Database { path: path.clone(), source };
        let mut last = table::last(&writer).map_err(database)?;

        // Also after a start that set a store aside and was cut short before it had taken over what was in it.
        let interrupted = || known.as_ref().is_none_or(|known| known.newest > 0).then(|| salvage::newest(state_dir))?;
        let aside = set_aside.or_else(|| if last == 0 { interrupted() } else { None });
        let ceiling = known.as_ref().map_or(1 << 53, |known| known.reserved.max(known.newest));
        let salvaged = aside.as_deref().map(|aside| salvage::read(aside, ceiling));
        let old = import::read(state_dir);
        last = last.max(salvaged.iter().flatten().map(|(seq, _)| *seq).max().unwrap_or(0));
        last = last.max(old.iter().map(|row| row.seq).max().unwrap_or(0));

        let found = match &aside {
            Some(_) => Found::Damaged,
            None if last == 0 || (known.is_none() && !old.is_empty()) => Found::Nothing,
            None => Found::Intact,
        };
        let now = Timestamp::now();
        let start = numbers::begin(known.as_ref(), last, boot_id, found, u64::try_from(now.as_second()).unwrap_or(0));
        // Before the first row, so that rows without it mean that somebody took it away.
        let numbers = Numbers::create(&numbers_path, start.next - 1, last, boot_id)
            .map_err(|source| StoreError::Io { path: numbers_path, source })?;

        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
        let kept = table::insert(&transaction, salvaged.iter().flat_map(|rows| rows.values())).map_err(database)?;
        table::insert(&transaction, old.iter()).map_err(database)?;
        let kept = if aside.is_some() { kept } else { table::count(&transaction).map_err(database)? };
        transaction.commit().map_err(database)?;
        if !old.is_empty() {
            import::done(state_dir);
        }

        let mut journal = Self {
            history: History::of(state_dir),
            path,
            writer: Some(writer),
            numbers: Some(numbers),
            next: start.next,
            recorded: last,
            limits: LIMITS,
            pending: Vec::new(),
            recent: VecDeque::new(),
            unsaved: 0,
            failing: None,
            since_checkpoint: 0,
            upkeep: None,
        };
        if aside.is_some() || start.lost.is_some() {
            let hole = salvaged.as_ref().map(salvage::first_hole);
            let lost_from = hole.or(start.lost.map(|lost| *lost.start())).filter(|from| *from < start.next);
            let file = aside.map(|aside| aside.display().to_string());
            tracing::warn!(file, kept, lost_from, lost_to = start.next - 1, "events may be missing");
            let lost_to = lost_from.map(|_| start.next - 1);
            journal.number(None, None, EventKind::StoreRecovered { file, kept, lost_from, lost_to });
        }
        Ok(journal)
    }

    /// Numbers an event; [`Journal::flush`] records and publishes it, with all that came before.
    pub fn number(&mut self, service: Option<&str>, instance: Option<u64>, kind: EventKind) -> u64 {
        let seq = self.next;
        self.next += 1;
        let service = service.map(str::to_owned);
        self.pending.push(Event { seq, time: Timestamp::now(), service, instance, kind });
        seq
    }

    /// Records in one transaction what is pending, then publishes it: the number of the newest event, if there is news.
    ///
    /// Waits for no disk but for one small sync in some hundred calls (when SQLite begins its log anew). What cannot
    /// be recorded is published all the same and recorded later, up to the 4096 newest; what is beyond is counted and told.
    pub fn flush(&mut self) -> Option<u64> {
        let due = self.failing.as_ref().is_none_or(|failing| Instant::now() >= failing.retry_at);
        if self.pending.is_empty() && (self.unsaved == 0 || !due) {
            return None;
        }
        self.unsaved += self.pending.len();
        self.recent.extend(self.pending.drain(..));
        if due {
            match self.save() {
                Ok(()) => self.works(),
                Err(error) => self.fails(&error),
            }
        }
        self.forget();
        let newest = self.recent.back()?.seq;
        self.allow(newest);
        self.look_after();
        Some(newest)
    }

    /// Number of the newest event that was published; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.next - 1 - u64::try_from(self.pending.len()).unwrap_or(0)
    }

    /// Published events after number `since`, oldest first, `limit` at most, if they are in memory.
    #[must_use]
    pub fn after(&self, since: u64, limit: usize) -> Recent {
        let first = self.recent.front().map_or(self.newest() + 1, |event| event.seq);
        if since + 1 < first {
            return Recent::Older(first);
        }
        let begin = self.recent.partition_point(|event| event.seq <= since);
        Recent::Events(self.recent.iter().skip(begin).take(limit).cloned().collect())
    }

    /// A reader of what is recorded.
    #[must_use]
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Records what is pending and brings all of it to the disk. Afterwards nothing is recorded any more.
    pub fn close(&mut self) {
        if let Some(failing) = &mut self.failing {
            failing.retry_at = Instant::now();
        }
        self.flush();
        self.finish_upkeep();
        let Some(writer) = self.writer.take() else { return };
        let busy = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        let closed = writer.close().is_ok();
        // With a reader that sits in the log, some of that is not in the file; the next start finds it there.
        let clean = closed && busy == Ok(0) && self.unsaved == 0 && self.failing.is_none();
        if let Some(numbers) = self.numbers.as_mut().filter(|_| clean)
            && let Err(error) = numbers.close()
        {
            tracing::warn!(%error, "cannot record the end of the events");
        }
    }

    fn save(&mut self) -> rusqlite::Result<()> {
        let Some(writer) = &mut self.writer else { return Err(rusqlite::Error::InvalidQuery) };
        let rows: Vec<Row> = self.recent.iter().skip(self.recent.len() - self.unsaved).map(Row::of).collect();
        let bytes: usize = rows.iter().map(|row| row.body.len() + 64).sum();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        table::insert(&transaction, rows.iter())?;
        // By number, so that short runs count together.
        let newest = rows.last().map_or(self.recorded, |row| row.seq);
        if newest / LOOK_EVERY > self.recorded / LOOK_EVERY {
            table::prune(&transaction, self.limits, newest, Timestamp::now())?;
        }
        transaction.commit()?;
        self.unsaved = 0;
        self.recorded = newest;
        self.since_checkpoint += 2 + u64::try_from(bytes / 4096).unwrap_or(0);
        Ok(())
    }

    fn fails(&mut self, error: &rusqlite::Error) {
        let retry_at = Instant::now() + RETRY;
        match &mut self.failing {
            Some(failing) => failing.retry_at = retry_at,
            None => {
                let path = self.path.display();
                tracing::error!(%error, %path, "cannot record events; they go on in memory, and it is tried again");
                self.failing = Some(Failing { retry_at, lost: None });
            }
        }
    }

    fn works(&mut self) {
        let Some(failing) = self.failing.take() else { return };
        let (lost_from, lost_to) = failing.lost.unzip();
        tracing::info!(lost_from, lost_to, "events are recorded again");
        if failing.lost.is_some() {
            let kept = u64::try_from(self.recent.len()).unwrap_or(0);
            self.number(None, None, EventKind::StoreRecovered { file: None, kept, lost_from, lost_to });
            self.unsaved += self.pending.len();
            self.recent.extend(self.pending.drain(..));
            if let Err(error) = self.save() {
                self.fails(&error);
            }
        }
    }

    /// Keeps memory bounded.
    fn forget(&mut self) {
        let surplus = self.recent.len().saturating_sub(RECENT);
        let lost = self.unsaved.saturating_sub(RECENT);
        let gone = self.recent.drain(..surplus);
        let gone = gone.map(|event| event.seq).rev().take(lost);
        let (last, first) = gone.fold((None, 0), |(last, _), seq| (last.or(Some(seq)), seq));
        self.unsaved -= lost;
        if let (Some(last), Some(failing)) = (last, &mut self.failing) {
            failing.lost = Some((failing.lost.map_or(first, |(from, _)| from), last));
        }
    }

    /// Sees to it that nobody is shown a number that could be given again.
    fn allow(&mut self, newest: u64) {
        let recorded = self.recorded;
        let Some(numbers) = &mut self.numbers else { return };
        let mut allow = || {
            if !numbers.allows(newest) {
                let (file, reserved) = numbers.raise(newest)?;
                file.sync_data()?;
                numbers.grant(reserved);
            }
            numbers.published(newest, recorded)
        };
        if let Err(error) = allow() {
            tracing::error!(%error, "cannot record the numbers of events; after a power cut they may be given again");
            self.numbers = None;
        }
    }

    /// Lets a thread do what waits for the disk. It ends when it is done: for most of the time there is none.
    fn look_after(&mut self) {
        if self.upkeep.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_upkeep();
        }
        let newest = self.newest();
        let log_is_long = self.since_checkpoint >= CHECKPOINT;
        let half_used = self.numbers.as_ref().is_some_and(|numbers| numbers.is_half_used(newest));
        if self.upkeep.is_some() || self.failing.is_some() || !(half_used || log_is_long) {
            return;
        }
        let raised = self.numbers.as_mut().filter(|_| half_used).and_then(|numbers| numbers.raise(newest).ok());
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
        self.upkeep = std::thread::Builder::new().name("kennel-store".into()).spawn(work).ok();
    }

    fn finish_upkeep(&mut self) {
        let granted = self.upkeep.take().and_then(|thread| thread.join().ok()).flatten();
        if let (Some(granted), Some(numbers)) = (granted, &mut self.numbers) {
            numbers.grant(granted);
        }
    }
}

impl Drop for Journal {
    /// As an end of the process would leave it: only [`Journal::close`] makes a clean end.
    fn drop(&mut self) {
        self.finish_upkeep();
    }
}

/// Writes the log back as far as no reader needs it, and holds nobody up.
fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA cache_size = -128; PRAGMA synchronous = NORMAL")?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

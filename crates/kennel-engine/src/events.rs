//! The one ordered stream of what happened: numbered, committed to the store, then published.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kennel_store::{Change, Recent, Restored, Store, StoreError};
use kennel_wire::{AuditEntry, Event, EventKind, Receipt};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long the last word of a dying process may wait for the stream.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Recorded from the damage of a store on until nothing is left that a lost record may have been about. A store that was begun anew looks
/// intact to every later daemon.
pub(crate) const RECORDS_MISSING: &str = "records_missing";

/// The stream. Cloning it gives another hand on the same one; only the driver's writes.
#[derive(Debug, Clone)]
pub struct Events {
    store: Arc<Mutex<Store>>,
    newest: watch::Sender<u64>,
    /// Whether a task tries again what could not be recorded.
    retries: Arc<AtomicBool>,
}

impl Events {
    /// Opens the store in the state directory and goes on where the last daemon ended, with what that one has left.
    /// `boot_id` is the kernel's.
    ///
    /// # Errors
    /// The store is of a newer kennel or another user, or the file system does not let us write.
    pub(crate) fn open(state_dir: &Path, boot_id: &str) -> io::Result<(Self, Restored)> {
        let (mut store, restored) = Store::open(state_dir, boot_id).map_err(in_one_line)?;
        if restored.damaged.is_some() {
            store.change(Change::Meta { key: RECORDS_MISSING.to_owned(), body: Some(true.into()) });
        }
        // What the opening has to tell comes before everything else.
        store.flush();
        let newest = watch::Sender::new(store.newest());
        Ok((Self { store: Arc::new(Mutex::new(store)), newest, retries: Arc::default() }, restored))
    }

    /// Numbers an event; [`Events::flush`] records and publishes it, with all that came before.
    pub(crate) fn publish(&self, service: Option<&str>, instance: Option<u64>, kind: EventKind) -> u64 {
        self.lock().number(service, instance, kind)
    }

    /// Takes in a change; [`Events::flush`] records it, in one transaction with the events.
    pub(crate) fn change(&self, change: Change) {
        self.lock().change(change);
    }

    /// Commits what is pending, then publishes the events. Waits for no disk. What cannot be committed now is tried again.
    pub(crate) fn flush(&self) {
        let newest = {
            let mut store = self.lock();
            let newest = store.flush();
            store.retry_at().into_iter().for_each(|at| self.retry(at));
            newest
        };
        if let Some(newest) = newest {
            self.newest.send_replace(newest);
        }
    }

    /// Flushes again and again until nothing has to be tried again: with the disk full and nothing else to do, nobody else would.
    fn retry(&self, first: Instant) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.retries.swap(true, Ordering::Relaxed) {
            return;
        }
        let events = self.clone();
        runtime.spawn(async move {
            let mut at = first;
            loop {
                tokio::time::sleep_until(at.into()).await;
                events.flush();
                let store = events.lock();
                let Some(next) = store.retry_at() else {
                    // Within the lock, so that whoever fails next begins anew.
                    return events.retries.store(false, Ordering::Relaxed);
                };
                drop(store);
                at = next;
            }
        });
    }

    /// Lets go of memory that the store keeps for later.
    pub(crate) fn release_memory(&self) {
        self.lock().release_memory();
    }

    /// Runs `then` on another thread once all that was committed is on the disk, so that a power cut does not take it; or when
    /// the disk refuses. It must not use the events.
    pub(crate) fn when_durable(&self, then: impl FnOnce() + Send + 'static) {
        self.lock().when_durable(Box::new(then));
    }

    /// Why nothing can be recorded now, or not for good.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().trouble()
    }

    /// Commits and publishes what is pending and brings all of it to the disk; then nothing is recorded any more.
    pub(crate) fn close(&self) {
        let newest = {
            let mut store = self.lock();
            store.close();
            store.newest()
        };
        self.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
    }

    /// Records an event, with all that is pending, from a process that is about to abort. Answers whether it did: whoever
    /// held the stream a moment ago may never let go of it again, and is not waited for longer than that.
    pub fn last_word(&self, kind: EventKind) -> bool {
        let end = Instant::now() + LAST_WORD;
        loop {
            let store = match self.store.try_lock() {
                Ok(store) => Some(store),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= end => return false,
                Err(TryLockError::WouldBlock) => None,
            };
            match store {
                Some(mut store) => {
                    store.number(None, None, kind);
                    // Not closed: that would say that this was an end as it should be.
                    store.flush();
                    return true;
                }
                None => kennel_sys::process::pause(Duration::from_millis(1)),
            }
        }
    }

    /// Number of the newest event; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Wakes whenever something was published.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Events after number `since`, oldest first, `limit` at most: from memory where that suffices, else read from the
    /// store by another thread. None if there is nothing newer.
    ///
    /// Where the store cannot be read, or has removed for their age what a slow follower has not seen yet, an
    /// `event.unreadable` stands for all of it.
    pub async fn after(&self, since: u64, limit: usize) -> Vec<Event> {
        let mut since = since;
        loop {
            let (recent, history) = {
                let store = self.lock();
                (store.after(since, limit), store.history())
            };
            let before = match recent {
                Recent::Events(events) => return events,
                Recent::Older(before) => before,
            };
            let read = tokio::task::spawn_blocking(move || history.page(since, before, limit)).await;
            match read.map_err(io::Error::other).and_then(|page| page.map_err(in_one_line)) {
                Ok(page) if page.is_empty() => since = before - 1,
                Ok(page) => return told_of_gap(since, page),
                Err(error) => {
                    tracing::warn!(%error, since, before, "cannot read recorded events");
                    return vec![unreadable(before - 1)];
                }
            }
        }
    }

    /// The newest entries of the audit about this subject, or all subjects for none; oldest first, `limit` at most.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn audit(&self, subject: Option<String>, limit: usize) -> io::Result<Vec<AuditEntry>> {
        let history = self.lock().history();
        let read = move || history.audit(subject.as_deref().unwrap_or_default(), limit).map_err(in_one_line);
        let entries = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        Ok(entries.into_iter().rev().filter_map(|(time, change)| audit_entry(time, change)).collect())
    }

    /// The newest receipts of a service, of instances below `before`: newest first, `limit` at most.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn receipts(&self, service: String, before: u64, limit: usize) -> io::Result<Vec<Receipt>> {
        let history = self.lock().history();
        let read = move || history.receipts(&service, before, limit).map_err(in_one_line);
        let receipts = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        Ok(receipts.into_iter().map(|(_, receipt)| receipt).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A follower who has seen `since` is told of what it cannot see any more. To begin with 0 is to begin with what there is;
/// a `store.recovered` tells of a gap itself.
fn told_of_gap(since: u64, mut page: Vec<Event>) -> Vec<Event> {
    if let Some(first) = page.first()
        && since > 0
        && first.seq > since + 1
        && !matches!(first.kind, EventKind::StoreRecovered { .. })
    {
        page.insert(0, unreadable(first.seq - 1));
    }
    page
}

/// Stands for all up to a number that cannot be shown.
fn unreadable(seq: u64) -> Event {
    Event { seq, time: Timestamp::now(), service: None, instance: None, kind: EventKind::Unreadable {} }
}

fn audit_entry(time: Timestamp, change: Change) -> Option<AuditEntry> {
    match change {
        Change::Audit { actor, action, subject, outcome } => Some(AuditEntry { time, actor, action, subject, outcome }),
        _ => None,
    }
}

/// With its cause, for a front end that prints one line.
fn in_one_line(error: StoreError) -> io::Error {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    io::Error::other(format!("{error}{}", cause.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]
    use super::*;

    fn say(events: &Events, count: u64) -> u64 {
        let mut seq = 0;
        for _ in 0..count {
            seq = events.publish(Some("web"), Some(1), EventKind::Stopped {});
        }
        events.flush();
        seq
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// The numbers as a follower gets them who begins after `since`.
    fn numbers(events: &Events, mut since: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        loop {
            let page = run(events.after(since, 500));
            assert!(page.len() <= 501);
            let Some(last) = page.last() else { return numbers };
            since = last.seq;
            numbers.extend(page.iter().map(|event| event.seq));
        }
    }

    #[test]
    fn a_follower_reads_from_any_number_without_a_gap_and_so_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path(), "boot").unwrap().0;
        let watch = events.watch();
        assert_eq!(say(&events, 6000), 6000);
        assert_eq!(*watch.borrow(), 6000);
        assert_eq!(numbers(&events, 0), (1..=6000).collect::<Vec<_>>());
        assert_eq!(numbers(&events, 1700), (1701..=6000).collect::<Vec<_>>(), "from the store, then from memory");
        assert!(numbers(&events, u64::MAX - 1).is_empty());
        events.publish(None, None, EventKind::KeeperLost {});
        assert_eq!(events.newest(), 6000, "nothing is published before it is recorded");
        events.close();
        assert_eq!((events.newest(), *watch.borrow()), (6001, 6001), "the end publishes what was pending");
        let events = Events::open(dir.path(), "boot").unwrap().0;
        assert_eq!(events.newest(), 6001);
        assert_eq!(say(&events, 1), 6002);
        assert_eq!(numbers(&events, 5990), (5991..=6002).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_stream_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path(), "boot").unwrap().0;
        say(&events, 5000);
        std::fs::rename(dir.path().join("store.db"), dir.path().join("away")).unwrap();
        let page = run(events.after(0, 500));
        assert_eq!((page.len(), &page[0].kind), (1, &EventKind::Unreadable {}));
        assert_eq!(numbers(&events, page[0].seq).last(), Some(&5000));
    }

    #[test]
    fn a_follower_who_is_too_slow_is_told_what_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path(), "boot").unwrap().0;
        say(&events, 6000);
        let sql = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
        sql.execute_batch("DELETE FROM events WHERE seq <= 1500").unwrap();
        let page = run(events.after(700, 500));
        assert_eq!((page[0].seq, &page[0].kind, page[1].seq), (1500, &EventKind::Unreadable {}, 1501));
        assert_eq!(numbers(&events, 700), (1500..=6000).collect::<Vec<_>>());
        assert_eq!(numbers(&events, 1500), (1501..=6000).collect::<Vec<_>>(), "nothing is missing after that");
        assert_eq!(numbers(&events, 0), (1501..=6000).collect::<Vec<_>>(), "who begins anew misses nothing");
    }

    /// With nothing else to do, nobody else would.
    #[test]
    fn what_could_not_be_recorded_is_recorded_later_without_being_asked() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let events = Events::open(dir.path(), "boot").unwrap().0;
        let in_the_way = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
        in_the_way.execute_batch("BEGIN IMMEDIATE").unwrap();
        runtime.block_on(async {
            events.change(Change::Meta { key: "a".into(), body: Some(serde_json::json!(1)) });
            assert_eq!(say(&events, 3), 3);
            let trouble = events.trouble().unwrap();
            assert!(trouble.contains("locked") && events.newest() == 3, "{trouble}");
            in_the_way.execute_batch("ROLLBACK").unwrap();
            let end = Instant::now() + Duration::from_secs(20);
            while events.trouble().is_some() {
                assert!(Instant::now() < end, "{:?}", events.trouble());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let recorded = kennel_store::History::of(dir.path()).page(0, 9, 9).unwrap();
        assert_eq!(recorded.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(kennel_store::Records::read(dir.path()).unwrap().meta["a"], 1);
    }

    #[test]
    fn whoever_waits_for_the_disk_hears_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path(), "boot").unwrap().0;
        say(&events, 1);
        let (done, is_done) = tokio::sync::oneshot::channel();
        events.when_durable(move || done.send(()).unwrap());
        run(is_done).unwrap();
        assert_eq!(events.trouble(), None);
    }

    #[test]
    fn a_store_that_cannot_be_opened_says_why_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let error = Events::open(&dir.path().join("in/nowhere"), "boot").unwrap_err().to_string();
        assert!(error.contains("in/nowhere") && error.contains("No such file"), "{error}");
    }
}

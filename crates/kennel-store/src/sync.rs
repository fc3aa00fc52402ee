//! The thread that brings commits to the disk, so that nobody else waits for it.
//!
//! A commit is in the page cache, which survives the end of every process. For a power cut the write-ahead log has to be synced:
//! `fdatasync` of it after the commit is what SQLite itself does with `synchronous=FULL`, within the commit. Done by another thread
//! it holds up no commit, and one sync serves all who asked while the one before it was under way (group commit).
//!
//! A checkpoint may move what was committed from the log into the database meanwhile. SQLite syncs the database before it
//! uses that part of the log again, so what is not in the log any more is on the disk as well.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What is done when all that was committed before is on the disk.
pub(crate) type Then = Box<dyn FnOnce() + Send>;
/// Brings everything to the disk that was committed when it is called.
type Work = Box<dyn FnMut() -> io::Result<()> + Send>;

/// The thread; it is started when somebody first asks, and sleeps while nobody does.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    sync: Mutex<Work>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Then>,
    /// Commits so far, and how many of them are on the disk.
    committed: u64,
    synced: u64,
    ends: bool,
    trouble: Option<String>,
}

impl Syncer {
    /// Of the log beside a database that is open, so that the log is there and stays the same file.
    ///
    /// # Errors
    /// The log or its directory cannot be opened.
    pub(crate) fn of_log(path: &Path) -> io::Result<Self> {
        let log = File::open(crate::salvage::with(path, "-wal"))?;
        let mut dir = path.parent().map(File::open).transpose()?;
        Ok(Self::new(Box::new(move || {
            // The name of the log has to be there as well; one sync of the directory is enough, for it keeps its name.
            if let Some(dir) = dir.take()
                && let Err(error) = dir.sync_all()
            {
                tracing::warn!(%error, "cannot bring the directory of the store to the disk");
            }
            log.sync_data()
        })))
    }

    fn new(sync: Work) -> Self {
        // What was committed before counts as not synced.
        let state = State { committed: 1, ..State::default() };
        let shared = Shared { state: Mutex::new(state), wake: Condvar::new(), sync: Mutex::new(sync) };
        Self { shared: Arc::new(shared), thread: None }
    }

    pub(crate) fn committed(&self) {
        self.shared.lock().committed += 1;
    }

    /// Runs `then` on the thread when all that was committed is on the disk, or the disk has refused it.
    pub(crate) fn when_durable(&mut self, then: Then) {
        self.shared.lock().waiting.push(then);
        if self.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("kennel-sync".into()).stack_size(128 << 10);
            match thread.spawn(move || while shared.turn(true) {}) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => {
                    tracing::warn!(%error, "cannot start a thread that waits for the disk; the daemon waits itself");
                    self.shared.turn(false);
                }
            }
        }
        self.shared.wake.notify_one();
    }

    /// Why commits are not on the disk, if that was refused last.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    /// Brings everything to the disk, after which nobody waits any more.
    pub(crate) fn finish(&mut self) {
        self.shared.lock().ends = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("what waited for the disk has failed");
        }
        self.shared.turn(false);
    }
}

impl Shared {
    /// One sync for all who wait now. Whether there may be more to do.
    fn turn(&self, wait: bool) -> bool {
        let mut state = self.lock();
        while wait && state.waiting.is_empty() && !state.ends {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let waiting = std::mem::take(&mut state.waiting);
        let (committed, ends) = (state.committed, state.ends);
        let due = committed > state.synced;
        drop(state);
        if due {
            let result = (self.sync.lock().unwrap_or_else(PoisonError::into_inner))();
            self.tell(committed, &result);
            kennel_sys::crash_point!("store.synced");
        }
        waiting.into_iter().for_each(|then| then());
        !ends
    }

    fn tell(&self, committed: u64, result: &io::Result<()>) {
        let mut state = self.lock();
        match result {
            Ok(()) => {
                state.synced = committed;
                if state.trouble.take().is_some() {
                    tracing::info!("commits are brought to the disk again");
                }
            }
            Err(error) => {
                let text = format!("the disk refuses what is recorded, which a power cut would take: {error}");
                if state.trouble.is_none() {
                    tracing::warn!(%error, "the disk refuses what is recorded; services go on, a power cut would take it");
                }
                state.trouble = Some(text);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Drop for Syncer {
    /// As an end of the process would leave it, but for the thread: whoever waits is told nothing.
    fn drop(&mut self) {
        let forgotten = {
            let mut state = self.shared.lock();
            state.ends = true;
            std::mem::take(&mut state.waiting)
        };
        drop(forgotten);
        self.shared.wake.notify_one();
        let _failed = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn one_sync_serves_all_who_asked_while_another_was_under_way() {
        let (begun, begins) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        let mut syncer = Syncer::new(Box::new(move || {
            begun.send(()).unwrap();
            may_go.recv().unwrap();
            Ok(())
        }));
        let (done, is_done) = mpsc::channel();
        let ask = |syncer: &mut Syncer, who: u32| {
            let done = done.clone();
            syncer.committed();
            syncer.when_durable(Box::new(move || done.send(who).unwrap()));
        };
        ask(&mut syncer, 0);
        begins.recv_timeout(DEADLINE).unwrap();
        (1..=100).for_each(|who| ask(&mut syncer, who));
        assert!(is_done.try_recv().is_err(), "nobody is told before the sync has ended");
        go.send(()).unwrap();
        assert_eq!(is_done.recv_timeout(DEADLINE), Ok(0));
        begins.recv_timeout(DEADLINE).unwrap();
        assert!(is_done.try_recv().is_err(), "what came meanwhile is not covered by it");
        go.send(()).unwrap();
        let told: Vec<u32> = (1..=100).map(|_| is_done.recv_timeout(DEADLINE).unwrap()).collect();
        assert_eq!(told, (1..=100).collect::<Vec<_>>(), "in order");
        // Nothing was committed since: no sync.
        syncer.when_durable(Box::new(move || done.send(101).unwrap()));
        assert_eq!(is_done.recv_timeout(DEADLINE), Ok(101));
        assert!(begins.try_recv().is_err());
    }

    #[test]
    fn a_disk_that_refuses_holds_nobody_up_and_is_told_until_it_works() {
        let works = Arc::new(AtomicBool::new(false));
        let does = Arc::clone(&works);
        let mut syncer = Syncer::new(Box::new(move || {
            if does.load(Ordering::Relaxed) { Ok(()) } else { Err(io::Error::from_raw_os_error(5)) }
        }));
        let (done, is_done) = mpsc::channel();
        let ask = |syncer: &mut Syncer| {
            let done = done.clone();
            syncer.when_durable(Box::new(move || done.send(()).unwrap()));
            is_done.recv_timeout(DEADLINE).unwrap();
        };
        ask(&mut syncer);
        let trouble = syncer.trouble().unwrap();
        assert!(trouble.contains("power cut") && trouble.contains("Input/output"), "{trouble}");
        works.store(true, Ordering::Relaxed);
        // What was refused is tried again although nothing is new.
        ask(&mut syncer);
        assert_eq!(syncer.trouble(), None);
    }

    #[test]
    fn the_end_syncs_and_tells_everybody() {
        let count = Arc::new(AtomicU32::new(0));
        let (synced, told) = (Arc::clone(&count), Arc::clone(&count));
        let mut syncer = Syncer::new(Box::new(move || {
            synced.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }));
        syncer.when_durable(Box::new(move || {
            told.fetch_add(100, Ordering::Relaxed);
        }));
        syncer.finish();
        assert_eq!(count.load(Ordering::Relaxed), 101);
        syncer.committed();
        syncer.finish();
        assert_eq!(count.load(Ordering::Relaxed), 102, "also without a thread");
    }
}

//! The one ordered stream of what happened: numbered, appended to a file, then published.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kennel_wire::{Event, EventKind};
use tokio::sync::watch;

/// The file is set aside as `events.1.ndjson` beyond this size, and the one before it is dropped.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// Recent events are answered from memory.
const RECENT: usize = 4096;

/// The stream. Cloning it gives another hand on the same one.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Mutex<Shared>>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    file: File,
    bytes: u64,
    next: u64,
    /// Numbered, neither recorded nor published yet.
    pending: Vec<Event>,
    recent: VecDeque<Event>,
}

impl Events {
    /// Opens the stream in the state directory and goes on where the last daemon ended.
    ///
    /// A torn last line, left by a crash in the middle of a write, is closed off and skipped by readers.
    ///
    /// # Errors
    /// What the file system says, naming the file.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = current(dir);
        let last = read_file(&path)?.last().map(|event| event.seq);
        let last = match last {
            Some(seq) => seq,
            None => read_file(&older(dir))?.last().map_or(0, |event| event.seq),
        };
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        if bytes > 0 && !fs::read(&path)?.ends_with(b"\n") {
            file.write_all(b"\n")?;
        }
        let shared =
            Shared { dir: dir.to_owned(), file, bytes, next: last + 1, pending: Vec::new(), recent: VecDeque::new() };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), newest: watch::Sender::new(last) })
    }

    /// Numbers an event; [`Events::flush`] records and publishes it, with all that came before.
    pub fn publish(&self, service: Option<&str>, instance: Option<u64>, kind: EventKind) -> u64 {
        let mut shared = self.lock();
        let seq = shared.next;
        shared.next += 1;
        let service = service.map(str::to_owned);
        shared.pending.push(Event { seq, time: Timestamp::now(), service, instance, kind });
        seq
    }

    /// Records in one write what is pending, then publishes it. A full disk loses the file's lines, never the events
    /// for those who listen.
    pub fn flush(&self) {
        let mut shared = self.lock();
        let pending = std::mem::take(&mut shared.pending);
        let Some(newest) = pending.last().map(|event| event.seq) else { return };
        if let Err(error) = shared.append(&pending) {
            tracing::warn!(%error, "cannot write the event file");
        }
        shared.recent.extend(pending);
        let surplus = shared.recent.len().saturating_sub(RECENT);
        shared.recent.drain(..surplus);
        drop(shared);
        self.newest.send_replace(newest);
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

    /// All events after number `since`, oldest first: from memory where that suffices, else from the files.
    #[must_use]
    pub fn after(&self, since: u64) -> Vec<Event> {
        let shared = self.lock();
        let unseen = shared.pending.first().map_or(shared.next, |event| event.seq);
        let first = shared.recent.front().map_or(unseen, |event| event.seq);
        let from_memory = shared.recent.iter().filter(|event| event.seq > since).cloned();
        if since + 1 >= first {
            return from_memory.collect();
        }
        let dir = shared.dir.clone();
        let recent: Vec<Event> = from_memory.collect();
        drop(shared);
        let mut events: Vec<Event> = [older(&dir), current(&dir)]
            .iter()
            .flat_map(|path| read_file(path).unwrap_or_default())
            .filter(|event| event.seq > since && event.seq < first)
            .collect();
        events.extend(recent);
        events
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn append(&mut self, events: &[Event]) -> io::Result<()> {
        if self.bytes > MAX_FILE_BYTES {
            fs::rename(current(&self.dir), older(&self.dir))?;
            self.file = OpenOptions::new().create(true).append(true).mode(0o600).open(current(&self.dir))?;
            self.bytes = 0;
        }
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

fn current(dir: &Path) -> PathBuf {
    dir.join("events.ndjson")
}

fn older(dir: &Path) -> PathBuf {
    dir.join("events.1.ndjson")
}

fn read_file(path: &Path) -> io::Result<Vec<Event>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    Ok(lines.filter_map(|line| serde_json::from_slice(&line).ok()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn say(events: &Events, name: &str) -> u64 {
        let seq = events.publish(Some(name), Some(1), EventKind::Stopped {});
        events.flush();
        seq
    }

    #[test]
    fn numbers_go_on_after_a_crash_in_the_middle_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path()).unwrap();
        assert_eq!((say(&events, "a"), say(&events, "b")), (1, 2));
        let mut file = OpenOptions::new().append(true).open(current(dir.path())).unwrap();
        file.write_all(b"{\"seq\":3,\"ti").unwrap();
        let events = Events::open(dir.path()).unwrap();
        assert_eq!(say(&events, "c"), 3);
        let names: Vec<_> = events.after(0).into_iter().filter_map(|event| event.service).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(events.after(2).len(), 1);
        assert!(events.after(u64::MAX - 1).is_empty());
    }
}

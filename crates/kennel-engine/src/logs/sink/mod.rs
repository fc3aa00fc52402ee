//! Where output goes beside its log.
//!
//! A sink is a reader of the files as others are, in a thread of its own: whoever takes its lines may be slow or gone, and neither the service
//! nor the log notices. What it has not passed on yet waits in the files, also for another daemon; what is removed from them meanwhile
//! is lost to it, counted, and told.

mod account;
mod journal;
mod mark;
mod passing;
mod path;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use kennel_core::model::LogSink;
use kennel_logs::Line;

use self::mark::Mark;
use self::passing::Passing;
use super::recorder::Hear;

/// How long all sinks together may take at the end to pass on what there is.
const LAST_LINES: Duration = Duration::from_secs(2);
/// And to give up what they are at, after that.
const GIVES_UP: Duration = Duration::from_millis(500);

/// Somebody who takes lines.
trait Target: Send {
    /// What is to be sent for these lines, in order.
    fn pieces(&self, lines: &[Line]) -> Vec<Vec<u8>>;

    /// Sends what there is of a piece, of which `begins` is the begin; answers how many bytes of it were taken.
    ///
    /// # Errors
    /// `WouldBlock` where nothing was taken for a moment, else why it cannot be had.
    fn send(&mut self, piece: &[u8], begins: bool) -> io::Result<usize>;
}

/// What a sink shares with whoever records.
#[derive(Debug, Default)]
struct Shared {
    /// Appends that were begun and done. Where both are the same before and after a look, the look has seen all of `bytes`.
    begun: AtomicU64,
    done: AtomicU64,
    /// Recorded since the sink began.
    bytes: AtomicU64,
    /// There is news since the sink looked last.
    has_news: AtomicBool,
    /// One of [`Ends`].
    ends: AtomicU8,
    /// The run that writes now.
    run: AtomicU64,
}

/// How soon a sink is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ends {
    Never = 0,
    /// When it has passed on what there is, or cannot.
    WhenDone = 1,
    Now = 2,
}

impl Shared {
    fn ends(&self) -> Ends {
        match self.ends.load(Ordering::Acquire) {
            0 => Ends::Never,
            1 => Ends::WhenDone,
            _ => Ends::Now,
        }
    }
}

/// A hand on one of them.
struct Sink {
    to: LogSink,
    shared: Arc<Shared>,
    thread: Thread,
    mark: PathBuf,
}

impl Sink {
    fn wake(&self) {
        if !self.shared.has_news.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }

    fn end(&self, ends: Ends) {
        self.shared.ends.store(ends as u8, Ordering::Release);
        self.thread.unpark();
    }
}

/// All sinks of an instance, by the names in `ps` that they belong to.
pub(super) struct Sinks {
    of: HashMap<String, Vec<Sink>>,
    logs: PathBuf,
    marks: PathBuf,
    /// Name of the kennel instance.
    instance: Arc<str>,
    hear: Hear,
    /// Every thread has a copy of the first: the second ends with the last of them.
    alive: (Sender<()>, Receiver<()>),
}

impl Sinks {
    /// `marks` is the directory in which they note how far they are.
    pub(super) fn new(logs: PathBuf, marks: PathBuf, instance: &str, hear: Hear) -> Self {
        Self { of: HashMap::new(), logs, marks, instance: instance.into(), hear, alive: channel() }
    }

    /// Where the output of this name goes from now on. To be called before more of it is recorded: a new sink begins here.
    pub(super) fn set(&mut self, name: &str, wanted: &[LogSink]) {
        if wanted.is_empty() && !self.of.contains_key(name) {
            return;
        }
        let mut now = self.of.remove(name).unwrap_or_default();
        for gone in now.extract_if(.., |sink| !wanted.contains(&sink.to)) {
            gone.end(Ends::Now);
            // Asked for again it begins with what is new then.
            let _not_there = std::fs::remove_file(&gone.mark);
        }
        for to in wanted {
            if now.iter().any(|sink| sink.to == *to) {
                continue;
            }
            match self.begin(name, to) {
                Ok(sink) => now.push(sink),
                Err(error) => tracing::error!(%error, service = name, ?to, "output cannot be passed on"),
            }
        }
        if !now.is_empty() {
            self.of.insert(name.to_owned(), now);
        }
    }

    fn begin(&self, name: &str, to: &LogSink) -> io::Result<Sink> {
        let (mark, position) = Mark::open(&self.marks, name, to)?;
        let shared = Arc::new(Shared::default());
        let path = mark.path().to_owned();
        let target: Box<dyn Target> = match to {
            LogSink::Path(path) => Box::new(path::File::new(path)),
            LogSink::Journald => Box::new(journal::Journal::new(&self.instance, name)),
        };
        let hear = Arc::clone(&self.hear);
        let passing = Passing::begin(&self.logs, name, to, (mark, position), Arc::clone(&shared), target, hear);
        let alive = self.alive.0.clone();
        let thread = std::thread::Builder::new().name("log-sink".into()).stack_size(256 << 10);
        let thread = thread.spawn(move || {
            let _until_the_end = alive;
            passing.run();
        })?;
        Ok(Sink { to: to.clone(), shared, thread: thread.thread().clone(), mark: path })
    }

    /// This run writes under the name now.
    pub(super) fn writes(&self, name: &str, run: u64) {
        self.each(name, |sink| sink.shared.run.store(run, Ordering::Relaxed));
    }

    /// Something is going to be appended to the log of this name.
    pub(super) fn before(&self, name: &str) {
        self.each(name, |sink| {
            sink.shared.begun.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// It was, and so much of it is in the file.
    pub(super) fn after(&self, name: &str, bytes: usize) {
        self.each(name, |sink| {
            sink.shared.bytes.fetch_add(bytes as u64, Ordering::AcqRel);
            sink.shared.done.fetch_add(1, Ordering::AcqRel);
            if bytes > 0 {
                sink.wake();
            }
        });
    }

    /// There is something new that is no output: the end of it, or what is missing of it.
    pub(super) fn wake(&self, name: &str) {
        self.each(name, Sink::wake);
    }

    fn each(&self, name: &str, act: impl Fn(&Sink)) {
        if !self.of.is_empty() {
            self.of.get(name).into_iter().flatten().for_each(act);
        }
    }

    /// Has all of them pass on what there is and end, within a moment: what is not passed on by then waits for another daemon.
    pub(super) fn finish(&mut self) {
        let sinks: Vec<Sink> = self.of.drain().flat_map(|(_, sinks)| sinks).collect();
        let (alive, ended) = std::mem::replace(&mut self.alive, channel());
        drop(alive);
        for (how, limit) in [(Ends::WhenDone, LAST_LINES), (Ends::Now, GIVES_UP)] {
            sinks.iter().for_each(|sink| sink.end(how));
            let deadline = Instant::now() + limit;
            // Nothing is ever sent: the channel ends with the last thread.
            let waited = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            if waited == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.of.values().flatten().for_each(|sink| sink.end(Ends::Now));
    }
}

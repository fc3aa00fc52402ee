//! A hand on the thread that records the output of all services.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use kennel_sys::home::Home;
use regex::bytes::Regex;
use rustix::event::{EventfdFlags, epoll, eventfd};
use tokio::sync::{oneshot, watch};

use super::counter::Counter;
use super::old;
use super::packer::Packer;
use super::shelf::{Keep, Notice};
use super::sink::Sinks;
use super::stage::Stage;
use super::thread::{self, Thread, WAKE};

/// A line of output matched the pattern that was waited for.
pub(crate) type Found = Box<dyn FnOnce() + Send>;

/// A hand on the recording thread. The thread ends with the last hand.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    appended: watch::Receiver<u64>,
    stage: Mutex<Option<[OwnedFd; 2]>>,
}

/// What is to be recorded.
pub(crate) struct Output {
    /// Name in `ps`.
    pub(crate) name: String,
    /// Number of the run that writes.
    pub(crate) run: u64,
    /// Read ends of stdout and stderr, non-blocking.
    pub(crate) pipes: [OwnedFd; 2],
    /// Looked for in every line until it is found once.
    pub(crate) pattern: Option<(Regex, Found)>,
    /// Its writer outlives this process, so nothing may be lost with us: see [`Stage`].
    pub(crate) kept: bool,
    /// Counts what is read.
    pub(crate) activity: Arc<Counter>,
    /// How it is kept.
    pub(crate) keep: Keep,
}

/// Hears what becomes of the output of a service: its name in `ps`, the run, and what there is to say.
pub(crate) type Hear = Arc<dyn Fn(&str, u64, Notice) + Send + Sync>;

pub(super) enum Command {
    Attach(Output),
    Drain(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    Remove(String),
    /// How the output of this name is kept from now on.
    Keep(String, Keep),
    /// What all logs together may take, bytes.
    Within(u64),
    /// The log of this name has become smaller.
    Smaller(String),
    End,
}

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when a thread or a descriptor is refused.
    /// `stage` is what [`Recorder::stage`] gave to an earlier daemon: what that one had not finished is finished first.
    pub(crate) fn start(home: &Home, stage: Option<[OwnedFd; 2]>, hear: Hear) -> io::Result<Self> {
        let (dir, mark) = (home.logs_dir(), home.state_dir.join("logs.stage"));
        let (commands, inbox) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, wake.as_fd(), epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let (appended, seen) = watch::channel(0);
        let stage = Stage::open(&mark, stage)?;
        old::set_aside(&dir);
        thread::finish(&dir, &stage)?;
        let ends = stage.ends()?;
        let packer = {
            let (commands, wake) = (Mutex::new(commands.clone()), Arc::clone(&wake));
            Packer::new(move |dir| {
                let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { return };
                let commands = commands.lock().unwrap_or_else(PoisonError::into_inner);
                if commands.send(Command::Smaller(name.to_owned())).is_ok() {
                    // The counter is full only while a wake-up is pending anyway.
                    let _pending = rustix::io::write(wake.as_fd(), &1u64.to_ne_bytes());
                }
            })
        };
        let sinks = Sinks::new(dir.clone(), home.state_dir.join("sinks"), &home.name, Arc::clone(&hear));
        let mut thread = Thread::new(dir, stage, poll, Arc::clone(&wake), inbox, appended, packer, sinks, hear);
        std::thread::Builder::new().name("logs".into()).stack_size(256 << 10).spawn(move || {
            // The last that a dying process does before its parent hears of it is to close its pipes, which wakes us; and
            // one that writes much gets on with it. Refused, it is as good as any other thread.
            let _as_others = kennel_sys::process::never_interrupts();
            thread.run();
        })?;
        Ok(Self { inner: Arc::new(Inner { commands, wake, appended: seen, stage: Mutex::new(Some(ends)) }) })
    }

    /// What the keeper is to hold for the next daemon; once.
    pub(crate) fn stage(&self) -> Option<[OwnedFd; 2]> {
        self.inner.stage.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records what comes from two read ends under this name until both are at their end.
    pub(crate) fn attach(&self, output: Output) {
        self.send(Command::Attach(output));
    }

    /// Waits until everything that was in a pipe when this was called is in its file.
    pub(crate) async fn drain(&self) {
        let (done, answer) = oneshot::channel();
        self.send(Command::Drain(done));
        let _ended_meanwhile = answer.await;
    }

    /// Records what was read, has sinks pass on what there is within a moment, and ends the thread; what is still in a pipe stays
    /// there. Nothing is recorded after that.
    pub(crate) async fn stop(&self) {
        let (done, answer) = oneshot::channel();
        self.send(Command::Stop(done));
        let _ended_meanwhile = answer.await;
    }

    /// Removes the log of this name, all parts of it.
    pub(crate) fn remove(&self, name: &str) {
        self.send(Command::Remove(name.to_owned()));
    }

    /// Changes how the output of this name is kept, where something writes to it.
    pub(crate) fn keep(&self, name: &str, keep: Keep) {
        self.send(Command::Keep(name.to_owned(), keep));
    }

    /// All logs together may take so much, bytes.
    pub(crate) fn within(&self, max: u64) {
        self.send(Command::Within(max));
    }

    /// Wakes whenever something was appended to any file.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.inner.appended.clone()
    }

    fn send(&self, command: Command) {
        if self.inner.commands.send(command).is_ok() {
            self.inner.wake();
        }
    }
}

impl Inner {
    fn wake(&self) {
        // The counter is full only while a wake-up is pending anyway.
        let _pending = rustix::io::write(self.wake.as_fd(), &1u64.to_ne_bytes());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ended_already = self.commands.send(Command::End);
        self.wake();
    }
}

//! The thread that empties the pipes of all services into their files.
//!
//! It is apart from the driver so that a slow disk never delays supervision, and it waits only on the kernel: no
//! timer, no wake-up without output.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use kennel_wire::LogStream;
use regex::bytes::Regex;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;
use tokio::sync::{oneshot, watch};

use super::file::{self, LogFile, MAX_LINE};

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
}

enum Command {
    Attach { name: String, pipes: [OwnedFd; 2], pattern: Option<(Regex, Found)> },
    Drain(oneshot::Sender<()>),
    End,
}

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when a thread or a descriptor is refused.
    pub(crate) fn start(dir: PathBuf) -> io::Result<Self> {
        let (commands, inbox) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, wake.as_fd(), epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let (appended, seen) = watch::channel(0);
        let mut thread = Thread {
            dir,
            poll,
            wake: Arc::clone(&wake),
            inbox,
            appended,
            files: HashMap::new(),
            pipes: HashMap::new(),
            next: WAKE + 1,
            buffer: vec![0; 64 << 10],
        };
        thread::Builder::new().name("logs".into()).stack_size(256 << 10).spawn(move || {
            // The last that a dying process does before its parent hears of it is to close its pipes, which wakes us; and
            // one that writes much gets on with it. Refused, it is as good as any other thread.
            let _as_others = kennel_sys::process::never_interrupts();
            thread.run();
        })?;
        Ok(Self { inner: Arc::new(Inner { commands, wake, appended: seen }) })
    }

    /// Records what comes from these read ends (stdout, stderr) under this name until both are at their end.
    /// `pattern` is looked for in every line until it is found once.
    pub(crate) fn attach(&self, name: &str, pipes: [OwnedFd; 2], pattern: Option<(Regex, Found)>) {
        self.send(Command::Attach { name: name.to_owned(), pipes, pattern });
    }

    /// Waits until everything that was in a pipe when this was called is in its file.
    pub(crate) async fn drain(&self) {
        let (done, answer) = oneshot::channel();
        self.send(Command::Drain(done));
        let _ended_meanwhile = answer.await;
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

const WAKE: u64 = 0;

struct Thread {
    dir: PathBuf,
    poll: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Command>,
    appended: watch::Sender<u64>,
    files: HashMap<String, (LogFile, usize)>,
    pipes: HashMap<u64, Pipe>,
    next: u64,
    buffer: Vec<u8>,
}

struct Pipe {
    fd: OwnedFd,
    name: String,
    stream: LogStream,
    /// The begin of a line whose newline has not come yet.
    partial: Vec<u8>,
    pattern: Option<Arc<Pattern>>,
}

/// What is looked for in both streams, until one line matches.
struct Pattern {
    regex: Regex,
    found: Mutex<Option<Found>>,
}

impl Thread {
    fn run(&mut self) {
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot wait for output; no more is recorded");
                    return;
                }
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => {}
                    id => self.read(id),
                }
            }
            if !self.obey() {
                return;
            }
        }
    }

    /// Carries out what was asked for; `false` at the end.
    fn obey(&mut self) -> bool {
        let mut counter = [0; 8];
        let _nothing_pending = rustix::io::read(self.wake.as_fd(), &mut counter);
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Attach { name, pipes, pattern } => self.attach(&name, pipes, pattern),
                Command::Drain(done) => {
                    let ids: Vec<u64> = self.pipes.keys().copied().collect();
                    ids.into_iter().for_each(|id| self.read(id));
                    let _gone_meanwhile = done.send(());
                }
                Command::End => return false,
            }
        }
        true
    }

    fn attach(&mut self, name: &str, pipes: [OwnedFd; 2], pattern: Option<(Regex, Found)>) {
        let (file, users) = self.files.remove(name).unwrap_or_else(|| (LogFile::new(&self.dir, name), 0));
        self.files.insert(name.to_owned(), (file, users + 2));
        let pattern = pattern.map(|(regex, found)| Arc::new(Pattern { regex, found: Mutex::new(Some(found)) }));
        for (fd, stream) in pipes.into_iter().zip([LogStream::Stdout, LogStream::Stderr]) {
            let id = self.next;
            self.next += 1;
            let added = epoll::add(&self.poll, &fd, epoll::EventData::new_u64(id), epoll::EventFlags::IN);
            if let Err(error) = added {
                tracing::error!(%error, service = name, "cannot wait for output");
            }
            let pattern = pattern.clone();
            self.pipes.insert(id, Pipe { fd, name: name.to_owned(), stream, partial: Vec::new(), pattern });
        }
    }

    /// Empties one pipe, at most 1 MiB at a time so that one flood does not starve the others.
    fn read(&mut self, id: u64) {
        const SHARE: usize = 16;
        for _ in 0..SHARE {
            let Some(pipe) = self.pipes.get_mut(&id) else { return };
            match rustix::io::read(&pipe.fd, &mut self.buffer[..]) {
                Ok(0) => return self.close(id),
                Ok(count) => {
                    let records = pipe.take(&self.buffer[..count]);
                    let full = count == self.buffer.len();
                    self.append(id, &records);
                    if !full {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot read output");
                    return self.close(id);
                }
            }
        }
    }

    fn append(&mut self, id: u64, records: &[u8]) {
        let Some((file, _)) = self.pipes.get(&id).and_then(|pipe| self.files.get_mut(&pipe.name)) else { return };
        if let Err(error) = file.append(records) {
            tracing::error!(%error, bytes = records.len(), "cannot write the log file; output is lost");
        }
        self.appended.send_modify(|count| *count += 1);
    }

    fn close(&mut self, id: u64) {
        let rest = self.pipes.get_mut(&id).map(Pipe::end).unwrap_or_default();
        if !rest.is_empty() {
            self.append(id, &rest);
        }
        let Some(pipe) = self.pipes.remove(&id) else { return };
        // The keeper holds a duplicate, so closing ours would not take it out of the set.
        let _not_added = epoll::delete(&self.poll, &pipe.fd);
        if let Some((file, users)) = self.files.remove(&pipe.name)
            && users > 1
        {
            self.files.insert(pipe.name, (file, users - 1));
        }
    }
}

impl Pipe {
    /// Turns bytes into records; the part after the last newline waits for more.
    fn take(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let time = Timestamp::now().to_string();
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 2 + 64);
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            if self.partial.is_empty() {
                self.emit(&mut out, &time, line, true);
            } else {
                self.partial.extend_from_slice(line);
                let line = std::mem::take(&mut self.partial);
                self.emit(&mut out, &time, &line, true);
            }
            bytes = &rest[1..];
        }
        self.partial.extend_from_slice(bytes);
        while self.partial.len() > MAX_LINE {
            let rest = self.partial.split_off(MAX_LINE);
            let part = std::mem::replace(&mut self.partial, rest);
            self.emit(&mut out, &time, &part, false);
        }
        out
    }

    /// What is left when the output ends without a newline.
    fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.emit(&mut out, &Timestamp::now().to_string(), &rest, false);
        }
        out
    }

    fn emit(&mut self, out: &mut Vec<u8>, time: &str, line: &[u8], complete: bool) {
        file::format(out, time, self.stream, complete, line);
        if self.pattern.as_ref().is_some_and(|pattern| pattern.regex.is_match(line))
            && let Some(pattern) = self.pattern.take()
            && let Some(found) = pattern.found.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            found();
        }
    }
}

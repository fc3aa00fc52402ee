//! The thread that empties the pipes of all services into their files.
//!
//! It is apart from the driver so that a slow disk never delays supervision, and it waits only on the kernel: no
//! timer, no wake-up without output.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kennel_wire::LogStream;
use regex::bytes::Regex;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use tokio::sync::watch;

use super::counter::Counter;
use super::file::{self, LogFile, MAX_LINE};
use super::recorder::{Command, Found, Output};
use super::stage::{Stage, Unfinished};

pub(super) const WAKE: u64 = 0;
/// Buffers of 64 KiB that are taken of one pipe before others have their turn.
const SHARE: usize = 16;

pub(super) struct Thread {
    dir: PathBuf,
    poll: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Command>,
    appended: watch::Sender<u64>,
    files: HashMap<String, (LogFile, usize)>,
    pipes: HashMap<u64, Pipe>,
    next: u64,
    buffer: Vec<u8>,
    stage: Stage,
    /// Pipes of which more is there than their share, and which will not say so again.
    again: Vec<u64>,
}

struct Pipe {
    fd: OwnedFd,
    name: String,
    lines: Lines,
    /// Goes by way of the stage.
    kept: bool,
    activity: Arc<Counter>,
}

/// Makes records of bytes.
struct Lines {
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

/// Does what an earlier daemon had begun when it was lost.
pub(super) fn finish(dir: &Path, stage: &mut Stage) -> io::Result<()> {
    if let Some(Unfinished { name, stream, offset, bytes }) = stage.unfinished()? {
        let mut file = LogFile::new(dir, &name);
        // It may have been written already, as a whole or in part.
        file.cut(offset)?;
        let mut lines = Lines { stream, partial: Vec::new(), pattern: None };
        file.append(&lines.take_all(&bytes))?;
    }
    stage.written()
}

impl Thread {
    pub(super) fn new(
        dir: PathBuf,
        stage: Stage,
        poll: OwnedFd,
        wake: Arc<OwnedFd>,
        inbox: Receiver<Command>,
        appended: watch::Sender<u64>,
    ) -> Self {
        Self {
            dir,
            poll,
            wake,
            inbox,
            appended,
            files: HashMap::new(),
            pipes: HashMap::new(),
            next: WAKE + 1,
            buffer: vec![0; MAX_LINE],
            stage,
            again: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) {
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            let at_once = (!self.again.is_empty()).then_some(&Timespec { tv_sec: 0, tv_nsec: 0 });
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), at_once) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot wait for output; no more is recorded");
                    return;
                }
            }
            for event in &events {
                let flags = event.flags;
                match event.data.u64() {
                    WAKE => {}
                    id => self.read(id, flags.contains(epoll::EventFlags::HUP)),
                }
            }
            for id in std::mem::take(&mut self.again) {
                self.read(id, false);
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
                Command::Attach(output) => self.attach(output),
                Command::Drain(done) => {
                    let ids: Vec<u64> = self.pipes.keys().copied().collect();
                    ids.into_iter().for_each(|id| self.read(id, false));
                    let _gone_meanwhile = done.send(());
                }
                Command::Remove(name) => {
                    let (file, _) =
                        self.files.entry(name.clone()).or_insert_with(|| (LogFile::new(&self.dir, &name), 0));
                    if let Err(error) = file.remove() {
                        tracing::warn!(%error, service = name, "cannot remove the log");
                    }
                    self.files.retain(|_, (_, users)| *users > 0);
                }
                Command::Stop(done) => {
                    let ids: Vec<u64> = self.pipes.keys().copied().collect();
                    ids.into_iter().for_each(|id| self.close(id));
                    let _gone_meanwhile = done.send(());
                    return false;
                }
                Command::End => return false,
            }
        }
        true
    }

    fn attach(&mut self, output: Output) {
        let Output { name, pipes, pattern, kept, activity } = output;
        let (file, users) = self.files.remove(&name).unwrap_or_else(|| (LogFile::new(&self.dir, &name), 0));
        self.files.insert(name.clone(), (file, users + 2));
        let pattern = pattern.map(|(regex, found)| Arc::new(Pattern { regex, found: Mutex::new(Some(found)) }));
        // What is left in a pipe until its line is complete must not wake us until there is more.
        let edge = if kept { epoll::EventFlags::ET } else { epoll::EventFlags::empty() };
        for (fd, stream) in pipes.into_iter().zip([LogStream::Stdout, LogStream::Stderr]) {
            let id = self.next;
            self.next += 1;
            let added = epoll::add(&self.poll, &fd, epoll::EventData::new_u64(id), epoll::EventFlags::IN | edge);
            if let Err(error) = added {
                tracing::error!(%error, service = name, "cannot wait for output");
            }
            let lines = Lines { stream, partial: Vec::new(), pattern: pattern.clone() };
            let activity = activity.clone();
            self.pipes.insert(id, Pipe { fd, name: name.clone(), lines, kept, activity });
        }
    }

    /// Empties one pipe, at most 1 MiB at a time so that one flood does not starve the others. `is_over`: nobody will
    /// write to it any more.
    fn read(&mut self, id: u64, is_over: bool) {
        if self.pipes.get(&id).is_some_and(|pipe| pipe.kept) {
            return self.read_kept(id, is_over);
        }
        for _ in 0..SHARE {
            let Some(pipe) = self.pipes.get_mut(&id) else { return };
            match rustix::io::read(&pipe.fd, &mut self.buffer[..]) {
                Ok(0) => return self.close(id),
                Ok(count) => {
                    pipe.activity.wrote(count);
                    let records = pipe.lines.take(&self.buffer[..count]);
                    let full = count == self.buffer.len();
                    self.append(id, count, &records);
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

    /// As [`Thread::read`], for a pipe whose bytes must survive us.
    fn read_kept(&mut self, id: u64, is_over: bool) {
        for _ in 0..SHARE {
            let Some(pipe) = self.pipes.get_mut(&id) else { return };
            let count = match self.stage.look(&pipe.fd, &mut self.buffer) {
                Ok(0) => return self.close(id),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::error!(%error, "cannot read output");
                    return self.close(id);
                }
            };
            let seen = &self.buffer[..count];
            let full = count == self.buffer.len();
            let whole = memchr::memrchr(b'\n', seen).map_or(0, |at| at + 1);
            let take = if is_over || (whole == 0 && full) { count } else { whole };
            if take == 0 {
                return;
            }
            pipe.activity.wrote(take);
            let records = pipe.lines.take_all(&seen[..take]);
            let Some((file, _)) = self.files.get_mut(&pipe.name) else { return };
            if let Err(error) = self.stage.record(&pipe.fd, take, (file, pipe.lines.stream), &records) {
                pipe.activity.lose(take);
                tracing::error!(%error, bytes = records.len(), "cannot write the log file; output is lost");
            }
            self.appended.send_modify(|count| *count += 1);
            if !full && !is_over {
                return;
            }
        }
        self.again.push(id);
    }

    /// Writes what was made of so many bytes.
    fn append(&mut self, id: u64, count: usize, records: &[u8]) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let Some((file, _)) = self.files.get_mut(&pipe.name) else { return };
        if let Err(error) = file.append(records) {
            pipe.activity.lose(count);
            tracing::error!(%error, bytes = records.len(), "cannot write the log file; output is lost");
        }
        self.appended.send_modify(|count| *count += 1);
    }

    fn close(&mut self, id: u64) {
        let rest = self.pipes.get_mut(&id).map(|pipe| pipe.lines.end()).unwrap_or_default();
        if !rest.is_empty() {
            self.append(id, rest.len(), &rest);
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

impl Lines {
    /// Turns bytes into records, also those after the last newline.
    fn take_all(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut records = self.take(bytes);
        records.extend(self.end());
        records
    }

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

//! The thread that empties the pipes of all services into their logs.
//!
//! It is apart from the driver so that a slow disk never delays supervision, and it waits only on the kernel: no
//! timer, no wake-up without output.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use kennel_logs::{Appended, Bounds, HEADER, Header, Kind, Log, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use tokio::sync::watch;

use super::counter::Counter;
use super::packer::Packer;
use super::pattern::Looker;
use super::recorder::{Command, Output};
use super::stage::{Moved, Stage, header};

pub(super) const WAKE: u64 = 0;
/// What is read at once, bytes.
const BUFFER: usize = 64 << 10;
/// Reads that one pipe has before others have their turn.
const SHARE: usize = 16;
/// A flood of small writes is let run for this long before it is looked at again: then there is a whole buffer to take.
const FLOOD: Duration = Duration::from_micros(300);
/// Less than this in one read, so soon after the one before, is a flood of small writes.
const SMALL: usize = 16 << 10;

pub(super) struct Thread {
    dir: PathBuf,
    poll: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Command>,
    appended: watch::Sender<u64>,
    logs: HashMap<String, (Log, usize)>,
    pipes: HashMap<u64, Pipe>,
    next: u64,
    /// Room for a header, and for what is read; made when something is read.
    buffer: Vec<u8>,
    stage: Stage,
    packer: Packer,
    /// Pipes of which more is there than their share.
    again: Vec<u64>,
    /// The longest read of this turn, bytes.
    longest: usize,
}

struct Pipe {
    fd: OwnedFd,
    name: String,
    stream: Stream,
    run: u32,
    looker: Option<Looker>,
    /// Goes by way of the stage.
    kept: bool,
    activity: Arc<Counter>,
}

/// Does what an earlier daemon had begun when it was lost.
pub(super) fn finish(dir: &Path, stage: &Stage) -> io::Result<()> {
    let Some(unfinished) = stage.unfinished()? else { return Ok(()) };
    let mut log = Log::new(dir, &unfinished.name, Bounds::default());
    let appended = stage.finish(&mut log, &unfinished)?;
    if let Some(error) = appended.error {
        let lost = unfinished.rest.saturating_sub(appended.kept);
        tracing::error!(%error, lost, service = unfinished.name, "cannot write what an earlier daemon had read");
    }
    Ok(())
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
            packer: Packer::new(),
            dir,
            poll,
            wake,
            inbox,
            appended,
            logs: HashMap::new(),
            pipes: HashMap::new(),
            next: WAKE + 1,
            buffer: Vec::new(),
            stage,
            again: Vec::new(),
            longest: 0,
        }
    }

    pub(super) fn run(&mut self) {
        let mut events = Vec::with_capacity(64);
        let mut begin = Instant::now();
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
            self.longest = 0;
            for event in &events {
                match event.data.u64() {
                    WAKE => {}
                    id => self.read(id),
                }
            }
            for id in std::mem::take(&mut self.again) {
                self.read(id);
            }
            if self.longest > 0 {
                self.appended.send_modify(|count| *count += 1);
            }
            if !self.obey() {
                return;
            }
            let before = std::mem::replace(&mut begin, Instant::now());
            if (1..SMALL).contains(&self.longest) && self.again.is_empty() && before.elapsed() < FLOOD * 2 {
                self.let_run();
            }
        }
    }

    /// Waits a moment, but for commands.
    fn let_run(&self) {
        let moment = Timespec { tv_sec: 0, tv_nsec: i64::from(FLOOD.subsec_nanos()) };
        let _a_moment = poll(&mut [PollFd::new(&self.wake, PollFlags::IN)], Some(&moment));
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
                    ids.into_iter().for_each(|id| self.read(id));
                    let _gone_meanwhile = done.send(());
                }
                Command::Remove(name) => {
                    let (log, _) = self.log(&name);
                    if let Err(error) = log.remove() {
                        tracing::warn!(%error, service = name, "cannot remove the log");
                    }
                    self.logs.retain(|_, (_, users)| *users > 0);
                }
                Command::Stop(done) => {
                    let ids: Vec<u64> = self.pipes.keys().copied().collect();
                    // What was read is in its file, and whether a line ends somebody else will see.
                    ids.into_iter().for_each(|id| self.close(id));
                    let _gone_meanwhile = done.send(());
                    return false;
                }
                Command::End => return false,
            }
        }
        true
    }

    fn log(&mut self, name: &str) -> &mut (Log, usize) {
        let dir = &self.dir;
        self.logs.entry(name.to_owned()).or_insert_with(|| (Log::new(dir, name, Bounds::default()), 0))
    }

    fn attach(&mut self, output: Output) {
        let Output { name, run, pipes, pattern, kept, activity } = output;
        self.log(&name).1 += 2;
        let pattern = pattern.map(|(regex, found)| Looker::new(regex, found));
        for (fd, stream) in pipes.into_iter().zip([Stream::Out, Stream::Err]) {
            let id = self.next;
            self.next += 1;
            let added = epoll::add(&self.poll, &fd, epoll::EventData::new_u64(id), epoll::EventFlags::IN);
            if let Err(error) = added {
                tracing::error!(%error, service = name, "cannot wait for output");
            }
            let (looker, activity) = (pattern.clone(), activity.clone());
            // Its lower half is enough to tell one run of a service from the next.
            let run = run as u32;
            self.pipes.insert(id, Pipe { fd, name: name.clone(), stream, run, looker, kept, activity });
        }
    }

    /// Empties one pipe, at most 1 MiB at a time so that one flood does not starve the others.
    fn read(&mut self, id: u64) {
        for _ in 0..SHARE {
            let Some(pipe) = self.pipes.get(&id) else { return };
            let read = if pipe.kept { self.read_kept(id) } else { self.read_plain(id) };
            match read {
                Ok(Moved::Some(count, appended)) => {
                    self.longest = self.longest.max(count);
                    self.account(id, count, appended);
                    if count < BUFFER {
                        return;
                    }
                }
                Ok(Moved::Nothing) => return,
                Ok(Moved::End) => return self.end(id),
                Err(error) => {
                    tracing::error!(%error, "cannot read output");
                    return self.end(id);
                }
            }
        }
        self.again.push(id);
    }

    fn read_plain(&mut self, id: u64) -> io::Result<Moved> {
        let (Some(pipe), buffer) = (self.pipes.get_mut(&id), &mut self.buffer) else { return Ok(Moved::Nothing) };
        if buffer.is_empty() {
            buffer.resize(HEADER + BUFFER, 0);
        }
        let count = match rustix::io::read(&pipe.fd, buffer.get_mut(HEADER..).unwrap_or_default()) {
            Ok(0) => return Ok(Moved::End),
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Moved::Nothing),
            Err(errno) => return Err(errno.into()),
        };
        if let Some(looker) = &mut pipe.looker
            && looker.look(buffer.get(HEADER..HEADER + count).unwrap_or_default())
        {
            pipe.looker = None;
        }
        let Some((log, _)) = self.logs.get_mut(&pipe.name) else { return Ok(Moved::Nothing) };
        let header = Header { run: pipe.run, ..header(pipe.stream, count) };
        Ok(Moved::Some(count, log.append(buffer, header)))
    }

    /// As [`Thread::read_plain`], for a pipe whose bytes must survive us.
    fn read_kept(&mut self, id: u64) -> io::Result<Moved> {
        let (Some(pipe), buffer) = (self.pipes.get_mut(&id), &mut self.buffer) else { return Ok(Moved::Nothing) };
        let mut most = usize::MAX;
        if let Some(looker) = &mut pipe.looker {
            if buffer.is_empty() {
                buffer.resize(HEADER + BUFFER, 0);
            }
            let count = match self.stage.look(&pipe.fd, buffer)? {
                None => return Ok(Moved::Nothing),
                Some(0) => return Ok(Moved::End),
                Some(count) => count,
            };
            if looker.look(buffer.get(..count).unwrap_or_default()) {
                pipe.looker = None;
            }
            // No more than was looked at.
            most = count;
        }
        let Some((log, _)) = self.logs.get_mut(&pipe.name) else { return Ok(Moved::Nothing) };
        let header = Header { run: pipe.run, ..header(pipe.stream, 0) };
        self.stage.record(&pipe.fd, most, (log, &pipe.name), header)
    }

    fn account(&mut self, id: u64, count: usize, appended: Appended) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        pipe.activity.wrote(count);
        if let Some(error) = appended.error {
            let lost = count.saturating_sub(appended.kept);
            pipe.activity.lose(lost);
            tracing::error!(%error, lost, service = pipe.name, "cannot write the log; output is lost");
        }
        if appended.closed
            && let Some((log, _)) = self.logs.get_mut(&pipe.name)
        {
            if let Err(error) = log.make_room(true) {
                tracing::warn!(%error, service = pipe.name, "cannot remove the oldest part of the log");
            }
            self.packer.pack(log);
        }
    }

    /// Nobody writes to it any more.
    fn end(&mut self, id: u64) {
        let buffer = &mut [0; HEADER][..];
        if let Some(pipe) = self.pipes.get(&id)
            && let Some((log, _)) = self.logs.get_mut(&pipe.name)
            && log.is_line_open(pipe.stream)
        {
            let header = Header { run: pipe.run, kind: Kind::End, ..header(pipe.stream, 0) };
            let _shown_without_it = log.append(buffer, header);
            self.longest = self.longest.max(1);
        }
        self.close(id);
    }

    fn close(&mut self, id: u64) {
        let Some(pipe) = self.pipes.remove(&id) else { return };
        // The keeper holds a duplicate, so closing ours would not take it out of the set.
        let _not_added = epoll::delete(&self.poll, &pipe.fd);
        if let Some((_, users)) = self.logs.get_mut(&pipe.name) {
            *users -= 1;
            if *users == 0 {
                self.logs.remove(&pipe.name);
            }
        }
    }
}

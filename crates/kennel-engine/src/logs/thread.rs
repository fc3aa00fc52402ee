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

use kennel_logs::{Appended, Bounds, HEADER, Header, Kind, Log, Stream, Trimmed, keep_within};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use tokio::sync::watch;

use super::counter::Counter;
use super::packer::Packer;
use super::pattern::Looker;
use super::recorder::{Command, Hear, Output};
use super::shelf::{Shelf, Take};
use super::sink::Sinks;
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
/// Size of the pipe of a flood: its writer goes on while a part is recorded, which saves both a wake-up for each.
const WIDE: usize = 256 << 10;
/// So many are made that wide: a user has [64 MiB for all pipes together](https://man7.org/linux/man-pages/man7/pipe.7.html),
/// and beyond that new ones are tiny.
const WIDENED: usize = 32;

pub(super) struct Thread {
    dir: PathBuf,
    poll: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Command>,
    appended: watch::Sender<u64>,
    logs: HashMap<String, Shelf>,
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
    /// Pipes that are left alone, and until when at most.
    waiting: HashMap<u64, Option<Instant>>,
    sinks: Sinks,
    hear: Hear,
    /// What all logs together may take, bytes.
    within: u64,
    /// What may be recorded before they can take more than that, bytes; 0: their directories have to be looked at.
    free: u64,
}

struct Pipe {
    fd: OwnedFd,
    name: String,
    stream: Stream,
    run: u64,
    looker: Option<Looker>,
    /// Goes by way of the stage.
    kept: bool,
    /// The newest read was as long as one can be.
    is_flood: bool,
    /// Has been given [`WIDE`], or as much as it may have.
    is_wide: bool,
    /// Nobody writes to it any more, and it was left alone: what is in it is taken whatever the bounds say.
    is_over: bool,
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
    #[expect(clippy::too_many_arguments, reason = "the parts of one thread, made in one place")]
    pub(super) fn new(
        dir: PathBuf,
        stage: Stage,
        poll: OwnedFd,
        wake: Arc<OwnedFd>,
        inbox: Receiver<Command>,
        appended: watch::Sender<u64>,
        packer: Packer,
        sinks: Sinks,
        hear: Hear,
    ) -> Self {
        Self {
            packer,
            sinks,
            hear,
            within: u64::MAX,
            free: 0,
            waiting: HashMap::new(),
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
            let at_most = self.pause().map(|pause| Timespec {
                tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(pause.subsec_nanos()),
            });
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), at_most.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot wait for output; no more is recorded");
                    return;
                }
            }
            self.longest = 0;
            for event in &events {
                let flags = event.flags;
                let is_over = flags.contains(epoll::EventFlags::HUP);
                match event.data.u64() {
                    WAKE => {}
                    // Nobody waits in a write any more, so what is left is taken whatever the bounds say.
                    id if is_over && self.waiting.contains_key(&id) => self.resume(id, true),
                    id => self.read(id),
                }
            }
            self.resume_due();
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

    /// How long to wait at most; none: until something happens.
    fn pause(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.waiting.values().flatten().min()?;
        Some(due.saturating_duration_since(Instant::now()))
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
                    if let Err(error) = self.shelf(&name).log.remove() {
                        tracing::warn!(%error, service = name, "cannot remove the log");
                    }
                    self.look_for_room(&name);
                    self.logs.retain(|_, shelf| shelf.users > 0);
                }
                Command::Keep(name, keep) => {
                    self.sinks.set(&name, &keep.to);
                    if let Some(shelf) = self.logs.get_mut(&name) {
                        shelf.set(keep);
                        self.look_for_room(&name);
                    }
                }
                Command::Within(max) => (self.within, self.free) = (max, 0),
                Command::Smaller(name) => self.look_for_room(&name),
                Command::Stop(done) => {
                    let ids: Vec<u64> = self.pipes.keys().copied().collect();
                    // What was read is in its file, and whether a line ends somebody else will see.
                    ids.into_iter().for_each(|id| self.close(id));
                    self.sinks.finish();
                    let _gone_meanwhile = done.send(());
                    return false;
                }
                Command::End => return false,
            }
        }
        true
    }

    fn shelf(&mut self, name: &str) -> &mut Shelf {
        let dir = &self.dir;
        self.logs.entry(name.to_owned()).or_insert_with(|| Shelf::new(Log::new(dir, name, Bounds::default())))
    }

    fn attach(&mut self, output: Output) {
        let Output { name, run, pipes, pattern, kept, activity, keep } = output;
        self.sinks.set(&name, &keep.to);
        self.sinks.writes(&name, run);
        let shelf = self.shelf(&name);
        shelf.users += 2;
        shelf.set(keep);
        let pattern = pattern.map(|(regex, found)| Looker::new(regex, found));
        for (fd, stream) in pipes.into_iter().zip([Stream::Out, Stream::Err]) {
            let id = self.next;
            self.next += 1;
            let added = epoll::add(&self.poll, &fd, epoll::EventData::new_u64(id), epoll::EventFlags::IN);
            if let Err(error) = added {
                tracing::error!(%error, service = name, "cannot wait for output");
            }
            let (looker, activity) = (pattern.clone(), activity.clone());
            let pipe = Pipe {
                fd,
                name: name.clone(),
                stream,
                run,
                looker,
                kept,
                is_flood: false,
                is_wide: false,
                is_over: false,
                activity,
            };
            self.pipes.insert(id, pipe);
        }
    }

    /// Empties one pipe, at most 1 MiB at a time so that one flood does not starve the others.
    fn read(&mut self, id: u64) {
        for _ in 0..SHARE {
            let Some(pipe) = self.pipes.get(&id) else { return };
            let Some(shelf) = self.logs.get_mut(&pipe.name) else { return };
            let (take, notice) = match pipe.is_over {
                true => (Take::Record(usize::MAX), None),
                false => shelf.may_take(Instant::now()),
            };
            if let Some(notice) = notice {
                (self.hear)(&pipe.name, pipe.run, notice);
            }
            let read = match take {
                Take::Wait(after) => return self.wait(id, after),
                Take::Drop => self.throw_away(id),
                Take::Record(most) => self.record(id, most),
            };
            match read {
                Ok(Moved::Some(count, appended)) => {
                    self.longest = self.longest.max(count);
                    if let Some(pipe) = self.pipes.get_mut(&id) {
                        pipe.is_flood = count >= BUFFER;
                    }
                    if count >= BUFFER {
                        self.widen(id);
                    }
                    self.account(id, count, &appended);
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

    /// Gives a pipe that was full more room, once.
    fn widen(&mut self, id: u64) {
        if self.pipes.get(&id).is_none_or(|pipe| pipe.is_wide)
            || self.pipes.values().filter(|pipe| pipe.is_wide).count() >= WIDENED
        {
            return;
        }
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.is_wide = true;
            if rustix::pipe::fcntl_getpipe_size(&pipe.fd).is_ok_and(|size| size < WIDE) {
                let _as_it_is = rustix::pipe::fcntl_setpipe_size(&pipe.fd, WIDE);
            }
        }
    }

    /// Takes at most so much of a pipe into its log.
    fn record(&mut self, id: u64, most: usize) -> io::Result<Moved> {
        let Some(pipe) = self.pipes.get(&id) else { return Ok(Moved::Nothing) };
        self.sinks.before(&pipe.name);
        // Many small moves cost more than reading and writing, few large ones less.
        let by_stage = pipe.kept || pipe.is_flood;
        let moved = if by_stage { self.read_kept(id, most) } else { self.read_plain(id, most) };
        let kept = if let Ok(Moved::Some(_, appended)) = &moved { appended.kept } else { 0 };
        if let Some(pipe) = self.pipes.get(&id) {
            self.sinks.after(&pipe.name, kept);
        }
        moved
    }

    fn read_plain(&mut self, id: u64, most: usize) -> io::Result<Moved> {
        let (Some(pipe), buffer) = (self.pipes.get_mut(&id), &mut self.buffer) else { return Ok(Moved::Nothing) };
        let Some(count) = pipe.read(buffer, most)? else { return Ok(Moved::Nothing) };
        let Some(shelf) = self.logs.get_mut(&pipe.name).filter(|_| count > 0) else { return Ok(Moved::End) };
        let header = Header { run: pipe.short_run(), ..header(pipe.stream, count) };
        if let Some(notice) = shelf.settle(header.run, pipe.stream) {
            (self.hear)(&pipe.name, pipe.run, notice);
        }
        Ok(Moved::Some(count, shelf.log.append(buffer, header)))
    }

    /// Reads, and that is all.
    fn throw_away(&mut self, id: u64) -> io::Result<Moved> {
        let (Some(pipe), buffer) = (self.pipes.get_mut(&id), &mut self.buffer) else { return Ok(Moved::Nothing) };
        let Some(count) = pipe.read(buffer, usize::MAX)? else { return Ok(Moved::Nothing) };
        let Some(shelf) = self.logs.get_mut(&pipe.name).filter(|_| count > 0) else { return Ok(Moved::End) };
        if let Some(notice) = shelf.drop_bytes(count, Instant::now()) {
            (self.hear)(&pipe.name, pipe.run, notice);
        }
        pipe.activity.wrote(count);
        pipe.activity.lose(count);
        Ok(Moved::Nothing)
    }

    /// As [`Thread::read_plain`], for a pipe whose bytes must survive us.
    fn read_kept(&mut self, id: u64, mut most: usize) -> io::Result<Moved> {
        let (Some(pipe), buffer) = (self.pipes.get_mut(&id), &mut self.buffer) else { return Ok(Moved::Nothing) };
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
            most = most.min(count);
        }
        let Some(shelf) = self.logs.get_mut(&pipe.name) else { return Ok(Moved::Nothing) };
        let header = Header { run: pipe.short_run(), ..header(pipe.stream, 0) };
        if let Some(notice) = shelf.settle(header.run, pipe.stream) {
            (self.hear)(&pipe.name, pipe.run, notice);
        }
        self.stage.record(&pipe.fd, most, (&mut shelf.log, &pipe.name), header)
    }

    fn account(&mut self, id: u64, count: usize, appended: &Appended) {
        let Some(pipe) = self.pipes.get(&id).filter(|_| count > 0) else { return };
        let Some(shelf) = self.logs.get_mut(&pipe.name) else { return };
        pipe.activity.wrote(count);
        self.free = self.free.saturating_sub((HEADER + appended.kept) as u64);
        let (lost, notice) = shelf.took(count, appended, Instant::now());
        if lost > 0 {
            pipe.activity.lose(lost);
        }
        if let Some(notice) = notice {
            (self.hear)(&pipe.name, pipe.run, notice);
        }
        if appended.closed {
            let name = pipe.name.clone();
            self.closed(&name);
        }
    }

    /// A segment was closed: the time to look at budgets.
    fn closed(&mut self, name: &str) {
        self.look_for_room(name);
        if let Some(shelf) = self.logs.get(name).filter(|shelf| shelf.compresses()) {
            self.packer.pack(&shelf.log);
        }
        if self.within == u64::MAX || self.free > 0 {
            return;
        }
        match keep_within(&self.dir, self.within) {
            Ok(Trimmed { gone, left }) => {
                self.free = self.within.saturating_sub(left);
                if !gone.is_empty() {
                    tracing::info!(?gone, "removed the oldest logs of those who have most");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot remove the oldest logs"),
        }
    }

    /// Looks whether a log is full, and lets those read on that wait for room.
    fn look_for_room(&mut self, name: &str) {
        let Some(shelf) = self.logs.get_mut(name) else { return };
        let notice = shelf.look_for_room();
        let of_it = self.pipes.iter().filter(|(_, pipe)| pipe.name == name);
        if let Some((notice, (_, pipe))) = notice.zip(of_it.clone().next()) {
            (self.hear)(name, pipe.run, notice);
        }
        let waiting: Vec<u64> = of_it.map(|(id, _)| *id).filter(|id| self.waiting.contains_key(id)).collect();
        waiting.into_iter().for_each(|id| self.resume(id, false));
    }

    /// Leaves a pipe alone: who writes to it waits. Its end is still heard of.
    fn wait(&mut self, id: u64, after: Option<Duration>) {
        let until = after.and_then(|after| Instant::now().checked_add(after));
        if self.waiting.insert(id, until).is_none() {
            self.interest(id, epoll::EventFlags::ET);
        }
    }

    fn resume(&mut self, id: u64, is_over: bool) {
        if self.waiting.remove(&id).is_none() {
            return;
        }
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.is_over |= is_over;
        }
        self.interest(id, epoll::EventFlags::IN);
        self.again.push(id);
    }

    fn resume_due(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let due = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
        let ids: Vec<u64> = self.waiting.iter().filter(|(_, until)| due(until)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(name) = self.pipes.get(&id).map(|pipe| pipe.name.clone())
                && let Some(shelf) = self.logs.get_mut(&name)
            {
                // Something may have grown too old meanwhile.
                let _told = shelf.look_for_room();
            }
            self.resume(id, false);
        }
    }

    fn interest(&self, id: u64, flags: epoll::EventFlags) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        if let Err(error) = epoll::modify(&self.poll, &pipe.fd, epoll::EventData::new_u64(id), flags) {
            tracing::error!(%error, service = pipe.name, "cannot wait for output");
        }
    }

    /// Nobody writes to it any more.
    fn end(&mut self, id: u64) {
        let buffer = &mut [0; HEADER][..];
        if let Some(pipe) = self.pipes.get(&id)
            && let Some(shelf) = self.logs.get_mut(&pipe.name)
            && let Some(notice) = shelf.settle(pipe.short_run(), pipe.stream)
        {
            // What was lost last has nothing behind it that would say so.
            (self.hear)(&pipe.name, pipe.run, notice);
        }
        if let Some(pipe) = self.pipes.get(&id)
            && let Some(shelf) = self.logs.get_mut(&pipe.name)
            && shelf.log.is_line_open(pipe.stream)
        {
            let header = Header { run: pipe.short_run(), kind: Kind::End, ..header(pipe.stream, 0) };
            let _shown_without_it = shelf.log.append(buffer, header);
            self.longest = self.longest.max(1);
        }
        if let Some(pipe) = self.pipes.get(&id) {
            self.sinks.wake(&pipe.name);
        }
        self.close(id);
    }

    fn close(&mut self, id: u64) {
        self.waiting.remove(&id);
        let Some(pipe) = self.pipes.remove(&id) else { return };
        // The keeper holds a duplicate, so closing ours would not take it out of the set.
        let _not_added = epoll::delete(&self.poll, &pipe.fd);
        if let Some(shelf) = self.logs.get_mut(&pipe.name) {
            shelf.users -= 1;
            if shelf.users == 0 {
                self.logs.remove(&pipe.name);
            }
        }
    }
}

impl Pipe {
    /// Reads behind the room for a header, and looks through it; `None` with nothing there, 0 at the end.
    fn read(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<Option<usize>> {
        if buffer.is_empty() {
            buffer.resize(HEADER + BUFFER, 0);
        }
        let end = HEADER + most.min(BUFFER);
        let count = match rustix::io::read(&self.fd, buffer.get_mut(HEADER..end).unwrap_or_default()) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if let Some(looker) = &mut self.looker
            && looker.look(buffer.get(HEADER..HEADER + count).unwrap_or_default())
        {
            self.looker = None;
        }
        Ok(Some(count))
    }

    /// Its lower half is enough to tell one run of a service from the next.
    fn short_run(&self) -> u32 {
        (self.run & u64::from(u32::MAX)) as u32
    }
}

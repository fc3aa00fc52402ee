//! One sink at work: reads the log as it grows, and passes it on until it is taken.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kennel_core::model::LogSink;
use kennel_logs::{Beside, Cursor, Line, Loss, Query, Reader};

use super::account::Account;
use super::mark::{Mark, place};
use super::{Ends, Shared, Target};
use crate::logs::recorder::Hear;
use crate::logs::shelf::{Notice, reason};

/// Lines that are read at a time.
const LINES: usize = 512;
/// Pause after a refusal, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Who takes nothing for so long is told of.
const STALLED: Duration = Duration::from_secs(5);
/// Pause before another look at what is being appended just now.
const SETTLES: Duration = Duration::from_millis(5);

/// The reader of one log, and who takes its lines.
pub(super) struct Passing {
    name: String,
    to: String,
    shared: Arc<Shared>,
    reader: Reader,
    cursor: Cursor<i64>,
    mark: Mark,
    target: Box<dyn Target>,
    account: Account,
    /// It was said that lines are not taken, and not yet that they are again.
    is_told: bool,
    hear: Hear,
}

impl Passing {
    /// Begins where an earlier one has stopped, or with what is recorded after this call.
    pub(super) fn begin(
        logs: &Path,
        name: &str,
        to: &LogSink,
        (mark, position): (Mark, Option<Cursor<i64>>),
        shared: Arc<Shared>,
        target: Box<dyn Target>,
        hear: Hear,
    ) -> Self {
        let mut cursor = position.unwrap_or_default();
        let since = cursor.resume();
        let tail = since.is_none().then_some(0);
        let query = Query { names: vec![name.to_owned()], since, tail, beside: Beside::Followed, ..Query::default() };
        let mut reader = Reader::new(logs, query);
        // Takes its place in the files.
        let _nothing = reader.batch(0);
        let mut account = Account::default();
        if since.is_none() {
            account.settle(0, reader.held());
        }
        let (name, to) = (name.to_owned(), place(to));
        Self { name, to, shared, reader, cursor, mark, target, account, is_told: false, hear }
    }

    /// Goes on until it is to end.
    pub(super) fn run(mut self) {
        // As the one that records: whoever writes goes first.
        let _as_others = kennel_sys::process::never_interrupts();
        loop {
            self.shared.has_news.store(false, Ordering::Release);
            let done = self.shared.done.load(Ordering::Acquire);
            let batch = self.reader.batch(LINES);
            if !self.pass(batch.lines) || self.shared.ends() == Ends::Now {
                return;
            }
            if batch.more {
                continue;
            }
            self.reader.forget_since();
            let is_settled = self.settle(done);
            if self.shared.ends() != Ends::Never {
                return;
            }
            match is_settled {
                true => self.rest(),
                false => std::thread::park_timeout(SETTLES),
            }
        }
    }

    fn rest(&self) {
        while !self.shared.has_news.load(Ordering::Acquire) && self.shared.ends() == Ends::Never {
            std::thread::park();
        }
    }

    /// Passes lines on, however often that has to be tried; `false` if it is to end before.
    fn pass(&mut self, lines: Vec<(usize, Line)>) -> bool {
        let news: Vec<Line> = lines.into_iter().map(|(_, line)| line).filter(|line| self.is_new(line)).collect();
        for piece in self.target.pieces(&news) {
            if !self.insist(&piece) {
                return false;
            }
        }
        if !news.is_empty() {
            self.mark.note(&self.cursor);
        }
        true
    }

    fn is_new(&mut self, line: &Line) -> bool {
        match line.lost.map(|lost| lost.why) {
            // Found by the reader, so another one might find it elsewhere or not at all.
            Some(Loss::Dropped) => {
                self.account.gap();
                self.tell("it is too slow, and the log is bounded");
                return true;
            }
            Some(Loss::Damaged) => return true,
            Some(Loss::Disk | Loss::Rate) => {}
            None => self.account.pass(line.bytes.len() as u64 + u64::from(line.complete)),
        }
        self.cursor.is_new(line.time)
    }

    fn insist(&mut self, piece: &[u8]) -> bool {
        let (mut taken, mut pause, mut refused) = (0, PAUSE.0, 0_u32);
        let mut stalled = None;
        while let Some(rest) = piece.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.target.send(rest, taken == 0) {
                Ok(count) => {
                    taken += count;
                    (stalled, pause, refused) = (None, PAUSE.0, 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *stalled.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STALLED {
                        self.tell("it takes nothing any more");
                    }
                    if self.shared.ends() != Ends::Never {
                        return false;
                    }
                }
                Err(error) => {
                    refused += 1;
                    // Who was there a moment ago may be again: it was restarted.
                    if refused > 1 {
                        self.tell(&reason(&error));
                    }
                    if !self.wait(pause) {
                        return false;
                    }
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
            if self.shared.ends() == Ends::Now {
                return false;
            }
        }
        true
    }

    /// `false` if it is to end.
    fn wait(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        loop {
            if self.shared.ends() != Ends::Never {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::park_timeout(left);
        }
    }

    /// At the end of all that there is; `false` if that cannot be told yet, for something is being appended.
    fn settle(&mut self, done: u64) -> bool {
        if !self.account.is_open() && !self.is_told {
            return true;
        }
        let bytes = self.shared.bytes.load(Ordering::Acquire);
        if self.shared.begun.load(Ordering::Acquire) != done {
            return false;
        }
        let lost = self.account.settle(bytes, self.reader.held());
        if std::mem::take(&mut self.is_told) {
            self.say(Notice::SinkRecovered { to: self.to.clone(), lost_bytes: lost.unwrap_or(0) });
        }
        true
    }

    /// Says once that lines are not taken.
    fn tell(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.say(Notice::SinkFailed { to: self.to.clone(), reason: reason.to_owned() });
        }
    }

    fn say(&self, notice: Notice) {
        (self.hear)(&self.name, self.shared.run.load(Ordering::Relaxed), notice);
    }
}

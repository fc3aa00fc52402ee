//! Reads several logs in the order of time, at its own pace, and goes on with what is written later.

use std::path::{Path, PathBuf};

use crate::chunk::Stream;
use crate::lines::Line;
use crate::matcher::Matcher;
use crate::segment;
use crate::source::{Source, Step, Wanted};

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Names of logs; empty: all that there are, and with [`Beside::Followed`] those that come.
    pub names: Vec<String>,
    /// Only so many of the last lines of each that are wanted.
    pub tail: Option<usize>,
    /// Only lines that were read at or after this, nanoseconds since 1970.
    pub since: Option<i64>,
    /// Only lines that were read at or before this.
    pub until: Option<i64>,
    /// Only what was written there.
    pub stream: Option<Stream>,
    /// Only lines that match.
    pub grep: Option<Matcher>,
    /// Who else is there.
    pub beside: Beside,
}

/// Who else has to do with the logs while they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beside {
    /// Somebody may be writing to them: what is half written is not there yet.
    #[default]
    Writer,
    /// As [`Beside::Writer`], and the reader goes on with what is written later: of a line its end is waited for.
    Followed,
    /// Nobody writes: what a crash has left of the last chunk is all that there will be of it.
    Nobody,
}

/// Some lines.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each with the position of its log in [`Reader::names`].
    pub lines: Vec<(usize, Line)>,
    /// There is more to be looked at now. Otherwise this is the present end.
    pub more: bool,
}

/// Looked at in one go, bytes: a search that finds nothing must be able to be given up.
const LOOK: usize = 16 << 20;
/// Bytes of lines in one batch, beyond which it is given.
const TEXT: usize = 1 << 20;

/// A position in some logs. Descriptors and positions are its own, so its pace concerns nobody else.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    names: Vec<String>,
    sources: Vec<Source>,
    /// Those that are at their present end.
    ended: Vec<bool>,
    query: Query,
    wanted: Wanted,
    is_open: bool,
}

impl Reader {
    /// Nothing is read before the first batch.
    #[must_use]
    pub fn new(logs: &Path, query: Query) -> Self {
        let wanted = Wanted {
            since: query.since,
            until: query.until,
            stream: query.stream,
            grep: query.grep.clone(),
            is_over: query.beside == Beside::Nobody,
        };
        let names = query.names.clone();
        Self { dir: logs.to_owned(), names, sources: Vec::new(), ended: Vec::new(), query, wanted, is_open: false }
    }

    /// Names of the logs, as batches count them. It only grows.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The next lines in the order of time, at most `max`.
    pub fn batch(&mut self, max: usize) -> Batch {
        self.open();
        self.ended.iter_mut().for_each(|ended| *ended = false);
        let mut batch = Batch::default();
        let (mut looked, mut text) = (0, 0);
        while batch.lines.len() < max && text < TEXT && looked < LOOK {
            let Some(at) = self.first() else { return batch };
            let (Some(source), Some(ended)) = (self.sources.get_mut(at), self.ended.get_mut(at)) else { return batch };
            if let Some(line) = source.queue.pop_front() {
                text += line.bytes.len() + 64;
                batch.lines.push((at, line));
                continue;
            }
            match source.step(&self.wanted) {
                Step::Looked(bytes) => looked += bytes + 64,
                Step::End => {
                    *ended = true;
                    if self.query.beside != Beside::Followed {
                        source.finish(&self.wanted);
                    }
                }
            }
        }
        batch.more = true;
        batch
    }

    /// From now on a line is wanted whenever it was read: where only new ones come, a clock that is set back must not hide them.
    pub fn forget_since(&mut self) {
        (self.query.since, self.wanted.since) = (None, None);
    }

    /// Bytes of lines that have no end yet, which were looked at and not given.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.sources.iter().map(Source::held).sum()
    }

    /// The log whose next line may be the oldest.
    fn first(&self) -> Option<usize> {
        let bound = |source: &Source, ended: bool| match source.queue.front() {
            Some(line) => Some(line.time),
            None if ended => None,
            None => Some(source.reached),
        };
        let bounds = self.sources.iter().zip(&self.ended).enumerate();
        bounds.filter_map(|(at, (source, ended))| Some((bound(source, *ended)?, at))).min().map(|(_, at)| at)
    }

    fn open(&mut self) {
        if !self.is_open {
            self.is_open = true;
            if self.query.names.is_empty() {
                self.names = segment::names(&self.dir);
            }
            for name in &self.names {
                let dir = self.dir.join(name);
                self.sources.push(match self.query.tail {
                    Some(lines) => Source::tail(&dir, lines, &self.wanted, self.query.beside != Beside::Followed),
                    None => Source::open(&dir, self.query.since),
                });
            }
        } else if self.query.names.is_empty() && self.query.beside == Beside::Followed {
            for name in segment::names(&self.dir) {
                if !self.names.contains(&name) {
                    self.sources.push(Source::open(&self.dir.join(&name), self.query.since));
                    self.names.push(name);
                }
            }
        }
        self.ended.resize(self.sources.len(), false);
    }
}

//! Lines in the words of the wire, for whoever shows them: the daemon, and the command line where no daemon runs.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kennel_wire::{LogLine, LogStream};

use crate::chunk::Stream;
use crate::lines::Line;
use crate::matcher::Matcher;
use crate::reader::{self, Beside};

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Names as in `ps`; empty: all that there are.
    pub names: Vec<String>,
    /// Only this many of the last lines of each that are wanted.
    pub tail: Option<usize>,
    /// Only lines at or after this time.
    pub since: Option<Timestamp>,
    /// Only lines at or before this time.
    pub until: Option<Timestamp>,
    /// Only what was written there.
    pub stream: Option<LogStream>,
    /// Only lines that match.
    pub grep: Option<Matcher>,
    /// Who else is there.
    pub beside: Beside,
}

/// Some lines.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order of time.
    pub lines: Vec<LogLine>,
    /// There is more now. Otherwise this is the present end.
    pub more: bool,
}

/// A position in the logs of some services. Its reads block on the disk.
#[derive(Debug)]
pub struct Reader {
    inner: reader::Reader,
}

impl Reader {
    /// What is there now is read with the first batch. A service that has not written anything has no log yet; it is looked for again.
    #[must_use]
    pub fn new(logs: &Path, query: &Query) -> Self {
        let nanoseconds = |time: Timestamp| i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
        let query = reader::Query {
            names: query.names.clone(),
            tail: query.tail,
            since: query.since.map(nanoseconds),
            until: query.until.map(nanoseconds),
            stream: query.stream.map(|stream| match stream {
                LogStream::Stdout => Stream::Out,
                LogStream::Stderr => Stream::Err,
            }),
            grep: query.grep.clone(),
            beside: query.beside,
        };
        Self { inner: reader::Reader::new(logs, query) }
    }

    /// The next lines in time order, at most `max`.
    pub fn batch(&mut self, max: usize) -> Batch {
        let batch = self.inner.batch(max);
        let names = self.inner.names();
        let name = |at: usize| names.get(at).cloned().unwrap_or_default();
        Batch { lines: batch.lines.into_iter().map(|(at, line)| told(name(at), line)).collect(), more: batch.more }
    }

    /// Everything up to the present end, at most `max` lines.
    pub fn rest(&mut self, max: usize) -> Vec<LogLine> {
        let mut lines = Vec::new();
        while lines.len() < max {
            let batch = self.batch(max - lines.len());
            lines.extend(batch.lines);
            if !batch.more {
                break;
            }
        }
        lines
    }
}

fn told(service: String, line: Line) -> LogLine {
    let time = Timestamp::from_nanosecond(line.time.into()).unwrap_or_default();
    let stream = match line.stream {
        Stream::Out => LogStream::Stdout,
        Stream::Err => LogStream::Stderr,
    };
    if let Some(lost) = line.lost {
        let (line, lost) = (lost.to_string(), Some(lost.bytes.unwrap_or(0)));
        return LogLine { time, service, stream, line, bytes: None, complete: true, lost };
    }
    let (text, bytes) = match String::from_utf8(line.bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let bytes = error.into_bytes();
            (String::from_utf8_lossy(&bytes).into_owned(), Some(STANDARD.encode(bytes)))
        }
    };
    LogLine { time, service, stream, line: text, bytes, complete: line.complete, lost: None }
}

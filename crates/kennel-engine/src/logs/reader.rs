//! Logs as they are told: lines in the words of the wire, and a wait for more of them.

use std::path::Path;

use jiff::Timestamp;
use kennel_logs::{Line, Loss, Lost, Matcher, Stream};
use kennel_wire::{LogLine, LogStream};
use tokio::sync::watch;

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
    /// Somebody goes on reading at the end: a line is not shown before its end is there.
    pub follow: bool,
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
    inner: kennel_logs::Reader,
    appended: watch::Receiver<u64>,
}

impl Reader {
    /// What is there now is read with the first batch. A service that has not written anything has no log yet; it is looked for again.
    pub(crate) fn open(dir: &Path, query: &Query, appended: watch::Receiver<u64>) -> Self {
        let nanoseconds = |time: Timestamp| i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
        let query = kennel_logs::Query {
            names: query.names.clone(),
            tail: query.tail,
            since: query.since.map(nanoseconds),
            until: query.until.map(nanoseconds),
            stream: query.stream.map(|stream| match stream {
                LogStream::Stdout => Stream::Out,
                LogStream::Stderr => Stream::Err,
            }),
            grep: query.grep.clone(),
            follow: query.follow,
        };
        Self { inner: kennel_logs::Reader::new(dir, query), appended }
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

    /// Waits until something was appended since the last call; `false` when nothing ever will be again.
    pub async fn more(&mut self) -> bool {
        self.appended.changed().await.is_ok()
    }
}

/// A line in the words of the wire.
fn told(service: String, line: Line) -> LogLine {
    let time = Timestamp::from_nanosecond(line.time.into()).unwrap_or_default();
    let stream = match line.stream {
        Stream::Out => LogStream::Stdout,
        Stream::Err => LogStream::Stderr,
    };
    if let Some(lost) = line.lost {
        let (line, lost) = (in_words(lost), Some(lost.bytes.unwrap_or(0)));
        return LogLine { time, service, stream, line, bytes: None, complete: true, lost };
    }
    let (text, bytes) = match String::from_utf8(line.bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let bytes = error.into_bytes();
            (String::from_utf8_lossy(&bytes).into_owned(), Some(base64(&bytes)))
        }
    };
    LogLine { time, service, stream, line: text, bytes, complete: line.complete, lost: None }
}

fn in_words(lost: Lost) -> String {
    let bytes = lost.bytes.map_or_else(|| "output".to_owned(), |bytes| format!("{bytes} bytes"));
    let why = match lost.why {
        Loss::Disk => "could not be written, the disk had no room",
        Loss::Rate => "came faster than its `log_rate` allows",
        Loss::Dropped => "was dropped before it was read, for the log is bounded",
        Loss::Damaged => "cannot be read, the file is damaged",
    };
    format!("[kennel: {bytes} {why}]")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

//! Reads log files back, several services merged in time order, following across rotations.
//!
//! A reader has descriptors and positions of its own, so its pace concerns nobody else.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kennel_wire::LogLine;
use tokio::sync::watch;

use super::file::{OLD_FILES, parse, path};

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Names as in `ps`.
    pub names: Vec<String>,
    /// Only this many of the last records of each.
    pub tail: Option<usize>,
    /// Only records at or after this time.
    pub since: Option<Timestamp>,
}

/// A position in the logs of some services.
#[derive(Debug)]
pub struct Reader {
    sources: Vec<Source>,
    since: Option<Timestamp>,
    appended: watch::Receiver<u64>,
}

impl Reader {
    /// Opens what is there now. A service that has not written anything has no file yet; it is looked for again.
    pub(crate) fn open(dir: &Path, query: &Query, appended: watch::Receiver<u64>) -> Self {
        let sources = query.names.iter().map(|name| Source::open(dir, name, query.tail)).collect();
        Self { sources, since: query.since, appended }
    }

    /// The next records in time order, at most `max`; fewer only at the present end.
    pub fn batch(&mut self, max: usize) -> Vec<LogLine> {
        let mut lines = Vec::new();
        while lines.len() < max {
            for source in &mut self.sources {
                source.fill(self.since);
            }
            let first = self.sources.iter_mut().filter(|source| source.peek.is_some());
            let Some(source) = first.min_by_key(|source| source.peek.as_ref().map(|line| line.time)) else { break };
            lines.extend(source.peek.take());
        }
        lines
    }

    /// Waits until something was appended since the last call; `false` when nothing ever will be again.
    pub async fn more(&mut self) -> bool {
        self.appended.changed().await.is_ok()
    }
}

#[derive(Debug)]
struct Source {
    dir: PathBuf,
    name: String,
    /// Parts yet to be read, oldest first; the last is the live one.
    parts: VecDeque<BufReader<File>>,
    /// The begin of a record whose end is not written yet.
    record: Vec<u8>,
    peek: Option<LogLine>,
}

impl Source {
    fn open(dir: &Path, name: &str, tail: Option<usize>) -> Self {
        let mut source =
            Self { dir: dir.to_owned(), name: name.to_owned(), parts: VecDeque::new(), record: Vec::new(), peek: None };
        let mut wanted = tail;
        for part in 0..=OLD_FILES {
            if wanted == Some(0) && !source.parts.is_empty() {
                break;
            }
            let Ok(mut file) = File::open(path(dir, name, part)) else { continue };
            if let Some(lines) = wanted
                && let Ok(found) = seek_to_tail(&mut file, lines)
            {
                wanted = Some(lines - found);
            }
            source.parts.push_front(BufReader::new(file));
        }
        source
    }

    /// Makes `peek` the next record, if there is one.
    fn fill(&mut self, since: Option<Timestamp>) {
        while self.peek.is_none() {
            let Some(part) = self.parts.front_mut() else {
                if !self.follow_rotation() {
                    return;
                }
                continue;
            };
            match part.read_until(b'\n', &mut self.record) {
                Ok(_) if self.record.ends_with(b"\n") => {
                    self.record.pop();
                    let line = parse(&self.name, &self.record);
                    self.record.clear();
                    self.peek = line.filter(|line| since.is_none_or(|since| line.time >= since));
                }
                _ if self.parts.len() > 1 => {
                    self.record.clear();
                    self.parts.pop_front();
                }
                _ if self.follow_rotation() => {
                    self.record.clear();
                    self.parts.pop_front();
                }
                _ => return,
            }
        }
    }

    /// Appends the parts that are younger than the one at hand; `false` if there are none.
    fn follow_rotation(&mut self) -> bool {
        let inode = |file: &File| file.metadata().map(|meta| meta.ino()).ok();
        let current = self.parts.front().and_then(|part| inode(part.get_ref()));
        let mut younger = VecDeque::new();
        for part in 0..=OLD_FILES {
            let path = path(&self.dir, &self.name, part);
            if fs::metadata(&path).map(|meta| meta.ino()).ok() == current && current.is_some() {
                break;
            }
            if let Ok(file) = File::open(path) {
                younger.push_front(BufReader::new(file));
            }
        }
        let found = !younger.is_empty();
        self.parts.extend(younger);
        found
    }
}

/// Moves to the begin of the last `lines` records, or to the begin if there are fewer; returns how many follow.
fn seek_to_tail(file: &mut File, lines: usize) -> io::Result<usize> {
    const BLOCK: u64 = 64 << 10;
    let end = file.seek(SeekFrom::End(0))?;
    let (mut position, mut found) = (end, 0);
    let mut block = Vec::new();
    while position > 0 {
        let begin = position.saturating_sub(BLOCK);
        block.resize(usize::try_from(position - begin).unwrap_or_default(), 0);
        file.seek(SeekFrom::Start(begin))?;
        io::Read::read_exact(file, &mut block)?;
        for index in memchr::memrchr_iter(b'\n', &block) {
            // The newline of record `lines + 1` from the end is where the wanted ones begin.
            if found == lines {
                file.seek(SeekFrom::Start(begin + index as u64 + 1))?;
                return Ok(found);
            }
            found += 1;
        }
        position = begin;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::super::file::{LogFile, format};
    use super::*;
    use kennel_wire::LogStream;

    fn record(second: u32, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        format(&mut out, &format!("2026-11-21T00:00:{second:02}Z"), LogStream::Stdout, true, text.as_bytes());
        out
    }

    fn texts(reader: &mut Reader) -> Vec<String> {
        reader.batch(1000).into_iter().map(|line| line.line).collect()
    }

    fn query(names: &[&str], tail: Option<usize>) -> Query {
        Query { names: names.iter().map(|name| (*name).to_owned()).collect(), tail, since: None }
    }

    #[test]
    fn merges_in_time_order_and_follows_over_rotations() {
        let dir = tempfile::tempdir().unwrap();
        let (_sender, appended) = watch::channel(0);
        let mut a = LogFile::new(dir.path(), "a").with_max_bytes(100);
        let mut b = LogFile::new(dir.path(), "b");
        a.append(&record(1, "a1")).unwrap();
        b.append(&record(2, "b2")).unwrap();
        a.append(&record(3, "a3")).unwrap();
        let mut reader = Reader::open(dir.path(), &query(&["a", "b", "late"], None), appended);
        assert_eq!(texts(&mut reader), ["a1", "b2", "a3"]);
        for second in 4..10 {
            a.append(&record(second, &format!("a{second}"))).unwrap();
        }
        let mut late = LogFile::new(dir.path(), "late");
        late.append(&record(5, "late5")).unwrap();
        assert_eq!(texts(&mut reader), ["a4", "a5", "late5", "a6", "a7", "a8", "a9"]);
        assert!(texts(&mut reader).is_empty());
    }

    #[test]
    fn tail_counts_back_over_parts() {
        let dir = tempfile::tempdir().unwrap();
        let (_sender, appended) = watch::channel(0);
        let mut file = LogFile::new(dir.path(), "a").with_max_bytes(100);
        for second in 0..8 {
            file.append(&record(second, &second.to_string())).unwrap();
        }
        for (tail, expected) in [(0, vec![]), (1, vec!["7"]), (5, vec!["3", "4", "5", "6", "7"])] {
            let mut reader = Reader::open(dir.path(), &query(&["a"], Some(tail)), appended.clone());
            assert_eq!(texts(&mut reader), expected);
        }
    }
}

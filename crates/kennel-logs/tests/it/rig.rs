//! A scratch log, and short ways to fill and to read it.

use std::path::Path;

use kennel_logs::{Appended, Bounds, HEADER, Header, Kind, Line, Log, Query, Reader, Stream, pack};
use tempfile::TempDir;

pub(crate) const NAME: &str = "web";

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) log: Log,
    pub(crate) bounds: Bounds,
}

impl Rig {
    pub(crate) fn new(segment_size: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { segment_size, max_size: 1 << 30, max_age: None };
        let log = Log::new(dir.path(), NAME, bounds);
        Self { dir, log, bounds }
    }

    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> Appended {
        write(&mut self.log, stream, 7, bytes)
    }

    pub(crate) fn say(&mut self, text: &str) {
        let appended = self.write(Stream::Out, text.as_bytes());
        assert!(appended.error.is_none(), "{appended:?}");
    }

    /// As by the next daemon.
    pub(crate) fn reopen(&mut self) {
        self.log = Log::new(self.dir.path(), NAME, self.bounds);
    }

    pub(crate) fn pack_all(&self) {
        for number in self.log.unpacked() {
            pack(self.log.dir(), number).unwrap();
        }
    }

    pub(crate) fn read(&self, query: Query) -> Vec<Line> {
        all(self.dir.path(), query)
    }

    pub(crate) fn texts(&self, query: Query) -> Vec<String> {
        self.read(query).into_iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = std::fs::read_dir(self.log.dir())
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        files.sort();
        files
    }
}

pub(crate) fn write(log: &mut Log, stream: Stream, run: u32, bytes: &[u8]) -> Appended {
    let mut buffer = vec![0; HEADER];
    buffer.extend(bytes);
    let header = Header { length: bytes.len() as u32, time: 0, run, stream, kind: Kind::Data, is_fresh: false };
    log.append(&mut buffer, header)
}

pub(crate) fn all(dir: &Path, query: Query) -> Vec<Line> {
    let mut reader = Reader::new(dir, query);
    rest(&mut reader)
}

/// Everything up to the present end.
pub(crate) fn rest(reader: &mut Reader) -> Vec<Line> {
    let mut lines = Vec::new();
    loop {
        let batch = reader.batch(100);
        lines.extend(batch.lines.into_iter().map(|(_, line)| line));
        if !batch.more {
            return lines;
        }
    }
}

/// The bytes of one stream, with their newlines.
pub(crate) fn bytes_of(lines: &[Line], stream: Stream) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.iter().filter(|line| line.stream == stream && line.lost.is_none()) {
        out.extend(&line.bytes);
        if line.complete {
            out.push(b'\n');
        }
    }
    out
}

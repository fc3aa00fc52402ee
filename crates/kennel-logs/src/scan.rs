//! Chunks of one segment, one after the other, in either of its forms.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::chunk::{self, HEADER, Header};
use crate::index::{self, Frame};
use crate::writing::read_at;

/// What is read at once, bytes.
const WINDOW: usize = 256 << 10;
/// Without an index: a frame is no longer than this, bytes.
const LONGEST_FRAME: usize = 16 << 20;

/// A segment that is not compressed; it may be written just now.
#[derive(Debug)]
pub(crate) struct Raw {
    file: File,
    buffer: Vec<u8>,
    /// Of the buffer, where the next chunk begins and where what was read ends.
    at: usize,
    filled: usize,
    /// Place in the file of what comes behind the buffer.
    place: u64,
    damaged: u64,
}

impl Raw {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffer: Vec::new(), at: 0, filled: 0, place: 0, damaged: 0 })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Goes on from here, where a chunk begins.
    pub(crate) fn seek(&mut self, place: u64) {
        (self.at, self.filled, self.place) = (0, 0, place);
    }

    pub(crate) fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Bytes that were skipped because they are no chunk, since this was asked last.
    pub(crate) fn damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// The next chunk; `None` if it is not there as a whole yet. With `is_final` nothing will be added any more, so that of one that was
    /// torn by a crash the begin is given.
    pub(crate) fn next(&mut self, is_final: bool) -> io::Result<Option<(Header, &[u8])>> {
        loop {
            if !self.fill(HEADER)? {
                let rest = self.buffer.get(self.at..self.filled).unwrap_or_default();
                if is_final {
                    // Of a header that was torn nothing is behind, so nothing is missing.
                    self.damaged += if chunk::may_begin(rest) { 0 } else { rest.len() as u64 };
                    self.at = self.filled;
                }
                return self.nothing_yet();
            }
            let bytes = self.buffer.get(self.at..self.filled).unwrap_or_default();
            let Some(header) = Header::decode(bytes) else {
                let skip = 1 + chunk::find(bytes.get(1..).unwrap_or_default());
                self.damaged += skip as u64;
                self.at += skip;
                continue;
            };
            let from = self.at + HEADER;
            if self.fill(header.whole())? {
                let from = self.at + HEADER;
                self.at += header.whole();
                return Ok(Some((header, self.buffer.get(from..self.at).unwrap_or_default())));
            }
            let from = from.min(self.at + HEADER);
            let kept = self.filled - from;
            if !is_final || kept == 0 {
                return self.nothing_yet();
            }
            self.at = self.filled;
            let header = Header { length: u32::try_from(kept).unwrap_or(u32::MAX), ..header };
            return Ok(Some((header, self.buffer.get(from..self.at).unwrap_or_default())));
        }
    }

    /// What was read of a chunk that is not whole may be another one next time.
    fn nothing_yet(&mut self) -> io::Result<Option<(Header, &[u8])>> {
        self.place -= (self.filled - self.at) as u64;
        (self.at, self.filled) = (0, 0);
        self.buffer = Vec::new();
        Ok(None)
    }

    /// Has so many bytes in the buffer; `false` if the file has fewer.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.filled - self.at >= wanted {
            return Ok(true);
        }
        self.buffer.copy_within(self.at..self.filled, 0);
        (self.filled, self.at) = (self.filled - self.at, 0);
        if self.buffer.len() < wanted.max(WINDOW) {
            self.buffer.resize(wanted.max(WINDOW), 0);
        }
        let count = read_at(&self.file, self.buffer.get_mut(self.filled..).unwrap_or_default(), self.place)?;
        self.filled += count;
        self.place += count as u64;
        Ok(self.filled >= wanted)
    }
}

/// A compressed segment.
pub(crate) struct Packed {
    file: File,
    frames: Vec<Frame>,
    /// The frame after the one at hand.
    next: usize,
    raw: Vec<u8>,
    at: usize,
    packed: Vec<u8>,
    damaged: u64,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("frames", &self.frames.len()).field("next", &self.next).finish()
    }
}

impl Packed {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let frames = match index::read(&file)? {
            Some(frames) => frames,
            None => without_index(&file)?,
        };
        Ok(Self { file, frames, next: 0, raw: Vec::new(), at: 0, packed: Vec::new(), damaged: 0 })
    }

    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Goes on with this frame.
    pub(crate) fn seek(&mut self, frame: usize) {
        (self.next, self.at) = (frame, 0);
        self.raw.clear();
    }

    pub(crate) fn damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// Whether the next chunk is in a frame that is not at hand, and which that is.
    pub(crate) fn next_frame(&self) -> Option<&Frame> {
        if self.at < self.raw.len() { None } else { self.frames.get(self.next) }
    }

    /// Leaves the next frame out.
    pub(crate) fn skip(&mut self) {
        self.next += 1;
    }

    /// The next chunk; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Header, &[u8])>> {
        while self.at >= self.raw.len() {
            if self.next >= self.frames.len() {
                (self.raw, self.packed) = (Vec::new(), Vec::new());
                return Ok(None);
            }
            self.load()?;
        }
        let bytes = self.raw.get(self.at..).unwrap_or_default();
        let header = Header::decode(bytes).filter(|header| header.whole() <= bytes.len());
        let Some(header) = header else {
            // Of a frame whose sum is right, so somebody else has made it.
            self.damaged += bytes.len() as u64;
            self.at = self.raw.len();
            return self.next();
        };
        let from = self.at + HEADER;
        self.at += header.whole();
        Ok(Some((header, self.raw.get(from..self.at).unwrap_or_default())))
    }

    fn load(&mut self) -> io::Result<()> {
        let Some(frame) = self.frames.get(self.next) else { return Ok(()) };
        self.next += 1;
        self.at = 0;
        self.packed.resize(frame.packed as usize, 0);
        let count = read_at(&self.file, &mut self.packed, frame.place)?;
        self.raw.resize(frame.raw as usize, 0);
        let read = self.packed.get(..count).unwrap_or_default();
        match zstd::bulk::decompress_to_buffer(read, &mut self.raw) {
            Ok(length) => self.raw.truncate(length),
            Err(_) => {
                self.damaged += u64::from(frame.raw);
                self.raw.clear();
            }
        }
        Ok(())
    }
}

/// Where the frames are in a file whose index is damaged.
fn without_index(file: &File) -> io::Result<Vec<Frame>> {
    let length = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = read_at(file, &mut bytes, 0)?;
    let mut rest = bytes.get(..read).unwrap_or_default();
    let mut frames = Vec::new();
    let mut place = 0;
    while !rest.is_empty() {
        let Ok(packed) = zstd::zstd_safe::find_frame_compressed_size(rest) else { break };
        let raw = zstd::zstd_safe::get_frame_content_size(rest).ok().flatten().unwrap_or(0);
        let raw = usize::try_from(raw).unwrap_or(usize::MAX).min(LONGEST_FRAME);
        if packed == 0 {
            break;
        }
        frames.push(Frame {
            place,
            packed: u32::try_from(packed).unwrap_or(u32::MAX),
            raw: u32::try_from(raw).unwrap_or(u32::MAX),
            first: i64::MIN,
            last: i64::MAX,
            lines: 0,
            is_open: true,
            filter: Vec::new(),
        });
        place += packed as u64;
        rest = rest.get(packed..).unwrap_or_default();
    }
    Ok(frames)
}

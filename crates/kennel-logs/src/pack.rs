//! Compression of a closed segment.
//!
//! Frames of about 1 MiB, each of which `zstd -d` or a reader can take alone, with an [`index`] behind them. Chunks are cut anew on
//! the way, so that each ends with a newline where its line is not very long: then a frame can be left out of a search
//! without its neighbours being looked at.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::chunk::{HEADER, Header, Kind, Stream};
use crate::filter::Filter;
use crate::index::{self, Frame};
use crate::scan::Raw;
use crate::segment;

/// A frame is closed beyond this, bytes.
const FRAME: usize = 1 << 20;
/// Fast, and as good as most of what text has to give.
const LEVEL: i32 = 1;

/// What a compression came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Bytes before.
    pub raw: u64,
    /// Bytes after.
    pub packed: u64,
}

/// Compresses a closed segment of the log in `dir`, and removes its first form once the other one is on the disk.
/// Killed at any instant, one of both is there.
///
/// # Errors
/// What the system says; then it stays as it was. One that is gone, because a bound was reached meanwhile, is `NotFound`.
pub fn pack(dir: &Path, number: u64) -> io::Result<Packed> {
    let (from, unfinished) = (segment::raw(dir, number), segment::unfinished(dir, number));
    let mut raw = Raw::open(&from)?;
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let result = write(&mut raw, made).and_then(|packed| {
        // Who has removed it meanwhile does not want it back.
        if !unfinished.exists() || !from.exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        std::fs::rename(&unfinished, segment::packed(dir, number))?;
        segment::remove(&from)?;
        Ok(packed)
    });
    if result.is_err() {
        let _gone_already = segment::remove(&unfinished);
    }
    result
}

fn write(raw: &mut Raw, to: File) -> io::Result<Packed> {
    let mut packer = Packer::new(to)?;
    while let Some((header, payload)) = raw.next(true)? {
        packer.take(header, payload)?;
    }
    packer.finish(raw.length())
}

struct Packer {
    to: File,
    compressor: zstd::bulk::Compressor<'static>,
    packed: Vec<u8>,
    frame: Vec<u8>,
    frames: Vec<Frame>,
    place: u64,
    filter: Filter,
    times: Option<(i64, i64)>,
    lines: u32,
    /// Some line goes on in this frame, or goes on after it.
    is_open: bool,
    carries: [Carry; 2],
    last: i64,
    is_first: bool,
}

/// The begin of a line whose end is in a later chunk.
#[derive(Default)]
struct Carry {
    bytes: Vec<u8>,
    run: u32,
    /// A line begins with the bytes, or with what comes next.
    is_fresh: bool,
}

impl Packer {
    fn new(to: File) -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self {
            to,
            compressor,
            packed: Vec::new(),
            frame: Vec::with_capacity(FRAME + FRAME / 4),
            frames: Vec::new(),
            place: 0,
            filter: Filter::new(),
            times: None,
            lines: 0,
            // Of the first line the begin may be in the segment before.
            is_open: true,
            carries: <[Carry; 2]>::default(),
            last: 0,
            is_first: true,
        })
    }

    fn take(&mut self, header: Header, payload: &[u8]) -> io::Result<()> {
        let Header { time, run, stream, kind, is_fresh, .. } = header;
        self.last = time;
        if self.carry(stream).run != run {
            self.let_go(stream)?;
            self.carry(stream).run = run;
        }
        if is_fresh {
            self.let_go(stream)?;
            self.carry(stream).is_fresh = true;
        }
        match kind {
            Kind::Data => {}
            Kind::End | Kind::Lost => {
                self.let_go(stream)?;
                return self.put(header, &[], payload);
            }
        }
        let whole = memchr::memrchr(b'\n', payload).map_or(0, |at| at + 1);
        let (lines, rest) = payload.split_at(whole);
        if !lines.is_empty() {
            let carry = self.carry(stream);
            let (begin, is_fresh) = (std::mem::take(&mut carry.bytes), std::mem::replace(&mut carry.is_fresh, true));
            self.put(Header { is_fresh, ..header }, &begin, lines)?;
        }
        self.carry(stream).bytes.extend_from_slice(rest);
        if self.carry(stream).bytes.len() >= FRAME {
            // Longer than a frame: what is before and behind it belongs to it.
            self.is_open = true;
            self.let_go(stream)?;
            self.is_open = true;
        }
        Ok(())
    }

    fn carry(&mut self, stream: Stream) -> &mut Carry {
        let [out, err] = &mut self.carries;
        match stream {
            Stream::Out => out,
            Stream::Err => err,
        }
    }

    /// Writes the begin of a line without its end.
    fn let_go(&mut self, stream: Stream) -> io::Result<()> {
        let time = self.last;
        let carry = self.carry(stream);
        if carry.bytes.is_empty() {
            return Ok(());
        }
        let (bytes, run) = (std::mem::take(&mut carry.bytes), carry.run);
        let is_fresh = std::mem::take(&mut carry.is_fresh);
        self.put(Header { length: 0, time, run, stream, kind: Kind::Data, is_fresh }, &bytes, &[])
    }

    fn put(&mut self, header: Header, begin: &[u8], rest: &[u8]) -> io::Result<()> {
        // A chunk may be no longer than a reader believes.
        let length = u32::try_from(begin.len() + rest.len()).unwrap_or(u32::MAX);
        self.frame.extend(Header { length, ..header }.encode());
        self.frame.extend_from_slice(begin);
        self.frame.extend_from_slice(rest);
        let from = self.frame.len() - length as usize;
        let payload = self.frame.get(from..).unwrap_or_default();
        if header.kind == Kind::Data {
            self.filter.add(payload);
            let lines = memchr::memchr_iter(b'\n', payload).count();
            self.lines = self.lines.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        }
        let first = self.times.map_or(header.time, |(first, _)| first);
        self.times = Some((first, header.time));
        if self.frame.len() >= FRAME {
            self.close_frame()?;
        }
        Ok(())
    }

    fn close_frame(&mut self) -> io::Result<()> {
        let Some((first, last)) = self.times.take() else { return Ok(()) };
        self.packed.resize(zstd::zstd_safe::compress_bound(self.frame.len()), 0);
        let count = self.compressor.compress_to_buffer(&self.frame, &mut self.packed)?;
        self.to.write_all(self.packed.get(..count).unwrap_or_default())?;
        let packed = u32::try_from(count).unwrap_or(u32::MAX);
        self.frames.push(Frame {
            place: self.place,
            packed,
            raw: u32::try_from(self.frame.len()).unwrap_or(u32::MAX),
            first,
            last,
            lines: std::mem::take(&mut self.lines),
            is_open: std::mem::take(&mut self.is_open) || self.is_first,
            filter: self.filter.finish(),
        });
        self.is_first = false;
        self.place += u64::from(packed);
        self.frame.clear();
        Ok(())
    }

    fn finish(mut self, raw: u64) -> io::Result<Packed> {
        for stream in [Stream::Out, Stream::Err] {
            self.let_go(stream)?;
        }
        // The end of its last line may be in the segment after it.
        self.is_open = true;
        if let Some(frame) = self.frames.last_mut().filter(|_| self.times.is_none()) {
            frame.is_open = true;
        }
        self.close_frame()?;
        let index = index::encode(&self.frames);
        self.to.write_all(&index)?;
        self.to.sync_data()?;
        debug_assert!(self.frame.len() < HEADER);
        Ok(Packed { raw, packed: self.place + index.len() as u64 })
    }
}

//! How a chunk gets into a file, and how the end of a file is found again.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice as move_bytes};

use crate::chunk::{HEADER, Header, Kind};

/// Writes one chunk at this place, in one call if the disk lets it. Gives how many bytes of its payload are there; `None`
/// if nothing of it is.
pub(crate) fn write(file: &File, place: u64, chunk: &[u8], header: Header) -> (Option<usize>, Option<io::Error>) {
    let mut written = 0;
    while written < chunk.len() {
        match file.write_at(chunk.get(written..).unwrap_or_default(), place + written as u64) {
            Ok(0) => return shorten(file, place, written, header, io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return shorten(file, place, written, header, error),
        }
    }
    (Some(written.saturating_sub(HEADER)), None)
}

/// As [`write()`], with a payload that is moved out of a pipe: `done` bytes of it are in the file already, and the pipe has
/// the rest. What is not written stays in the pipe, so that at any instant each byte is in exactly one of both.
pub(crate) fn splice(
    pipe: BorrowedFd<'_>,
    file: &File,
    place: u64,
    header: Header,
    mut done: usize,
) -> (Option<usize>, Option<io::Error>) {
    if let Err(error) = file.write_all_at(&header.encode(), place) {
        let _nothing_written = file.set_len(place);
        return (None, Some(error));
    }
    let length = header.length as usize;
    while done < length {
        let mut at = place + (HEADER + done) as u64;
        match move_bytes(pipe, None, file, Some(&mut at), length - done, SpliceFlags::NONBLOCK) {
            Ok(0) | Err(Errno::AGAIN) => {
                return shorten(file, place, HEADER + done, header, io::ErrorKind::UnexpectedEof.into());
            }
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(error) => return shorten(file, place, HEADER + done, header, error.into()),
        }
    }
    (Some(done), None)
}

/// Has a chunk end where its bytes end. There is room for its header: it is there already.
fn shorten(
    file: &File,
    place: u64,
    written: usize,
    header: Header,
    why: io::Error,
) -> (Option<usize>, Option<io::Error>) {
    let kept = written.saturating_sub(HEADER);
    let shorter = Header { length: u32::try_from(kept).unwrap_or(u32::MAX), ..header };
    if kept > 0 && file.write_all_at(&shorter.encode(), place).is_ok() {
        return (Some(kept), Some(why));
    }
    let _nothing_kept = file.set_len(place);
    (None, Some(why))
}

/// What is known of a segment by its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// Behind its last whole chunk.
    pub(crate) end: u64,
    /// Time of its first chunk, nanoseconds since 1970; 0 without one.
    pub(crate) first: i64,
    /// Of its last one.
    pub(crate) last: i64,
    /// Where the payload of the last chunk of each stream ends; 0 without one, or where it was the end of the output.
    pub(crate) ends: [u64; 2],
}

/// Looks from header to header for the end of a file that may have been torn by a crash. Damage in the middle stays, and readers skip it.
pub(crate) fn end_of(file: &File) -> io::Result<Extent> {
    let length = file.metadata()?.len();
    let mut extent = Extent::default();
    let mut headers = Headers::new(file, 0);
    while let Some((place, header)) = headers.next()? {
        let end = place + header.whole() as u64;
        if end > length {
            break;
        }
        if extent.end == 0 {
            extent.first = header.time;
        }
        (extent.end, extent.last) = (end, header.time);
        if let Some(of_stream) = extent.ends.get_mut(header.stream.index()) {
            *of_stream = if header.kind == Kind::Data { end } else { 0 };
        }
    }
    Ok(extent)
}

/// Has a segment end with a whole chunk: what a crash has left of one becomes a shorter one. Gives its end.
pub(crate) fn mend(file: &File, end: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if length <= end {
        return Ok(end);
    }
    let mut bytes = [0; HEADER];
    let read = read_at(file, &mut bytes, end)?;
    let kept = length.saturating_sub(end + HEADER as u64);
    if let Some(header) = bytes.get(..read).and_then(Header::decode).filter(|_| kept > 0) {
        let shorter = Header { length: u32::try_from(kept).unwrap_or(u32::MAX), ..header };
        file.write_all_at(&shorter.encode(), end)?;
        return Ok(length);
    }
    file.set_len(end)?;
    Ok(end)
}

/// Whether the byte before this place is there and no newline.
pub(crate) fn is_open(file: &File, end: u64) -> bool {
    let mut byte = [b'\n'];
    let read = end.checked_sub(1).map(|at| read_at(file, &mut byte, at));
    matches!(read, Some(Ok(1))) && byte != [b'\n']
}

/// The headers of a segment, one after the other, without what is between them.
#[derive(Debug)]
pub(crate) struct Headers<'a> {
    file: &'a File,
    place: u64,
    window: Vec<u8>,
    /// Where the window begins.
    from: u64,
}

impl<'a> Headers<'a> {
    pub(crate) fn new(file: &'a File, place: u64) -> Self {
        Self { file, place, window: Vec::new(), from: 0 }
    }

    /// The next one with its place; what is none is skipped. `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Header)>> {
        loop {
            let bytes = self.look()?;
            if bytes.len() < HEADER {
                return Ok(None);
            }
            match Header::decode(bytes) {
                Some(header) => {
                    let place = self.place;
                    self.place += header.whole() as u64;
                    return Ok(Some((place, header)));
                }
                None => {
                    // At least one byte on.
                    let skip = 1 + crate::chunk::find(bytes.get(1..).unwrap_or_default());
                    self.place += skip as u64;
                }
            }
        }
    }

    /// The window from the present place on.
    fn look(&mut self) -> io::Result<&[u8]> {
        const WINDOW: usize = 4096;
        let end = self.from + self.window.len() as u64;
        if self.place < self.from || self.place + HEADER as u64 > end {
            self.window.resize(WINDOW, 0);
            let count = read_at(self.file, &mut self.window, self.place)?;
            self.window.truncate(count);
            self.from = self.place;
        }
        let at = usize::try_from(self.place - self.from).unwrap_or(usize::MAX);
        Ok(self.window.get(at..).unwrap_or_default())
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], place: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, place + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

//! What stands at the end of a compressed segment: for each frame where it is, its times, its lines and what may be in it.
//!
//! It is a skippable frame, so every tool for zstd reads the file as if it were not there. Its last twelve bytes say how long it is.
//!
//! Source: RFC 8878 §3.1.2 (skippable frames).

use std::fs::File;
use std::io;

use crate::writing::read_at;

/// First bytes of a skippable frame; the sixteen from `0x184D2A50` on are free for use.
const SKIPPABLE: u32 = 0x184d_2a5b;
const MAGIC: [u8; 4] = *b"klx1";
/// Behind the entries: their length, and the magic.
const TAIL: usize = 8;
/// An index that is longer is none of ours.
const LONGEST: u64 = 64 << 20;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it begins in the file.
    pub(crate) place: u64,
    /// Its length in the file.
    pub(crate) packed: u32,
    /// The length of its chunks.
    pub(crate) raw: u32,
    /// Time of its first and its last chunk.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// How many newlines are in it.
    pub(crate) lines: u32,
    /// Some line goes on in it, or goes on after it: it is not complete without its neighbour.
    pub(crate) is_open: bool,
    /// See [`crate::filter`].
    pub(crate) filter: Vec<u8>,
}

/// The bytes to be appended to the frames.
pub(crate) fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut body = Vec::new();
    for frame in frames {
        body.extend(frame.packed.to_le_bytes());
        body.extend(frame.raw.to_le_bytes());
        body.extend(frame.first.to_le_bytes());
        body.extend(frame.last.to_le_bytes());
        body.extend(frame.lines.to_le_bytes());
        body.push(u8::from(frame.is_open));
        body.extend(u32::try_from(frame.filter.len()).unwrap_or(0).to_le_bytes());
        body.extend(&frame.filter);
    }
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    body.extend(length.to_le_bytes());
    body.extend(MAGIC);
    let mut out = Vec::with_capacity(body.len() + 8);
    out.extend(SKIPPABLE.to_le_bytes());
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(body);
    out
}

/// Reads the index of a file; `None` if it has none that makes sense.
pub(crate) fn read(file: &File) -> io::Result<Option<Vec<Frame>>> {
    let length = file.metadata()?.len();
    let mut tail = [0; TAIL];
    let Some(at) = length.checked_sub(TAIL as u64) else { return Ok(None) };
    read_at(file, &mut tail, at)?;
    let (size, magic) = tail.split_at(4);
    let size = size.try_into().map_or(u32::MAX, u32::from_le_bytes);
    let Some(from) = at.checked_sub(u64::from(size)).filter(|_| magic == MAGIC && u64::from(size) <= LONGEST) else {
        return Ok(None);
    };
    let mut body = vec![0; size as usize];
    if read_at(file, &mut body, from)? < body.len() {
        return Ok(None);
    }
    Ok(decode(&body).filter(|frames| ends_at(frames) + 8 == from))
}

fn ends_at(frames: &[Frame]) -> u64 {
    frames.last().map_or(0, |frame| frame.place + u64::from(frame.packed))
}

fn decode(mut body: &[u8]) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    let mut place = 0;
    while !body.is_empty() {
        let packed = number(&mut body)?;
        let raw = number(&mut body)?;
        let (first, last) = (time(&mut body)?, time(&mut body)?);
        let lines = number(&mut body)?;
        let (open, rest) = body.split_first()?;
        body = rest;
        let filter = number(&mut body)? as usize;
        let (filter, rest) = body.split_at_checked(filter)?;
        body = rest;
        frames.push(Frame { place, packed, raw, first, last, lines, is_open: *open != 0, filter: filter.to_vec() });
        place += u64::from(packed);
    }
    Some(frames)
}

fn number(body: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(u32::from_le_bytes(*bytes))
}

fn time(body: &mut &[u8]) -> Option<i64> {
    let (bytes, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(i64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn frame() -> impl Strategy<Value = Frame> {
        let numbers = (1..1_000_000_u32, any::<u32>(), any::<i64>(), any::<i64>(), any::<u32>(), any::<bool>());
        (numbers, proptest::collection::vec(any::<u8>(), 0..50)).prop_map(
            |((packed, raw, first, last, lines, is_open), filter)| Frame {
                place: 0,
                packed,
                raw,
                first,
                last,
                lines,
                is_open,
                filter,
            },
        )
    }

    proptest! {
        #[test]
        fn an_index_comes_back_as_it_was(mut frames in proptest::collection::vec(frame(), 1..5), noise in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut place = 0;
            for frame in &mut frames {
                frame.place = place;
                frame.packed %= 100;
                place += u64::from(frame.packed);
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![7; place as usize]).unwrap();
            file.write_all(&encode(&frames)).unwrap();
            prop_assert_eq!(read(&file).unwrap(), Some(frames));
            // Whatever else a file may hold, looking at it is safe.
            let mut other = tempfile::tempfile().unwrap();
            other.write_all(&noise).unwrap();
            prop_assert_eq!(read(&other).unwrap(), None);
        }
    }
}

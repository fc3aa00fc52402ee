//! From chunks to lines: per stream, over the borders of chunks, segments and restarts of the daemon.

use std::fmt;

use crate::chunk::{Header, Kind, Stream};

/// A line longer than this comes in parts, so that a reader needs no more memory than that.
pub const PART: usize = 256 << 10;

/// One line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When its end was read, nanoseconds since 1970.
    pub time: i64,
    /// Where it was written.
    pub stream: Stream,
    /// Without its newline.
    pub bytes: Vec<u8>,
    /// False where it goes on in the next one of its stream, or the output ended without a newline.
    pub complete: bool,
    /// It is none: here something is missing.
    pub lost: Option<Lost>,
}

/// Output that is in no file, or in none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// How many bytes, where that is known.
    pub bytes: Option<u64>,
    /// Why.
    pub why: Loss,
}

/// Why output is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// There was no room, or another trouble with the disk.
    Disk,
    /// It came faster than it may.
    Rate,
    /// A bound of what is kept was reached before a reader that fell behind had read it.
    Dropped,
    /// The file is damaged here.
    Damaged,
}

impl Loss {
    /// As in the file.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Disk => 0,
            Self::Rate => 1,
            Self::Dropped => 2,
            Self::Damaged => 3,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            0 => Self::Disk,
            1 => Self::Rate,
            2 => Self::Dropped,
            _ => Self::Damaged,
        }
    }
}

impl Lost {
    /// As the payload of a chunk.
    #[must_use]
    pub fn encode(&self) -> [u8; 9] {
        let mut out = [0; 9];
        out[..8].copy_from_slice(&self.bytes.unwrap_or(u64::MAX).to_le_bytes());
        out[8] = self.why.code();
        out
    }

    fn decode(payload: &[u8]) -> Self {
        let bytes = payload.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes);
        Self { bytes: (bytes != u64::MAX).then_some(bytes), why: Loss::of(payload.get(8).copied().unwrap_or(u8::MAX)) }
    }
}

impl fmt::Display for Lost {
    /// As the line that stands where it is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Loss::Disk => "could not be written, the disk had no room",
            Loss::Rate => "came faster than its `log_rate` allows",
            Loss::Dropped => "was dropped before it was read, for the log is bounded",
            Loss::Damaged => "cannot be read, the file is damaged",
        };
        match self.bytes {
            Some(bytes) => write!(f, "[kennel: {bytes} bytes {why}]"),
            None => write!(f, "[kennel: output {why}]"),
        }
    }
}

/// What a visitor of lines is shown: time, stream, bytes, whether it is complete, and what is lost there.
pub(crate) struct Seen<'a> {
    pub(crate) time: i64,
    pub(crate) stream: Stream,
    pub(crate) bytes: &'a [u8],
    pub(crate) complete: bool,
    pub(crate) lost: Option<Lost>,
}

impl Seen<'_> {
    pub(crate) fn to_line(&self) -> Line {
        let Self { time, stream, bytes, complete, lost } = *self;
        Line { time, stream, bytes: bytes.to_vec(), complete, lost }
    }
}

/// The begin of a line whose end has not been seen.
#[derive(Debug, Default)]
struct Carry {
    bytes: Vec<u8>,
    run: u32,
    /// Its begin is somewhere before, so the rest of it is left out.
    cut: bool,
}

/// Makes lines of the chunks of one log.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    carries: [Carry; 2],
    /// Of the newest chunk.
    time: i64,
    /// How often the rest of a line was left out.
    pub(crate) cuts: u32,
}

impl Assembler {
    /// One that begins in the middle of a log: of a line that began before, nothing is shown.
    pub(crate) fn in_the_middle() -> Self {
        let carry = || Carry { cut: true, ..Carry::default() };
        Self { carries: [carry(), carry()], ..Self::default() }
    }

    /// As [`Assembler::take`], of a chunk of which only the first line and what follows the last newline matter.
    pub(crate) fn take_ends(&mut self, header: &Header, payload: &[u8], see: &mut impl FnMut(Seen<'_>)) {
        let ends = memchr::memchr(b'\n', payload).zip(memchr::memrchr(b'\n', payload));
        let Some((first, last)) = ends.filter(|(first, last)| first < last) else {
            return self.take(header, payload, see);
        };
        self.take(header, payload.get(..=first).unwrap_or_default(), see);
        let rest = Header { is_fresh: true, ..*header };
        self.take(&rest, payload.get(last + 1..).unwrap_or_default(), see);
    }

    /// Shows the lines that end in this chunk.
    pub(crate) fn take(&mut self, header: &Header, payload: &[u8], see: &mut impl FnMut(Seen<'_>)) {
        let Header { time, run, stream, kind, is_fresh, .. } = *header;
        let Some(carry) = self.carries.get_mut(stream.index()) else { return };
        if carry.run != run {
            carry.end(time, stream, see);
            carry.cut &= carry.run == 0;
            carry.run = run;
        }
        self.time = time;
        if is_fresh {
            // What is still waited for was lost.
            carry.end(time, stream, see);
            carry.cut = false;
        }
        match kind {
            Kind::Data => {}
            Kind::End => return carry.end(time, stream, see),
            Kind::Lost => {
                carry.end(time, stream, see);
                let lost = Some(Lost::decode(payload));
                return see(Seen { time, stream, bytes: &[], complete: true, lost });
            }
        }
        let mut rest = payload;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if carry.bytes.is_empty() {
                if std::mem::take(&mut carry.cut) {
                    self.cuts += 1;
                } else {
                    see(Seen { time, stream, bytes: line, complete: true, lost: None });
                }
            } else {
                carry.bytes.extend_from_slice(line);
                see(Seen { time, stream, bytes: &carry.bytes, complete: true, lost: None });
                carry.bytes.clear();
            }
        }
        if carry.cut {
            return;
        }
        carry.bytes.extend_from_slice(rest);
        while carry.bytes.len() >= PART {
            let bytes = carry.bytes.get(..PART).unwrap_or_default();
            see(Seen { time, stream, bytes, complete: false, lost: None });
            carry.bytes.drain(..PART);
        }
    }

    /// Shows what has no newline, at the end of all that there is to read.
    pub(crate) fn end(&mut self, see: &mut impl FnMut(Seen<'_>)) {
        for (carry, stream) in self.carries.iter_mut().zip([Stream::Out, Stream::Err]) {
            carry.end(self.time, stream, see);
        }
    }

    /// Something is missing between what was seen and what comes.
    pub(crate) fn gap(&mut self, see: &mut impl FnMut(Seen<'_>)) {
        self.end(see);
        for carry in &mut self.carries {
            carry.cut = true;
        }
    }

    /// Bytes of lines that have no end yet.
    pub(crate) fn held(&self) -> u64 {
        self.carries.iter().map(|carry| carry.bytes.len() as u64).sum()
    }

    /// Gives memory back that the next lines do not need.
    pub(crate) fn rest(&mut self) {
        for carry in self.carries.iter_mut().filter(|carry| carry.bytes.is_empty()) {
            carry.bytes = Vec::new();
        }
    }
}

impl Carry {
    fn end(&mut self, time: i64, stream: Stream, see: &mut impl FnMut(Seen<'_>)) {
        if !self.bytes.is_empty() {
            see(Seen { time, stream, bytes: &self.bytes, complete: false, lost: None });
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(run: u32, stream: Stream, length: usize) -> Header {
        Header { length: length as u32, time: 1, run, stream, kind: Kind::Data, is_fresh: false }
    }

    /// What was seen of one stream, with newlines again.
    fn text(lines: &[Line], stream: Stream) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines.iter().filter(|line| line.stream == stream) {
            out.extend(&line.bytes);
            if line.complete {
                out.push(b'\n');
            }
        }
        out
    }

    proptest! {
        /// However two streams are cut into chunks, each comes back as it was, and no line holds a newline.
        #[test]
        fn bytes_come_back_as_they_were(
            chunks in proptest::collection::vec((any::<bool>(), proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40)), 0..40)
        ) {
            let (mut assembler, mut lines) = (Assembler::default(), Vec::new());
            let mut written: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
            for (is_err, bytes) in &chunks {
                let stream = if *is_err { Stream::Err } else { Stream::Out };
                written[stream.index()].extend(bytes);
                assembler.take(&data(1, stream, bytes.len()), bytes, &mut |seen| lines.push(seen.to_line()));
            }
            assembler.end(&mut |seen| lines.push(seen.to_line()));
            prop_assert!(lines.iter().all(|line| !line.bytes.contains(&b'\n')));
            for stream in [Stream::Out, Stream::Err] {
                prop_assert_eq!(text(&lines, stream), written[stream.index()].clone());
            }
        }
    }

    #[test]
    fn a_long_line_comes_in_parts() {
        let (mut assembler, mut lines) = (Assembler::default(), Vec::new());
        let bytes = vec![b'x'; 100_000];
        for _ in 0..100 {
            assembler.take(&data(1, Stream::Out, bytes.len()), &bytes, &mut |seen| lines.push(seen.to_line()));
        }
        assembler.take(&data(1, Stream::Out, 1), b"\n", &mut |seen| lines.push(seen.to_line()));
        assert!(lines.iter().all(|line| line.bytes.len() <= PART));
        assert_eq!(text(&lines, Stream::Out).len(), 10_000_001);
        assert_eq!(lines.iter().filter(|line| line.complete).count(), 1);
    }

    #[test]
    fn the_end_of_a_run_ends_its_line() {
        let (mut assembler, mut seen) = (Assembler::default(), Vec::new());
        let mut see = |one: Seen<'_>| seen.push((String::from_utf8_lossy(one.bytes).into_owned(), one.complete));
        assembler.take(&data(1, Stream::Out, 4), b"half", &mut see);
        assembler.take(&data(2, Stream::Out, 6), b"whole\n", &mut see);
        assert_eq!(seen, [("half".to_owned(), false), ("whole".to_owned(), true)]);
    }

    #[test]
    fn what_began_before_is_left_out() {
        let (mut assembler, mut seen) = (Assembler::in_the_middle(), Vec::new());
        let mut see = |one: Seen<'_>| seen.push(String::from_utf8_lossy(one.bytes).into_owned());
        assembler.take(&data(1, Stream::Out, 4), b"of a", &mut see);
        assembler.take(&data(1, Stream::Out, 13), b" line\nwhole\nx", &mut see);
        assembler.end(&mut see);
        assert_eq!(seen, ["whole", "x"]);
    }
}

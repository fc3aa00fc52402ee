//! What a segment is made of: a header of 24 bytes, and the bytes of one read exactly as they came.
//!
//! ```text
//!  0  4  1E 'k' 'l' '1'     where a chunk begins
//!  4  4  length             of what follows the header, bytes
//!  8  8  time               of the read, nanoseconds since 1970
//! 16  4  run                low half of the number of the run
//! 20  1  stream             1 stdout, 2 stderr
//! 21  1  kind               0 data, 1 end, 2 lost; and 16 if a line begins with the payload
//! 22  2  sum                of the 22 bytes before
//! ```
//!
//! Numbers are little-endian. There is no sum of the payload: it would cost as much as all else on the way of a byte into
//! its file. A payload that was cut short by a crash is told by its length, and compressed segments have sums of their own.

/// Length of a header, bytes.
pub const HEADER: usize = 24;
const MAGIC: [u8; 4] = [0x1e, b'k', b'l', b'1'];
/// A longer payload is no chunk of ours.
pub(crate) const LONGEST: usize = 4 << 20;

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// 0 or 1.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Out => 0,
            Self::Err => 1,
        }
    }
}

/// What a chunk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that were written.
    Data,
    /// Nobody writes to the stream any more: what has no newline will never have one. No payload.
    End,
    /// Bytes are missing here. The payload is their number (8 bytes) and why (1 byte, see [`crate::Loss`]).
    Lost,
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload, bytes.
    pub length: u32,
    /// When it was read, nanoseconds since 1970.
    pub time: i64,
    /// Low half of the number of the run that wrote it.
    pub run: u32,
    /// Where it was written.
    pub stream: Stream,
    /// What it is.
    pub kind: Kind,
    /// A line begins with the payload: nothing of it is in a chunk before. Set by the [`Log`](crate::Log).
    pub is_fresh: bool,
}

/// Of the byte of the kind.
const FRESH: u8 = 16;

impl Header {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let stream = match self.stream {
            Stream::Out => 1,
            Stream::Err => 2,
        };
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::End => 1,
            Kind::Lost => 2,
        };
        let fresh = if self.is_fresh { FRESH } else { 0 };
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.length.to_le_bytes());
        out[8..16].copy_from_slice(&self.time.to_le_bytes());
        out[16..20].copy_from_slice(&self.run.to_le_bytes());
        out[20] = stream;
        out[21] = kind | fresh;
        let sum = sum(&out[..22]);
        out[22..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads one; `None` for what is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let [_, _, _, _, l0, l1, l2, l3, t0, t1, t2, t3, t4, t5, t6, t7, r0, r1, r2, r3, stream, kind, s0, s1] = *bytes;
        if bytes[..4] != MAGIC || sum(&bytes[..22]) != u16::from_le_bytes([s0, s1]) {
            return None;
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        Some(Self {
            length: (length as usize <= LONGEST).then_some(length)?,
            time: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            run: u32::from_le_bytes([r0, r1, r2, r3]),
            stream: match stream {
                1 => Stream::Out,
                2 => Stream::Err,
                _ => return None,
            },
            is_fresh: kind & FRESH != 0,
            kind: match kind & !FRESH {
                0 => Kind::Data,
                1 => Kind::End,
                2 => Kind::Lost,
                _ => return None,
            },
        })
    }

    /// Length of the whole chunk, bytes.
    #[must_use]
    pub fn whole(&self) -> usize {
        HEADER + self.length as usize
    }
}

/// Where the next chunk may begin in what is damaged: the place of a header that is one, or of what could be the begin of one.
pub(crate) fn find(bytes: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = memchr::memchr(MAGIC[0], bytes.get(from..).unwrap_or_default()) {
        let at = from + at;
        let rest = bytes.get(at..).unwrap_or_default();
        if Header::decode(rest).is_some() || rest.len() < HEADER {
            return at;
        }
        from = at + 1;
    }
    bytes.len()
}

/// Whether these few bytes, fewer than a header has, may be the begin of one.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)
}

/// FNV-1a, folded: a header that is read from the middle of something else does not get through by chance.
fn sum(bytes: &[u8]) -> u16 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    ((hash >> 16) ^ hash) as u16
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn header() -> impl Strategy<Value = Header> {
        let stream = prop_oneof![Just(Stream::Out), Just(Stream::Err)];
        let kind = prop_oneof![Just(Kind::Data), Just(Kind::End), Just(Kind::Lost)];
        (0..=LONGEST as u32, any::<i64>(), any::<u32>(), stream, kind, any::<bool>()).prop_map(
            |(length, time, run, stream, kind, is_fresh)| Header { length, time, run, stream, kind, is_fresh },
        )
    }

    proptest! {
        #[test]
        fn a_header_comes_back_as_it_was(header in header()) {
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
        }

        #[test]
        fn a_header_with_a_wrong_bit_is_none(header in header(), bit in 0..HEADER * 8) {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(&bytes), None);
        }

        #[test]
        fn the_next_one_is_found_behind_anything(noise in proptest::collection::vec(any::<u8>(), 0..300), header in header()) {
            let mut bytes = noise.clone();
            bytes.extend(header.encode());
            prop_assert!(find(&bytes) <= noise.len());
            prop_assert_eq!(find(&noise[..noise.len().min(3)]).min(3), noise.iter().take(3).position(|byte| *byte == MAGIC[0]).unwrap_or(noise.len().min(3)));
        }
    }
}

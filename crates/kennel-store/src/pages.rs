//! Finds events in the bytes of a damaged database, without its structure.
//!
//! Every page that looks like a leaf of a table is read for records that look like events, in the file and in its write-ahead log.
//! An event never changes once it is written, so whichever copy of a page is found, what it says is true; one that
//! retention had removed may come back, and goes again.
//!
//! Source: "Database File Format", sqlite.org/fileformat2.html: 1.5 and 1.6 (pages and cells), 2.1 (records), 4.1 (frames).

use std::collections::{BTreeMap, HashMap};

use crate::events::Row;

/// Every store is made with it.
pub(crate) const PAGE_BYTES: usize = 4096;
const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const TABLE_LEAF: u8 = 13;
/// A longer one is not an event but a flipped bit.
const MAX_PAYLOAD: usize = 16 << 20;

/// All events in a database file and its log that number at most `ceiling`, by number.
pub(crate) fn events(file: &[u8], wal: &[u8], ceiling: u64) -> BTreeMap<u64, Row> {
    let frames = wal.get(WAL_HEADER..).unwrap_or_default().chunks(FRAME_HEADER + PAGE_BYTES);
    let frames = frames.filter_map(|frame| {
        let (header, page) = frame.split_at_checked(FRAME_HEADER)?;
        Some((be32(header, 0)?, page))
    });
    let in_file = (1_u32..).zip(file.chunks(PAGE_BYTES));
    let all: Vec<(u32, &[u8])> = in_file.chain(frames).collect();
    // The latest copy of each, for payloads that go on in other pages.
    let latest: HashMap<u32, &[u8]> = all.iter().copied().collect();
    let mut found = BTreeMap::new();
    for (_, page) in &all {
        for row in leaf(page, &latest) {
            if row.seq <= ceiling {
                found.insert(row.seq, row);
            }
        }
    }
    found
}

fn leaf(page: &[u8], latest: &HashMap<u32, &[u8]>) -> Vec<Row> {
    if page.first() != Some(&TABLE_LEAF) {
        return Vec::new();
    }
    let count = be16(page, 3).unwrap_or(0);
    let cells = (0..count).filter_map(|index| be16(page, 8 + 2 * index));
    let mut rows: Vec<Row> = cells.filter_map(|at| cell(page, at, latest)).collect();
    // The numbers in a page rise. One that does not is a flipped bit.
    let mut newest = 0;
    rows.retain(|row| {
        let rises = row.seq > newest;
        newest = newest.max(row.seq);
        rises
    });
    rows
}

fn cell(page: &[u8], at: usize, latest: &HashMap<u32, &[u8]>) -> Option<Row> {
    let mut rest = page.get(at..)?;
    let length = usize::try_from(varint(&mut rest)?).ok().filter(|length| *length <= MAX_PAYLOAD)?;
    let seq = varint(&mut rest)?;
    let local = local_bytes(length);
    let mut payload = rest.get(..local)?.to_vec();
    let mut next = be32(rest, local).unwrap_or(0);
    while payload.len() < length {
        let more = latest.get(&next)?;
        next = be32(more, 0)?;
        let wanted = (length - payload.len()).min(PAGE_BYTES - 4);
        payload.extend_from_slice(more.get(4..4 + wanted)?);
    }
    record(seq, &payload)
}

/// How much of a payload stands in the leaf itself.
fn local_bytes(length: usize) -> usize {
    let most = PAGE_BYTES - 35;
    if length <= most {
        return length;
    }
    let least = (PAGE_BYTES - 12) * 32 / 255 - 23;
    let wish = least + (length - least) % (PAGE_BYTES - 4);
    if wish <= most { wish } else { least }
}

fn record(seq: u64, payload: &[u8]) -> Option<Row> {
    let mut rest = payload;
    let header = usize::try_from(varint(&mut rest)?).ok()?;
    let begin = payload.len() - rest.len();
    let mut types = payload.get(begin..header)?;
    let mut values = payload.get(header..)?;
    let mut value = || Value::take(varint(&mut types)?, &mut values);
    let row = (value()?, value()?, value()?, value()?, value()?, value()?);
    let (Value::Null, Value::Integer(time), service, instance, Value::Text(kind), Value::Text(body)) = row else {
        return None;
    };
    let service = match service {
        Value::Text(service) => Some(service),
        Value::Null => None,
        Value::Integer(_) => return None,
    };
    let instance = match instance {
        Value::Integer(instance) => Some(instance),
        Value::Null => None,
        Value::Text(_) => return None,
    };
    // A body that says what its column says is an event, and whole.
    let parsed: serde_json::Value = serde_json::from_str(&body).ok()?;
    (types.is_empty() && parsed.get("event")? == kind.as_str()).then_some(Row {
        seq,
        time,
        service,
        instance,
        kind,
        body,
    })
}

enum Value {
    Null,
    Integer(i64),
    Text(String),
}

impl Value {
    fn take(serial_type: u64, values: &mut &[u8]) -> Option<Self> {
        let mut take = |bytes: usize| {
            let (value, rest) = values.split_at_checked(bytes)?;
            *values = rest;
            Some(value)
        };
        Some(match serial_type {
            0 => Self::Null,
            1..=6 => {
                let bytes = take([1, 2, 3, 4, 6, 8][usize::try_from(serial_type).ok()? - 1])?;
                let sign = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
                Self::Integer(bytes.iter().fold(sign, |value: i64, byte| value << 8 | i64::from(*byte)))
            }
            8 | 9 => Self::Integer(i64::from(serial_type == 9)),
            text if text >= 13 && text % 2 == 1 => {
                let bytes = take(usize::try_from((text - 13) / 2).ok()?)?;
                Self::Text(String::from_utf8(bytes.to_vec()).ok()?)
            }
            _ => return None,
        })
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for at in 0..9 {
        let byte = *bytes.get(at)?;
        if at == 8 {
            value = value << 8 | u64::from(byte);
        } else {
            value = value << 7 | u64::from(byte & 0x7f);
        }
        if byte & 0x80 == 0 || at == 8 {
            *bytes = bytes.get(at + 1..)?;
            break;
        }
    }
    Some(value)
}

fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut page in proptest::collection::vec(any::<u8>(), 0..5000)) {
            if let Some(first) = page.first_mut() {
                *first = TABLE_LEAF;
            }
            events(&page, &page, u64::MAX);
        }
    }
}

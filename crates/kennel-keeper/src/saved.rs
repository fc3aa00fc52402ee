//! The table of a keeper that replaces its own program: everything it knows and holds, in a memory file.
//!
//! The header never changes: magic, format (`u16`), whether the table was given back (`u8`), the descriptor of the
//! program that wrote it (`i32`), the length of the list of descriptors (`u32`) and their numbers (`i32` each), all
//! little-endian. What follows depends on the format, and is written as messages are: see [`crate::codec`]. So a program
//! that cannot read the rest can still execute the one that wrote it, with every descriptor as it was.

mod parts;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use kennel_sys::process;
use rustix::fs::MemfdFlags;

pub(crate) use self::parts::{
    read_group, read_path, read_time, since, until, write_elapsed, write_group, write_path, write_remaining,
};
use crate::codec::Writer;

/// Layout of what follows the header, as it is written.
pub(crate) const FORMAT: u16 = 3;
/// Layouts that can be read. What keepers of protocols 4 and 5 write, formats 1 and 2, lacks what came later.
pub(crate) const READS: RangeInclusive<u16> = 1..=FORMAT;

const MAGIC: [u8; 8] = *b"kennel-k";
/// Magic, format, given back, program, count.
const HEADER: usize = 8 + 2 + 1 + 4 + 4;
const GIVEN_BACK: u64 = 10;

/// A table as it was found.
pub(crate) struct Table {
    pub(crate) file: File,
    pub(crate) format: u16,
    /// The new program could not read it, and this is the old one again.
    pub(crate) given_back: bool,
    /// The program that wrote it.
    program: OwnedFd,
    pub(crate) body: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// Writes a table. Answers with its file, which has to stay open as everything that is in `writer`.
pub(crate) fn write(program: &OwnedFd, writer: &Writer<'_>) -> io::Result<File> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.push(0);
    bytes.extend(program.as_raw_fd().to_le_bytes());
    let count = u32::try_from(writer.fds.len()).map_err(io::Error::other)?;
    bytes.extend(count.to_le_bytes());
    writer.fds.iter().for_each(|fd| bytes.extend(fd.as_raw_fd().to_le_bytes()));
    bytes.extend_from_slice(&writer.bytes);
    let file = File::from(rustix::fs::memfd_create("kennel-keeper", MemfdFlags::CLOEXEC)?);
    file.write_all_at(&bytes, 0)?;
    Ok(file)
}

impl Table {
    /// Takes over the table in the file with this number, and all that was left open with it.
    ///
    /// # Errors
    /// `InvalidData` if it is none, or if a descriptor of it is not open: then there is no way back either.
    pub(crate) fn read(number: i32) -> io::Result<Self> {
        let bad = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        let file = process::left_open(&[number])?.pop().map(File::from).ok_or_else(|| bad("no file"))?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or_else(|| bad("the table is cut short"))?;
        let header = Header::parse(header).ok_or_else(|| bad("the table is none"))?;
        let (numbers, body) = rest.split_at_checked(header.count * 4).ok_or_else(|| bad("the table is cut short"))?;
        let numbers = numbers.as_chunks::<4>().0.iter().map(|number| i32::from_le_bytes(*number));
        let program = process::left_open(&[header.program])?.pop().ok_or_else(|| bad("no program"))?;
        let fds = process::left_open(&numbers.collect::<Vec<i32>>())?;
        let Header { format, given_back, .. } = header;
        Ok(Self { file, format, given_back, program, body: body.to_vec(), fds })
    }

    /// Copies of the descriptors: the table keeps its own until it is sure that nobody has to go back.
    pub(crate) fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        self.fds.iter().map(OwnedFd::try_clone).collect()
    }

    /// Everything that is open by this table, to be spared by who closes the rest.
    pub(crate) fn open(&self) -> Vec<BorrowedFd<'_>> {
        let own = [self.file.as_fd(), self.program.as_fd()];
        self.fds.iter().map(AsFd::as_fd).chain(own).collect()
    }

    /// Executes the program that wrote it. Returns only if that cannot be, or has been done already.
    pub(crate) fn give_back(&self, argv: &[CString], env: &[CString]) -> io::Error {
        if self.given_back {
            return io::Error::other("the program that wrote the table cannot read it either");
        }
        if let Err(error) = self.file.write_all_at(&[1], GIVEN_BACK) {
            return error;
        }
        process::replace(self.program.as_fd(), argv, env, &self.open())
    }
}

struct Header {
    format: u16,
    given_back: bool,
    program: i32,
    count: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (format, rest) = rest.split_first_chunk::<2>()?;
        let (given_back, rest) = rest.split_first()?;
        let (program, rest) = rest.split_first_chunk::<4>()?;
        let (count, _) = rest.split_first_chunk::<4>()?;
        (*magic == MAGIC).then_some(Self {
            format: u16::from_le_bytes(*format),
            given_back: *given_back != 0,
            program: i32::from_le_bytes(*program),
            count: usize::try_from(u32::from_le_bytes(*count)).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let read = Header::parse(&bytes).is_some();
            prop_assert_eq!(read, bytes.len() >= HEADER && bytes.starts_with(&MAGIC));
        }
    }

    #[test]
    fn a_table_is_found_as_it_was_written() {
        let (reader, program) = (io::pipe().unwrap().0, File::open("/dev/null").unwrap().into());
        let mut writer = Writer::new(0);
        writer.u32(7);
        writer.fds.push(reader.as_fd());
        let file = write(&program, &writer).unwrap();
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.format, header.given_back, header.count), (FORMAT, false, 1));
        assert_eq!(header.program, program.as_raw_fd());
        assert_eq!(bytes[HEADER..][..4], reader.as_raw_fd().to_le_bytes());
        assert_eq!(bytes[HEADER + 4..], [7, 0, 0, 0]);
    }
}

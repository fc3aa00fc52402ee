//! Small files that are read again and again: opened once, read into a buffer that is there anyway.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::cgroup;

/// Longest file that is read as a whole. `io.stat` has a line for each disk; others are far shorter.
pub(super) const LONGEST: usize = 4096;

/// A file that is opened when it is first read.
#[derive(Debug)]
pub(super) struct Kept {
    name: &'static str,
    file: File,
}

#[derive(Debug)]
enum File {
    New,
    Open(OwnedFd),
    /// It is not there, or may not be read.
    Missing,
}

impl Kept {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, file: File::New }
    }

    /// Its text in the buffer, from its begin; none if it cannot be read.
    pub(super) fn read<'a>(&mut self, directory: &OwnedFd, buffer: &'a mut [u8; LONGEST]) -> Option<&'a [u8]> {
        let length = rustix::io::pread(self.open(directory)?, &mut buffer[..], 0).ok()?;
        buffer.get(..length)
    }

    /// Every number that stands in a line of its own.
    pub(super) fn numbers(
        &mut self,
        directory: &OwnedFd,
        buffer: &mut [u8; LONGEST],
        mut each: impl FnMut(u32),
    ) -> Option<()> {
        let file = self.open(directory)?;
        let (mut at, mut number) = (0, None);
        loop {
            let length = rustix::io::pread(file, &mut buffer[..], at).ok()?;
            at += length as u64;
            for byte in buffer.get(..length)? {
                match byte {
                    b'0'..=b'9' => {
                        number = Some(number.unwrap_or(0_u32).wrapping_mul(10).wrapping_add(u32::from(byte - b'0')));
                    }
                    _ => number.take().into_iter().for_each(&mut each),
                }
            }
            // The kernel leaves out of a read what does not fit any more, which is no longer than a number.
            if length < LONGEST / 2 {
                break;
            }
        }
        number.into_iter().for_each(each);
        Some(())
    }

    /// Living members of a group and of every group below it, if this is its list of processes.
    pub(super) fn members(&mut self, group: &OwnedFd, buffer: &mut [u8; LONGEST]) -> Option<Vec<u32>> {
        cgroup::list(group, |group| {
            let mut pids = Vec::new();
            self.numbers(group, buffer, |pid| pids.push(pid))?;
            Some(pids)
        })
    }

    /// Whether it could be opened.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.file, File::Open(_))
    }

    fn open(&mut self, directory: &OwnedFd) -> Option<&OwnedFd> {
        if matches!(self.file, File::New) {
            let opened =
                rustix::fs::openat(directory.as_fd(), self.name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            self.file = opened.map_or(File::Missing, File::Open);
        }
        match &self.file {
            File::Open(file) => Some(file),
            File::New | File::Missing => None,
        }
    }
}

/// The number that a text begins with.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let mut found = None;
    for digit in digits {
        found = Some(found.unwrap_or(0_u64).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
    }
    found
}

/// The number after `key` and a blank at the begin of a line.
pub(super) fn value(text: &[u8], key: &[u8]) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key)?.strip_prefix(b" "))?;
    number(line)
}

/// The sum of all numbers after `key=`, and whether there was one.
pub(super) fn sum(text: &[u8], key: &[u8]) -> Option<u64> {
    let words = text.split(|byte| byte.is_ascii_whitespace());
    let numbers = words.filter_map(|word| number(word.strip_prefix(key)?.strip_prefix(b"=")?));
    numbers.reduce(u64::saturating_add)
}

/// `some avg10` of a pressure file, hundredths of a percent.
///
/// Source: kernel documentation, "PSI - Pressure Stall Information": `some avg10=0.12 avg60=… total=…`.
pub(super) fn some_avg10(text: &[u8]) -> Option<u32> {
    let rest = text.strip_prefix(b"some avg10=")?;
    let whole = number(rest)?;
    let point = rest.iter().position(|byte| *byte == b'.')?;
    let hundredths = number(rest.get(point + 1..point + 3)?)?;
    u32::try_from(whole * 100 + hundredths).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_are_read_however_many_there_are() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0, 1, 500, 20_000] {
            let all: Vec<u32> = (100_000..100_000 + count).collect();
            std::fs::write(dir.path().join("x"), all.iter().map(|pid| format!("{pid}\n")).collect::<String>()).unwrap();
            let (mut found, mut buffer) = (Vec::new(), [0; LONGEST]);
            let directory = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
            Kept::new("x").numbers(&directory, &mut buffer, |pid| found.push(pid)).unwrap();
            assert_eq!(found, all);
        }
    }

    #[test]
    fn values_are_found() {
        let text = b"usage_usec 1234\nuser_usec 5\nthrottled_usec 77\n";
        assert_eq!(value(text, b"usage_usec"), Some(1234));
        assert_eq!(value(text, b"throttled_usec"), Some(77));
        assert_eq!(value(text, b"usec"), None);
        let io = b"8:0 rbytes=10 wbytes=3 rios=1\n8:16 rbytes=5 wbytes=4 rios=1\n";
        assert_eq!((sum(io, b"rbytes"), sum(io, b"wbytes"), sum(io, b"dbytes")), (Some(15), Some(7), None));
        assert_eq!(some_avg10(b"some avg10=12.34 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00"), Some(1234));
        assert_eq!(some_avg10(b"some avg10=0.05 avg60"), Some(5));
        assert_eq!((number(b"max\n"), number(b""), number(b"18446744073709551616")), (None, None, None));
    }
}

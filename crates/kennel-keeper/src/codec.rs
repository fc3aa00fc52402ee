//! Messages as bytes and descriptors: by hand, little-endian, bounded, and total: garbage is an error with a name.
//!
//! A list is its length (`u32`) and its elements; text and bytes are lists of bytes; a choice is a number (`u8`)
//! and what belongs to it. Descriptors travel beside the bytes, in the order of their fields.
//!
//! A keeper speaks its own version alone. A daemon also takes and makes the messages of an older keeper: what that does
//! not tell is filled in, and what it could not do is not sent ([`Unsupported`]).

mod backend;
mod bound;
mod event;
mod known;
mod request;
mod spawn;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) use self::backend::{read_backend, read_place, write_backend, write_place};
pub(crate) use self::bound::{read_bound, write_bound};
pub use self::event::{decode_event, encode_event};
pub(crate) use self::event::{read_exit, write_exit};
pub(crate) use self::known::{read_follows, write_follows};
pub use self::request::{decode_request, encode_request};
pub(crate) use self::request::{read_identity, write_identity};
use crate::proto::{ScopeId, VERSION};

/// Why a message is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It ends in the middle of a field.
    Short,
    /// Something follows its last field.
    Long,
    /// A choice that this version does not know.
    Unknown(&'static str, u8),
    /// Text that is no UTF-8, or a string with a NUL in it.
    Text,
    /// A number outside of its range.
    Number,
    /// More or fewer descriptors than it names.
    Descriptors,
    /// A keeper of a version that this one does not speak.
    Version(u16),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the message is cut short"),
            Self::Long => f.write_str("the message goes on after its end"),
            Self::Unknown(what, number) => {
                write!(f, "the message names the unknown {what} {number}")
            }
            Self::Text => f.write_str("the message holds text that is none"),
            Self::Number => f.write_str("the message holds a number out of range"),
            Self::Descriptors => f.write_str("the message and its descriptors do not match"),
            Self::Version(version) => {
                write!(f, "the keeper speaks version {version} of the protocol, this is version {VERSION}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for std::io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, malformed)
    }
}

/// The keeper is of a version that knows no such request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// What it does not know.
    pub what: &'static str,
    /// The version that it speaks.
    pub version: u16,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the keeper that runs speaks version {} of the protocol, which has no {}", self.version, self.what)
    }
}

impl std::error::Error for Unsupported {}

impl From<Unsupported> for std::io::Error {
    fn from(unsupported: Unsupported) -> Self {
        Self::new(std::io::ErrorKind::Unsupported, unsupported)
    }
}

/// Builds a message.
pub(crate) struct Writer<'fd> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<BorrowedFd<'fd>>,
    /// Of the one who is to read it.
    version: u16,
}

impl<'fd> Writer<'fd> {
    pub(crate) fn new(version: u16) -> Self {
        Self { bytes: Vec::new(), fds: Vec::new(), version }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn two(&mut self, values: [u64; 2]) {
        values.into_iter().for_each(|value| self.u64(value));
    }

    pub(crate) fn scope(&mut self, scope: ScopeId) {
        self.u64(scope.0);
    }

    /// A list of four billion elements does not fit a message, so the length never saturates in one that is sent.
    pub(crate) fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    pub(crate) fn list<T>(&mut self, items: &'fd [T], mut each: impl FnMut(&mut Self, &'fd T)) {
        self.length(items.len());
        for item in items {
            each(self, item);
        }
    }

    pub(crate) fn option<T: ?Sized>(&mut self, value: Option<&'fd T>, each: impl FnOnce(&mut Self, &'fd T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            each(self, value);
        }
    }

    pub(crate) fn fd(&mut self, fd: &'fd OwnedFd) {
        self.fds.push(fd.as_fd());
    }

    pub(crate) fn fds(&mut self, fds: &'fd [OwnedFd]) {
        self.fds.extend(fds.iter().map(AsFd::as_fd));
    }
}

/// Takes a message apart.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    fds: std::vec::IntoIter<OwnedFd>,
    /// Of the one who wrote it.
    pub(crate) version: u16,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], fds: Vec<OwnedFd>, version: u16) -> Self {
        Self { rest: bytes, fds: fds.into_iter(), version }
    }

    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, Malformed> {
        if !self.rest.is_empty() {
            return Err(Malformed::Long);
        }
        if self.fds.next().is_some() {
            return Err(Malformed::Descriptors);
        }
        Ok(value)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed::Short)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::Unknown("yes or no", other)),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn scope(&mut self) -> Result<ScopeId, Malformed> {
        Ok(ScopeId(self.u64()?))
    }

    pub(crate) fn two(&mut self) -> Result<[u64; 2], Malformed> {
        Ok([self.u64()?, self.u64()?])
    }

    pub(crate) fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?).map_err(|_| Malformed::Number)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Malformed::Text)
    }

    pub(crate) fn c_string(&mut self) -> Result<CString, Malformed> {
        CString::new(self.bytes()?).map_err(|_| Malformed::Text)
    }

    pub(crate) fn char(&mut self) -> Result<char, Malformed> {
        char::from_u32(self.u32()?).ok_or(Malformed::Number)
    }

    /// Nothing is reserved by the announced length: a message cannot make us allocate more than it brings.
    pub(crate) fn list<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.length()?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(each(self)?);
        }
        Ok(items)
    }

    pub(crate) fn option<T>(
        &mut self,
        each: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        Ok(if self.bool()? { Some(each(self)?) } else { None })
    }

    pub(crate) fn fd(&mut self) -> Result<OwnedFd, Malformed> {
        self.fds.next().ok_or(Malformed::Descriptors)
    }

    pub(crate) fn fds<const N: usize>(&mut self) -> Result<[OwnedFd; N], Malformed> {
        let taken: Vec<OwnedFd> = self.fds.by_ref().take(N).collect();
        taken.try_into().map_err(|_| Malformed::Descriptors)
    }
}

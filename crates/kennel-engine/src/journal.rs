//! The native protocol of the journal: one datagram of fields.
//!
//! Source: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>, `systemd.journal-fields(7)`.

use std::path::PathBuf;

/// Where the journal listens. Another place is for machines where it does so elsewhere, and for tests.
pub(crate) fn socket() -> PathBuf {
    std::env::var_os("KENNEL_JOURNAL_SOCKET").map_or_else(|| "/run/systemd/journal/socket".into(), PathBuf::from)
}

/// Appends a field: `NAME=value` and a line break; of a value with a line break in it, or that is no text, the length as 64 bits,
/// little endian, before it.
pub(crate) fn field(message: &mut Vec<u8>, name: &str, value: &[u8]) {
    message.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') || std::str::from_utf8(value).is_err() {
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend_from_slice(value);
    message.push(b'\n');
}

//! The journal of systemd: each line a message with the name of its service.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kennel_logs::{Line, Stream};
use rustix::io::Errno;

use super::Target;
use crate::journal::{field, socket};

/// Longer lines come in parts, for the journal takes no longer ones from anybody: `LineMax` of `journald.conf(5)`, bytes.
const LONGEST: usize = 48 << 10;
/// How long one that has no room is waited for at once.
const MOMENT: Duration = Duration::from_millis(200);
/// `LOG_INFO` and `LOG_WARNING` of `syslog(3)`. That something was written to stderr says nothing about it.
const INFO: &[u8] = b"6";
const WARNING: &[u8] = b"4";

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    instance: Arc<str>,
    service: String,
    socket: Option<UnixDatagram>,
}

impl Journal {
    /// For the lines of this name in `ps`, of the kennel instance of that name.
    pub(super) fn new(instance: &Arc<str>, service: &str) -> Self {
        Self { path: socket(), instance: Arc::clone(instance), service: service.to_owned(), socket: None }
    }

    fn message(&self, line: &Line, text: &[u8], priority: &[u8]) -> Vec<u8> {
        let stream: &[u8] = match line.stream {
            Stream::Out => b"stdout",
            Stream::Err => b"stderr",
        };
        let time = Timestamp::from_nanosecond(line.time.into()).unwrap_or_default();
        let mut message = Vec::with_capacity(text.len() + 256);
        field(&mut message, "MESSAGE", text);
        field(&mut message, "PRIORITY", priority);
        field(&mut message, "SYSLOG_IDENTIFIER", self.service.as_bytes());
        field(&mut message, "KENNEL_INSTANCE", self.instance.as_bytes());
        field(&mut message, "KENNEL_SERVICE", self.service.as_bytes());
        field(&mut message, "KENNEL_STREAM", stream);
        field(&mut message, "KENNEL_TIME", time.to_string().as_bytes());
        message
    }
}

impl Target for Journal {
    fn pieces(&self, lines: &[Line]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::with_capacity(lines.len());
        for line in lines {
            match line.lost {
                Some(lost) => pieces.push(self.message(line, lost.to_string().as_bytes(), WARNING)),
                None if line.bytes.is_empty() => pieces.push(self.message(line, b"", INFO)),
                None => pieces.extend(line.bytes.chunks(LONGEST).map(|part| self.message(line, part, INFO))),
            }
        }
        pieces
    }

    fn send(&mut self, piece: &[u8], _begins: bool) -> io::Result<usize> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let new = UnixDatagram::unbound()?;
                new.set_write_timeout(Some(MOMENT))?;
                new.connect(&self.path)?;
                none.insert(new)
            }
        };
        let Err(error) = socket.send(piece) else { return Ok(piece.len()) };
        if error.kind() == io::ErrorKind::WouldBlock {
            return Err(error);
        }
        if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) {
            // It will never fit; others will.
            tracing::warn!(service = self.service, "a line is too long for the journal");
            return Ok(piece.len());
        }
        self.socket = None;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]
    use super::*;
    use kennel_logs::{Loss, Lost};

    #[test]
    fn lines_have_fields_and_long_ones_come_in_parts() {
        let journal = Journal::new(&Arc::from("shop"), "web");
        let line = |bytes: &[u8]| Line {
            time: 1_000_000_000,
            stream: Stream::Err,
            bytes: bytes.to_vec(),
            complete: true,
            lost: None,
        };
        let gap = Line { lost: Some(Lost { bytes: Some(7), why: Loss::Disk }), ..line(b"") };
        let pieces = journal.pieces(&[line(b"hello"), line(b"\xff"), line(&vec![b'x'; LONGEST + 1]), line(b""), gap]);
        let text = |at: usize| String::from_utf8_lossy(&pieces[at]).into_owned();
        let rest = "PRIORITY=6\nSYSLOG_IDENTIFIER=web\nKENNEL_INSTANCE=shop\nKENNEL_SERVICE=web\nKENNEL_STREAM=stderr\n\
            KENNEL_TIME=1970-01-01T00:00:01Z\n";
        assert_eq!(text(0), format!("MESSAGE=hello\n{rest}"));
        assert!(pieces[1].starts_with(b"MESSAGE\n\x01\0\0\0\0\0\0\0\xff\n"), "{:?}", text(1));
        assert!(text(3).starts_with("MESSAGE=x\nPRIORITY") && text(4).starts_with("MESSAGE=\nPRIORITY"));
        assert!(text(5).starts_with("MESSAGE=[kennel: 7 bytes could not be written") && text(5).contains("PRIORITY=4"));
        assert_eq!(pieces.len(), 6);
    }
}

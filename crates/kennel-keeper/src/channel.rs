//! One end of the connection: whole messages in and out, never blocking, with a queue for what cannot go yet.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use kennel_sys::packet::{self, Received};

use crate::codec::{Malformed, Reader, Writer};

/// First byte of a packet that only brings descriptors for the message that follows.
const MORE: u8 = 1;
/// First byte of a packet with a message.
const LAST: u8 = 2;
/// Most descriptors taken in for one message: bounds what a peer can make us hold open.
const MOST_DESCRIPTORS: usize = 16 * 1024;

/// A packet socket with an outgoing queue.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    queue: VecDeque<Packet>,
    /// Descriptors that came ahead of their message.
    early: Vec<OwnedFd>,
}

#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Vec<u8>, Vec<OwnedFd>),
    Closed,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, queue: VecDeque::new(), early: Vec::new() }
    }

    /// With what waits to be sent, and what has come ahead of its message.
    pub(crate) fn save<'a>(&'a self, writer: &mut Writer<'a>) {
        writer.fd(&self.socket);
        writer.length(self.queue.len());
        for packet in &self.queue {
            writer.bytes(&packet.bytes);
            write_fds(writer, &packet.fds);
        }
        write_fds(writer, &self.early);
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            socket: reader.fd()?,
            queue: reader
                .list(|reader| Ok(Packet { bytes: reader.bytes()?.to_vec(), fds: reader.list(Reader::fd)? }))?
                .into(),
            early: reader.list(Reader::fd)?,
        })
    }

    /// Sends a message if nothing waits, else puts it into the queue; its descriptors are then duplicated, so the
    /// sender may close its own either way.
    pub(crate) fn queue(&mut self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if self.queue.is_empty() && fds.len() <= packet::MAX_FDS && send_now(&self.socket, message, fds).is_ok() {
            return Ok(());
        }
        let mut rest = fds;
        while rest.len() > packet::MAX_FDS {
            let (now, later) = rest.split_at(packet::MAX_FDS);
            self.queue.push_back(Packet { bytes: vec![MORE], fds: duplicated(now)? });
            rest = later;
        }
        self.queue.push_back(Packet { bytes: framed(LAST, message), fds: duplicated(rest)? });
        Ok(())
    }

    /// Sends what the socket takes; answers whether something is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while let Some(packet) = self.queue.front() {
            let fds: Vec<BorrowedFd<'_>> = packet.fds.iter().map(AsFd::as_fd).collect();
            match packet::send(&self.socket, &packet.bytes, &fds) {
                Ok(()) => {
                    self.queue.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        // A burst must not be paid for in memory ever after.
        self.queue.shrink_to(16);
        Ok(false)
    }

    /// Whether something waits until the other end reads.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// `WouldBlock`: nothing there now. `InvalidData`: the other end speaks something else.
    pub(crate) fn receive(&mut self) -> io::Result<Incoming> {
        receive(&self.socket, &mut self.early)
    }
}

/// Sends at once, past any queue: for a side that has none. All or nothing.
pub(crate) fn send_now(socket: &OwnedFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    packet::send(socket, &framed(LAST, message), fds)
}

/// Takes the next message, keeping in `early` what came ahead of it.
///
/// An end that was closed before it had read everything says so ahead of what it has sent: once, as a reset, after which the
/// messages can be read as ever. Source: `unix_release_sock` of Linux `net/unix/af_unix.c` and `__skb_try_recv_datagram` of
/// `net/core/datagram.c`, which takes the error first.
pub(crate) fn receive(socket: &OwnedFd, early: &mut Vec<OwnedFd>) -> io::Result<Incoming> {
    let mut is_reset = false;
    loop {
        let (bytes, fds) = match packet::recv(socket) {
            Ok(Received::Message(bytes, fds)) => (bytes, fds),
            Ok(Received::Closed) => return Ok(Incoming::Closed),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                if std::mem::replace(&mut is_reset, true) {
                    return Ok(Incoming::Closed);
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        early.extend(fds);
        match bytes.split_first() {
            Some((&LAST, _)) => {
                let mut message = bytes;
                message.remove(0);
                return Ok(Incoming::Message(message, std::mem::take(early)));
            }
            Some((&MORE, [])) if early.len() <= MOST_DESCRIPTORS => {}
            _ => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet without a meaning"));
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn write_fds<'a>(writer: &mut Writer<'a>, fds: &'a [OwnedFd]) {
    writer.length(fds.len());
    writer.fds(fds);
}

fn framed(kind: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 1);
    bytes.push(kind);
    bytes.extend_from_slice(message);
    bytes
}

fn duplicated(fds: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    fds.iter().map(BorrowedFd::try_clone_to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_descriptors_than_a_packet_takes_arrive_with_their_message() {
        let (near, far) = packet::pair().unwrap();
        let (mut near, mut far) = (Channel::new(near), Channel::new(far));
        let null = std::fs::File::open("/dev/null").unwrap();
        for count in [0, 1, packet::MAX_FDS, packet::MAX_FDS + 1, 3 * packet::MAX_FDS] {
            let fds = vec![null.as_fd(); count];
            near.queue(b"message", &fds).unwrap();
            assert!(!near.flush().unwrap());
            let Incoming::Message(bytes, got) = far.receive().unwrap() else { panic!("closed") };
            assert_eq!((bytes.as_slice(), got.len()), (&b"message"[..], count));
        }
        drop(near);
        assert!(matches!(far.receive().unwrap(), Incoming::Closed));
    }

    #[test]
    fn the_last_word_of_who_did_not_listen_is_heard() {
        let (near, far) = packet::pair().unwrap();
        let (mut near, mut far) = (Channel::new(near), Channel::new(far));
        far.queue(b"never read", &[]).unwrap();
        assert!(!far.flush().unwrap());
        near.queue(b"goodbye", &[]).unwrap();
        assert!(!near.flush().unwrap());
        drop(near);
        let Incoming::Message(bytes, _) = far.receive().unwrap() else { panic!("closed before it was read") };
        assert_eq!(bytes, b"goodbye");
        assert!(matches!(far.receive().unwrap(), Incoming::Closed));
    }

    #[test]
    fn what_does_not_fit_waits_in_order() {
        let (near, far) = packet::pair().unwrap();
        let (mut near, mut far) = (Channel::new(near), Channel::new(far));
        for number in 0..100_u8 {
            near.queue(&vec![number; 20_000], &[]).unwrap();
        }
        assert!(near.flush().unwrap());
        for number in 0..100_u8 {
            let Incoming::Message(bytes, _) = far.receive().unwrap() else { panic!("closed") };
            assert_eq!(bytes.first(), Some(&number));
            near.flush().unwrap();
        }
    }
}

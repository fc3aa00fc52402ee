//! Messages with descriptors over a `SOCK_SEQPACKET` pair, of any size up to [`MAX`].
//!
//! What does not fit a packet travels in a memory file whose descriptor does. A packet is sent whole or not at all.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, ReturnFlags, SocketFlags, SocketType};

use crate::unix::{receive, send_fds};

/// Longest message, bytes: several times what the kernel accepts as arguments and environment, so that it is the
/// kernel that says what is too long.
pub const MAX: usize = 32 << 20;
/// Longest message sent in the packet itself, bytes. The default send buffer holds several of these.
const INLINE: usize = 32 << 10;
/// Most descriptors in one packet, without the one of the memory file.
pub const MAX_FDS: usize = crate::unix::MAX_FDS - 1;

/// First byte of a packet whose message follows in it.
const HERE: u8 = 1;
/// First byte of a packet whose message is in the memory file that is its last descriptor; its length follows.
const THERE: u8 = 2;

thread_local! {
    /// For one packet: messages come too often to ask the allocator for the longest one each time.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What [`recv`] found.
#[derive(Debug)]
pub enum Received {
    /// A message and its descriptors.
    Message(Vec<u8>, Vec<OwnedFd>),
    /// The other end is closed.
    Closed,
}

/// A connected pair, non-blocking and close-on-exec.
///
/// # Errors
/// What `socketpair(2)` says.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Sends one message.
///
/// # Errors
/// `WouldBlock` if the other end must read first, nothing is sent then; `BrokenPipe` or `ConnectionReset` if it is
/// closed; `InvalidInput` for more than [`MAX`] bytes or [`MAX_FDS`] descriptors.
pub fn send(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if message.len() > MAX || fds.len() > MAX_FDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
    }
    if message.len() <= INLINE {
        let mut packet = Vec::with_capacity(message.len() + 1);
        packet.push(HERE);
        packet.extend_from_slice(message);
        send_fds(socket, &packet, fds)?;
        return Ok(());
    }
    let file = File::from(rustix::fs::memfd_create("kennel", MemfdFlags::CLOEXEC)?);
    file.write_all_at(message, 0)?;
    let mut packet = [THERE; 9];
    if let Some(length) = packet.last_chunk_mut::<8>() {
        *length = (message.len() as u64).to_le_bytes();
    }
    let mut all = fds.to_vec();
    all.push(file.as_fd());
    send_fds(socket, &packet, &all)?;
    Ok(())
}

/// Receives one message.
///
/// # Errors
/// `WouldBlock` if there is none yet; `InvalidData` for a packet that [`send`] would not make, or if descriptors
/// were lost because this process may open no more.
pub fn recv(socket: impl AsFd) -> io::Result<Received> {
    let mut buffer = BUFFER.take();
    buffer.resize(INLINE + 1, 0);
    let received = receive(socket.as_fd(), &mut buffer);
    let result = received.and_then(|(length, fds, flags)| read(buffer.get(..length).unwrap_or_default(), fds, flags));
    BUFFER.set(buffer);
    result
}

fn read(packet: &[u8], mut fds: Vec<OwnedFd>, flags: ReturnFlags) -> io::Result<Received> {
    let bad = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    if flags.contains(ReturnFlags::CTRUNC) {
        return bad("descriptors of a packet were lost");
    }
    if flags.contains(ReturnFlags::TRUNC) {
        return bad("a packet is too long");
    }
    match packet.split_first() {
        // A packet socket has no empty message here, so zero bytes are the end.
        None => Ok(Received::Closed),
        Some((&HERE, message)) => Ok(Received::Message(message.to_vec(), fds)),
        Some((&THERE, rest)) => {
            let (Ok(length), Some(file)) = (<[u8; 8]>::try_from(rest), fds.pop()) else {
                return bad("a packet announces a file and brings none");
            };
            let Some(length) = usize::try_from(u64::from_le_bytes(length)).ok().filter(|length| *length <= MAX) else {
                return bad("a packet announces a file that is too long");
            };
            let mut message = vec![0; length];
            File::from(file).read_exact_at(&mut message, 0)?;
            Ok(Received::Message(message, fds))
        }
        Some(_) => bad("a packet of an unknown kind"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn message(received: Received) -> (Vec<u8>, Vec<OwnedFd>) {
        match received {
            Received::Message(bytes, fds) => (bytes, fds),
            Received::Closed => panic!("closed"),
        }
    }

    #[test]
    fn messages_of_every_size_arrive_whole_with_their_descriptors() {
        let (near, far) = pair().unwrap();
        for size in [0, 1, INLINE, INLINE + 1, 3 << 20] {
            let (mut reader, writer) = io::pipe().unwrap();
            let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            send(&near, &sent, &[writer.as_fd()]).unwrap();
            drop(writer);
            let (got, mut fds) = message(recv(&far).unwrap());
            assert!(got == sent, "{size}");
            io::PipeWriter::from(fds.remove(0)).write_all(b"x").unwrap();
            assert!(fds.is_empty());
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
        drop(near);
        assert!(matches!(recv(&far).unwrap(), Received::Closed));
    }

    #[test]
    fn a_full_socket_takes_nothing() {
        let (near, far) = pair().unwrap();
        let packet = vec![7; INLINE];
        let mut sent = 0;
        while send(&near, &packet, &[]).is_ok() {
            sent += 1;
        }
        assert_eq!(send(&near, &packet, &[]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for _ in 0..sent {
            assert_eq!(message(recv(&far).unwrap()).0, packet);
        }
        assert_eq!(recv(&far).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_packet_of_no_known_kind_is_refused() {
        let (near, far) = pair().unwrap();
        for packet in [&[9, 9][..], &[THERE], &[THERE, 0, 0, 0, 0, 0, 0, 0, 0]] {
            send_fds(&near, packet, &[]).unwrap();
            assert_eq!(recv(&far).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}

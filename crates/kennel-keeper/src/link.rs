//! The daemon's side of the connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::channel::{Incoming, receive, send_now};
use crate::codec;
use crate::proto::{Event, Request, VERSION};

/// The daemon's end of the channel to its keeper. Never blocks; made to stand in an event loop.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    /// Descriptors that came ahead of their message. Locked only while receiving, which one task does.
    early: Mutex<Vec<OwnedFd>>,
    /// What the keeper speaks, ours until it has said so.
    version: AtomicU16,
}

impl Link {
    /// Takes over the descriptor that the keeper passed, and makes it non-blocking and close-on-exec.
    ///
    /// # Errors
    /// What `fcntl(2)` says.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, early: Mutex::default(), version: AtomicU16::new(VERSION) })
    }

    /// Version of the protocol that the keeper speaks, known from its welcome on: [`OLDEST`](crate::proto::OLDEST) to
    /// [`VERSION`].
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version.load(Ordering::Relaxed)
    }

    /// Sends a request, whole or not at all. The descriptors in it are duplicated on the way and stay the caller's.
    ///
    /// # Errors
    /// `WouldBlock`: try again when the descriptor is writable. `BrokenPipe` or `ConnectionReset`: the keeper is
    /// gone. `InvalidInput`: longer than [`kennel_sys::packet::MAX`]. `Unsupported`, with a [`codec::Unsupported`]: the
    /// keeper is older than the request.
    pub fn try_send(&self, request: &Request) -> io::Result<()> {
        let (bytes, fds) = codec::encode_request(request, self.version())?;
        send_now(&self.socket, &bytes, &fds)
    }

    /// Takes the next event; `None` once the keeper is gone and everything it said has been read.
    ///
    /// # Errors
    /// `WouldBlock`: nothing there now. `InvalidData`: not the keeper's language, or this process may open no more
    /// descriptors; the connection is of no use any more.
    pub fn try_recv(&self) -> io::Result<Option<Event>> {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        match receive(&self.socket, &mut early)? {
            Incoming::Closed => Ok(None),
            Incoming::Message(bytes, fds) => {
                let event = codec::decode_event(&bytes, fds, self.version())?;
                if let Event::Welcome { version, .. } | Event::Executed { version, refused: None } = &event {
                    self.version.store(*version, Ordering::Relaxed);
                }
                Ok(Some(event))
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

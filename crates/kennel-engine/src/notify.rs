//! The socket named in `NOTIFY_SOCKET`, on which a service says `READY=1`, and `WATCHDOG=1` again and again.
//!
//! Source of the protocol: `sd_notify(3)`.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind,
    recvmsg, socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::task::AbortHandle;

use crate::clock;
use crate::receipt::millis;

/// A bound socket and the task that reads it; ends when dropped.
#[derive(Debug)]
pub(crate) struct Notify {
    /// Value for `NOTIFY_SOCKET`: `@` and a random name in the abstract name space, which a service that runs as
    /// another user can reach too.
    pub(crate) address: String,
    /// When it last said that it is alive, milliseconds by [`crate::clock`]; when it was opened until then. Those messages may
    /// come often, so nobody is told of each.
    pub(crate) alive_ms: Arc<AtomicU64>,
    task: AbortHandle,
}

/// What a service says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// `READY=1`.
    Ready,
    /// `WATCHDOG=trigger`: it knows that something is wrong with it.
    Trouble,
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Notify {
    /// Calls `heard` once for each of [`Said`] from a process that runs as `uid` or as us. The abstract name space
    /// has no permissions, so the sender's credentials, attached by the kernel, are what counts.
    ///
    /// # Errors
    /// What the system says when a socket is refused.
    pub(crate) fn open(uid: u32, heard: impl Fn(Said) + Send + 'static) -> io::Result<Self> {
        let name = format!("kennel/notify/{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self::bind(&name, uid, heard)
    }

    /// As [`Notify::open`], at the address that a daemon before this one gave to the service.
    ///
    /// # Errors
    /// What the system says, for example that the address is in use.
    pub(crate) fn reopen(address: &str, uid: u32, heard: impl Fn(Said) + Send + 'static) -> io::Result<Self> {
        Self::bind(address.strip_prefix('@').unwrap_or(address), uid, heard)
    }

    fn bind(name: &str, uid: u32, heard: impl Fn(Said) + Send + 'static) -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        sockopt::set_socket_passcred(&socket, true)?;
        bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        let socket = UnixDatagram::from_std(net::UnixDatagram::from(socket))?;
        let ours = rustix::process::geteuid().as_raw();
        let alive_ms = Arc::new(AtomicU64::new(now_ms()));
        let alive = Arc::clone(&alive_ms);
        let task = tokio::spawn(async move {
            while let Ok((message, sender)) = socket.async_io(Interest::READABLE, || receive(&socket)).await {
                if sender != uid && sender != ours {
                    continue;
                }
                if message.alive {
                    alive.store(now_ms(), Ordering::Relaxed);
                }
                message.ready.then(|| heard(Said::Ready));
                message.trouble.then(|| heard(Said::Trouble));
            }
        });
        Ok(Self { address: format!("@{name}"), alive_ms, task: task.abort_handle() })
    }
}

fn now_ms() -> u64 {
    millis(clock::now())
}

/// Which lines one datagram has.
#[derive(Debug, Default, Clone, Copy)]
struct Message {
    ready: bool,
    alive: bool,
    trouble: bool,
}

/// One datagram, and the sender's user id, which is nobody's if the kernel did not tell it.
fn receive(socket: impl AsFd) -> io::Result<(Message, u32)> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sender = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.uid.as_raw()),
        _ => None,
    });
    let mut message = Message::default();
    for line in bytes.get(..received.bytes).into_iter().flat_map(|bytes| bytes.split(|byte| *byte == b'\n')) {
        message.ready |= line == b"READY=1";
        message.alive |= line == b"WATCHDOG=1";
        message.trouble |= line == b"WATCHDOG=trigger";
    }
    Ok(sender.map_or((Message::default(), u32::MAX), |sender| (message, sender)))
}

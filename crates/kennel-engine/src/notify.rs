//! The socket named in `NOTIFY_SOCKET`, on which a service says `READY=1`.
//!
//! Source of the protocol: `sd_notify(3)`.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind,
    recvmsg, socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::task::AbortHandle;

/// A bound socket and the task that reads it; ends when dropped.
#[derive(Debug)]
pub(crate) struct Notify {
    /// Value for `NOTIFY_SOCKET`: `@` and a random name in the abstract name space, which a service that runs as
    /// another user can reach too.
    pub(crate) address: String,
    task: AbortHandle,
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Notify {
    /// Calls `ready` once for each `READY=1` from a process that runs as `uid` or as us. The abstract name space
    /// has no permissions, so the sender's credentials, attached by the kernel, are what counts.
    ///
    /// # Errors
    /// What the system says when a socket is refused.
    pub(crate) fn open(uid: u32, ready: impl Fn() + Send + 'static) -> io::Result<Self> {
        let name = format!("kennel/notify/{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self::bind(&name, uid, ready)
    }

    /// As [`Notify::open`], at the address that a daemon before this one gave to the service.
    ///
    /// # Errors
    /// What the system says, for example that the address is in use.
    pub(crate) fn reopen(address: &str, uid: u32, ready: impl Fn() + Send + 'static) -> io::Result<Self> {
        Self::bind(address.strip_prefix('@').unwrap_or(address), uid, ready)
    }

    fn bind(name: &str, uid: u32, ready: impl Fn() + Send + 'static) -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        sockopt::set_socket_passcred(&socket, true)?;
        bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        let socket = UnixDatagram::from_std(net::UnixDatagram::from(socket))?;
        let ours = rustix::process::geteuid().as_raw();
        let task = tokio::spawn(async move {
            while let Ok((said_ready, sender)) = socket.async_io(Interest::READABLE, || receive(&socket)).await {
                if said_ready && (sender == uid || sender == ours) {
                    ready();
                }
            }
        });
        Ok(Self { address: format!("@{name}"), task: task.abort_handle() })
    }
}

/// One datagram: whether it has the line `READY=1`, and the sender's user id.
fn receive(socket: impl AsFd) -> io::Result<(bool, u32)> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sender = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.uid.as_raw()),
        _ => None,
    });
    let said = bytes[..received.bytes].split(|byte| *byte == b'\n').any(|line| line == b"READY=1");
    Ok((said && sender.is_some(), sender.unwrap_or(u32::MAX)))
}

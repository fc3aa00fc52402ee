//! Unix stream sockets: paths of any length, who is at the other end, descriptors with a small payload.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Most descriptors that the kernel passes in one message.
///
/// Source: `SCM_MAX_FD` in `unix(7)`.
pub const MAX_FDS: usize = 253;

/// Longest queue of connections not accepted yet.
const BACKLOG: i32 = 128;

/// Binds and listens at `path`, mode 0600, whatever its length. The socket blocks; see `set_nonblocking`.
///
/// An existing file there is not removed: that it is stale is for the caller to know.
///
/// # Errors
/// `AddrInUse` if the file exists, `NotFound` without its directory, `InvalidInput` if the last component alone
/// is too long for a socket address.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let short = Short::of(path)?;
    let socket = stream()?;
    rustix::net::bind(&socket, &short.address)?;
    // Before `listen`, so nobody can have connected while the mode was that of the umask.
    rustix::fs::chmod(&short.path, Mode::RUSR | Mode::WUSR)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Connects to the socket at `path`, whatever its length.
///
/// # Errors
/// `NotFound` without the file, `ConnectionRefused` if nobody listens, `PermissionDenied` without the right.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let short = Short::of(path)?;
    let socket = stream()?;
    rustix::net::connect(&socket, &short.address)?;
    Ok(UnixStream::from(socket))
}

fn stream() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// An address of at most 107 bytes for a path of any length: by way of an open directory.
struct Short {
    address: SocketAddrUnix,
    path: PathBuf,
    /// Holds the descriptor that `path` names open.
    _dir: Option<OwnedFd>,
}

impl Short {
    /// Source: `unix(7)`, `sun_path` has 108 bytes with its final NUL; `proc_pid_fd(5)` for the detour.
    fn of(path: &Path) -> io::Result<Self> {
        if let Ok(address) = SocketAddrUnix::new(path) {
            return Ok(Self { address, path: path.to_owned(), _dir: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket has no file name"));
        };
        let dir = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
        let address = SocketAddrUnix::new(&path)?;
        Ok(Self { address, path, _dir: Some(dir) })
    }
}

/// Who is at the other end of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id when it connected; the number may be another process by now.
    pub pid: u32,
    /// Effective user id when it connected.
    pub uid: u32,
    /// Effective group id when it connected.
    pub gid: u32,
}

/// Reads `SO_PEERCRED`.
///
/// # Errors
/// What the system says, for example for a socket of another family.
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let creds = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(Peer { pid: creds.pid.as_raw_pid().cast_unsigned(), uid: creds.uid.as_raw(), gid: creds.gid.as_raw() })
}

/// Sends `payload` with `fds` attached, in one `sendmsg`; answers with the number of payload bytes taken.
///
/// At least one byte is needed to carry descriptors over a stream, and they arrive with its first byte.
///
/// # Errors
/// `InvalidInput` for an empty payload or more than [`MAX_FDS`] descriptors; `WouldBlock` on a non-blocking
/// socket that is full, nothing is sent then.
pub fn send_fds(socket: impl AsFd, payload: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if payload.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "descriptors need a payload to travel with"));
    }
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let iov = [io::IoSlice::new(payload)];
    Ok(rustix::net::sendmsg(socket, &iov, &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives up to `buffer.len()` bytes and the descriptors that came with them, close-on-exec.
///
/// `(0, [])` is the end of the stream.
///
/// # Errors
/// `WouldBlock` on an empty non-blocking socket; `InvalidData` if descriptors were lost on the way, because
/// there were more than [`MAX_FDS`] or this process may open no more: those that came are closed again.
pub fn recv_fds(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let (bytes, fds, flags) = receive(socket.as_fd(), buffer)?;
    if flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "descriptors were lost on the way"));
    }
    Ok((bytes, fds))
}

/// One `recvmsg`, for streams and packets alike.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>, rustix::net::ReturnFlags)> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [io::IoSliceMut::new(buffer)];
    let message = rustix::net::recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    Ok((message.bytes, fds, message.flags))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_path_of_any_length_can_be_bound_and_reached() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&dir).unwrap();
        for path in [root.path().join("s"), dir.join("api.sock")] {
            let listener = bind(&path).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let mut client = connect(&path).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            assert_eq!(peer(&server).unwrap().pid, std::process::id());
            client.write_all(b"hi").unwrap();
            let mut got = [0; 2];
            server.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"hi");
            assert_eq!(bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
        assert_eq!(connect(&dir.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn descriptors_arrive_with_their_payload() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        assert_eq!(send_fds(&near, b"token", &[writer.as_fd()]).unwrap(), 5);
        drop((near, writer));
        let mut buffer = [0; 32];
        let (bytes, mut fds) = recv_fds(&far, &mut buffer).unwrap();
        assert_eq!((&buffer[..bytes], fds.len()), (&b"token"[..], 1));
        io::PipeWriter::from(fds.remove(0)).write_all(b"x").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert_eq!(recv_fds(&far, &mut buffer).unwrap().0, 0);
    }
}

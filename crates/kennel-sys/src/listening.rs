//! Who listens on which port, as the kernel's `sock_diag` tells it: one question, whatever runs.
//!
//! It knows the sockets of its own network namespace. Which process has one is found by the inode, among the descriptors of
//! those that may be looked at.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// A socket that waits for somebody: a TCP socket that listens, or a UDP socket that is bound and not connected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its port.
    pub port: u16,
    /// Where; unspecified: everywhere.
    pub address: IpAddr,
    /// An IPv6 socket that takes nothing by IPv4.
    pub v6_only: bool,
    /// User that made it.
    pub uid: u32,
    /// What its descriptors are called by, `socket:[INODE]`.
    pub inode: u64,
}

/// What a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its number, as in `/etc/protocols`.
    fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The state in which a socket of it waits, as a bit: `TCP_LISTEN`, `TCP_CLOSE`. Source: `include/net/tcp_states.h`.
    fn waits(self) -> u32 {
        match self {
            Self::Tcp => 1 << 10,
            Self::Udp => 1 << 7,
        }
    }

    /// In lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

const FAMILIES: [u8; 2] = [AF_INET, AF_INET6];
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `SOCK_DIAG_BY_FAMILY`, and the flags of a request that is answered by everything that matches.
const BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
/// Ends of an answer.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Attribute of an IPv6 socket that waits.
const V6_ONLY: u16 = 11;

/// Every socket that waits for somebody, by port.
///
/// # Errors
/// The kernel has no `sock_diag`, or does not let us ask.
///
/// Source: `sock_diag(7)`.
pub fn listening(protocols: &[Protocol]) -> io::Result<Vec<Listening>> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    let mut found = Vec::new();
    for protocol in protocols {
        for family in FAMILIES {
            send(&socket, &question(family, *protocol), SendFlags::empty())?;
            // A kernel without IPv6 has none of its sockets.
            match answers(&socket, *protocol, &mut found) {
                Err(error) if family == AF_INET6 && error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn question(family: u8, protocol: Protocol) -> [u8; 72] {
    let mut bytes = [0; 72];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(0, &72u32.to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &REQUEST_DUMP.to_ne_bytes());
    put(16, &[family, protocol.number()]);
    put(20, &protocol.waits().to_ne_bytes());
    bytes
}

fn answers(socket: impl std::os::fd::AsFd, protocol: Protocol, found: &mut Vec<Listening>) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (length, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read(buffer.get(..length).unwrap_or_default(), protocol, found)? {
            return Ok(());
        }
    }
}

/// Takes the messages of one answer; true after the last.
fn read(mut bytes: &[u8], protocol: Protocol, found: &mut Vec<Listening>) -> io::Result<bool> {
    while bytes.len() >= 16 {
        let length = number(bytes, 0).unwrap_or(0) as usize;
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let Some(message) = bytes.get(16..length) else { return Err(io::ErrorKind::InvalidData.into()) };
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = number(message, 0).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(-code));
            }
            BY_FAMILY => found.extend(socket_of(message, protocol)),
            _ => {}
        }
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// `struct inet_diag_msg`, and its attributes.
fn socket_of(message: &[u8], protocol: Protocol) -> Option<Listening> {
    let source: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let address = match *message.first()? {
        AF_INET => IpAddr::V4(Ipv4Addr::new(source[0], source[1], source[2], source[3])),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(source)),
        _ => return None,
    };
    let mut attributes = message.get(72..).unwrap_or_default();
    let mut v6_only = false;
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        if u16::from_ne_bytes([attributes[2], attributes[3]]) == V6_ONLY {
            v6_only = attributes.get(4).is_some_and(|value| *value != 0);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Listening {
        protocol,
        port: u16::from_be_bytes(message.get(4..6)?.try_into().ok()?),
        address,
        v6_only,
        uid: number(message, 64)?,
        inode: u64::from(number(message, 68)?),
    })
}

/// Which of these processes have which of these sockets open, by inode; the processes in the order given. Those that may not be looked at have
/// none.
#[must_use]
pub fn holders(pids: impl IntoIterator<Item = u32>, inodes: &HashSet<u64>) -> HashMap<u64, Vec<u32>> {
    let mut found: HashMap<u64, Vec<u32>> = HashMap::new();
    for pid in pids {
        for inode in sockets_of(pid).filter(|inode| inodes.contains(inode)) {
            let holders = found.entry(inode).or_default();
            if holders.last() != Some(&pid) {
                holders.push(pid);
            }
        }
    }
    found
}

/// Inodes of the sockets that a process has open. Source: `proc_pid_fd(5)`.
fn sockets_of(pid: u32) -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

/// Keeps a TCP port from everybody else by sockets that are bound and do not listen: whoever connects is refused, as if nobody were there.
///
/// It is taken on every address, by IPv4 and IPv6.
///
/// # Errors
/// `AddrInUse`: somebody has it. `PermissionDenied`: it is below 1024 and we may not.
///
/// Source: `ip(7)`, `socket(7)`.
pub fn reserve(port: u16) -> io::Result<Vec<OwnedFd>> {
    match bound(port, false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => beside_the_closed(port),
        other => other,
    }
}

/// The same where connections of the one before are still in `TIME_WAIT`, which would hold us up for a minute: these let only those in
/// that set `SO_REUSEADDR`, and whoever is in like that lets in all others that set it, as long as nobody listens.
///
/// So it is taken back once we are in. The kernel then refuses the others if it compares them with us, which it does unless the port was
/// shared by all from the first on; an address of its own, on which nobody has a connection, is taken without sharing before.
///
/// Source: `inet_csk_get_port` and `inet_csk_update_fastreuse` of Linux `net/ipv4/inet_connection_sock.c`.
fn beside_the_closed(port: u16) -> io::Result<Vec<OwnedFd>> {
    use rustix::net::{bind, sockopt};
    let apart = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| {
            bind(&socket, &SocketAddr::new(Ipv4Addr::new(127, 255, 255, 254).into(), port)).map(|()| socket)
        })
        .and_then(|socket| sockopt::set_socket_reuseaddr(&socket, true).map(|()| socket));
    let mut sockets = bound(port, true)?;
    // Without IPv4 the port is held less well.
    sockets.extend(apart);
    for socket in &sockets {
        sockopt::set_socket_reuseaddr(socket, false)?;
    }
    Ok(sockets)
}

fn bound(port: u16, reuse: bool) -> io::Result<Vec<OwnedFd>> {
    use rustix::net::{bind, sockopt};
    let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let mut sockets = Vec::new();
    for address in all {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = match socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None) {
            Err(rustix::io::Errno::AFNOSUPPORT) => continue,
            other => other?,
        };
        sockopt::set_socket_reuseaddr(&socket, reuse)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        match bind(&socket, &SocketAddr::new(address, port)) {
            // IPv6 is there and has no address.
            Err(rustix::io::Errno::ADDRNOTAVAIL) if address.is_ipv6() => {}
            other => {
                other?;
                sockets.push(socket);
            }
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn find(port: u16, protocol: Protocol) -> Vec<Listening> {
        let mut all = listening(&[Protocol::Tcp, Protocol::Udp]).unwrap();
        all.retain(|one| one.port == port && one.protocol == protocol);
        all
    }

    /// A port that is free now and that the kernel hands out to nobody: it could be that of somebody's connection a moment
    /// later.
    fn free() -> u16 {
        let begin = std::process::id() * 7;
        let mut ports = (begin..begin + 6000).map(|at| 10_000 + u16::try_from(at % 6000).unwrap());
        ports.find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).unwrap()
    }

    // covers: B8
    #[test]
    fn listeners_are_found_with_address_and_holder() {
        for (address, v6) in [("127.0.0.1", false), ("0.0.0.0", false), ("::1", true), ("::", true)] {
            let Ok(listener) = TcpListener::bind((address, free())) else { continue };
            let at = listener.local_addr().unwrap();
            let found = find(at.port(), Protocol::Tcp);
            assert_eq!((found.len(), found[0].address, found[0].address.is_ipv6()), (1, at.ip(), v6));
            // One address is of one kind; everywhere is both unless somebody says otherwise.
            assert!(!(found[0].v6_only && at.ip().is_unspecified()));
            assert_eq!(found[0].uid, rustix::process::geteuid().as_raw());
            let inodes = HashSet::from([found[0].inode]);
            let me = std::process::id();
            assert_eq!(holders([1, me], &inodes).get(&found[0].inode), Some(&vec![me]));
            // A connection is no listener.
            let _connected = TcpStream::connect(at).unwrap();
            assert_eq!(find(at.port(), Protocol::Tcp).len(), 1);
            drop(listener);
            assert!(find(at.port(), Protocol::Tcp).is_empty());
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(find(socket.local_addr().unwrap().port(), Protocol::Udp).len(), 1);
    }

    #[test]
    fn what_is_reserved_nobody_else_gets() {
        let free = free();
        let reserved = reserve(free).unwrap();
        // The standard library sets `SO_REUSEADDR`.
        for address in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
            assert!(TcpListener::bind(format!("{address}:{free}")).is_err(), "{address}");
        }
        assert!(reserve(free).is_err());
        let refused = TcpStream::connect(("127.0.0.1", free)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(find(free, Protocol::Tcp).is_empty());
        drop(reserved);
        drop(TcpListener::bind(("127.0.0.1", free)).unwrap());
    }

    #[test]
    fn connections_that_were_just_closed_do_not_keep_a_port_from_us() {
        let listener = TcpListener::bind(("127.0.0.1", free())).unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        // Closed by the side of the server first, which then waits.
        drop(listener.accept().unwrap());
        drop(client);
        drop(listener);
        let reserved = reserve(at.port()).unwrap();
        for address in ["127.0.0.1", "127.0.0.9", "0.0.0.0", "[::1]", "[::]"] {
            assert!(TcpListener::bind(format!("{address}:{}", at.port())).is_err(), "{address}");
        }
        assert!(reserve(at.port()).is_err());
        drop(reserved);
        drop(TcpListener::bind(at).unwrap());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let mut found = Vec::new();
        assert!(read(&[200, 0, 0, 0, 20, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0], Protocol::Tcp, &mut found).is_err());
        assert!(!read(&[1, 2, 3], Protocol::Tcp, &mut found).unwrap());
        assert_eq!(found, []);
    }
}

//! Which bus is a user's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use zbus::Address;
use zbus::address::Transport;
use zbus::address::transport::{Unix, UnixSocket};

/// The session bus of a user: a socket on this machine.
#[derive(Debug, Clone)]
pub struct Bus(pub(crate) Address);

/// There is none: one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoBus(String);

impl Bus {
    /// The one that the environment of a session names in `DBUS_SESSION_BUS_ADDRESS`, else the one in its `XDG_RUNTIME_DIR`, else the one
    /// where systemd puts it for our user.
    ///
    /// # Errors
    /// What is named is no socket, or nothing is named and nothing is there.
    pub fn of<'e>(variable: impl Fn(&str) -> Option<&'e str>) -> Result<Self, NoBus> {
        let filled = |name: &str| variable(name).filter(|text| !text.is_empty());
        if let Some(list) = filled("DBUS_SESSION_BUS_ADDRESS") {
            let none = || NoBus("DBUS_SESSION_BUS_ADDRESS names no socket of this machine".to_owned());
            return list.split(';').find_map(socket).map(Self::on).ok_or_else(none);
        }
        let systemd = || PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
        Self::at(&filled("XDG_RUNTIME_DIR").map_or_else(systemd, PathBuf::from).join("bus"))
    }

    fn at(path: &Path) -> Result<Self, NoBus> {
        match path.exists() {
            true => Ok(Self::on(UnixSocket::File(path.to_owned()))),
            false => Err(NoBus(format!("there is no session bus: nothing is at {}", path.display()))),
        }
    }

    fn on(socket: UnixSocket) -> Self {
        Self(Address::new(Transport::Unix(Unix::new(socket))))
    }
}

/// The socket of an address that names one. Anything else would start a program or leave the machine.
fn socket(address: &str) -> Option<UnixSocket> {
    let address: Address = address.parse().ok()?;
    let Transport::Unix(unix) = address.transport() else { return None };
    match unix.path() {
        UnixSocket::File(path) => Some(UnixSocket::File(PathBuf::from(unescaped(path.as_os_str())))),
        UnixSocket::Abstract(name) => Some(UnixSocket::Abstract(unescaped(name))),
        // For those who listen.
        _ => None,
    }
}

/// Source: D-Bus Specification, "Server Addresses". zbus reads a path as it is written.
fn unescaped(value: &OsStr) -> OsString {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn of(address: Option<&str>, dir: Option<&str>) -> Result<String, String> {
        let variable = |name: &str| match name {
            "DBUS_SESSION_BUS_ADDRESS" => address.map(str::to_owned),
            _ => dir.map(str::to_owned),
        };
        let (address, dir) = (variable("DBUS_SESSION_BUS_ADDRESS"), variable("XDG_RUNTIME_DIR"));
        let found = Bus::of(|name| if name.starts_with("DBUS") { address.as_deref() } else { dir.as_deref() });
        found.map(|bus| bus.0.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_socket_of_this_machine_is_a_bus() {
        let with_id = "unix:path=/a%2db%20c%,guid=00ff00ff00ff00ff00ff00ff00ff00ff";
        assert_eq!(of(Some(with_id), None).unwrap(), "unix:path=/a-b%20c%25");
        assert!(of(Some("unix:abstract=/tmp/dbus-x"), None).is_ok());
        assert!(
            of(Some("tcp:host=example.com,port=1;unix:path=/a"), None).unwrap().contains("/a"),
            "the first that will do"
        );
        for wrong in [
            "tcp:host=localhost,port=1",
            "unixexec:path=/bin/sh",
            "autolaunch:",
            "nonsense",
            "unix:",
            "unix:tmpdir=/tmp",
        ] {
            assert!(of(Some(wrong), None).unwrap_err().contains("names no socket"), "{wrong}");
        }
    }

    #[test]
    fn without_a_name_it_is_where_systemd_puts_it() {
        let dir = std::env::temp_dir().join(format!("kennel bus,{}", std::process::id()));
        let text = dir.to_str().unwrap();
        assert!(of(None, Some(text)).unwrap_err().contains("nothing is at"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("bus"), "").unwrap();
        let found = of(Some(""), Some(text));
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(found.unwrap().to_lowercase().contains("kennel%20bus%2c"));
    }
}

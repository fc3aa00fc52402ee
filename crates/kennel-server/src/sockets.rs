//! The sockets of a daemon: those that the keeper has kept from the daemon before it, else new ones.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kennel_engine::Handle;
use kennel_sys::home::Home;
use kennel_sys::unix;
use tokio::net::UnixListener;

/// Where clients come in.
pub(crate) struct Sockets {
    pub(crate) api: UnixListener,
    pub(crate) stdio: UnixListener,
}

const API: &str = "listen.api";
const STDIO: &str = "listen.stdio";

impl Sockets {
    /// Takes what is in `held`, and listens anew where nothing is. Whoever came between two daemons waits in a socket that was
    /// kept, and is answered by this one.
    ///
    /// # Errors
    /// What the system says of a path that cannot be listened on.
    pub(crate) fn open(home: &Home, held: &mut BTreeMap<String, OwnedFd>) -> io::Result<Self> {
        let mut open = |name: &str, path: &Path| match held.remove(name) {
            // Without its file nobody finds the way to it.
            Some(fd) if path.exists() => listener(fd.into()),
            _ => listen(path),
        };
        Ok(Self { api: open(API, &home.api_socket())?, stdio: open(STDIO, &home.stdio_socket())? })
    }

    /// Leaves copies with the keeper, for the daemon after this one.
    pub(crate) fn leave_with(&self, engine: &Handle) -> io::Result<()> {
        use std::os::fd::AsFd;
        engine.hold(API, self.api.as_fd().try_clone_to_owned()?);
        engine.hold(STDIO, self.stdio.as_fd().try_clone_to_owned()?);
        Ok(())
    }
}

/// The lock says that no other daemon of this instance lives, so a socket file that is there is a dead one's.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = unix::bind(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display())))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener(socket)
}

fn listener(socket: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

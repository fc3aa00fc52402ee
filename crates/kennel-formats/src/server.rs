//! One place of a service, as it is exported.

use std::path::PathBuf;

use jiff::Timestamp;
use kennel_sys::identity::Identity;
use kennel_sys::pidfd;
use kennel_wire::DashboardStatus;

/// One place of a service: what would run there, and what does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name in `ps`, for example `worker.2`.
    pub id: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Absolute.
    pub cwd: PathBuf,
    /// Declared, in the order of the declaration, each once.
    pub ports: Vec<u16>,
    /// Where it stands.
    pub status: DashboardStatus,
    /// Its main process, if that lives; looked at when this was made.
    pub main: Option<Main>,
}

/// A living main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Main {
    /// Which.
    pub identity: Identity,
    /// When it was spawned.
    pub started_at: Timestamp,
}

/// Whether this very process lives.
pub(crate) fn lives(identity: &Identity) -> bool {
    identity.open().is_ok_and(|fd| !pidfd::has_exited(&fd).unwrap_or(true))
}

/// Each port once.
pub(crate) fn distinct(ports: impl IntoIterator<Item = u16>) -> Vec<u16> {
    let mut distinct = Vec::new();
    for port in ports {
        if !distinct.contains(&port) {
            distinct.push(port);
        }
    }
    distinct
}

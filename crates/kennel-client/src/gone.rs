//! Waits until daemon and keeper have really ended.

use std::os::fd::OwnedFd;
use std::time::Duration;

use kennel_wire::DaemonInfo;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::{CallError, Daemon, GoneError};

/// Daemon and keeper as processes, taken while both lived.
#[derive(Debug)]
pub struct Departure {
    daemon: Daemon,
    /// Each with its process id; without those that had gone before.
    processes: Vec<(u32, OwnedFd)>,
}

impl Daemon {
    /// Takes hold of the processes of daemon and keeper, to be able to wait for their end after a `down`.
    ///
    /// # Errors
    /// What a question to the daemon can fail with.
    pub async fn departure(&self) -> Result<Departure, CallError> {
        let before = self.info().await?;
        let mut processes = Vec::new();
        for pid in [before.pid, before.keeper_pid] {
            // One that has gone already, or of another pid namespace, cannot be opened: the lock will tell.
            if let Ok(fd) = kennel_sys::pidfd::open(pid) {
                processes.push((pid, fd));
            }
        }
        // The numbers were theirs when the descriptors were opened if both are still alive now.
        if !still_there(&before, &self.info().await?) {
            processes.clear();
        }
        Ok(Departure { daemon: self.clone(), processes })
    }
}

/// Whether the same daemon answers, and is still the child of the same keeper.
fn still_there(before: &DaemonInfo, now: &DaemonInfo) -> bool {
    let same = (before.pid, before.keeper_pid, before.started_at) == (now.pid, now.keeper_pid, now.started_at);
    same && kennel_sys::proc::stat(now.pid).is_some_and(|stat| stat.ppid == now.keeper_pid)
}

impl Departure {
    /// Waits until both processes have ended and the lock is free, so that the next start works at once.
    ///
    /// # Errors
    /// When `limit` has passed.
    pub async fn wait(self, limit: Duration) -> Result<(), GoneError> {
        let deadline = Instant::now() + limit;
        for (pid, fd) in self.processes {
            let late = GoneError { pid, after: limit };
            // A pidfd becomes readable when its process has ended, reaped or not: pidfd_open(2).
            let Some(fd) = watched(fd) else { continue };
            let Ok(_ready) = tokio::time::timeout_at(deadline, fd.readable()).await else {
                return Err(late);
            };
        }
        self.daemon.reap_keeper();
        let limit = deadline.saturating_duration_since(Instant::now());
        match Daemon::connect_within(self.daemon.home(), limit).await {
            Ok(None) => Ok(()),
            // A new one already: somebody else was quick.
            Ok(Some(_)) => Ok(()),
            Err(_) => Err(GoneError { pid: self.daemon.known().keeper_pid, after: limit }),
        }
    }
}

/// `None` where it cannot be watched; the lock is asked in any case.
fn watched(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "an `OwnedFd` keeps its descriptor, which the successor wants promised unsafely")]
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

//! What a caller can decide upon.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kennel_wire::Problem;

/// Why there is no connection although there may be a daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It holds its lock and does not answer; it may be stopped, or busy to death.
    #[error("a daemon holds `{}` and does not answer at `{}`", lock.display(), socket.display())]
    NoAnswer {
        /// The lock.
        lock: PathBuf,
        /// Where it was tried.
        socket: PathBuf,
        /// The keeper's process id, if the lock names it.
        keeper_pid: Option<u32>,
    },
    /// Not ours to talk to, or not reachable for another reason that waiting does not mend.
    #[error("cannot connect to `{}`", socket.display())]
    Refused {
        /// Where it was tried.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Whether there is a daemon cannot be known.
    #[error("cannot examine the lock `{}`", lock.display())]
    Lock {
        /// The lock.
        lock: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It answers, but not as a daemon of this version would.
    #[error("the daemon at `{}` gives no proper answer", socket.display())]
    Answer {
        /// Where it was asked.
        socket: PathBuf,
        /// What it answered.
        #[source]
        source: Box<CallError>,
    },
}

/// Why no daemon could be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directories of the instance cannot be used.
    #[error("cannot prepare the directories of instance `{instance}`")]
    Directories {
        /// Name of the kennel instance.
        instance: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program itself did not start.
    #[error("cannot execute `{}`", program.display())]
    Exec {
        /// The kennel binary.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It started and said why it cannot go on.
    #[error("the daemon refuses to start: {reason}")]
    Refused {
        /// Its own words.
        reason: String,
    },
    /// It ended without a word.
    #[error("the daemon ended before it was ready; see `{}`", log.display())]
    Died {
        /// Where it may have said more.
        log: PathBuf,
    },
    /// It neither ended nor got ready.
    #[error("the daemon is not ready after {} s; see `{}`", after.as_secs(), log.display())]
    Late {
        /// How long it was given.
        after: Duration,
        /// Where it may have said more.
        log: PathBuf,
    },
    /// It said ready, and then it could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The daemon refuses or failed, and says why.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The daemon went away meanwhile, or is no longer there.
    #[error("lost the daemon")]
    Lost(#[source] io::Error),
    /// The answer is none that this version understands.
    #[error("the daemon's answer is not understood: {0}")]
    Protocol(String),
}

impl CallError {
    pub(crate) fn lost(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Lost(io::Error::other(source))
    }

    /// The daemon's own words, if it is that.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Lost(_) | Self::Protocol(_) => None,
        }
    }
}

/// Daemon or keeper are still there although they were told to go.
#[derive(Debug, thiserror::Error)]
#[error("daemon or keeper (process {pid}) still run {} s after their last answer", after.as_secs())]
pub struct GoneError {
    /// Which of them.
    pub pid: u32,
    /// How long they were given.
    pub after: Duration,
}

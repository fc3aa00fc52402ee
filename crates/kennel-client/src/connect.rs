//! Finds a running daemon: by connecting and by its lock, never by a file that may be stale.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use kennel_sys::home::Home;
use kennel_wire::{Code, DaemonInfo};
use rustix::fs::FlockOperation;
use serde::Deserialize;
use tokio::time::Instant;

use crate::{CallError, ConnectError, Daemon, http};

/// How long a daemon that holds its lock may take until it answers.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Pause between two attempts at a daemon that holds its lock: it is being started, restarted, or going.
const RETRY: Duration = Duration::from_millis(10);

/// What the lock says.
enum Lock {
    /// Nobody holds it: no daemon and no keeper lives.
    Free,
    /// Somebody does.
    Held(Holder),
}

/// Content of the lock file.
#[derive(Debug, Default, Deserialize)]
struct Holder {
    #[serde(default)]
    keeper_pid: Option<u32>,
    #[serde(default)]
    runtime_dir: Option<PathBuf>,
}

impl Daemon {
    /// Connects to the daemon of this kennel instance; `None` if none runs.
    ///
    /// A daemon that holds its lock without answering is being started or restarted, or is about to go: it is
    /// tried again for [`ANSWER_WITHIN`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(home: &Home) -> Result<Option<Self>, ConnectError> {
        Self::connect_within(home, ANSWER_WITHIN).await
    }

    /// Whether the last keeper of this kennel instance was lost without an end of its own, so that processes may be
    /// left that only the next one finds. The next start ends them.
    ///
    /// # Errors
    /// See [`ConnectError::Lock`].
    pub fn may_have_left_something(home: &Home) -> Result<bool, ConnectError> {
        let is_free = matches!(lock(&home.lock_file())?, Lock::Free);
        // A keeper that ends as it should empties the file.
        Ok(is_free && std::fs::metadata(home.lock_file()).is_ok_and(|meta| meta.len() > 0))
    }

    /// As [`Daemon::connect`] with another deadline.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_within(home: &Home, limit: Duration) -> Result<Option<Self>, ConnectError> {
        let deadline = Instant::now() + limit;
        // Without a look at the lock first: where a daemon answers, that is the answer.
        let mut home = home.clone();
        loop {
            if let Some(info) = ask(&home, deadline).await? {
                return Ok(Some(Self::new(home, info)));
            }
            let holder = match lock(&home.lock_file())? {
                Lock::Free => return Ok(None),
                Lock::Held(holder) => holder,
            };
            // Started with another `$XDG_RUNTIME_DIR`, for example from a login without a session.
            if let Some(dir) = holder.runtime_dir {
                home.runtime_dir = dir;
            }
            if Instant::now() >= deadline {
                let (lock, socket) = (home.lock_file(), home.api_socket());
                return Err(ConnectError::NoAnswer { lock, socket, keeper_pid: holder.keeper_pid });
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// One attempt; `None` if nobody listens, or nobody answers in time.
async fn ask(home: &Home, deadline: Instant) -> Result<Option<DaemonInfo>, ConnectError> {
    let socket = home.api_socket();
    let call = http::call::<DaemonInfo>(&socket, Method::GET, "/v1/info", Vec::new());
    match tokio::time::timeout_at(deadline, call).await {
        Ok(Ok(info)) => Ok(Some(info)),
        Err(_late) => Ok(None),
        Ok(Err(CallError::Lost(source))) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(ConnectError::Refused { socket, source })
        }
        // Nobody listens, or it went away while we asked. The lock knows more.
        Ok(Err(CallError::Lost(_))) => Ok(None),
        // It is about to go, or to be followed by another.
        Ok(Err(CallError::Problem(problem))) if matches!(problem.code, Code::ShuttingDown | Code::HandedOver) => {
            Ok(None)
        }
        Ok(Err(source)) => Err(ConnectError::Answer { socket, source: Box::new(source) }),
    }
}

/// Whether nobody runs this kennel instance.
pub(crate) fn is_free(home: &Home) -> bool {
    matches!(lock(&home.lock_file()), Ok(Lock::Free))
}

/// Looks at the lock.
///
/// To look is to take it for a moment, shared, so lookers do not hinder each other. A keeper that wants it in that
/// moment says `busy`, which is why [`Daemon::start`] starts another when nobody answers after that word.
fn lock(path: &Path) -> Result<Lock, ConnectError> {
    let failed = |source| ConnectError::Lock { lock: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::Free),
        Err(error) => return Err(failed(error)),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Lock::Free),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            // A torn or empty text is that of a keeper that has just begun to write it.
            let text = io::read_to_string(&file).unwrap_or_default();
            Ok(Lock::Held(serde_json::from_str(&text).unwrap_or_default()))
        }
        Err(errno) => Err(failed(errno.into())),
    }
}

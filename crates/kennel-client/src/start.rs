//! Starts a daemon, by way of its keeper, so that it outlives us.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kennel_sys::home::Home;
use rustix::io::FdFlags;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use crate::{Daemon, StartError};

/// How long a keeper and its daemon may take until they are ready.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// What a keeper says about itself.
enum Word {
    Ready,
    /// Another one holds the lock.
    Busy,
    Refused(String),
}

impl Daemon {
    /// Starts a daemon for this kennel instance, or connects to the one that another caller starts meanwhile.
    ///
    /// `exe` is the kennel binary; `environment` becomes that of keeper and daemon.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        home: &Home,
        exe: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, StartError> {
        let environment: Vec<_> = environment.into_iter().collect();
        let directories = |source| StartError::Directories { instance: home.name.clone(), source };
        home.create().map_err(directories)?;
        let log = home.state_dir.join("kennel.log");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let failed = |source| StartError::Exec { program: exe.to_owned(), source };
            let (mut child, word) = spawn(home, exe, &environment).map_err(failed)?;
            let word = match tokio::time::timeout_at(deadline, read_word(word)).await {
                Ok(word) => word.map_err(|_| StartError::Died { log: log.clone() }),
                Err(_) => Err(StartError::Late { after: READY_WITHIN, log: log.clone() }),
            };
            match word? {
                Word::Ready => {
                    if let Some(daemon) = Self::connect(home).await? {
                        return Ok(daemon.with_keeper(child));
                    }
                    return Err(StartError::Died { log });
                }
                Word::Busy => {
                    // It exits after that word; whether it has does not matter to anybody else.
                    let _status = child.try_wait();
                    if let Some(daemon) = Self::connect(home).await? {
                        return Ok(daemon);
                    }
                    // Whoever held the lock is gone, or only looked at it: it is our turn again.
                    if Instant::now() >= deadline {
                        return Err(StartError::Late { after: READY_WITHIN, log });
                    }
                }
                Word::Refused(reason) => {
                    let _status = child.try_wait();
                    return Err(StartError::Refused { reason });
                }
            }
        }
    }
}

/// Spawns the keeper; answers with the end it will write its word to.
#[expect(clippy::disallowed_methods, reason = "the start of the keeper is the one spawn outside of it")]
fn spawn(home: &Home, exe: &Path, environment: &[(OsString, OsString)]) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut command = Command::new(exe);
    command
        .arg("__keeper")
        .arg("--name")
        .arg(&home.name)
        .arg("--state-dir")
        .arg(&home.state_dir)
        .arg("--runtime-dir")
        .arg(&home.runtime_dir)
        .arg("--ready-fd")
        .arg(theirs.as_raw_fd().to_string())
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // It must cross the exec, under its number. A process that another thread starts in between would hold the pipe
    // open as well; that costs nothing but the news of an early death, for which there is a deadline.
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
    Ok((command.spawn()?, ours))
}

async fn read_word(from: OwnedFd) -> io::Result<Word> {
    let mut line = String::new();
    // A daemon that fails sends more than one line at most by accident; the first is the word.
    BufReader::new(pipe::Receiver::from_owned_fd(from)?).read_line(&mut line).await?;
    match line.trim_end() {
        "ready" => Ok(Word::Ready),
        "busy" => Ok(Word::Busy),
        "" => Err(io::ErrorKind::UnexpectedEof.into()),
        other => Ok(Word::Refused(other.strip_prefix("error: ").unwrap_or(other).to_owned())),
    }
}

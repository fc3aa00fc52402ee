//! One command on the caller's own descriptors.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use kennel_wire::{RunReport, RunRequest};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::connect::ANSWER_WITHIN;
use crate::succession::{CHANGES_WITHIN, is_handed_over};
use crate::{CallError, Daemon, http};

/// Pause before the next try to reach the daemon that follows.
const AGAIN: Duration = Duration::from_millis(10);

/// A `run` whose descriptors were handed over. Dropping it ends the run.
#[derive(Debug)]
pub struct Running {
    daemon: Daemon,
    token: String,
    /// Its closing tells the daemon that we are gone.
    held: Mutex<UnixStream>,
}

impl Daemon {
    /// Hands over stdin, stdout and stderr for a `run`. Nothing is started before [`Running::wait`].
    ///
    /// # Errors
    /// `Lost` if the daemon does not take them in time.
    pub async fn hand_over(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Running, CallError> {
        let token = token().map_err(CallError::Lost)?;
        let held = hold(self, &token, &stdio).await?;
        Ok(Running { daemon: self.clone(), token, held: Mutex::new(held) })
    }
}

/// Tells the daemon of a run, with its descriptors, or of one that goes on; gives the connection that stands for the client.
async fn hold(daemon: &Daemon, token: &str, stdio: &[BorrowedFd<'_>]) -> Result<UnixStream, CallError> {
    let socket = kennel_sys::unix::connect(&daemon.home().stdio_socket()).map_err(CallError::Lost)?;
    // One small message on a fresh connection: it fits, or the system is out of memory.
    let sent = kennel_sys::unix::send_fds(&socket, token.as_bytes(), stdio).map_err(CallError::Lost)?;
    if sent != token.len() {
        return Err(CallError::Lost(io::ErrorKind::WriteZero.into()));
    }
    socket.set_nonblocking(true).map_err(CallError::Lost)?;
    let mut held = UnixStream::from_std(socket).map_err(CallError::Lost)?;
    let taken = tokio::time::timeout(ANSWER_WITHIN, held.read_u8()).await;
    match taken.map_err(|_| CallError::Lost(io::ErrorKind::TimedOut.into()))? {
        Ok(b'k') => Ok(held),
        Ok(other) => Err(CallError::Protocol(format!("byte {other:#04x} in answer to descriptors"))),
        Err(error) => Err(CallError::Lost(error)),
    }
}

impl Running {
    /// Starts the command and waits until nothing of it is left. The request's token is filled in.
    ///
    /// # Errors
    /// `Problem` with `not_found`, `not_executable` or `spawn_failed` if it could not be started.
    pub async fn wait(&self, request: RunRequest) -> Result<RunReport, CallError> {
        let request = RunRequest { token: self.token.clone(), ..request };
        let mut answer = self.daemon.exchange(Method::POST, "/v1/run", http::json(&request)?).await;
        // The command runs on, and another daemon has the answer.
        while answer.as_ref().is_err_and(is_handed_over) {
            let held = self.hold_again().await?;
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
            let target = format!("/v1/run/{}/wait", self.token);
            answer = self.daemon.exchange(Method::POST, &target, Vec::new()).await;
        }
        answer
    }

    /// Comes to the daemon that follows, as soon as it is there.
    async fn hold_again(&self) -> Result<UnixStream, CallError> {
        let begin = Instant::now();
        loop {
            match hold(&self.daemon, &self.token, &[]).await {
                Err(CallError::Lost(_)) if begin.elapsed() < CHANGES_WITHIN => tokio::time::sleep(AGAIN).await,
                held => return held,
            }
        }
    }

    /// Sends a signal, by its Linux number, to every process of the run.
    ///
    /// # Errors
    /// `Problem` if it has not begun or has ended.
    pub async fn signal(&self, signal: i32) -> Result<(), CallError> {
        let target = format!("/v1/run/{}/signal?signal={signal}", self.token);
        let _answer: serde_json::Value = self.daemon.call(Method::POST, &target, Vec::new()).await?;
        Ok(())
    }
}

/// 128 random bits in hex.
pub(crate) fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! One command on the caller's own descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Method;
use kennel_wire::{Code, RunReport, RunRequest};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::connect::ANSWER_WITHIN;
use crate::succession::{CHANGES_WITHIN, is_handed_over};
use crate::{CallError, Daemon, http};

/// Pause before the next try to reach the daemon that follows.
const AGAIN: Duration = Duration::from_millis(10);

/// Times that a command that nobody has begun is asked for again.
const TRIES: u32 = 3;

/// A `run` whose descriptors were handed over. Dropping it ends the run.
#[derive(Debug)]
pub struct Running {
    daemon: Daemon,
    token: String,
    /// For a daemon that takes the place of one that had them and did nothing with them.
    stdio: Mutex<Vec<OwnedFd>>,
    /// Its closing tells the daemon that we are gone.
    held: Mutex<UnixStream>,
}

impl Daemon {
    /// Hands over stdin, stdout and stderr for a `run`. Nothing is started before [`Running::wait`].
    ///
    /// # Errors
    /// `Lost` if the daemon does not take them in time.
    pub async fn hand_over(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Running, CallError> {
        let token = kennel_sys::random::token().map_err(CallError::Lost)?;
        let held = hold(self, &token, &stdio).await?;
        let stdio: io::Result<Vec<OwnedFd>> = stdio.iter().map(BorrowedFd::try_clone_to_owned).collect();
        let stdio = Mutex::new(stdio.map_err(CallError::Lost)?);
        Ok(Running { daemon: self.clone(), token, stdio, held: Mutex::new(held) })
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
        let answer = self.begin_and_wait(request).await;
        // Whoever reads what was written comes to its end.
        lock(&self.stdio).clear();
        answer
    }

    async fn begin_and_wait(&self, request: RunRequest) -> Result<RunReport, CallError> {
        let request = http::json(&RunRequest { token: self.token.clone(), ..request })?;
        let begin = || self.daemon.exchange(Method::POST, "/v1/run", request.clone());
        let mut answer = begin().await;
        let mut again = 0;
        loop {
            let Err(error) = &answer else { return answer };
            if is_handed_over(error) {
                // The command runs on, and another daemon has the answer.
                self.hold_again(&[]).await?;
                let target = format!("/v1/run/{}/wait", self.token);
                answer = self.daemon.exchange(Method::POST, &target, Vec::new()).await;
            } else if is_unknown(error) && again < TRIES {
                // The one that has the descriptors went before it began.
                again += 1;
                let stdio = std::mem::take(&mut *lock(&self.stdio));
                self.hold_again(&stdio.iter().map(AsFd::as_fd).collect::<Vec<_>>()).await?;
                *lock(&self.stdio) = stdio;
                answer = begin().await;
            } else {
                return answer;
            }
        }
    }

    /// Comes to the daemon that follows, as soon as it is there.
    async fn hold_again(&self, stdio: &[BorrowedFd<'_>]) -> Result<(), CallError> {
        let begin = Instant::now();
        let held = loop {
            match hold(&self.daemon, &self.token, stdio).await {
                Err(CallError::Lost(_)) if begin.elapsed() < CHANGES_WITHIN => tokio::time::sleep(AGAIN).await,
                held => break held?,
            }
        };
        *lock(&self.held) = held;
        Ok(())
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

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_unknown(error: &CallError) -> bool {
    error.problem().is_some_and(|problem| problem.code == Code::UnknownRun)
}

//! One command on the caller's own descriptors.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use hyper::Method;
use kennel_wire::{RunReport, RunRequest};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::connect::ANSWER_WITHIN;
use crate::{CallError, Daemon, http};

/// A `run` whose descriptors were handed over. Dropping it ends the run.
#[derive(Debug)]
pub struct Running {
    daemon: Daemon,
    token: String,
    /// Its closing tells the daemon that we are gone.
    _held: UnixStream,
}

impl Daemon {
    /// Hands over stdin, stdout and stderr for a `run`. Nothing is started before [`Running::wait`].
    ///
    /// # Errors
    /// `Lost` if the daemon does not take them in time.
    pub async fn hand_over(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Running, CallError> {
        let token = token().map_err(CallError::Lost)?;
        let socket = kennel_sys::unix::connect(&self.home().stdio_socket()).map_err(CallError::Lost)?;
        // One small message on a fresh connection: it fits, or the system is out of memory.
        let sent = kennel_sys::unix::send_fds(&socket, token.as_bytes(), &stdio).map_err(CallError::Lost)?;
        if sent != token.len() {
            return Err(CallError::Lost(io::ErrorKind::WriteZero.into()));
        }
        socket.set_nonblocking(true).map_err(CallError::Lost)?;
        let mut held = UnixStream::from_std(socket).map_err(CallError::Lost)?;
        let taken = tokio::time::timeout(ANSWER_WITHIN, held.read_u8()).await;
        match taken.map_err(|_| CallError::Lost(io::ErrorKind::TimedOut.into()))? {
            Ok(b'k') => Ok(Running { daemon: self.clone(), token, _held: held }),
            Ok(other) => Err(CallError::Protocol(format!("byte {other:#04x} in answer to descriptors"))),
            Err(error) => Err(CallError::Lost(error)),
        }
    }
}

impl Running {
    /// Starts the command and waits until nothing of it is left. The request's token is filled in.
    ///
    /// # Errors
    /// `Problem` with `not_found`, `not_executable` or `spawn_failed` if it could not be started.
    pub async fn wait(&self, request: RunRequest) -> Result<RunReport, CallError> {
        let request = RunRequest { token: self.token.clone(), ..request };
        self.daemon.call(Method::POST, "/v1/run", http::json(&request)?).await
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

//! One HTTP/1.1 exchange over a Unix socket; a connection of its own for each.

use std::io;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kennel_wire::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use crate::CallError;

/// An answer whose body is still to be read. The connection closes when this is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Incoming,
    _connection: Connection,
}

/// The task that drives a connection; it ends with this value, and the socket with it.
#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects without waiting: a Unix socket either takes the connection into its queue at once or refuses.
pub(crate) fn dial(socket: &Path) -> io::Result<tokio::net::UnixStream> {
    let stream = kennel_sys::unix::connect(socket)?;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

/// Sends a request and waits for the head of a good answer.
///
/// # Errors
/// `Problem` for every status from 400; `Lost` where the daemon is not there or goes away before it answers.
pub(crate) async fn send(socket: &Path, method: Method, target: &str, body: Vec<u8>) -> Result<Answer, CallError> {
    let stream = dial(socket).map_err(CallError::Lost)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(CallError::lost)?;
    let driver = tokio::spawn(async move {
        // What goes wrong here reaches the request or the body as an error of theirs.
        let _ended = connection.await;
    });
    let connection = Connection(driver.abort_handle());
    let mut request = Request::builder().method(method).uri(target).header(HOST, "kennel").header(ACCEPT, "*/*");
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| CallError::Protocol(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(CallError::lost)?;
    good(response, connection).await
}

async fn good(response: Response<Incoming>, connection: Connection) -> Result<Answer, CallError> {
    let status = response.status();
    let body = response.into_body();
    if status.is_success() {
        return Ok(Answer { body, _connection: connection });
    }
    let bytes = body.collect().await.map_err(CallError::lost)?.to_bytes();
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Err(CallError::Problem(problem)),
        Err(_) => {
            let text = String::from_utf8_lossy(&bytes);
            Err(CallError::Protocol(format!("status {status}: {}", text.lines().next().unwrap_or_default())))
        }
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn call<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    target: &str,
    body: Vec<u8>,
) -> Result<T, CallError> {
    let mut answer = send(socket, method, target, body).await?;
    let bytes = (&mut answer.body).collect().await.map_err(CallError::lost)?.to_bytes();
    // A call that has nothing to say may have an empty answer.
    let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| CallError::Protocol(error.to_string()))
}

pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, CallError> {
    serde_json::to_vec(value).map_err(|error| CallError::Protocol(error.to_string()))
}

/// A path segment or query value, percent-encoded: all but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn everything_but_the_unreserved_is_encoded() {
        assert_eq!(encode("worker.2"), "worker.2");
        assert_eq!(encode("a b/ü?&="), "a%20b%2F%C3%BC%3F%26%3D");
    }
}

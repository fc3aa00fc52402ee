//! One try: a connection, a request, the head of an answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::receiver::Receiver;
use crate::secret::Secret;
use crate::tls::Trust;

/// The longest head of an answer, bytes.
const HEAD: usize = 16 << 10;
/// Most headers of an answer.
const HEADERS: usize = 64;
/// How much of a body is read at most, bytes, and for how long, so that its sender sees an end that is none of its faults.
const BODY: (usize, Duration) = (16 << 10, Duration::from_millis(200));

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// The same with every try.
    pub id: String,
    /// Of this try: seconds since 1970.
    pub timestamp: i64,
    /// JSON.
    pub body: Bytes,
    /// What it is signed with.
    pub secret: Secret,
}

/// What a receiver answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// For how long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer: one line without a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Sends a message once.
///
/// # Errors
/// Nobody listens, nobody is trusted, it takes too long, or the answer is not HTTP.
pub(crate) async fn send(receiver: &Receiver, trust: &Mutex<Trust>, message: &Message) -> Result<Answer, Failure> {
    let limit = receiver.timeout;
    tokio::time::timeout(limit, exchange(receiver, trust, message))
        .await
        .unwrap_or_else(|_| Err(Failure(format!("no answer from {receiver} within {limit:?}"))))
}

async fn exchange(receiver: &Receiver, trust: &Mutex<Trust>, message: &Message) -> Result<Answer, Failure> {
    let stream = TcpStream::connect((receiver.host.as_str(), receiver.port)).await;
    let stream = stream.map_err(|error| Failure(format!("cannot connect to {receiver}: {}", in_one_line(&error))))?;
    if !receiver.secure {
        return ask(receiver, message, stream).await;
    }
    let wrong = |error: &dyn std::error::Error| Failure(format!("no TLS with {receiver}: {}", in_one_line(error)));
    let name = ServerName::try_from(receiver.host.clone()).map_err(|error| wrong(&error))?;
    let config = trust.lock().unwrap_or_else(PoisonError::into_inner).of(receiver.ca_file.as_deref());
    let config = config.map_err(|error| Failure(error.to_string()))?;
    let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await.map_err(|error| wrong(&error))?;
    ask(receiver, message, stream).await
}

async fn ask<S>(receiver: &Receiver, message: &Message, stream: S) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wrong = |error: &hyper::Error| Failure(format!("no answer from {receiver}: {}", in_one_line(error)));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| wrong(&error))?;
    let request = request(receiver, message).ok_or_else(|| Failure("the message cannot be sent".to_owned()))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| wrong(&error))?;
        let told =
            Answer { status: answer.status().as_u16(), retry_after: retry_after(answer.headers(), message.timestamp) };
        let body = Limited::new(answer.into_body(), BODY.0).collect();
        let _thrown_away = tokio::time::timeout(BODY.1, body).await;
        Ok(told)
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        done = &mut answer => done,
        ended = connection => {
            ended.map_err(|error| wrong(&error))?;
            // What it said last may be there already.
            answer.await
        }
    }
}

fn request(receiver: &Receiver, message: &Message) -> Option<Request<Full<Bytes>>> {
    let signature = message.secret.sign(&message.id, message.timestamp, &message.body);
    let mut request = Request::builder().method(Method::POST).uri(receiver.target.as_str());
    // What is chosen comes first, so that nobody can replace what is ours.
    let headers = request.headers_mut()?;
    headers.extend(receiver.headers.iter().cloned());
    headers.insert(HOST, HeaderValue::try_from(&receiver.authority).ok()?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("kennel/", env!("CARGO_PKG_VERSION"))));
    headers.insert("webhook-id", HeaderValue::try_from(&message.id).ok()?);
    headers.insert("webhook-timestamp", HeaderValue::from(message.timestamp));
    headers.insert("webhook-signature", HeaderValue::try_from(signature).ok()?);
    request.body(Full::new(message.body.clone())).ok()
}

/// Seconds, or a date (RFC 9110, 10.2.3). `now` is in seconds since 1970.
fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(date.as_second() - now).ok().map(Duration::from_secs)
}

/// An error with its causes, each once, without what a receiver may have put in: control characters, a flood.
fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(300).map(clean).collect()
}

impl Answer {
    /// What it means, in words: `503 Service Unavailable`.
    #[must_use]
    pub fn words(&self) -> String {
        let known = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        known.map_or_else(|| self.status.to_string(), |reason| format!("{} {reason}", self.status))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn after(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::try_from(text).unwrap());
        retry_after(&headers, 1_614_265_330).map(|time| time.as_secs())
    }

    #[test]
    fn a_receiver_may_ask_for_time() {
        assert_eq!((after("120"), after(" 0 "), after("soon"), after("-1")), (Some(120), Some(0), None, None));
        assert_eq!(after("Thu, 25 Feb 2021 15:03:10 GMT"), Some(60));
        assert_eq!(after("Thu, 25 Feb 2021 15:01:10 GMT"), None, "it has passed");
    }

    #[test]
    fn nobody_replaces_what_is_signed() {
        let chosen = [("webhook-id".to_owned(), "mine".to_owned()), ("x".to_owned(), "y".to_owned())];
        let receiver = Receiver::new("http://a:1/b?c", &chosen, Duration::from_secs(1), None).unwrap();
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let message = Message { id: "msg_1".into(), timestamp: 5, body: Bytes::from_static(b"{}"), secret };
        let request = request(&receiver, &message).unwrap();
        assert_eq!(request.uri().to_string(), "/b?c");
        assert_eq!(request.headers()["host"], "a:1");
        let ids: Vec<_> = request.headers().get_all("webhook-id").iter().collect();
        assert_eq!(ids, ["msg_1"]);
        assert_eq!(request.headers()["x"], "y");
    }
}

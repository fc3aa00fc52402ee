//! One connection, by whichever door: HTTP within bounds, to its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::http::{Extensions, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Sleep;

/// What one connection may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Longest head, bytes.
    pub(crate) head_bytes: usize,
    /// Most headers.
    pub(crate) headers: usize,
    /// How long a head may take, the first as well as the next; none: for ever.
    pub(crate) head_within: Option<Duration>,
    /// How long a client may leave unread what it is sent; none: for ever.
    pub(crate) unread_within: Option<Duration>,
    /// How long answers may go on after the end of the door; none: as long as they take.
    pub(crate) end_within: Option<Duration>,
}

/// Serves one to its end, or until `stopped` is dropped. Each request gets what `mark` gives it. Answers with why it was cut
/// off by us, if it was.
pub(crate) async fn serve<S>(
    stream: S,
    bounds: Bounds,
    router: Router,
    mark: impl Fn(&mut Extensions),
    mut stopped: watch::Receiver<()>,
) -> Option<&'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let heard = Arc::new(AtomicBool::new(false));
    let is_served = AtomicBool::new(false);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
        is_served.store(true, Ordering::Relaxed);
        mark(request.extensions_mut());
        router.call(request)
    });
    let stream = Patient { stream, heard: Arc::clone(&heard), patience: bounds.unread_within, unread: None };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_within)
        .max_headers(bounds.headers)
        .max_buf_size(bounds.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            // A stream of events would go on for ever.
            match bounds.end_within {
                Some(within) => tokio::time::timeout(within, connection).await.unwrap_or(Ok(())),
                None => connection.await,
            }
        }
    };
    let error = result.err()?;
    tracing::debug!(%error, "a connection has ended");
    let is_half_said = heard.load(Ordering::Relaxed) && !is_served.load(Ordering::Relaxed);
    cut_off(&error, is_half_said)
}

/// Why we have cut it off, as the audit says it. Whoever says nothing, or nothing more, is only closed.
fn cut_off(error: &hyper::Error, is_half_said: bool) -> Option<&'static str> {
    if error.is_parse_too_large() {
        Some("431 head too long")
    } else if error.is_timeout() {
        is_half_said.then_some("closed: head too slow")
    } else if error.is_parse() {
        Some("400 no HTTP/1.1")
    } else {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        source.filter(|source| source.kind() == io::ErrorKind::TimedOut).map(|_| "closed: does not read")
    }
}

/// A stream that fails when its client has not read for too long.
struct Patient<S> {
    stream: S,
    /// Whether anything has come.
    heard: Arc<AtomicBool>,
    patience: Option<Duration>,
    unread: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn within(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let patience = match self.patience {
            Some(patience) if written.is_pending() => patience,
            _ => {
                self.unread = None;
                return written;
            }
        };
        let unread = self.unread.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.within(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

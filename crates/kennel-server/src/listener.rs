//! Accepts connections of this user alone, and counts them.

use std::io;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use kennel_sys::unix::{self, Peer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::audit::Who;

/// Number of open connections.
#[derive(Debug, Clone)]
pub(crate) struct Connections(Arc<watch::Sender<usize>>);

impl Connections {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    /// Counts one until the guard is dropped.
    pub(crate) fn count(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(Arc::clone(&self.0))
    }
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Whether the peer may talk to us: this user and root. The directory is closed to others already; this holds
/// also if somebody opens it.
pub(crate) fn is_ours(stream: &UnixStream) -> bool {
    our_peer(stream).is_some()
}

/// The peer, if it may talk to us.
fn our_peer(stream: &UnixStream) -> Option<Peer> {
    let ours = rustix::process::geteuid().as_raw();
    unix::peer(stream).ok().filter(|peer| peer.uid == ours || peer.uid == 0)
}

/// The API socket.
pub(crate) struct Door {
    pub(crate) listener: UnixListener,
    pub(crate) connections: Connections,
}

impl Listener for Door {
    type Io = CountedStream;
    type Addr = Who;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match our_peer(&stream) {
                    Some(peer) => {
                        let counted = CountedStream { stream, _counted: self.connections.count() };
                        return (counted, Who(Some(peer)));
                    }
                    None => tracing::warn!("refused a connection of another user"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of descriptors, most likely; a moment later some may be free again.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr().map(|_| Who(None))
    }
}

impl Connected<IncomingStream<'_, Door>> for Who {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        *stream.remote_addr()
    }
}

/// A stream that is counted while it is open.
pub(crate) struct CountedStream {
    stream: UnixStream,
    _counted: Counted,
}

impl tokio::io::AsyncRead for CountedStream {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for CountedStream {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! Accepts connections of this user alone, and counts them.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::http::Extensions;
use kennel_engine::Handle;
use kennel_sys::unix::{self, Peer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::aside::Aside;
use crate::audit::Who;
use crate::connection::{self, Bounds};
use crate::followers::Many;
use crate::refusals::Refusals;

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

    pub(crate) fn now(&self) -> usize {
        *self.0.borrow()
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

/// The peer, if it may talk to us: this user and root. The directory is closed to others already; this holds
/// also if somebody opens it.
fn our_peer(stream: &UnixStream) -> Result<Peer, Option<Peer>> {
    let ours = rustix::process::geteuid().as_raw();
    let peer = unix::peer(stream).map_err(|_| None)?;
    if peer.uid == ours || peer.uid == 0 { Ok(peer) } else { Err(Some(peer)) }
}

/// The same, where nothing else has to be known; who is refused is written down.
pub(crate) fn is_ours(stream: &UnixStream, refusals: &Refusals) -> bool {
    our_peer(stream).map_err(|other| refuse(refusals, other)).is_ok()
}

/// Its connection is closed without a word.
fn refuse(refusals: &Refusals, other: Option<Peer>) {
    tracing::warn!("refused a connection of another user");
    refusals.write(Who::Peer(other).to_string(), "connection".to_owned(), "closed: another user".to_owned());
}

/// A connection could not be accepted: out of descriptors, most likely. A moment later some may be free again.
pub(crate) async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}

/// The API socket.
pub(crate) struct Door {
    pub(crate) listener: UnixListener,
    pub(crate) connections: Connections,
    /// Those of them that the driver's own thread serves.
    pub(crate) near: Connections,
    pub(crate) refusals: Refusals,
    pub(crate) aside: Aside,
}

/// Whoever may come in may do everything, and a pager may stand still for hours.
const BOUNDS: Bounds =
    Bounds { head_bytes: 400 << 10, headers: 100, head_within: None, unread_within: None, end_within: None };
/// So many connections are served by the driver's own thread, which is the shortest way; whoever comes beyond is one of many.
const FEW: usize = 32;

impl Door {
    /// Serves whoever comes until the engine has ended; then waits for who is still being answered.
    pub(crate) async fn serve(self, router: Router, engine: Handle) {
        let (stop, stopped) = watch::channel(());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = engine.finished() => break,
            };
            match accepted {
                Ok((stream, _)) => match our_peer(&stream) {
                    Ok(peer) => self.serve_one(stream, peer, router.clone(), stopped.clone()),
                    Err(other) => refuse(&self.refusals, other),
                },
                Err(error) => pause_after(&error).await,
            }
        }
        let Self { listener, .. } = self;
        drop((listener, stopped));
        stop.send_replace(());
        stop.closed().await;
    }

    fn serve_one(&self, stream: UnixStream, peer: Peer, router: Router, stopped: watch::Receiver<()>) {
        let counted = self.connections.count();
        let who = ConnectInfo(Who::Peer(Some(peer)));
        // Those of the other door are no reason: they are beside it in any case.
        if self.near.now() < FEW {
            let near = self.near.count();
            let mark = move |extensions: &mut Extensions| {
                extensions.insert(who);
            };
            tokio::spawn(async move {
                connection::serve(stream, BOUNDS, router, mark, stopped).await;
                drop((near, counted));
            });
            return;
        }
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "cannot pass a connection on"),
        };
        let mark = move |extensions: &mut Extensions| {
            extensions.insert(who);
            extensions.insert(Many);
        };
        self.aside.spawn(async move {
            match UnixStream::from_std(stream) {
                Ok(stream) => drop(connection::serve(stream, BOUNDS, router, mark, stopped).await),
                Err(error) => tracing::warn!(%error, "cannot serve a connection"),
            }
            drop(counted);
        });
    }
}

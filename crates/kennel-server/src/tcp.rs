//! Connections over TCP, bounded in every way: how many, how long their heads are and take, and how long they do not read.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use kennel_access::Hosts;
use kennel_engine::Handle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use crate::aside::Aside;
use crate::audit::Who;
use crate::connection::{self, Bounds};
use crate::crowd::{Crowd, Guest};
use crate::followers::Many;
use crate::listener::{Connections, pause_after};
use crate::refusals::Refusals;
use crate::tls::Tls;

const BOUNDS: Bounds = Bounds {
    head_bytes: 64 << 10,
    headers: 64,
    head_within: Some(Duration::from_secs(15)),
    unread_within: Some(Duration::from_secs(30)),
    end_within: Some(Duration::from_millis(200)),
};
/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(15);
/// What the kernel may hold of an answer that is not read yet, bytes; it takes twice that for its own accounts.
const UNREAD_BYTES: usize = 128 << 10;

/// What serves connections.
#[derive(Clone)]
pub(crate) struct Serve {
    pub(crate) router: Router,
    pub(crate) connections: Connections,
    pub(crate) engine: Handle,
    pub(crate) refusals: Refusals,
    pub(crate) aside: Aside,
}

/// Where it listens.
#[derive(Clone)]
pub(crate) struct At {
    /// The names that it answers to.
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) tls: Option<Tls>,
}

/// Listens, also where connections of a listener before are still being forgotten.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)?.into_std()
}

/// Serves whoever comes until `closed` is, or the engine has ended; then waits for who is still being answered.
pub(crate) async fn accept(listener: std::net::TcpListener, at: At, serve: Serve, mut closed: watch::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot serve the page"),
    };
    // A socket that was kept has it already.
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&listener, UNREAD_BYTES) {
        tracing::debug!(%error, "the kernel decides how much of an answer waits to be read");
    }
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let crowd = Crowd::new(descriptors);
    let ended = serve.engine.clone();
    let mut end = std::pin::pin!(async move {
        tokio::select! {
            _ = closed.changed() => {}
            () = ended.finished() => {}
        }
    });
    let (stop, stopped) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let guest = crowd.enter();
                tokio::spawn(serve_one(stream, peer, guest, at.clone(), serve.clone(), stopped.clone()));
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop((listener, stopped));
    stop.send_replace(());
    stop.closed().await;
}

async fn serve_one(
    stream: TcpStream,
    peer: SocketAddr,
    (guest, gone): (Arc<Guest>, oneshot::Receiver<()>),
    at: At,
    serve: Serve,
    stopped: watch::Receiver<()>,
) {
    let _counted = serve.connections.count();
    let _small_answers_at_once = stream.set_nodelay(true);
    let At { hosts, tls } = at;
    let mark = move |extensions: &mut axum::http::Extensions| {
        extensions.insert(ConnectInfo(Who::Tcp(peer)));
        extensions.insert(Arc::clone(&hosts));
        extensions.insert(Arc::clone(&guest));
        extensions.insert(Many);
    };
    let served = async {
        let Some(tls) = tls else { return connection::serve(stream, BOUNDS, serve.router, mark, stopped).await };
        match tokio::time::timeout(HANDSHAKE_WITHIN, tls.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => connection::serve(stream, BOUNDS, serve.router, mark, stopped).await,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Some("closed: no TLS"),
            // Whoever goes away says nothing.
            Ok(Err(_)) => None,
            Err(_) => Some("closed: TLS too slow"),
        }
    };
    let too_many = async {
        if gone.await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let cut_off = tokio::select! {
        cut_off = served => cut_off,
        () = too_many => Some("closed: too many at once"),
    };
    if let Some(why) = cut_off {
        serve.refusals.write(Who::Tcp(peer).to_string(), "connection".to_owned(), why.to_owned());
    }
}

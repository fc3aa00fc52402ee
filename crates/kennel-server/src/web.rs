//! The TCP door: where it is, and that it is there again after another daemon has come.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kennel_access::{Authority, Hosts};
use kennel_engine::Handle;
use kennel_wire::{Code, Problem, WebRequest, WebStatus, WebTls};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::tcp::{self, At, Serve};
use crate::tls::{self, Source, Tls};

/// Under this name the keeper keeps the socket for the next daemon.
pub(crate) const HELD: &str = "listen.web";

/// Whether and where it is open.
#[derive(Clone)]
pub(crate) struct Web(Arc<Inner>);

struct Inner {
    file: PathBuf,
    engine: Handle,
    open: Mutex<Option<Open>>,
    /// What serves a connection; there once all parts are.
    serve: std::sync::OnceLock<Serve>,
}

struct Open {
    place: Place,
    fingerprint: Option<String>,
    /// The socket, to be served in another way.
    socket: std::net::TcpListener,
    /// Dropped to close it.
    _closing: watch::Sender<()>,
    /// Its other end is dropped once nobody is served any more.
    is_over: watch::Receiver<()>,
}

/// What is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    listen: SocketAddr,
    hosts: Vec<String>,
    /// None: without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<Source>,
}

/// Where it is now.
pub(crate) struct Opened {
    pub(crate) url: String,
    /// Of a certificate that was made here.
    pub(crate) fingerprint: Option<String>,
}

impl Web {
    pub(crate) fn new(state_dir: &Path, engine: Handle) -> Self {
        let file = state_dir.join("web.json");
        Self(Arc::new(Inner { file, engine, open: Mutex::default(), serve: std::sync::OnceLock::new() }))
    }

    /// From here on it can be opened. Opens it where it was open for the daemon before this one, in its socket if the
    /// keeper has kept that.
    pub(crate) fn ready(&self, serve: Serve, held: Option<OwnedFd>) {
        let _once = self.0.serve.set(serve);
        let place = match fs::read(&self.0.file) {
            Ok(text) => serde_json::from_slice::<Place>(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => Err(error),
        };
        let opened = place.and_then(|place| {
            let socket = match held {
                Some(fd) => std::net::TcpListener::from(fd),
                None => tcp::bind(place.listen)?,
            };
            let tls = self.tls(&place)?;
            self.begin(socket, place, tls)
        });
        if let Err(error) = opened {
            tracing::error!(%error, "the page cannot be served where it was; `kennel dashboard` tries again");
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.opened().is_some()
    }

    pub(crate) fn status(&self) -> WebStatus {
        match &*self.opened() {
            Some(open) => WebStatus {
                url: Some(open.place.url()),
                hosts: open.place.hosts.clone(),
                fingerprint: open.fingerprint.clone(),
            },
            None => WebStatus { url: None, hosts: Vec::new(), fingerprint: None },
        }
    }

    /// Opens it, or leaves it open if it is open as asked; answers with its address.
    pub(crate) async fn open(&self, request: WebRequest) -> Result<Opened, Problem> {
        let wanted = request.listen.as_deref().map(address).transpose()?;
        for host in &request.hosts {
            if Authority::parse(host).is_none_or(|it| it.port.is_some()) {
                let why = format!("`{}` is no name of a host (without a port)", host.escape_debug());
                return Err(Problem::new(Code::BadRequest, why));
            }
        }
        let tls = request.tls.map(source).transpose()?;
        let open = self.opened().as_ref().map(|open| open.place.clone());
        let is_as_asked = |place: &Place| {
            wanted
                .is_none_or(|wanted| wanted == place.listen || (wanted.port() == 0 && wanted.ip() == place.listen.ip()))
                && (request.hosts.is_empty() || request.hosts == place.hosts)
                && (tls.is_none() || tls == place.tls)
        };
        if let Some(opened) = self.opened().as_ref().filter(|open| is_as_asked(&open.place)) {
            return Ok(opened.told());
        }
        let kept = open.as_ref().map(|place| place.listen);
        let listen = wanted.or(kept).unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let tls = tls.or_else(|| open.as_ref().and_then(|place| place.tls.clone()));
        let hosts =
            if request.hosts.is_empty() { open.map(|place| place.hosts).unwrap_or_default() } else { request.hosts };
        check(listen.ip(), &hosts, tls.is_some())?;
        let place = Place { listen, hosts, tls };
        // Before anything is closed: a certificate that cannot be used changes nothing.
        let tls =
            self.tls(&place).map_err(|error| Problem::new(Code::BadRequest, format!("cannot speak TLS: {error}")))?;
        let cannot = |error: io::Error| {
            Problem::new(Code::Conflict, format!("cannot listen on {listen}: {error}"))
                .hint("`kennel ports` tells who listens where; `--listen 127.0.0.1:0` takes a free port")
        };
        // At the same address there can be one only, and nobody who comes meanwhile is turned away.
        let same =
            self.opened().as_ref().filter(|open| open.place.listen == listen).map(|open| open.socket.try_clone());
        let socket = same.unwrap_or_else(|| tcp::bind(listen)).map_err(cannot)?;
        self.close()?;
        let place = Place { listen: socket.local_addr().map_err(cannot)?, ..place };
        self.remember(&place).and_then(|()| self.begin(socket, place, tls)).map_err(cannot)
    }

    /// Closes it and forgets that it was open.
    pub(crate) fn close(&self) -> Result<(), Problem> {
        self.opened().take();
        self.0.engine.release(HELD);
        match fs::remove_file(&self.0.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Problem::new(Code::Internal, format!("{}: {error}", self.0.file.display())))
            }
            _ => Ok(()),
        }
    }

    /// Waits, after the end of the engine, until nobody is being answered any more.
    pub(crate) async fn is_over(&self) {
        let open = self.opened().as_ref().map(|open| open.is_over.clone());
        if let Some(mut over) = open {
            // Nothing is ever sent.
            let _dropped = over.changed().await;
        }
    }

    fn begin(&self, socket: std::net::TcpListener, place: Place, tls: Option<Tls>) -> io::Result<Opened> {
        socket.set_nonblocking(true)?;
        self.0.engine.hold(HELD, socket.as_fd().try_clone_to_owned()?);
        let listener = socket.try_clone()?;
        let hosts = Arc::new(Hosts::new(&place.hosts, place.listen, tls.is_some()));
        let fingerprint = tls.as_ref().map(|tls| tls.fingerprint.clone());
        let (closing, closed) = watch::channel(());
        let Some(serve) = self.0.serve.get().cloned() else { return Err(io::ErrorKind::NotConnected.into()) };
        tracing::info!(listen = %place.listen, tls = tls.is_some(), "the page is served");
        let aside = serve.aside.clone();
        let (over, is_over) = watch::channel(());
        aside.spawn(async move {
            tcp::accept(listener, At { hosts, tls }, serve, closed).await;
            drop(over);
        });
        let open = Open { place, fingerprint, socket, _closing: closing, is_over };
        let opened = open.told();
        *self.opened() = Some(open);
        Ok(opened)
    }

    fn tls(&self, place: &Place) -> io::Result<Option<Tls>> {
        let state_dir = self.0.file.parent().unwrap_or(Path::new("/"));
        let names = tls::names(&place.hosts, place.listen.ip());
        place.tls.as_ref().map(|source| Tls::open(source, &names, state_dir)).transpose()
    }

    fn remember(&self, place: &Place) -> io::Result<()> {
        kennel_sys::file::replace(&self.0.file, |file| Ok(serde_json::to_writer(file, place)?))
    }

    fn opened(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn told(&self) -> Opened {
        let is_made_here = self.place.tls == Some(Source::Generated);
        Opened { url: self.place.url(), fingerprint: self.fingerprint.clone().filter(|_| is_made_here) }
    }
}

impl Place {
    /// Where a browser goes.
    fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        // Nobody can go to all addresses at once.
        match self.hosts.first().filter(|_| self.listen.ip().is_unspecified()) {
            Some(host) => format!("{scheme}://{host}:{}/", self.listen.port()),
            None => format!("{scheme}://{}/", self.listen),
        }
    }
}

fn source(tls: WebTls) -> Result<Source, Problem> {
    match (tls.certificate, tls.key) {
        (None, None) => Ok(Source::Generated),
        (Some(certificate), Some(key)) if certificate.is_absolute() && key.is_absolute() => {
            Ok(Source::Files { certificate, key })
        }
        (Some(_), Some(_)) => Err(Problem::new(Code::BadRequest, "paths of certificate and key are absolute")),
        _ => Err(Problem::new(Code::BadRequest, "certificate and key are given both, or neither")),
    }
}

fn address(text: &str) -> Result<SocketAddr, Problem> {
    let with_host = text.strip_prefix(':').map(|port| format!("127.0.0.1:{port}"));
    let whole = with_host.as_deref().unwrap_or(text).replace("localhost:", "127.0.0.1:");
    whole.parse().map_err(|_| {
        let why = format!("`{}` is no address with a port", text.escape_debug());
        Problem::new(Code::BadRequest, why).hint("for example 127.0.0.1:4747, or [::1]:4747")
    })
}

/// Without TLS only this machine itself is listened to; where everybody is, it has to be known who is meant.
fn check(ip: IpAddr, hosts: &[String], is_secure: bool) -> Result<(), Problem> {
    let refused = |why: String, hint: &str| Err(Problem::new(Code::BadRequest, why).hint(hint.to_owned()));
    if !ip.is_loopback() && !is_secure {
        let hint = "`--tls` has kennel make a certificate, `--tls-cert` and `--tls-key` take yours; or listen on 127.0.0.1, with `ssh -L` or a proxy with TLS in front";
        return refused(
            format!("{ip} is not an address of this machine alone, and without TLS everybody could listen"),
            hint,
        );
    }
    if ip.is_unspecified() && hosts.is_empty() {
        let hint = "`--host NAME` says under which name or address browsers come";
        return refused(format!("{ip} stands for all addresses, and a request has to name one"), hint);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        for (text, means) in [
            ("127.0.0.1:4747", "127.0.0.1:4747"),
            (":80", "127.0.0.1:80"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:2", "[::1]:2"),
            ("0.0.0.0:3", "0.0.0.0:3"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), means);
        }
        for bad in ["127.0.0.1", "4747", "", "example.org:80", ":x", "127.0.0.1:70000"] {
            assert_eq!(address(bad).unwrap_err().code, Code::BadRequest, "{bad}");
        }
    }

    #[test]
    fn without_tls_only_this_machine_itself_is_listened_to() {
        let may = |ip: &str, hosts: &[String], tls| check(ip.parse().unwrap(), hosts, tls).is_ok();
        assert!(may("127.0.0.1", &[], false) && may("::1", &[], false) && may("127.0.0.1", &[], true));
        for ip in ["0.0.0.0", "::", "10.0.0.1", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(!may(ip, &["box".to_owned()], false), "{ip}");
        }
        assert!(may("10.0.0.1", &[], true) && may("0.0.0.0", &["box".to_owned()], true));
        assert!(!may("0.0.0.0", &[], true) && !may("::", &[], true));
    }
}

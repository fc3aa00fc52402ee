//! Which names a server answers to, and which pages may ask it.
//!
//! A page from elsewhere reaches a server on this machine by two ways: it asks directly and does not see the answer (the browser names
//! its `Origin`), or its own name is made to mean 127.0.0.1, so that it asks "itself" (then `Host` is that name). Both are
//! refused by name.

use std::fmt;
use std::net::SocketAddr;

/// A host and a port, as in `Host` or in an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Lower case; an address of IPv6 without brackets.
    pub host: String,
    /// None: that of the scheme.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[address]:port`; none for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(fits) {
            return None;
        }
        let digits = |port: &str| port.chars().all(|c| c.is_ascii_digit());
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|_| digits(port))?),
            None => None,
        };
        Some(Self { host: host.to_ascii_lowercase(), port })
    }
}

/// Where a browser says that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site<'a> {
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Origin`; programs that are no browsers have none.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// `Host` is missing, or no name of this server.
    Host(String),
    /// The page comes from elsewhere.
    Origin(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "`{}` is no name of this server", host.escape_debug()),
            Self::Origin(origin) => write!(f, "a page from `{}` may not ask this server", origin.escape_debug()),
        }
    }
}

impl std::error::Error for Refused {}

/// The names of one listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// Those that somebody has given it: a proxy has them, on a port of its own and with TLS or without.
    given: Vec<String>,
    /// Those of this machine.
    own: Vec<String>,
    port: u16,
    is_secure: bool,
}

/// Those of a machine for itself.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl Hosts {
    /// Those of this machine at this port, with TLS or without: for itself, and the address that it listens on. And those that were
    /// given, at any port and with either.
    #[must_use]
    pub fn new(given: &[String], listen: SocketAddr, is_secure: bool) -> Self {
        let given = given.iter().map(|name| name.to_ascii_lowercase()).collect();
        let mut own: Vec<String> = OWN.iter().map(|&name| name.to_owned()).collect();
        if !listen.ip().is_unspecified() {
            own.push(listen.ip().to_string());
        }
        Self { given, own, port: listen.port(), is_secure }
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// # Errors
    /// What about it is not ours.
    pub fn check(&self, site: Site<'_>) -> Result<(), Refused> {
        let host = site.host.unwrap_or_default();
        if !self.is_own(host) && !self.is_given(host) {
            return Err(Refused::Host(host.to_owned()));
        }
        if let Some(origin) = site.origin {
            let (plain, secure) = (origin.strip_prefix("http://"), origin.strip_prefix("https://"));
            let own = if self.is_secure { secure } else { plain };
            let is_ours = own.is_some_and(|it| self.is_own(it)) || plain.or(secure).is_some_and(|it| self.is_given(it));
            if !is_ours {
                return Err(Refused::Origin(origin.to_owned()));
            }
        }
        match site.fetch_site {
            // Followed from elsewhere, a link is `cross-site` and has no origin; the page that it opens is harmless, what it
            // would change is not.
            Some(site @ ("cross-site" | "same-site")) => Err(Refused::Origin(site.to_owned())),
            _ => Ok(()),
        }
    }

    fn is_own(&self, authority: &str) -> bool {
        let usual = if self.is_secure { 443 } else { 80 };
        Authority::parse(authority)
            .is_some_and(|it| it.port.unwrap_or(usual) == self.port && self.own.contains(&it.host))
    }

    fn is_given(&self, authority: &str) -> bool {
        Authority::parse(authority).is_some_and(|it| self.given.contains(&it.host))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site<'a>(host: &'a str, origin: Option<&'a str>, fetch_site: Option<&'a str>) -> Site<'a> {
        Site { host: Some(host), origin, fetch_site }
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn with_tls_its_own_pages_have_come_by_tls() {
        let hosts = Hosts::new(&["box.example".into()], SocketAddr::from(([10, 0, 0, 7], 8443)), true);
        for ours in ["10.0.0.7:8443", "localhost:8443", "box.example"] {
            assert_eq!(hosts.check(site(ours, Some("https://10.0.0.7:8443"), None)), Ok(()), "{ours}");
        }
        assert_eq!(hosts.check(site("box.example:8443", Some("https://box.example:8443"), None)), Ok(()));
        for theirs in ["http://10.0.0.7:8443", "https://10.0.0.7", "https://10.0.0.8:8443"] {
            assert!(hosts.check(site("10.0.0.7:8443", Some(theirs), None)).is_err(), "{theirs}");
        }
        for theirs in ["10.0.0.8:8443", "10.0.0.7", "0.0.0.0:8443"] {
            assert!(hosts.check(site(theirs, None, None)).is_err(), "{theirs}");
        }
        let everywhere = Hosts::new(&[], SocketAddr::from(([0, 0, 0, 0], 443)), true);
        assert!(everywhere.check(site("0.0.0.0", None, None)).is_err());
        assert_eq!(everywhere.check(site("localhost", Some("https://localhost"), None)), Ok(()));
    }

    #[test]
    fn only_its_own_names_are_answered() {
        let hosts = Hosts::new(&["Kennel.example".into()], at(4747), false);
        for ours in [
            "localhost:4747",
            "LOCALHOST:4747",
            "127.0.0.1:4747",
            "[::1]:4747",
            "kennel.example:4747",
            "kennel.example",
        ] {
            assert_eq!(hosts.check(site(ours, None, None)), Ok(()), "{ours}");
        }
        for theirs in [
            "",
            "localhost",
            "localhost:80",
            "evil.example:4747",
            "localhost.evil.example:4747",
            "evil.example",
            "127.0.0.1:47470",
            "127.0.0.1:4747:4747",
            "a@localhost:4747",
            "localhost:+4747",
            "[::1:4747",
            "[::1]4747",
            "localhost:4747/",
            "127.1:4747",
        ] {
            assert!(matches!(hosts.check(site(theirs, None, None)), Err(Refused::Host(_))), "{theirs}");
        }
        assert!(hosts.check(Site { host: None, origin: None, fetch_site: None }).is_err());
        assert_eq!(Hosts::new(&[], at(80), false).check(site("localhost", Some("http://localhost"), None)), Ok(()));
    }

    #[test]
    fn only_its_own_pages_may_ask() {
        let hosts = Hosts::new(&["kennel.example".into()], at(4747), false);
        let check = |origin, fetch| hosts.check(site("localhost:4747", origin, fetch));
        assert_eq!(check(Some("http://localhost:4747"), Some("same-origin")), Ok(()));
        assert_eq!(check(Some("http://127.0.0.1:4747"), None), Ok(()));
        assert_eq!(check(None, Some("none")), Ok(()), "typed by hand");
        for proxy in ["https://kennel.example", "https://Kennel.example:8443", "http://kennel.example"] {
            assert_eq!(check(Some(proxy), None), Ok(()), "{proxy}");
        }
        for origin in [
            "http://evil.example",
            "https://localhost:4747",
            "http://localhost",
            "http://localhost:3000",
            "null",
            "",
            "http://localhost:4747.evil.example",
            "http://evil.example#localhost:4747",
            "file://",
            "https://kennel.example.evil.example",
            "ftp://kennel.example",
        ] {
            assert!(matches!(check(Some(origin), None), Err(Refused::Origin(_))), "{origin}");
        }
        for fetch in ["cross-site", "same-site"] {
            assert!(check(None, Some(fetch)).is_err(), "{fetch}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_asked(text in "\\PC*") {
            let hosts = Hosts::new(&[], at(1), false);
            let _either = hosts.check(site(&text, Some(&text), Some(&text)));
        }
    }
}

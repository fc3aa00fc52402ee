//! Who is sent to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};

/// A receiver. What is shown of it is scheme, host and port.
#[derive(Clone)]
pub struct Receiver {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// For all of one try.
    pub(crate) timeout: Duration,
    /// Certificates that are trusted in place of the machine's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Why nothing can be sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReceiver {
    /// Of the address.
    #[error("the address is not one of HTTP")]
    Address,
    /// Of a header.
    #[error("a header has what cannot be sent")]
    Header,
}

impl Receiver {
    /// A receiver at an address, which is `http://` or `https://` without a user. `headers` go with each message.
    ///
    /// # Errors
    /// It is no such address, or something cannot be a header.
    pub fn new(
        url: &str,
        headers: &[(String, String)],
        timeout: Duration,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, BadReceiver> {
        let uri: Uri = url.parse().map_err(|_| BadReceiver::Address)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadReceiver::Address),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(BadReceiver::Address)?;
        let headers = headers.iter().map(|(name, value)| {
            let mut value = HeaderValue::try_from(value).map_err(|_| BadReceiver::Header)?;
            value.set_sensitive(true);
            Ok((HeaderName::try_from(name).map_err(|_| BadReceiver::Header)?, value))
        });
        Ok(Self {
            secure,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.to_string(),
            target: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            headers: headers.collect::<Result<_, _>>()?,
            timeout,
            ca_file,
        })
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn read(url: &str) -> Result<Receiver, BadReceiver> {
        Receiver::new(url, &[("authorization".to_owned(), "Bearer s3cret".to_owned())], Duration::from_secs(1), None)
    }

    #[test]
    fn an_address_has_its_parts() {
        let receiver = read("https://hooks.example.com/services/T0/s3cret?a=b").unwrap();
        assert_eq!((receiver.secure, receiver.port, receiver.target.as_str()), (true, 443, "/services/T0/s3cret?a=b"));
        assert_eq!(receiver.to_string(), "https://hooks.example.com");
        assert!(!format!("{receiver:?}").contains("s3cret"));
        let local = read("http://[::1]:8080").unwrap();
        assert_eq!((local.host.as_str(), local.port, local.target.as_str()), ("::1", 8080, "/"));
        assert_eq!(local.authority, "[::1]:8080");
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused() {
        for wrong in ["", "example.com", "/a", "ftp://a/", "http://", "http://me:pw@example.com/", "http://a b/"] {
            assert_eq!(read(wrong).err(), Some(BadReceiver::Address), "{wrong}");
        }
        let header = [("x".to_owned(), "a\r\nb: c".to_owned())];
        assert!(Receiver::new("http://a/", &header, Duration::from_secs(1), None).is_err());
    }
}

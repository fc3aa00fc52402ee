//! TLS of the TCP door: with certificates of somebody's own, which are read again when they change, or with one that is made here.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

/// How long a certificate is good that is made here, and how long before that another one is made.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(365 * 24);
const RENEWED: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Clocks of others may be behind.
const SINCE: SignedDuration = SignedDuration::from_hours(24);
/// Pause between two looks whether files have changed.
const LOOK: Duration = Duration::from_secs(10);

/// Where a certificate and its key come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Made here, for these names and addresses.
    Generated,
    /// Two files in PEM, absolute.
    Files { certificate: PathBuf, key: PathBuf },
}

/// What is needed for a handshake.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, as browsers show it.
    pub(crate) fingerprint: String,
}

impl Tls {
    /// Reads the certificate, or makes one for these names in the state directory.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn open(source: &Source, names: &[String], state_dir: &Path) -> io::Result<Self> {
        let files = match source {
            Source::Files { certificate, key } => Files { certificate: certificate.clone(), key: key.clone() },
            Source::Generated => generated(names, state_dir)?,
        };
        let current = files.read()?;
        let leaf = current.end_entity_cert().map_err(io::Error::other)?;
        let fingerprint: Vec<String> = Sha256::digest(leaf).iter().map(|byte| format!("{byte:02X}")).collect();
        let seen = Seen { looked: Instant::now(), changed: files.changed(), key: Arc::new(current) };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(Arc::new(Renewed { files, seen: Mutex::new(seen) }));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint: fingerprint.join(":") })
    }
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self) -> io::Result<CertifiedKey> {
        let bad =
            |file: &Path, why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", file.display()));
        let pem = |file: &Path| {
            fs::read(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
        };
        let chain = CertificateDer::pem_slice_iter(&pem(&self.certificate)?).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| bad(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, "there is no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&pem(&self.key)?);
        let key = key.map_err(|_| bad(&self.key, "there is no private key in it".to_owned()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| bad(&self.certificate, format!("it does not fit its key: {error}")))
    }

    /// When the files were changed; none while one is not there.
    fn changed(&self) -> Option<[SystemTime; 2]> {
        let of = |file: &Path| fs::metadata(file).and_then(|meta| meta.modified()).ok();
        Some([of(&self.certificate)?, of(&self.key)?])
    }
}

/// The certificate as it is in its files, so that whoever renews it need not tell.
#[derive(Debug)]
struct Renewed {
    files: Files,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    looked: Instant,
    changed: Option<[SystemTime; 2]>,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.look();
        Some(Arc::clone(&self.seen().key))
    }
}

impl Renewed {
    /// Reads the files again if they have changed.
    fn look(&self) {
        let mut seen = self.seen();
        if seen.looked.elapsed() < LOOK {
            return;
        }
        seen.looked = Instant::now();
        let changed = self.files.changed();
        if changed.is_none() || changed == seen.changed {
            return;
        }
        match self.files.read() {
            Ok(key) => {
                let certificate = self.files.certificate.display();
                tracing::info!(%certificate, "another certificate is used from now on");
                seen.changed = changed;
                seen.key = Arc::new(key);
            }
            // One file may be there before the other: it is looked at again.
            Err(error) => tracing::warn!(%error, "the certificate before is used on"),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A certificate for these names, signed by itself: the one that is there, or another one.
fn generated(names: &[String], state_dir: &Path) -> io::Result<Files> {
    let files = Files { certificate: state_dir.join("web-cert.pem"), key: state_dir.join("web-key.pem") };
    let now = Timestamp::now();
    let is_good = fs::read_to_string(&files.certificate).is_ok_and(|text| {
        let until = text.lines().find_map(|line| line.strip_prefix("# until "));
        let until = until.and_then(|until| until.parse::<Timestamp>().ok());
        text.starts_with(&for_names(names)) && until.is_some_and(|until| now < until - RENEWED)
    });
    if is_good && files.read().is_ok() {
        return Ok(files);
    }
    let until = now + GOOD_FOR;
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(io::Error::other)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "kennel");
    let date = |time: Timestamp| {
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (date(now - SINCE), date(until));
    params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    kennel_sys::file::replace(&files.key, |file| file.write_all(key.serialize_pem().as_bytes()))?;
    kennel_sys::file::replace(&files.certificate, |file| {
        write!(file, "{}# until {until}\n{}", for_names(names), certificate.pem())
    })?;
    Ok(files)
}

/// First line of a certificate that is made here; what stands outside of its block is nobody's concern but ours.
fn for_names(names: &[String]) -> String {
    format!("# for {}\n", names.join(" "))
}

/// Names and addresses that a certificate is made for.
pub(crate) fn names(given: &[String], listen: IpAddr) -> Vec<String> {
    let own = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let mut names: Vec<String> = given.to_vec();
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    names.extend(own);
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen() -> IpAddr {
        IpAddr::from([10, 0, 0, 7])
    }

    #[test]
    fn a_certificate_is_made_once_and_again_for_other_names() {
        let dir = tempfile::tempdir().unwrap();
        let open = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|&name| name.to_owned()).collect();
            Tls::open(&Source::Generated, &names(&given, listen()), dir.path()).unwrap().fingerprint
        };
        let first = open(&["box.example"]);
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(open(&["box.example"]), first);
        let other = open(&["other.example"]);
        assert_ne!(other, first);
        // One that will not be good for long, and one that is damaged.
        let path = dir.path().join("web-cert.pem");
        let text = fs::read_to_string(&path).unwrap();
        let until = text.lines().nth(1).unwrap();
        fs::write(&path, text.replace(until, &format!("# until {}", Timestamp::now() + RENEWED - SINCE))).unwrap();
        let renewed = open(&["other.example"]);
        assert_ne!(renewed, other);
        fs::write(dir.path().join("web-key.pem"), "x").unwrap();
        assert_ne!(open(&["other.example"]), renewed);
    }

    #[test]
    fn what_is_wrong_with_files_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let files = generated(&names(&[], listen()), dir.path()).unwrap();
        let source =
            |certificate: &Path, key: &Path| Source::Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let said = |source: Source| Tls::open(&source, &[], dir.path()).err().unwrap().to_string();
        assert!(Tls::open(&source(&files.certificate, &files.key), &[], dir.path()).is_ok());
        assert!(said(source(&files.certificate, Path::new("/nonexistent/key"))).starts_with("/nonexistent/key: "));
        assert!(said(source(&files.key, &files.key)).ends_with("web-key.pem: there is no certificate in it"));
        assert!(said(source(&files.certificate, &files.certificate)).ends_with("there is no private key in it"));
        let other = tempfile::tempdir().unwrap();
        let others = generated(&names(&[], listen()), other.path()).unwrap();
        assert!(said(source(&files.certificate, &others.key)).contains("does not fit its key"));
    }

    #[test]
    fn a_certificate_that_is_renewed_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let files = generated(&names(&[], listen()), dir.path()).unwrap();
        let key = Arc::new(files.read().unwrap());
        let long_ago = Instant::now().checked_sub(LOOK).unwrap();
        let renewed =
            Renewed { seen: Mutex::new(Seen { looked: long_ago, changed: None, key: Arc::clone(&key) }), files };
        let current = || Arc::clone(&renewed.seen.lock().unwrap().key);
        renewed.look();
        assert!(!Arc::ptr_eq(&current(), &key), "it is another one by its time");
        let now = current();
        renewed.look();
        assert!(Arc::ptr_eq(&current(), &now), "it was looked at a moment ago");
        renewed.seen.lock().unwrap().looked = long_ago;
        fs::write(&renewed.files.certificate, "half").unwrap();
        renewed.look();
        assert!(Arc::ptr_eq(&current(), &now), "what cannot be read is not used");
    }
}

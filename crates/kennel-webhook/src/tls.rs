//! Who is trusted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Longest file of certificates, bytes: twice what machines have.
const LONGEST: u64 = 1 << 20;

/// Who is trusted for which file. Read when it is needed first, and forgotten with the thread that sends.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    known: HashMap<Option<PathBuf>, Arc<ClientConfig>>,
}

impl Trust {
    /// Of the certificates in this file, or of the machine's.
    ///
    /// # Errors
    /// There is none that can be read.
    pub(crate) fn of(&mut self, file: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
        if let Some(known) = self.known.get(&file.map(Path::to_owned)) {
            return Ok(Arc::clone(known));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots(file)?)
            .with_no_client_auth();
        let config = Arc::new(config);
        self.known.insert(file.map(Path::to_owned), Arc::clone(&config));
        Ok(config)
    }
}

fn roots(file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = match file {
        Some(file) => of_file(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (good, _) = roots.add_parsable_certificates(found);
    if good == 0 {
        let place = file.map_or_else(|| "this machine".to_owned(), |file| file.display().to_string());
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no certificate to trust on {place}")));
    }
    Ok(roots)
}

fn of_file(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let wrong = |error: io::Error| io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display()));
    let mut text = Vec::new();
    BufReader::new(File::open(file).map_err(wrong)?).take(LONGEST).read_to_end(&mut text).map_err(wrong)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates.map_err(|error| wrong(io::Error::new(io::ErrorKind::InvalidData, error.to_string())))
}

//! The same door with TLS: certificates that kennel makes, and somebody's own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use kennel_testkit::Scratch;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sha2::{Digest as _, Sha256};

use crate::common::{DEADLINE, Door, token, up};

/// Opens the door with these options; its port, and what was answered.
fn open(scratch: &Scratch, options: &[&str]) -> (u16, serde_json::Value) {
    let report = scratch.json(&[&["dashboard", "--no-open", "--json"][..], options].concat());
    let url = report["url"].as_str().unwrap();
    let authority = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix('/')).expect("TLS");
    (authority.rsplit(':').next().unwrap().parse().unwrap(), report)
}

/// The head and body of an answer to whoever trusts this certificate and calls the server so.
fn ask(port: u16, certificate: &Path, name: &str, request: &str) -> Result<String, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let mut roots = RootCertStore::empty();
    let leaf = CertificateDer::from_pem_file(certificate).unwrap();
    roots.add(leaf.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| text(&error))?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), server).unwrap(), stream);
    stream.write_all(request.as_bytes()).map_err(|error| text(&error))?;
    let mut answer = Vec::new();
    // Without a `close_notify` it ends with an error behind the answer.
    let _end = stream.read_to_end(&mut answer);
    assert_eq!(stream.conn.peer_certificates().unwrap()[0], leaf);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn request(method: &str, target: &str, host: &str, more: &str, body: &str) -> String {
    let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}");
    format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_certificate_is_made_and_sessions_are_for_tls_alone() {
    let scratch = up();
    let (port, report) = open(&scratch, &["--tls", "--host", "box.test"]);
    let certificate = scratch.instance_dir().join("web-cert.pem");
    let leaf = CertificateDer::from_pem_file(&certificate).unwrap();
    let digest: Vec<String> = Sha256::digest(&leaf).iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(report["fingerprint"], digest.join(":"));
    for name in ["web-cert.pem", "web-key.pem"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(certificate.with_file_name(name)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let login = report["login_url"].as_str().unwrap().split_once("#login=").unwrap().1;
    let host = format!("127.0.0.1:{port}");
    let log_in = |origin: &str| {
        let origin = format!("origin: {origin}\r\n");
        let body = format!("{{\"login\": \"{login}\"}}");
        ask(port, &certificate, "127.0.0.1", &request("POST", "/v1/session", &host, &origin, &body)).unwrap()
    };
    let refused = log_in(&format!("http://{host}"));
    assert!(refused.starts_with("HTTP/1.1 403 "), "a page that came without TLS: {refused}");
    let answer = log_in(&format!("https://{host}"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("SameSite=Strict; Secure\r\n"), "{answer}");
    // By its other name as well, and whoever speaks no TLS is not understood.
    let by_name = ask(port, &certificate, "box.test", &request("GET", "/v1/info", "box.test", "", ""));
    assert!(by_name.unwrap().starts_with("HTTP/1.1 401 "));
    assert!(ask(port, &certificate, "other.test", &request("GET", "/", "other.test", "", "")).is_err(), "another name");
    let plain = Door { authority: host.clone() }.try_ask("GET", "/v1/info", &[], None);
    assert!(plain.is_none(), "{plain:?}");

    // The next daemon has the same certificate, at the same place.
    scratch.ok(&["daemon", "restart"]);
    let header = format!("{}\r\n", token(&scratch, "ci", &[]));
    let answer = ask(port, &certificate, "127.0.0.1", &request("GET", "/v1/info", &host, &header, "")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let again = open(&scratch, &[]);
    assert_eq!((again.0, &again.1["fingerprint"]), (port, &report["fingerprint"]));
    scratch.down();
}

#[test]
fn other_addresses_take_tls_and_a_name() {
    let scratch = up();
    let refused = |options: &[&str], says: &str| {
        let output = scratch.kennel(&[&["dashboard", "--no-open"][..], options].concat());
        assert_eq!(output.code(), 2, "{}", output.all());
        assert!(output.stderr.contains(says), "{says}: {}", output.all());
    };
    refused(&["--listen", "0.0.0.0:0", "--host", "box.test"], "--tls");
    refused(&["--listen", "0.0.0.0:0", "--tls"], "--host NAME");
    refused(&["--tls-cert", "/x"], "--tls-key");
    refused(&["--tls-cert", "/nonexistent/c", "--tls-key", "/nonexistent/k"], "/nonexistent/c: No such file");
    assert_eq!(scratch.json(&["dashboard", "--close", "--json"])["url"], serde_json::Value::Null);

    let (port, report) = open(&scratch, &["--listen", "0.0.0.0:0", "--host", "box.test", "--tls"]);
    assert_eq!(report["url"], format!("https://box.test:{port}/"));
    let made = scratch.instance_dir().join("web-cert.pem");
    let get =
        |host: &str, certificate: &Path| ask(port, certificate, "box.test", &request("GET", "/v1/info", host, "", ""));
    assert!(get("box.test", &made).unwrap().starts_with("HTTP/1.1 401 "));
    assert!(get("0.0.0.0", &made).unwrap().starts_with("HTTP/1.1 403 "), "no name of anybody");
    assert!(get("evil.test", &made).unwrap().starts_with("HTTP/1.1 403 "), "a name of somebody else");

    // Somebody's own, from files here; and what cannot be used changes nothing.
    let [own, key] = [("cert.pem", "web-cert.pem"), ("key.pem", "web-key.pem")]
        .map(|(name, from)| scratch.file(name, fs::read(made.with_file_name(from)).unwrap()));
    let names = [own.to_string_lossy(), key.to_string_lossy()];
    refused(&["--tls-cert", &names[1], "--tls-key", &names[1]], "there is no certificate in it");
    assert!(get("box.test", &made).is_ok(), "it is as it was");
    let (same, report) = open(&scratch, &["--tls-cert", &names[0], "--tls-key", &names[1]]);
    assert_eq!((same, report["fingerprint"].as_str()), (port, None), "whose it is, its owner knows");
    assert!(get("box.test", &own).unwrap().starts_with("HTTP/1.1 401 "));
    scratch.down();
}

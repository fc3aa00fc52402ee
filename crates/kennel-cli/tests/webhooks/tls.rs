//! Receivers behind TLS, in the implementation of Python, with a certificate authority of the test.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use kennel_testkit::{Scratch, free_port, wait_until};

use crate::common::DEADLINE;

const SERVER: &str = "
import http.server, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['content-length']))
        self.send_response(204)
        self.end_headers()
    def log_message(self, *words): pass
server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()";

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a key and certificate of `localhost` that it has signed.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for authority in ["ca", "other"] {
        openssl(
            dir,
            &format!("req -x509 {key} -keyout {authority}.key -out {authority}.pem -subj /CN=kennel-test-{authority}"),
        );
    }
    openssl(
        dir,
        &format!("req {} -keyout server.key -out server.csr -subj /CN=localhost", key.replace(" -days 2", "")),
    );
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn only_who_is_trusted_is_sent_to() {
    let scratch = Scratch::any(Path::new(env!("CARGO_BIN_EXE_kennel")));
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    certificates(dir.path());
    for authority in ["ca", "other"] {
        scratch.file(&format!("{authority}.pem"), std::fs::read(dir.path().join(format!("{authority}.pem"))).unwrap());
    }
    let server = Command::new("python3")
        .args(["-c", SERVER, &port.to_string(), "server.pem", "server.key"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = Server(server.unwrap());
    wait_until(DEADLINE, "the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let config = |host: &str, keys: &str| {
        scratch.config(&format!("webhooks: {{ ops: {{ url: 'https://{host}:{port}/', timeout: 60s{keys} }} }}\nservices: {{ web: {{ command: [sleep, '1000'] }} }}\n"));
    };
    config("localhost", ", ca_file: ca.pem");
    scratch.ok(&["up", "-d"]);
    scratch.ok(&["webhook", "test", "ops"]);
    for (host, keys, said) in [
        ("localhost", "", "UnknownIssuer"),
        ("localhost", ", ca_file: other.pem", "invalid peer certificate"),
        ("127.0.0.1", ", ca_file: ca.pem", "certificate not valid for name"),
        ("localhost", ", ca_file: kennel.yaml", "no certificate to trust"),
        ("localhost", ", ca_file: nowhere.pem", "No such file"),
    ] {
        config(host, keys);
        scratch.ok(&["reload"]);
        let failed = scratch.kennel(&["webhook", "test", "ops"]);
        assert!(failed.code() == 1 && failed.all().contains(said), "{host} {keys}: {}", failed.all());
    }
    config("localhost", ", ca_file: ca.pem");
    scratch.ok(&["reload"]);
    scratch.ok(&["webhook", "test", "ops"]);
    drop(server);
    scratch.down();
}

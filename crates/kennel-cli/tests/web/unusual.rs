//! Requests that no client of ours sends: other forms of HTTP, of paths and of methods. None gets further than its plain form would.

use std::io::{Read as _, Write as _};

use kennel_testkit::wait_until;
use serde_json::json;

use crate::common::{DEADLINE, Door, open, outcomes, token, up};

/// What is answered to exactly these bytes, until the connection is closed.
fn exactly(door: &Door, bytes: &str) -> String {
    let mut stream = door.connect().unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn who_is_meant_is_said_once_and_the_same_everywhere() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    let host = &door.authority;
    let end = format!("{admin}\r\nconnection: close\r\n\r\n");
    for (what, request, status) in [
        (
            "another host in the target",
            format!("GET http://evil.example/v1/info HTTP/1.1\r\nhost: {host}\r\n{end}"),
            "400",
        ),
        ("another port there", format!("GET http://127.0.0.1:1/v1/info HTTP/1.1\r\nhost: {host}\r\n{end}"), "400"),
        (
            "a foreign one in both",
            format!("GET http://evil.example/v1/info HTTP/1.1\r\nhost: evil.example\r\n{end}"),
            "403",
        ),
        ("its own in both", format!("GET http://{host}/v1/info HTTP/1.1\r\nhost: {host}\r\n{end}"), "200"),
        ("none", format!("GET /v1/info HTTP/1.1\r\n{end}"), "403"),
        ("none, in an old form", format!("GET /v1/info HTTP/1.0\r\n{end}"), "403"),
        ("two", format!("GET /v1/info HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n{end}"), "400"),
        (
            "a proxy's word for it",
            format!("GET /v1/info HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: {host}\r\n{end}"),
            "403",
        ),
        ("a folded one", format!("GET /v1/info HTTP/1.1\r\nhost: evil.example\r\n {host}\r\n{end}"), "400"),
    ] {
        let answer = exactly(&door, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) || answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{what}: {answer}"
        );
    }
    scratch.down();
}

/// What one end takes for a body, the other may take for a request: nothing that can be read in two ways is answered twice.
#[test]
fn no_request_is_hidden_in_another() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    let host = &door.authority;
    let hidden =
        format!("DELETE /v1/web HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{admin}\r\n\r\n");
    let post = format!("POST /v1/stop HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{admin}\r\n");
    let length = hidden.len();
    for (what, request) in [
        ("two lengths", format!("{post}content-length: 2\r\ncontent-length: {length}\r\n\r\n{{}}{hidden}")),
        ("an encoding that is none", format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")),
        (
            "an encoding with a space",
            format!("{post}transfer-encoding : chunked\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        ),
        ("a length with a sign", format!("{post}content-length: +2\r\n\r\n{{}}{hidden}")),
        ("a chunk of no length", format!("{post}transfer-encoding: chunked\r\n\r\nx\r\n{hidden}")),
        (
            "a body to a question",
            format!("GET /v1/info HTTP/1.1\r\nhost: {host}\r\n{admin}\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        ),
    ] {
        let answer = exactly(&door, &request);
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {answer}");
        assert!(!answer.contains("HTTP/1.1 204"), "{what}: {answer}");
    }
    // Both at once: the encoding counts, RFC 9112, 6.3, and what is in it is a body.
    let both = format!(
        "{post}transfer-encoding: chunked\r\ncontent-length: 4\r\nconnection: close\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
    );
    let answer = exactly(&door, &both);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
    assert_eq!(door.ask("GET", "/v1/info", &[&admin], None).status, 200, "the door is open");
    scratch.down();
}

#[test]
fn other_protocols_and_methods_get_nothing() {
    let scratch = up();
    let door = open(&scratch);
    let read = token(&scratch, "reader", &[]);
    let host = &door.authority;
    let h2 = exactly(&door, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(h2.is_empty() || h2.starts_with("HTTP/1.1 4"), "{h2}");
    let tls = exactly(&door, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n");
    assert!(tls.is_empty() || tls.starts_with("HTTP/1.1 400"), "{tls}");
    wait_until(DEADLINE, "it is written down", || outcomes(&scratch).iter().any(|told| told == "400 no HTTP/1.1"));
    for upgrade in ["websocket", "h2c"] {
        let ask = format!(
            "GET /v1/info HTTP/1.1\r\nhost: {host}\r\n{read}\r\nconnection: upgrade, close\r\nupgrade: {upgrade}\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        let answer = exactly(&door, &ask);
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("\r\nupgrade:"), "{answer}");
    }
    let json = "content-type: application/json";
    for (method, target) in [
        ("CONNECT", "evil.example:80"),
        ("TRACE", "/v1/info"),
        ("OPTIONS", "/v1/stop"),
        ("OPTIONS", "*"),
        ("PUT", "/v1/services/web"),
        ("PATCH", "/v1/services/web"),
        ("FOO", "/v1/info"),
        ("get", "/v1/info"),
        ("HEAD", "/v1/tokens"),
    ] {
        let host = format!("host: {host}");
        for head in [
            vec![host.as_str(), json],
            vec![&host, json, &read],
            vec![&host, json, &read, "x-http-method-override: GET"],
        ] {
            let answer = door.raw(method, target, &head, b"");
            let status = answer.as_ref().map_or(400, |answer| answer.status);
            assert!((400..500).contains(&status), "{method} {target}: {answer:?}");
            let told = answer.map(|answer| answer.head.join("\n")).unwrap_or_default();
            assert!(!told.contains("access-control") && !told.contains(read.as_str()), "{method} {target}: {told}");
        }
    }
    // What is asked by HEAD is asked by GET, without the body.
    let head = door.ask("HEAD", "/v1/services", &[&read], None);
    assert_eq!((head.status, &head.body), (200, &json!("")));
    scratch.down();
}

/// The right that a path takes is that of the route which answers it, however the path is written.
#[test]
fn paths_mean_one_thing() {
    let scratch = up();
    let door = open(&scratch);
    let read = token(&scratch, "reader", &[]);
    let web = token(&scratch, "web-only", &["--role", "operate", "--service", "web"]);
    for path in [
        "/v1/%74okens",
        "/v1/tokens/",
        "/v1//tokens",
        "/v1/./tokens",
        "/v1/services/../tokens",
        "/v1/services/%2e%2e/tokens",
        "/V1/tokens",
        "/v1/tokens;x",
        "/v1/tokens%00",
        "/v1/tokens%2f",
        "/v1\\tokens",
        "/%2e%2e/v1/tokens",
        "/v1/tokens#x",
    ] {
        for right in [&read, &web] {
            let answer = door.ask("GET", path, &[right], None);
            assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
            assert!(!answer.body.to_string().contains("created_at"), "{path}: {answer:?}");
        }
    }
    // A name that decodes to somebody else's.
    for path in [
        "/v1/services/d%62",
        "/v1/services/web%2f..%2fdb",
        "/v1/services/web.%2e%2fdb",
        "/v1/services/web%00db",
        "/v1/services/WEB",
        "/v1/logs?service=web&%73ervice=db",
        "/v1/logs?service=web&service=d%62",
        "/v1/logs?service=web;service=db",
        "/v1/logs?service=web%26service=db",
        "/v1/events?follow=false&service=web&service=db",
        "/v1/usage?service=web&service=db",
        "/v1/usage?%73ervice=web",
        "/v1/usage/history?service=web&services=db",
        "/v1/health?service=web&service=db",
        "/v1/health?service[]=db&service=web",
    ] {
        let answer = door.ask("GET", path, &[&web], None);
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
    }
    // Of two of the same word in a body, all count or none.
    let twice = r#"{"services":["db"],"services":["web"]}"#;
    let host = format!("host: {}", door.authority);
    let length = format!("content-length: {}", twice.len());
    let head = [host.as_str(), &web, "content-type: application/json", &length];
    let answer = door.raw("POST", "/v1/stop", &head, twice.as_bytes()).unwrap();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    let twice = r#"{"services":["web"],"\u0073ervices":["db"]}"#;
    let length = format!("content-length: {}", twice.len());
    let head = [host.as_str(), &web, "content-type: application/json", &length];
    let answer = door.raw("POST", "/v1/stop", &head, twice.as_bytes()).unwrap();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(scratch.ps("db")["state"], "ready");
    scratch.down();
}

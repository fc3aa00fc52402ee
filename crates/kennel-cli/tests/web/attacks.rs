//! What pages from elsewhere and guessers try: each is refused, nothing happens, and it is written down.

use std::time::Instant;

use kennel_testkit::wait_until;
use serde_json::{Value, json};

use crate::common::{DEADLINE, Door, open, token, up};

/// What a browser would send for a page from elsewhere, with the right of somebody who is logged in.
fn stop(door: &Door, head: &[&str]) -> u16 {
    let body = json!({ "services": ["web"] }).to_string();
    let length = format!("content-length: {}", body.len());
    let lines: Vec<&str> = head.iter().copied().chain([length.as_str()]).collect();
    door.raw("POST", "/v1/stop", &lines, body.as_bytes()).expect("an answer").status
}

#[test]
fn pages_from_elsewhere_do_nothing() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    let host = format!("host: {}", door.authority);
    let own = format!("origin: http://{}", door.authority);
    let json = "content-type: application/json";
    let port = door.authority.rsplit(':').next().unwrap();
    let rebound = format!("host: evil.example:{port}");
    for (what, status, head) in [
        ("a foreign origin", 403, vec![host.as_str(), json, "origin: http://evil.example"]),
        ("no origin", 403, vec![&host, json, "origin: null"]),
        ("another port of this machine", 403, vec![&host, json, "origin: http://127.0.0.1:1"]),
        ("a name that was made to mean this machine", 403, vec![&rebound, json]),
        ("that name, with an origin to match", 403, vec![&rebound, json, "origin: http://evil.example"]),
        ("two hosts", 400, vec![&host, &rebound, json]),
        ("a form", 415, vec![&host, &own, "content-type: application/x-www-form-urlencoded"]),
        ("text that is JSON", 415, vec![&host, &own, "content-type: text/plain"]),
        ("no type", 415, vec![&host, &own]),
        ("another site, as the browser says", 403, vec![&host, json, "sec-fetch-site: cross-site"]),
    ] {
        let head: Vec<&str> = head.into_iter().chain([admin.as_str()]).collect();
        let told = stop(&door, &head);
        assert_eq!(told, status, "{what}");
    }
    let names = ["evil.example", "127.0.0.1.evil.example", ""];
    for name in names {
        let host = format!("host: {name}");
        assert_eq!(door.raw("GET", "/v1/session", &[&host], b"").unwrap().status, 403, "{name}");
    }
    assert_eq!(scratch.ps("web")["state"], "ready");
    assert_eq!(stop(&door, &[&host, &own, json, "sec-fetch-site: same-origin", &admin]), 200);
    let audit = scratch.json(&["audit", "-n", "1000", "--json"]);
    let refused = |outcome: &str| audit.as_array().unwrap().iter().filter(|entry| entry["outcome"] == outcome).count();
    assert!(refused("403 forbidden") >= 6 && refused("415 bad_request") == 3, "{audit:#}");
    scratch.down();
}

#[test]
fn guessing_is_refused_slowed_and_written_down() {
    let scratch = up();
    let door = open(&scratch);
    let begun = Instant::now();
    let guess = |right: &str| door.ask("POST", "/v1/stop", &[right], Some(&json!({ "services": ["web"] }))).status;
    for wrong in
        ["authorization: Bearer ", "authorization: Basic YTpi", "authorization: Bearer kennel_x", "cookie: kennel_1=x"]
    {
        assert_eq!(guess(wrong), 401, "{wrong}");
    }
    let answers: Vec<u16> = (0..40).map(|at| guess(&format!("authorization: Bearer kennel_{at}"))).collect();
    assert!(answers.contains(&429), "{answers:?}");
    // One is forgiven each second, perhaps just now.
    let login = || door.ask("POST", "/v1/session", &[], Some(&json!({ "login": "x" }))).body;
    wait_until(DEADLINE, "links are refused as well", || login()["code"] == "rate_limited");
    // Whoever knows it is let in meanwhile.
    let read = token(&scratch, "reader", &[]);
    assert_eq!(door.ask("GET", "/v1/info", &[&read], None).status, 200);
    let audit = scratch.json(&["audit", "-n", "1000", "--json"]);
    let entries: Vec<&Value> =
        audit.as_array().unwrap().iter().filter(|entry| entry["outcome"] == "401 unauthorized").collect();
    let forgiven = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!((4..=20 + forgiven).contains(&entries.len()), "{audit:#}");
    assert!(entries.iter().all(|entry| entry["actor"].as_str().unwrap().starts_with("tcp 127.0.0.1:")));
    assert!(!audit.to_string().contains("kennel_x"), "what was tried is nowhere");
    scratch.down();
}

#[test]
fn odd_paths_and_answers_are_harmless() {
    let scratch = up();
    let door = open(&scratch);
    let admin = token(&scratch, "admin", &["--role", "admin"]);
    for path in [
        "/v1/services/..%2f..%2fetc%2fpasswd",
        "/v1/services/%00",
        "/v1/services/%ff",
        "/../../etc/passwd",
        "/v1/../../../etc/passwd",
        "/v1/logs?service=../../../../etc/passwd",
        "/v1/logs?service=%2e%2e%2fstore.db",
        "//evil.example/",
    ] {
        let answer = door.ask("GET", path, &[&admin], None);
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.to_string().contains("root:"), "{path}");
    }
    let answer = door.ask("GET", "/v1/services", &[&admin], None);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    scratch.down();
}

/// A proxy has a name, a port and perhaps TLS of its own; any other name stays refused.
#[test]
fn a_given_name_is_answered_and_no_other() {
    let scratch = up();
    let report = scratch.json(&["dashboard", "--no-open", "--host", "Kennel.example", "--json"]);
    let door = Door::of(report["url"].as_str().unwrap());
    let read = token(&scratch, "reader", &[]);
    let ask = |host: &str, origin: &str| {
        let (host, origin) = (format!("host: {host}"), format!("origin: {origin}"));
        door.raw("GET", "/v1/info", &[&host, &origin, &read], b"").expect("an answer").status
    };
    assert_eq!(ask("kennel.example", "https://kennel.example"), 200);
    assert_eq!(ask("kennel.example:8443", "https://kennel.example:8443"), 200);
    assert_eq!(ask(&door.authority, &format!("http://{}", door.authority)), 200);
    for (host, origin) in [
        ("evil.example", "https://kennel.example"),
        ("kennel.example", "https://evil.example"),
        ("kennel.example", "https://kennel.example.evil.example"),
    ] {
        assert_eq!(ask(host, origin), 403, "{host} {origin}");
    }
    scratch.down();
}

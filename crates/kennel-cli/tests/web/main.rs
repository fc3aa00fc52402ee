//! The TCP door: who gets in, who does not, and that it is there again after whatever happens to the daemon.
//!
//! covers: E2, A8

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod attacks;
mod bounds;
mod common;
mod floods;
mod hooks;
mod lasting;
mod owned;
mod readers;
mod roles;
mod scoped;
mod tls;
mod unusual;

use common::{DEADLINE, Door, Session, link, up};
use kennel_testkit::{Signal, free_port, send, wait_until};
use serde_json::json;

#[test]
fn a_link_logs_in_once_and_its_session_changes_things() {
    let scratch = up();
    let report = scratch.json(&["dashboard", "--no-open", "--json"]);
    let door = Door::of(report["url"].as_str().unwrap());
    let login = link(&report);
    assert_eq!(door.ask("GET", "/v1/session", &[], None).status, 401);
    let Session { opened, cookie, csrf } = door.log_in(&login);
    assert_eq!(opened.body["role"], "admin");
    let attributes = opened.header("set-cookie").unwrap();
    assert!(attributes.contains("; HttpOnly") && attributes.contains("; SameSite=Strict"), "{attributes}");
    assert_eq!(door.ask("POST", "/v1/session", &[], Some(&login)).status, 401, "good once");
    let told = door.ask("GET", "/v1/session", &[&cookie], None);
    assert_eq!(told.body, opened.body);
    assert_eq!(door.ask("GET", "/v1/services", &[&cookie], None).body[0]["name"], "web");
    // The browser sends the cookie by itself; only the page knows what it has to say beside it.
    let stop = json!({ "services": ["web"] });
    let refused = door.ask("POST", "/v1/stop", &[&cookie], Some(&stop));
    assert_eq!((refused.status, &refused.body["code"]), (403, &"forbidden".into()));
    let stopped = door.ask("POST", "/v1/stop", &[&cookie, &csrf], Some(&stop));
    assert_eq!((stopped.status, &stopped.body["ok"]), (200, &true.into()), "{stopped:?}");
    let audit = scratch.json(&["audit", "--json"]);
    let said = audit.as_array().unwrap().iter().any(|entry| {
        entry["actor"].as_str().unwrap().starts_with("session link.")
            && entry["outcome"] == "200"
            && entry["subject"] == "web"
    });
    assert!(said, "{audit:#}");
    assert_eq!(door.ask("DELETE", "/v1/session", &[&cookie, &csrf], None).status, 204);
    assert_eq!(door.ask("GET", "/v1/services", &[&cookie], None).status, 401);
    scratch.down();
}

/// Over a restart of the daemon, its loss, and with the session that somebody has.
#[test]
fn the_door_and_its_sessions_are_there_after_another_daemon_has_come() {
    let scratch = up();
    let report = scratch.json(&["dashboard", "--no-open", "--json"]);
    let door = Door::of(report["url"].as_str().unwrap());
    let cookie = door.log_in(&link(&report)).cookie;
    scratch.ok(&["daemon", "restart"]);
    assert_eq!(door.ask("GET", "/v1/info", &[&cookie], None).status, 200);
    let lost = scratch.daemon();
    send(&lost, Signal::KILL);
    wait_until(DEADLINE, "another daemon answers", || {
        scratch.running_daemon().is_some_and(|daemon| daemon.pid != lost.pid)
            && door.try_ask("GET", "/v1/info", &[&cookie], None).is_some_and(|answer| answer.status == 200)
    });
    assert_eq!(scratch.json(&["dashboard", "--no-open", "--json"])["url"], report["url"]);
    scratch.down();
    assert!(door.connect().is_err(), "the door is closed with the stack");
    // The next stack has none until it is asked for.
    scratch.ok(&["up", "-d"]);
    assert!(door.connect().is_err());
    scratch.down();
}

#[test]
fn it_is_opened_where_it_is_asked_for_and_closed() {
    let scratch = up();
    for address in ["0.0.0.0:0", "192.0.2.1:80", "4747", "example.org:80"] {
        let refused = scratch.kennel(&["dashboard", "--listen", address]);
        assert_ne!(refused.code(), 0, "{address}");
        assert!(!refused.stderr.is_empty() && refused.stdout.is_empty(), "{}", refused.all());
    }
    assert!(scratch.kennel(&["dashboard", "--host", "a b"]).stderr.contains("no name of a host"));
    // None that the kernel gives to somebody's connection as soon as it is free.
    let address = format!("127.0.0.1:{}", free_port());
    let taken = std::net::TcpListener::bind(&address).unwrap();
    let refused = scratch.kennel(&["dashboard", "--listen", &address]);
    assert!(refused.stderr.contains(&format!("cannot listen on {address}")), "{}", refused.all());
    drop(taken);
    let link = scratch.ok(&["dashboard", "--listen", &address, "--no-open"]).stdout;
    assert!(link.starts_with(&format!("http://{address}/#login=")), "{link}");
    let door = Door::of(&format!("http://{address}/"));
    assert_eq!(door.ask("GET", "/v1/session", &[], None).status, 401);
    scratch.ok(&["dashboard", "--close"]);
    wait_until(DEADLINE, "nobody listens", || door.connect().is_err());
    assert_eq!(scratch.json(&["dashboard", "--close", "--json"])["url"], serde_json::Value::Null);
    scratch.down();
}

/// The page itself is what everybody may have, and nothing of the service is in it.
#[test]
fn tokens_are_told_once_and_listed_without_their_secrets() {
    let scratch = up();
    let secret =
        scratch.ok(&["token", "create", "ci", "--role", "operate", "--service", "web", "--expires", "1h"]).stdout;
    assert!(secret.starts_with("kennel_"), "{secret}");
    let twice = scratch.kennel(&["token", "create", "ci"]);
    assert!(twice.stderr.contains("there is a token called `ci` already"), "{}", twice.all());
    assert!(scratch.kennel(&["token", "create", "a b"]).stderr.contains("the name of a token"));
    assert!(scratch.kennel(&["token", "create", "x", "--role", "root"]).stderr.contains("read, operate and admin"));
    let listed = scratch.ok(&["token", "list"]).stdout;
    assert!(listed.contains("ci") && listed.contains("operate") && !listed.contains(secret.trim()), "{listed}");
    let kept = std::fs::read_to_string(scratch.instance_dir().join("tokens.json")).unwrap();
    assert!(!kept.contains(secret.trim()));
    scratch.ok(&["token", "revoke", "ci"]);
    assert_ne!(scratch.kennel(&["token", "revoke", "ci"]).code(), 0);
    assert_eq!(scratch.json(&["token", "list", "--json"]), json!([]));
    scratch.down();
}

#[test]
fn the_page_is_everybodys_and_there_is_nothing_of_the_instance_in_it() {
    let scratch = up();
    let door = common::open(&scratch);
    let page = door.ask("GET", "/", &[], None);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = page.body.as_str().unwrap();
    assert!(text.contains("<title>") && !text.contains("web"), "{text}");
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let etag = format!("if-none-match: {}", page.header("etag").unwrap());
    assert_eq!(door.ask("GET", "/", &[&etag], None).status, 304);
    let script = text.split('"').find(|part| part.ends_with(".js")).expect("a script");
    let script = door.ask("GET", &format!("/{}", script.trim_start_matches(['.', '/'])), &[], None);
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    // Also for whoever follows a link from elsewhere.
    assert_eq!(door.ask("GET", "/", &["sec-fetch-site: cross-site"], None).status, 200);
    assert_eq!(door.ask("GET", "/assets/../../Cargo.toml", &[], None).status, 404);
    assert_eq!(door.ask("POST", "/", &[], Some(&json!({}))).status, 404);
    scratch.down();
}

//! What each role may do, and that a route that nobody has thought of is for nobody.

use kennel_testkit::Scratch;
use serde_json::{Value, json};

use crate::common::{Door, Session, open, secret, token, up};

/// Every route with its method, from the document of the API.
fn routes(scratch: &Scratch) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&scratch.get("/v1/openapi.json").1).unwrap();
    let of = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.replace(['{', '}'], ""))).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

fn status(door: &Door, method: &str, path: &str, head: &[&str]) -> u16 {
    door.ask(method, path, head, (method != "GET").then_some(&json!({}))).status
}

#[test]
fn who_has_no_right_gets_nothing_and_who_may_look_changes_nothing() {
    let scratch = up();
    let door = open(&scratch);
    let read = token(&scratch, "reader", &[]);
    let expired = token(&scratch, "late", &["--role", "admin", "--expires", "1ms"]);
    let routes = routes(&scratch);
    assert!(routes.len() > 40);
    for (method, path) in routes {
        // Nothing goes on for ever.
        let path = if path == "/v1/events" { "/v1/events?follow=false".to_owned() } else { path };
        let is_session = path == "/v1/session";
        let expected = match (method.as_str(), is_session) {
            // Anybody may try.
            ("POST", true) => 400,
            _ => 401,
        };
        assert_eq!(status(&door, &method, &path, &[]), expected, "{method} {path}");
        if is_session {
            continue;
        }
        let late = status(&door, &method, &path, &[&expired]);
        // So many of them are no more than noise.
        assert!(late == 401 || late == 429, "{method} {path}: {late}");
        if method != "GET" {
            assert_eq!(status(&door, &method, &path, &[&read]), 403, "{method} {path}");
        }
    }
    assert_eq!(status(&door, "GET", "/v1/services", &[&read]), 200);
    assert_eq!(status(&door, "GET", "/v1/tokens", &[&read]), 403);
    assert_eq!(status(&door, "GET", "/v1/no-such-route", &[&read]), 404);
    assert_eq!(scratch.ps("web")["state"], "ready");
    scratch.down();
}

#[test]
fn a_scope_is_for_its_own_services_by_name() {
    let scratch = up();
    let door = open(&scratch);
    let web = token(&scratch, "web-only", &["--role", "operate", "--service", "web"]);
    let stop = |body: &Value| door.ask("POST", "/v1/stop", &[&web], Some(body)).status;
    for others in [
        json!({ "services": ["db"] }),
        json!({ "services": ["web", "db"] }),
        json!({ "services": [] }),
        json!({ "all": true }),
        json!({ "services": ["web"], "all": true }),
        json!({}),
    ] {
        assert_eq!(stop(&others), 403, "{others}");
    }
    for path in [
        "/v1/services",
        "/v1/services/db",
        "/v1/services/db/config",
        "/v1/logs",
        "/v1/logs?service=db",
        "/v1/logs?service=web&service=db",
        "/v1/audit",
    ] {
        assert_eq!(door.ask("GET", path, &[&web], None).status, 403, "{path}");
    }
    // To name its own where nobody listens to that opens nothing.
    for path in
        ["/v1/services", "/v1/ports", "/v1/alerts", "/v1/summary", "/v1/owners", "/v1/orphans", "/v1/web", "/metrics"]
    {
        assert_eq!(door.ask("GET", &format!("{path}?service=web"), &[&web], None).status, 403, "{path}");
    }
    let signal = format!("/v1/processes/{}/signal?signal=9&service=web", scratch.ps("db")["pid"]);
    for path in [signal.as_str(), "/v1/orphans/stop", "/v1/orphans/adopt", "/v1/stop?service=web"] {
        let body = json!({ "services": if path.contains('?') { json!([]) } else { json!(["web"]) } });
        assert_eq!(door.ask("POST", path, &[&web], Some(&body)).status, 403, "{path}");
    }
    assert_eq!(scratch.ps("db")["state"], "ready");
    assert_eq!(door.ask("GET", "/v1/health?service=web", &[&web], None).status, 200);
    assert_eq!(door.ask("GET", "/v1/services/web", &[&web], None).status, 200);
    assert_eq!(door.ask("GET", "/v1/services/web/config", &[&web], None).status, 200);
    assert_eq!(stop(&json!({ "services": ["web"] })), 200);
    assert_eq!(scratch.ps("web")["state"], "stopped");
    // A session that was opened with it has the same right.
    let Session { cookie, csrf, .. } = door.log_in(&secret(&web));
    let start =
        |name: &str| door.ask("POST", "/v1/start", &[&cookie, &csrf], Some(&json!({ "services": [name] }))).status;
    assert_eq!((start("db"), start("web")), (403, 200));
    scratch.ok(&["token", "revoke", "web-only"]);
    assert_eq!(start("web"), 401);
    scratch.down();
}

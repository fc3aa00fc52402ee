//! Who may see and change where events are sent to.

use serde_json::{Value, json};

use crate::common::{Door, open, token, up};

/// Every route about it, with the least role that it takes.
const ROUTES: [(&str, &str, &str); 10] = [
    ("GET", "/v1/webhooks", "read"),
    ("GET", "/v1/webhooks/chat", "read"),
    ("GET", "/v1/deliveries", "read"),
    ("GET", "/v1/deliveries?webhook=chat", "read"),
    ("POST", "/v1/webhooks/chat/test", "admin"),
    ("POST", "/v1/webhooks/chat/retry", "admin"),
    ("POST", "/v1/webhooks/chat/secret", "admin"),
    ("PUT", "/v1/webhooks/chat", "admin"),
    ("POST", "/v1/notify/test", "admin"),
    ("DELETE", "/v1/webhooks/chat", "admin"),
];

fn declared() -> Value {
    json!({ "url": "http://127.0.0.1:9/p4th-s3cret", "services": ["web"], "retries": 0 })
}

fn ask(door: &Door, (method, path, _): (&str, &str, &str), right: &str) -> (u16, Value) {
    let body = match method {
        "PUT" => declared(),
        // What was told is told again to nobody.
        _ if path.ends_with("/secret") => json!({ "rotate": true }),
        _ => json!({}),
    };
    let answer = door.ask(method, path, &[right], (method != "GET").then_some(&body));
    (answer.status, answer.body)
}

#[test]
fn webhooks_are_seen_by_who_may_look_and_changed_by_who_may_do_everything() {
    let scratch = up();
    let door = open(&scratch);
    assert_eq!(scratch.ask("PUT", "/v1/webhooks/chat", &[], &declared()).status, 200);
    let right = |role: &str| token(&scratch, role, &["--role", role]);
    let rights = ["read", "operate", "admin"].map(|role| (role, right(role)));
    let rank = |role: &str| rights.iter().position(|(one, _)| *one == role).unwrap();
    for route in ROUTES {
        for (role, right) in &rights {
            let (status, body) = ask(&door, route, right);
            match rank(role) >= rank(route.2) {
                true => assert!(status == 200 || status == 204, "{route:?} as {role}: {status} {body}"),
                false => assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{route:?} as {role}"),
            }
            assert!(!body.to_string().contains("p4th-s3cret"), "{route:?} as {role}: {body}");
        }
    }
    assert_eq!(scratch.json(&["webhook", "list", "--json"]), json!([]), "the last one took it away");
    let audit = scratch.json(&["audit", "--json"]).to_string();
    for action in ["PUT /v1/webhooks/{name}", "DELETE /v1/webhooks/{name}", "POST /v1/webhooks/{name}/retry"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    scratch.down();
}

#[test]
fn a_right_for_some_services_sees_no_webhook_and_changes_none() {
    let scratch = up();
    let door = open(&scratch);
    assert_eq!(scratch.ask("PUT", "/v1/webhooks/chat", &[], &declared()).status, 200);
    // Messages to a webhook are about whatever it hears of, also where it has the name of a service.
    assert_eq!(scratch.ask("PUT", "/v1/webhooks/web", &[], &declared()).status, 200);
    for role in ["read", "operate", "admin"] {
        let own = token(&scratch, &format!("web-{role}"), &["--role", role, "--service", "web"]);
        for (method, path, least) in ROUTES {
            for path in [
                path.to_owned(),
                path.replace("chat", "web"),
                format!("{path}{}service=web", if path.contains('?') { '&' } else { '?' }),
            ] {
                let (status, body) = ask(&door, (method, &path, least), &own);
                assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{method} {path} as {role}: {body}");
            }
        }
    }
    assert_eq!(scratch.json(&["webhook", "list", "--json"]).as_array().map(Vec::len), Some(2));
    ["chat", "web"].iter().for_each(|name| drop(scratch.ok(&["webhook", "remove", name])));
    scratch.down();
}

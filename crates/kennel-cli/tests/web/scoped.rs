//! Routes of single services and of dashboards, and work that goes on, for rights that are for some services.

use serde_json::{Value, json};

use crate::common::{open, token, up};

#[test]
fn routes_of_one_service_are_for_who_may_ask_for_it() {
    let scratch = up();
    let door = open(&scratch);
    let web = token(&scratch, "web-only", &["--role", "operate", "--service", "web"]);
    let look = token(&scratch, "look", &[]);
    let post = |right: &str, path: &str, body: &Value| door.ask("POST", path, &[right], Some(body)).status;
    let nothing = json!({});
    for path in
        ["/v1/services/db/stop", "/v1/services/web%2f..%2fdb/stop", "/v1/services/%77eb/stop", "/v1/services/web//stop"]
    {
        assert!([403, 404].contains(&post(&web, path, &nothing)), "{path}");
    }
    let start = json!({ "action": "start" });
    assert_eq!((post(&web, "/api/servers/db", &start), post(&web, "/api/servers/web", &start)), (403, 200));
    assert_eq!((post(&look, "/api/servers/web", &start), post(&look, "/v1/services/web/stop", &nothing)), (403, 403));
    for path in
        ["/api/servers", "/api/servers/db", "/api/events", "/v1/services/db/receipts", "/v1/registry", "/v1/state"]
    {
        assert_eq!(door.ask("GET", path, &[&web], None).status, 403, "{path}");
    }
    assert_eq!(door.ask("GET", "/v1/services/web/receipts", &[&web], None).status, 200);
    // What it may stop it may not declare.
    let declared = json!({ "command": "true", "working_dir": "/" });
    assert_eq!(door.ask("PUT", "/v1/services/web", &[&web], Some(&declared)).status, 403);
    assert_eq!(door.ask("DELETE", "/v1/services/web", &[&web], None).status, 403);
    assert_eq!(post(&web, "/v1/registry", &json!({ "services": {} })), 403);
    assert_eq!(scratch.ps("db")["state"], "ready");

    // It sees what it has asked for itself, and so does nobody with another right of the kind.
    let later = ["prefer: respond-async", "idempotency-key: k"];
    let stop =
        |right: &str| door.ask("POST", "/v1/services/web/stop", &[&[right][..], &later].concat(), Some(&nothing));
    let place = stop(&web).header("location").unwrap().to_owned();
    assert_eq!(stop(&web).header("location"), Some(place.as_str()));
    let other = token(&scratch, "other", &["--role", "operate", "--service", "web"]);
    let show = |right: &str| door.ask("GET", &format!("{place}?wait_ms=30000"), &[right], None);
    let own = show(&web);
    assert_eq!((own.status, &own.body["state"]), (200, &json!("done")), "{own:?}");
    assert_eq!((show(&other).status, show(&look).status), (404, 200));
    let count = |right: &str| door.ask("GET", "/v1/operations", &[right], None).body.as_array().map(Vec::len);
    assert_eq!([count(&web), count(&other), count(&look)], [Some(1), Some(0), Some(1)]);
    assert_ne!(stop(&other).header("location"), Some(place.as_str()), "a key is of whoever sends it");
    scratch.down();
}

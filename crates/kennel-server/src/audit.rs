//! Who asked for what: every request that may change something is recorded, before and after.

use std::fmt;
use std::net::SocketAddr;

use axum::Extension;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{MatchedPath, RawPathParams, RawQuery, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use kennel_engine::Handle;
use kennel_sys::unix::Peer;
use kennel_wire::{AuditEntry, Code, Problem};
use serde::Deserialize;
use serde_json::Value;

use crate::access::Actor;
use crate::gate::is_change;
use crate::query::{pairs, unknown};
use crate::reply::{Answer, Refusal, answer, bad_request};
use crate::routes::MAX_BODY_BYTES;

/// Longest subject, characters.
const LONGEST: usize = 200;
/// Entries that are answered unless it is said how many, and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;

/// The other end of a connection, as the socket told when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// Of the Unix socket.
    Peer(Option<Peer>),
    Tcp(SocketAddr),
}

impl Who {
    /// With the right that it has shown, if it has to show one.
    pub(crate) fn with(self, actor: Option<&Actor>) -> String {
        match (actor, self) {
            (Some(actor), Self::Tcp(address)) => format!("{} from {address}", actor.name),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(Some(peer)) => write!(f, "uid {} pid {}", peer.uid, peer.pid),
            Self::Peer(None) => f.write_str("unknown"),
            Self::Tcp(address) => write!(f, "tcp {address}"),
        }
    }
}

/// The layer around all routes: records requests that are no mere question.
pub(crate) async fn record(
    State(engine): State<Handle>,
    ConnectInfo(who): ConnectInfo<Who>,
    actor: Option<Extension<Actor>>,
    path: MatchedPath,
    parameters: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    if !is_change(request.method()) {
        return next.run(request).await;
    }
    let action = format!("{} {}", request.method(), path.as_str());
    let (parts, body) = request.into_parts();
    let whole = match says_too_long(&parts.headers, MAX_BODY_BYTES) {
        true => None,
        false => axum::body::to_bytes(body, MAX_BODY_BYTES).await.ok(),
    };
    let (subject, body) = match whole {
        Some(bytes) => (subject(&parameters, &bytes), Ok(bytes)),
        None => ("*".to_owned(), Err(Refusal(too_long(MAX_BODY_BYTES)))),
    };
    let actor = who.with(actor.as_deref());
    let entry = Entry { engine, actor, action, subject, is_answered: false };
    entry.say("asked");
    let response = match body {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(refusal) => refusal.into_response(),
    };
    entry.answered(&outcome(response.status().as_u16(), response.extensions().get().copied()));
    response
}

/// A body of more than so many bytes.
pub(crate) fn too_long(most: usize) -> Problem {
    Problem::new(Code::BadRequest, format!("the body is longer than {most} bytes")).with_status(413)
}

/// Whether a request says by itself that its body is longer than so many bytes.
pub(crate) fn says_too_long(headers: &HeaderMap, most: usize) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > most))
}

/// `200`, or `404 unknown_service`.
pub(crate) fn outcome(status: u16, code: Option<Code>) -> String {
    let code = code.and_then(|code| serde_json::to_value(code).ok());
    match code.as_ref().and_then(Value::as_str) {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    }
}

/// One request that is being answered.
struct Entry {
    engine: Handle,
    actor: String,
    action: String,
    subject: String,
    is_answered: bool,
}

impl Entry {
    fn say(&self, outcome: &str) {
        self.engine.audit(self.actor.clone(), self.action.clone(), self.subject.clone(), outcome.to_owned());
    }

    fn answered(mut self, outcome: &str) {
        self.is_answered = true;
        self.say(outcome);
    }
}

impl Drop for Entry {
    /// Whoever goes away before the answer ends the work on it, not what was begun.
    fn drop(&mut self) {
        if !self.is_answered {
            self.say("abandoned");
        }
    }
}

/// The words of requests that tell who is meant. Everything else of a body stays out: it may have secrets.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meant {
    services: Vec<String>,
    pids: Vec<u32>,
    pid: Option<u32>,
    /// A name, or a request with one.
    owner: Value,
    name: Value,
    service: Value,
    config: Value,
    program: Value,
    /// Of a command to be run, only its program: arguments may be secrets.
    command: Vec<String>,
}

/// Who is meant: by the route, then by the body, else everything.
fn subject(parameters: &RawPathParams, body: &[u8]) -> String {
    // Whoever has a token may signal the run.
    let route = parameters.iter().filter(|(key, _)| *key != "token").map(|(_, value)| value.to_owned());
    let mut words: Vec<String> = route.chain(meant(body)).collect();
    // The body may name again what the route has.
    words.dedup();
    printable(&words.join(" "))
}

fn meant(body: &[u8]) -> Vec<String> {
    // What cannot be read is refused by its route.
    let Meant { services, pids, pid, owner, name, service, config, program, command } =
        serde_json::from_slice(body).unwrap_or_default();
    let owner = owner.get("name").or_else(|| owner.get("owner")).cloned().unwrap_or(owner);
    let texts = [name, service, owner, config, program].into_iter();
    let texts = texts.filter_map(|value| value.as_str().map(str::to_owned));
    let pids = pids.into_iter().chain(pid).map(|pid| format!("pid {pid}"));
    services.into_iter().chain(pids).chain(texts).chain(command.into_iter().take(1)).collect()
}

/// Safe for a terminal, of a sane length, and never empty.
fn printable(text: &str) -> String {
    if text.is_empty() {
        return "*".to_owned();
    }
    let mut out = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() { out.extend(c.escape_debug()) } else { out.push(c) }
    }
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// Who asked for what.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "daemon",
    operation_id = "audit",
    params(
        ("since" = Option<jiff::Timestamp>, Query, description = "asked at this time or later"),
        ("limit" = Option<u32>, Query, description = "1 to 10000; 100 without"),
        ("subject" = Option<String>, Query, description = "about it"),
    ),
    responses((status = 200, description = "who asked for what, the oldest first", body = Vec<AuditEntry>), Refusal),
)]
pub(crate) async fn list(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<Vec<AuditEntry>> {
    let Query { since, limit, subject } = Query::read(raw.as_deref())?;
    // What was asked before this is in the store when this is.
    engine.persist().await?;
    let entries = engine.events().audit(subject, limit).await;
    let entries = entries.map_err(|error| Problem::new(Code::Internal, format!("cannot read the audit: {error}")));
    answer(entries.map(|entries| entries.into_iter().filter(|entry| entry.time >= since).collect()))
}

#[derive(Debug, PartialEq)]
struct Query {
    since: Timestamp,
    limit: usize,
    subject: Option<String>,
}

impl Query {
    fn read(raw: Option<&str>) -> Result<Self, Refusal> {
        let mut query = Self { since: Timestamp::MIN, limit: USUAL, subject: None };
        for (key, value) in pairs(raw)? {
            match key {
                "since" => query.since = value.parse().map_err(|_| bad_request("`since` is an RFC 3339 time"))?,
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    query.limit = limit.ok_or_else(|| bad_request(format!("`limit` is a number from 1 to {MOST}")))?;
                }
                "subject" => query.subject = Some(value).filter(|subject| !subject.is_empty()),
                other => return Err(unknown(other, &["since", "limit", "subject"])),
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_meant_is_recorded() {
        for (body, wanted) in [
            (r#"{"services":["web","a.2"],"timeout_ms":5}"#, "web a.2"),
            (r#"{"config":"/p/kennel.yaml","environment":{"TOKEN":"secret"},"services":[]}"#, "/p/kennel.yaml"),
            (r#"{"token":"aa","command":["mysql","--password=secret"],"environment":{"A":"secret"}}"#, "mysql"),
            (r#"{"pids":[4,5]}"#, "pid 4 pid 5"),
            (r#"{"pid":4,"start_ticks":9,"service":"web"}"#, "pid 4 web"),
            (r#"{"owner":"ci/7"}"#, "ci/7"),
            (r#"{"owner":{"name":"ci/7","secret":"secret"},"name":"job"}"#, "job ci/7"),
            (r#"{"all":true}"#, "*"),
            ("{}", "*"),
            ("", "*"),
            ("no json, secret", "*"),
            (r#"{"services":"secret of a wrong type"}"#, "*"),
        ] {
            assert_eq!(printable(&meant(body.as_bytes()).join(" ")), wanted, "{body}");
        }
    }

    #[test]
    fn a_subject_can_be_shown() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable(&"x".repeat(300)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn queries_are_read_or_refused() {
        let read = |raw| Query::read(Some(raw));
        let query = read("since=2026-01-02T03:04:05Z&limit=7&subject=web").unwrap_or_else(|_| unreachable!("valid"));
        let since = "2026-01-02T03:04:05Z".parse().unwrap_or_default();
        assert_eq!(query, Query { since, limit: 7, subject: Some("web".into()) });
        for bad in ["since=now", "limit=0", "limit=10001", "limit=x", "n=5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

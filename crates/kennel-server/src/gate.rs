//! What every request over TCP has to pass: a name of this server, no page from elsewhere, a right, and one that is enough.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kennel_access::{Hosts, Site};
use kennel_wire::{Code, Problem, Role};

use crate::access::{Actor, is_same, unauthorized};
use crate::audit::{self, Who};
use crate::crowd::Guest;
use crate::reply::Refusal;
use crate::right;
use crate::routes::{Doors, needs};
use crate::scope::{self, Held};

/// What a page sends with every change.
const CSRF: HeaderName = HeaderName::from_static("x-kennel-csrf");
/// Longest body over TCP.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The same of somebody who has shown nothing yet: a login.
const STRANGERS_BODY_BYTES: usize = 4 << 10;
/// How long one may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The layer around all routes of the TCP door.
pub(crate) async fn pass(
    State(doors): State<Doors>,
    ConnectInfo(who): ConnectInfo<Who>,
    Extension(hosts): Extension<Arc<Hosts>>,
    Extension(guest): Extension<Arc<Guest>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_page = !["/v1", "/api/", "/metrics"].iter().any(|begin| parts.uri.path().starts_with(begin));
    let path = path.as_ref().map(MatchedPath::as_str);
    let mut response = match decide(&doors, &hosts, &guest, path, &parts, body).await {
        Ok((None, body)) => next.run(Request::from_parts(parts, body)).await,
        Ok((Some(actor), body)) => {
            let ended = doors.access.ended(actor.right.clone());
            let held = Held::of(&doors.engine, &actor, path.unwrap_or_default(), &parts);
            parts.extensions.insert(actor);
            let response = next.run(Request::from_parts(parts, body)).await;
            let response = match held {
                Some(held) => held.guard(response),
                None => response,
            };
            right::until(response, ended)
        }
        Err((problem, actor)) => {
            // Not worth a word: a browser that asks whether it is logged in, and whoever guesses on and on.
            let is_usual = problem.code == Code::RateLimited
                || (parts.method == Method::GET
                    && problem.code == Code::Unauthorized
                    && shown(&parts, hosts.port()).is_none());
            if !is_usual {
                // Not the path that was sent: it may be anything.
                let action = format!("{} {}", parts.method, path.unwrap_or("no route"));
                let outcome = audit::outcome(problem.status, Some(problem.code));
                doors.refusals.write(who.with(actor.as_ref()), action, outcome);
            }
            Refusal(problem).into_response()
        }
    };
    protect(response.headers_mut(), is_page);
    response
}

/// Who asks, if that matters, and the whole body; or why not, and who it was.
type Decision = Result<(Option<Actor>, Body), (Problem, Option<Actor>)>;

async fn decide(
    doors: &Doors,
    hosts: &Hosts,
    guest: &Guest,
    path: Option<&str>,
    parts: &Parts,
    body: Body,
) -> Decision {
    comes_from_here(hosts, path, parts).map_err(|problem| (problem, None))?;
    let is_change = is_change(&parts.method);
    let whole = async |most| if is_change { whole(parts, body, most).await } else { Ok(Vec::new()) };
    let needed = path.and_then(|path| Some((path, needs(path, &parts.method).role()?)));
    let Some((path, role)) = needed else {
        let body = whole(STRANGERS_BODY_BYTES).await.map_err(|problem| (problem, None))?;
        return Ok((None, Body::from(body)));
    };
    let actor = actor(doors, parts, hosts.port()).map_err(|problem| (problem, None))?;
    let decided = async {
        has_role(&actor, role, parts)?;
        if !guest.is_known_as(&actor.name) {
            return Err(Problem::new(Code::RateLimited, "there are too many connections; close some, or try again"));
        }
        // Nobody's body is read before that.
        let body = whole(MAX_BODY_BYTES).await?;
        scope::check(&doors.engine, &actor, path, parts, &body).await?;
        Ok(body)
    };
    match decided.await {
        Ok(body) => Ok((Some(actor), Body::from(body))),
        Err(problem) => Err((problem, Some(actor))),
    }
}

/// Whether the request is meant for this server, and is none that a page from elsewhere can make.
fn comes_from_here(hosts: &Hosts, path: Option<&str>, parts: &Parts) -> Result<(), Problem> {
    let text = |name: HeaderName| parts.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let fetch_site = HeaderName::from_static("sec-fetch-site");
    let is_change = is_change(&parts.method);
    // A link from elsewhere to the page itself is harmless.
    let is_visit = !is_change && path.is_none();
    let site = Site {
        host: text(header::HOST),
        origin: text(header::ORIGIN),
        fetch_site: if is_visit { None } else { text(fetch_site) },
    };
    let is_double = |name: HeaderName| parts.headers.get_all(name).iter().nth(1).is_some();
    if is_double(header::HOST) || is_double(header::ORIGIN) {
        // RFC 9112, 3.2: somebody in between may have gone by the other one.
        return Err(Problem::new(Code::BadRequest, "`Host` or `Origin` is there twice"));
    }
    if parts.uri.authority().is_some_and(|authority| Some(authority.as_str()) != site.host) {
        // RFC 9112, 3.2.2: for whoever is in between, this is the host.
        return Err(Problem::new(Code::BadRequest, "the target names another host than `Host`"));
    }
    hosts.check(site).map_err(|why| Problem::new(Code::Forbidden, why.to_string()))?;
    if is_change && !is_json(&parts.headers) {
        let problem = Problem::new(Code::BadRequest, "a change needs `content-type: application/json`");
        return Err(problem.with_status(415));
    }
    Ok(())
}

fn has_role(actor: &Actor, role: Role, parts: &Parts) -> Result<(), Problem> {
    if let Some(csrf) = actor.csrf.as_ref().filter(|_| is_change(&parts.method)) {
        let said = parts.headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_same(said, csrf) {
            return Err(forbidden(format!("a session's change needs its `{CSRF}`")));
        }
    }
    if actor.role < role {
        return Err(forbidden(format!("{} may {}, and this takes {role}", actor.name, actor.role)));
    }
    Ok(())
}

pub(crate) fn forbidden(why: String) -> Problem {
    Problem::new(Code::Forbidden, why)
}

/// Whether a request is more than a question.
pub(crate) fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The whole body, if it comes in time and is not too long; if it says that it is, none of it is read.
async fn whole(parts: &Parts, body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    if audit::says_too_long(&parts.headers, most) {
        return Err(audit::too_long(most));
    }
    match tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(audit::too_long(most)),
        Err(_) => Err(Problem::new(Code::BadRequest, "the body did not come in time").with_status(408)),
    }
}

/// What a request shows: a token, or a session.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    Token(&'a str),
    Session(&'a str),
}

fn shown(parts: &Parts, port: u16) -> Option<Shown<'_>> {
    if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        return Some(Shown::Token(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" }));
    }
    let name = cookie_name(port);
    let cookies = parts.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| Shown::Session(value))
}

fn actor(doors: &Doors, parts: &Parts, port: u16) -> Result<Actor, Problem> {
    match shown(parts, port) {
        Some(Shown::Token(token)) => doors.access.bearer(token),
        Some(Shown::Session(session)) => doors.access.session(session).map(|(actor, _)| actor),
        None => Err(unauthorized("who asks has to show a token or a session")),
    }
}

/// Name of the cookie: one for each port, for browsers send a cookie to all ports of a host.
pub(crate) fn cookie_name(port: u16) -> String {
    format!("kennel_{port}")
}

/// The session of a request, if it shows one.
pub(crate) fn session_shown(parts: &Parts, port: u16) -> Option<&str> {
    match shown(parts, port) {
        Some(Shown::Session(session)) => Some(session),
        _ => None,
    }
}

/// What keeps browsers from doing with an answer what nobody wants.
fn protect(headers: &mut HeaderMap, is_page: bool) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                          font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_page {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

//! Sessions of browsers: what a login link or a token is turned into.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use kennel_access::Hosts;
use kennel_wire::{Code, Problem, SessionRequest, SessionStatus};

use crate::access::{Access, Actor, SESSION, unauthorized};
use crate::gate::{cookie_name, session_shown};
use crate::reply::{Answer, Refusal};
use crate::routes::Body;

/// Logs a browser in.
#[utoipa::path(
    post,
    path = "/v1/session",
    tag = "access",
    operation_id = "log_in",
    request_body = SessionRequest,
    responses((status = 200, description = "logged in; the cookie is set", body = SessionStatus), Refusal),
)]
pub(crate) async fn open(
    State(access): State<Access>,
    hosts: Option<Extension<Arc<Hosts>>>,
    Body(request): Body<SessionRequest>,
) -> Result<Response, Refusal> {
    let hosts = of_browser(hosts)?;
    let (secret, status) = access.log_in(&request)?;
    Ok(with_cookie(Json(status).into_response(), &hosts, secret.reveal(), SESSION.as_secs()))
}

/// The session of this browser.
#[utoipa::path(
    get,
    path = "/v1/session",
    tag = "access",
    operation_id = "session",
    responses((status = 200, description = "who is logged in", body = SessionStatus), Refusal),
)]
pub(crate) async fn show(
    State(access): State<Access>,
    hosts: Option<Extension<Arc<Hosts>>>,
    request: Request,
) -> Answer<SessionStatus> {
    let hosts = of_browser(hosts)?;
    let (parts, _) = request.into_parts();
    let shown = session_shown(&parts, hosts.port()).ok_or_else(|| unauthorized("this browser is not logged in"))?;
    Ok(Json(access.session(shown)?.1))
}

/// Logs it out.
#[utoipa::path(
    delete,
    path = "/v1/session",
    tag = "access",
    operation_id = "log_out",
    responses((status = 204, description = "logged out"), Refusal),
)]
pub(crate) async fn close(
    State(access): State<Access>,
    hosts: Option<Extension<Arc<Hosts>>>,
    actor: Option<Extension<Actor>>,
) -> Result<Response, Refusal> {
    let hosts = of_browser(hosts)?;
    if let Some(Extension(actor)) = actor {
        access.log_out(&actor)?;
    }
    Ok(with_cookie(StatusCode::NO_CONTENT.into_response(), &hosts, "", 0))
}

/// Who comes by the Unix socket is known by the socket.
fn of_browser(hosts: Option<Extension<Arc<Hosts>>>) -> Result<Arc<Hosts>, Problem> {
    let Extension(hosts) = hosts.ok_or_else(|| Problem::new(Code::Conflict, "sessions are for browsers, over TCP"))?;
    Ok(hosts)
}

fn with_cookie(mut response: Response, hosts: &Hosts, secret: &str, seconds: i64) -> Response {
    let name = cookie_name(hosts.port());
    let secure = if hosts.is_secure() { "; Secure" } else { "" };
    let cookie = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

//! Rights that are given away, and the door for those who come over TCP.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use kennel_wire::{TokenReport, TokenRequest, TokenStatus, WebReport, WebRequest, WebStatus};

use crate::access::Access;
use crate::reply::{Answer, Refusal, answer};
use crate::routes::Body;
use crate::web::{Opened, Web};

/// All tokens, without their secrets.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    tag = "access",
    operation_id = "tokens",
    responses((status = 200, description = "in the order in which they were given", body = Vec<TokenStatus>), Refusal),
)]
pub(crate) async fn list(State(access): State<Access>) -> Answer<Vec<TokenStatus>> {
    answer(access.tokens())
}

/// Gives one away.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "access",
    operation_id = "create_token",
    request_body = TokenRequest,
    responses((status = 200, description = "it, with its secret, which is told only here", body = TokenReport), Refusal),
)]
pub(crate) async fn create(State(access): State<Access>, Body(request): Body<TokenRequest>) -> Answer<TokenReport> {
    answer(access.give(request))
}

/// Takes one back, with all sessions that were opened with it.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{name}",
    tag = "access",
    operation_id = "revoke_token",
    params(("name" = String, Path, description = "of the token")),
    responses((status = 204, description = "it is good for nothing any more"), Refusal),
)]
pub(crate) async fn revoke(State(access): State<Access>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    access.revoke(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where the TCP door is.
#[utoipa::path(
    get,
    path = "/v1/web",
    tag = "access",
    operation_id = "web",
    responses((status = 200, description = "whether it is open, and where", body = WebStatus), Refusal),
)]
pub(crate) async fn status(State(web): State<Web>) -> Answer<WebStatus> {
    answer(Ok(web.status()))
}

/// Opens it, and makes a link that logs a browser in.
#[utoipa::path(
    post,
    path = "/v1/web",
    tag = "access",
    operation_id = "open_web",
    request_body = WebRequest,
    responses((status = 200, description = "it is open", body = WebReport), Refusal),
)]
pub(crate) async fn open(
    State(web): State<Web>,
    State(access): State<Access>,
    Body(request): Body<WebRequest>,
) -> Answer<WebReport> {
    let Opened { url, fingerprint } = web.open(request).await?;
    let login_url = format!("{url}#login={}", access.link()?.reveal());
    answer(Ok(WebReport { url, login_url, fingerprint }))
}

/// Closes it; who is connected is disconnected.
#[utoipa::path(
    delete,
    path = "/v1/web",
    tag = "access",
    operation_id = "close_web",
    responses((status = 204, description = "it is closed"), Refusal),
)]
pub(crate) async fn close(State(web): State<Web>) -> Result<StatusCode, Refusal> {
    web.close()?;
    Ok(StatusCode::NO_CONTENT)
}

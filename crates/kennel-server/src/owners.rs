//! Routes for owners, their leases, and runs that outlive their request.

use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use kennel_engine::{Grant, Handle};
use kennel_wire::{CleanReport, CleanRequest, DetachReport, DetachRequest, LeaseNews, OwnerRequest, OwnerStatus};

use crate::reply::{Answer, Refusal, answer, bad_request};
use crate::routes::Body;
use crate::streams::{lines, to_lines};

/// Runs a command that outlives the request.
#[utoipa::path(
    post,
    path = "/v1/runs",
    tag = "runs",
    request_body = DetachRequest,
    responses((status = 200, description = "the command is executed", body = DetachReport), Refusal),
)]
pub(crate) async fn run_detached(
    State(engine): State<Handle>,
    Body(request): Body<DetachRequest>,
) -> Answer<DetachReport> {
    answer(engine.run_detached(request).await)
}

/// All owners.
#[utoipa::path(
    get,
    path = "/v1/owners",
    tag = "owners",
    operation_id = "owners",
    responses((status = 200, description = "parents before their children", body = Vec<OwnerStatus>), Refusal),
)]
pub(crate) async fn list(State(engine): State<Handle>) -> Answer<Vec<OwnerStatus>> {
    answer(engine.owners().await)
}

/// Makes an owner, or changes it.
#[utoipa::path(
    post,
    path = "/v1/owners",
    tag = "owners",
    operation_id = "open_owner",
    request_body = OwnerRequest,
    responses((status = 200, description = "it is made, or changed", body = OwnerStatus), Refusal),
)]
pub(crate) async fn open(State(engine): State<Handle>, Body(request): Body<OwnerRequest>) -> Answer<OwnerStatus> {
    answer(engine.open_owner(request).await)
}

/// Renews the heartbeat of an owner.
#[utoipa::path(
    post,
    path = "/v1/owners/{name}/renew",
    tag = "owners",
    operation_id = "renew_owner",
    params(("name" = String, Path, description = "of the owner")),
    responses((status = 200, description = "its heartbeat lasts for another `ttl_ms`", body = OwnerStatus), Refusal),
)]
pub(crate) async fn renew(State(engine): State<Handle>, Path(name): Path<String>) -> Answer<OwnerStatus> {
    answer(engine.renew_owner(name).await)
}

/// Ends what an owner has, or what nobody has any more.
#[utoipa::path(
    post,
    path = "/v1/clean",
    tag = "owners",
    request_body = CleanRequest,
    responses((status = 200, description = "what was ended is ended", body = CleanReport), Refusal),
)]
pub(crate) async fn clean(State(engine): State<Handle>, Body(request): Body<CleanRequest>) -> Answer<CleanReport> {
    answer(engine.clean(request).await)
}

/// Holds an owner: the lease lasts while the answer is being read.
#[utoipa::path(
    post,
    path = "/v1/owners/{name}/hold",
    tag = "owners",
    operation_id = "hold_owner",
    params(("name" = String, Path, description = "of the owner")),
    request_body = OwnerRequest,
    responses(
        (
            status = 200, description = "the lease lasts while this answer is being read", body = LeaseNews,
            content_type = "application/x-ndjson"
        ),
        Refusal,
    ),
)]
pub(crate) async fn hold(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    Body(request): Body<OwnerRequest>,
) -> Result<Response, Refusal> {
    if request.name != name {
        return Err(bad_request("the path and the body name different owners"));
    }
    let grant = engine.hold_owner(request).await?;
    Ok(lines(stream::unfold(Holding::Taken(engine, grant), next)))
}

enum Holding {
    Taken(Handle, Grant),
    Told(Handle, Grant),
    Over,
}

async fn next(holding: Holding) -> Option<(axum::body::Bytes, Holding)> {
    match holding {
        Holding::Taken(engine, grant) => {
            let news = to_lines(&[LeaseNews::Lease(grant.lease.clone())]);
            Some((news, Holding::Told(engine, grant)))
        }
        Holding::Told(engine, mut grant) => {
            let ended = tokio::select! {
                ended = &mut grant.ended => ended.ok()?,
                () = engine.finished() => return None,
            };
            Some((to_lines(&[LeaseNews::Ended(ended)]), Holding::Over))
        }
        Holding::Over => None,
    }
}

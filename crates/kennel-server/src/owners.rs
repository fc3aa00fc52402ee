//! Routes for owners, their leases, and runs that outlive their request.

use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use kennel_engine::{Grant, Handle};
use kennel_wire::{CleanReport, CleanRequest, DetachReport, DetachRequest, LeaseNews, OwnerRequest, OwnerStatus};

use crate::reply::{Answer, Refusal, answer, bad_request};
use crate::routes::Body;
use crate::streams::{lines, to_lines};

/// `POST /v1/runs`.
pub(crate) async fn run_detached(
    State(engine): State<Handle>,
    Body(request): Body<DetachRequest>,
) -> Answer<DetachReport> {
    answer(engine.run_detached(request).await)
}

/// `GET /v1/owners`.
pub(crate) async fn list(State(engine): State<Handle>) -> Answer<Vec<OwnerStatus>> {
    answer(engine.owners().await)
}

/// `POST /v1/owners`.
pub(crate) async fn open(State(engine): State<Handle>, Body(request): Body<OwnerRequest>) -> Answer<OwnerStatus> {
    answer(engine.open_owner(request).await)
}

/// `POST /v1/owners/{name}/renew`.
pub(crate) async fn renew(State(engine): State<Handle>, Path(name): Path<String>) -> Answer<OwnerStatus> {
    answer(engine.renew_owner(name).await)
}

/// `POST /v1/clean`.
pub(crate) async fn clean(State(engine): State<Handle>, Body(request): Body<CleanRequest>) -> Answer<CleanReport> {
    answer(engine.clean(request).await)
}

/// `POST /v1/owners/{name}/hold`: the lease lasts while this answer is being read.
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

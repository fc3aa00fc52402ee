//! Services, and what is asked of them by name.

use axum::extract::State;
use axum::http::header::LINK;
use axum::response::{IntoResponse as _, Response};
use kennel_engine::Handle;
use kennel_wire::{
    ActionReport, ActionRequest, AlertReport, DaemonInfo, DownReport, DownRequest, FreezeReport, PortStatus,
    ReloadReport, ReloadRequest, ServiceStatus, UpReport, UpRequest,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::ending::Ending;
use crate::leases::Leases;
use crate::load::{self, load_up};
use crate::registry::Registered;
use crate::reply::{Answer, Refusal, answer, bad_request, joined};
use crate::routes::{Body, Query};

/// What this daemon is.
#[utoipa::path(
    get,
    path = "/v1/info",
    tag = "daemon",
    responses((status = 200, description = "this daemon", body = DaemonInfo), Refusal),
)]
pub(crate) async fn info(State(engine): State<Handle>) -> Answer<DaemonInfo> {
    answer(engine.info().await)
}

/// What is or was too much.
#[utoipa::path(
    get,
    path = "/v1/alerts",
    tag = "monitoring",
    responses((status = 200, description = "the open ones first", body = AlertReport), Refusal),
)]
pub(crate) async fn alerts(State(engine): State<Handle>) -> Answer<AlertReport> {
    answer(engine.alerts().await)
}

/// Starts the services of a configuration.
#[utoipa::path(
    post,
    path = "/v1/up",
    tag = "services",
    request_body = UpRequest,
    responses((status = 200, description = "each service is ready, completed or failed", body = UpReport), Refusal),
)]
pub(crate) async fn up(
    State(engine): State<Handle>,
    State(leases): State<Leases>,
    State(registered): State<Registered>,
    Body(request): Body<UpRequest>,
) -> Answer<UpReport> {
    leases.wanted();
    let up = joined(tokio::task::spawn_blocking(move || load_up(&registered, request)).await)?;
    answer(engine.up(up).await)
}

/// Starts services.
#[utoipa::path(
    post,
    path = "/v1/start",
    tag = "services",
    request_body = ActionRequest,
    responses((status = 200, description = "each is ready, completed or failed", body = UpReport), Refusal),
)]
pub(crate) async fn start(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<UpReport> {
    answer(engine.start(request).await)
}

/// Stops services; each with all that belongs to it.
#[utoipa::path(
    post,
    path = "/v1/stop",
    tag = "services",
    request_body = ActionRequest,
    responses((status = 200, description = "each is down, with its receipt", body = ActionReport), Refusal),
)]
pub(crate) async fn stop(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<ActionReport> {
    answer(engine.stop(request).await)
}

/// Stops services and starts them again.
#[utoipa::path(
    post,
    path = "/v1/restart",
    tag = "services",
    request_body = ActionRequest,
    responses((status = 200, description = "each is down and started again", body = ActionReport), Refusal),
)]
pub(crate) async fn restart(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<ActionReport> {
    answer(engine.restart(request).await)
}

/// Ends services at once.
#[utoipa::path(
    post,
    path = "/v1/kill",
    tag = "services",
    request_body = ActionRequest,
    responses((status = 200, description = "each is down, with its receipt", body = ActionReport), Refusal),
)]
pub(crate) async fn kill(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<ActionReport> {
    answer(engine.kill(request).await)
}

/// Has services stand still.
#[utoipa::path(
    post,
    path = "/v1/freeze",
    tag = "services",
    request_body = ActionRequest,
    responses((status = 200, description = "each stands still", body = FreezeReport), Refusal),
)]
pub(crate) async fn freeze(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<FreezeReport> {
    answer(engine.freeze(request).await)
}

/// Has them go on.
#[utoipa::path(
    post,
    path = "/v1/thaw",
    tag = "services",
    request_body = ActionRequest,
    responses((status = 200, description = "each goes on", body = FreezeReport), Refusal),
)]
pub(crate) async fn thaw(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<FreezeReport> {
    answer(engine.thaw(request).await)
}

/// Ends everything, and the daemon.
#[utoipa::path(
    post,
    path = "/v1/down",
    tag = "services",
    request_body = DownRequest,
    responses(
        (status = 200, description = "everything is down; the daemon ends after this answer", body = DownReport),
        Refusal,
    ),
)]
pub(crate) async fn down(State(ending): State<Ending>, Body(request): Body<DownRequest>) -> Answer<DownReport> {
    answer(ending.down(request).await)
}

/// Reads the configuration again and does what follows from the differences.
#[utoipa::path(
    post,
    path = "/v1/reload",
    tag = "services",
    request_body = ReloadRequest,
    responses((status = 200, description = "what differs and what was done about it", body = ReloadReport), Refusal),
)]
pub(crate) async fn reload(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Body(request): Body<ReloadRequest>,
) -> Answer<ReloadReport> {
    answer(load::reload(&engine, &registered, request).await)
}

/// All services.
#[utoipa::path(
    get,
    path = "/v1/services",
    tag = "services",
    params(Page),
    responses(
        (
            status = 200,
            description = "in the order of the configuration; `Link` has the next page, if there is one",
            body = Vec<ServiceStatus>,
        ),
        Refusal,
    ),
)]
pub(crate) async fn services(State(engine): State<Handle>, Query(page): Query<Page>) -> Result<Response, Refusal> {
    let mut services = engine.services().await?;
    if let Some(after) = &page.after {
        let place = services.iter().position(|one| one.name == *after);
        let place = place.ok_or_else(|| bad_request(format!("there is no service `{}`", after.escape_debug())))?;
        services.drain(..=place);
    }
    let limit = page.limit.unwrap_or(usize::MAX);
    let last = limit.checked_sub(1).ok_or_else(|| bad_request("`limit` is at least 1"))?;
    let next = services.get(last).filter(|_| services.len() > limit).map(|last| {
        let after = &last.name;
        [(LINK, format!("</v1/services?limit={limit}&after={after}>; rel=\"next\""))]
    });
    services.truncate(limit);
    Ok((next, axum::Json(services)).into_response())
}

/// A part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// So many at most; all without.
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// Those after this one: the next page is after the last one of this.
    after: Option<String>,
}

/// Who listens where.
#[utoipa::path(
    get,
    path = "/v1/ports",
    tag = "monitoring",
    responses((status = 200, description = "who listens where", body = Vec<PortStatus>), Refusal),
)]
pub(crate) async fn ports(State(engine): State<Handle>) -> Answer<Vec<PortStatus>> {
    answer(engine.ports().await)
}

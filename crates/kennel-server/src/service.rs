//! One service, by its name.

use axum::extract::{Path, State};
use axum::http::header::LINK;
use axum::response::{IntoResponse as _, Response};
use kennel_engine::Handle;
use kennel_wire::{
    ActionReport, ActionRequest, Code, FreezeReport, Problem, Receipt, ServiceAction, ServiceConfig, ServiceStatus,
    UpReport,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::reply::{Answer, Refusal, answer, bad_request};
use crate::routes::Query;

/// One service.
#[utoipa::path(
    get,
    path = "/v1/services/{name}",
    tag = "services",
    operation_id = "service",
    params(("name" = String, Path, description = "a service or a replica")),
    responses((status = 200, description = "its replicas", body = Vec<ServiceStatus>), Refusal),
)]
pub(crate) async fn show(State(engine): State<Handle>, Path(name): Path<String>) -> Answer<Vec<ServiceStatus>> {
    answer(engine.service(name).await)
}

/// How a service is configured.
#[utoipa::path(
    get,
    path = "/v1/services/{name}/config",
    tag = "services",
    operation_id = "service_config",
    params(("name" = String, Path, description = "a service or a replica")),
    responses((status = 200, description = "without the values of its environment", body = ServiceConfig), Refusal),
)]
pub(crate) async fn config(State(engine): State<Handle>, Path(name): Path<String>) -> Answer<ServiceConfig> {
    let declared = engine.declared(name.clone()).await;
    answer(declared.map(|it| ServiceConfig { name, settings: kennel_config::render_without_environment(&it) }))
}

/// How something is done to one service.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Manner {
    /// Longest time before the kill of a stop; replaces the sum of the configured waits.
    timeout_ms: Option<u64>,
    /// With `kill`: the Linux number of the signal, sent to every process. 9, the default, ends them all.
    signal: Option<i32>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Done {
    Up(UpReport),
    Action(ActionReport),
    Freeze(FreezeReport),
}

/// Does something to one service.
#[utoipa::path(
    post,
    path = "/v1/services/{name}/{action}",
    tag = "services",
    operation_id = "act_on_service",
    params(
        ("name" = String, Path, description = "a service or a replica"),
        ("action" = ServiceAction, Path, description = "what to do"),
        Manner,
    ),
    responses((status = 200, description = "as of the route of that name for several", body = Done), Refusal),
)]
pub(crate) async fn act(
    State(engine): State<Handle>,
    Path((name, action)): Path<(String, String)>,
    Query(manner): Query<Manner>,
) -> Answer<Done> {
    let Manner { timeout_ms, signal } = manner;
    let action: ServiceAction = serde_json::from_value(action.into())
        .map_err(|_| Refusal(Problem::new(Code::BadRequest, "no such action").with_status(404)))?;
    let request = ActionRequest { services: vec![name], timeout_ms, signal, ..ActionRequest::default() };
    answer(match action {
        ServiceAction::Start => engine.start(request).await.map(Done::Up),
        ServiceAction::Stop => engine.stop(request).await.map(Done::Action),
        ServiceAction::Restart => engine.restart(request).await.map(Done::Action),
        ServiceAction::Kill => engine.kill(request).await.map(Done::Action),
        ServiceAction::Freeze => engine.freeze(request).await.map(Done::Freeze),
        ServiceAction::Thaw => engine.thaw(request).await.map(Done::Freeze),
    })
}

/// Which receipts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// 1 to 1000; 20 without.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Only those of instances before this one: the next page is after the last one of this.
    before: Option<u64>,
}

/// What earlier runs of one service have left: the proof of each end.
#[utoipa::path(
    get,
    path = "/v1/services/{name}/receipts",
    tag = "services",
    operation_id = "receipts",
    params(("name" = String, Path, description = "a service or a replica"), Page),
    responses(
        (status = 200, description = "the newest first; `Link` has the next page, if there may be one", body = Vec<Receipt>),
        Refusal,
    ),
)]
pub(crate) async fn receipts(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Response, Refusal> {
    let limit = page.limit.unwrap_or(20);
    if !(1..=1000).contains(&limit) {
        return Err(bad_request("`limit` is a number from 1 to 1000"));
    }
    // What was said before this is in the store when this is.
    engine.persist().await?;
    let found = engine.events().receipts(name.clone(), page.before.unwrap_or(u64::MAX), limit).await;
    let found = found.map_err(|error| Problem::new(Code::Internal, format!("cannot read receipts: {error}")))?;
    if found.is_empty() && page.before.is_none() {
        // Nobody is told that a service has none whose name is a mistake.
        engine.service(name.clone()).await?;
    }
    let next = found.last().filter(|_| found.len() == limit).map(|last| {
        let before = last.instance;
        [(LINK, format!("</v1/services/{name}/receipts?limit={limit}&before={before}>; rel=\"next\""))]
    });
    Ok((next, axum::Json(found)).into_response())
}

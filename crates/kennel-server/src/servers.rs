//! The calls of dashboards for servers, as a thin layer over ours: the same services, in their words.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use indexmap::IndexMap;
use kennel_engine::Handle;
use kennel_formats::{answered, dashboard};
use kennel_sys::identity::boot_id;
use kennel_wire::{
    ActionRequest, Code, DashboardEvent, DashboardServer, OutcomeKind, Problem, ServerAction, ServerReport,
    ServerRequest, ServiceStatus, UpReport,
};

use crate::followers::{Followers, Many};
use crate::reply::{Answer, Refusal, answer};
use crate::routes::Body;
use crate::streams;

/// All servers by their ids.
#[utoipa::path(
    get,
    path = "/api/servers",
    tag = "servers",
    operation_id = "servers",
    responses((status = 200, description = "by their ids", body = BTreeMap<String, DashboardServer>), Refusal),
)]
pub(crate) async fn list(State(engine): State<Handle>) -> Answer<IndexMap<String, DashboardServer>> {
    answer(match engine.services().await {
        Ok(services) => Ok(of(&services)?),
        Err(problem) => Err(problem),
    })
}

/// One server, or the replicas of one.
#[utoipa::path(
    get,
    path = "/api/servers/{id}",
    tag = "servers",
    operation_id = "server",
    params(("id" = String, Path, description = "a service or a replica")),
    responses((status = 200, description = "it; of a service with replicas the first", body = DashboardServer), Refusal),
)]
pub(crate) async fn show(State(engine): State<Handle>, Path(id): Path<String>) -> Answer<DashboardServer> {
    answer(one(&engine, id).await)
}

/// Starts, stops or restarts a server.
#[utoipa::path(
    post,
    path = "/api/servers/{id}",
    tag = "servers",
    operation_id = "act_on_server",
    params(("id" = String, Path, description = "a service or a replica")),
    request_body = ServerRequest,
    responses(
        (status = 200, description = "what became of it; `success` is false if it did not start or did not end", body = ServerReport),
        Refusal,
    ),
)]
pub(crate) async fn act(
    State(engine): State<Handle>,
    Path(id): Path<String>,
    Body(request): Body<ServerRequest>,
) -> Answer<ServerReport> {
    let asked = ActionRequest { services: vec![id.clone()], ..ActionRequest::default() };
    let error = match request.action {
        ServerAction::Start => failure(&engine.start(asked).await?),
        ServerAction::Stop => left(engine.stop(asked).await?.left),
        ServerAction::Restart => {
            let report = engine.restart(asked).await?;
            left(report.left).or_else(|| failure(&UpReport { ok: report.ok, services: report.started }))
        }
    };
    let server = one(&engine, id).await?;
    answer(Ok(ServerReport { success: error.is_none(), server, error }))
}

/// What happens, in the words of dashboards: `GET /v1/events?names=dashboard` as server-sent events.
#[utoipa::path(
    get,
    path = "/api/events",
    tag = "servers",
    operation_id = "server_events",
    params(("last-event-id" = Option<u64>, Header, description = "number of the last event that is known")),
    responses(
        (status = 200, description = "server-sent events", body = DashboardEvent, content_type = "text/event-stream"),
        Refusal,
    ),
)]
pub(crate) async fn events(
    engine: State<Handle>,
    followers: State<Followers>,
    many: Option<Extension<Many>>,
    mut headers: HeaderMap,
) -> Result<Response, Refusal> {
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    streams::events(engine, followers, many, headers, RawQuery(Some("names=dashboard".to_owned()))).await
}

async fn one(engine: &Handle, id: String) -> Result<DashboardServer, Problem> {
    let servers = of(&engine.service(id).await?)?;
    let first = servers.into_values().next();
    first.ok_or_else(|| Problem::new(Code::UnknownService, "it is not there any more"))
}

fn of(services: &[ServiceStatus]) -> Result<IndexMap<String, DashboardServer>, Problem> {
    let boot_id =
        boot_id().map_err(|error| Problem::new(Code::Internal, format!("cannot read the boot id: {error}")))?;
    Ok(dashboard(&answered(services, &boot_id)))
}

fn left(count: u32) -> Option<String> {
    (count > 0).then(|| format!("{count} processes could not be ended"))
}

fn failure(report: &UpReport) -> Option<String> {
    let failed = report.services.iter().find_map(|one| match &one.kind {
        OutcomeKind::Failed { reason, .. } => Some(format!("{}: {reason}", one.service)),
        _ => None,
    });
    failed.or_else(|| (!report.ok).then(|| "it did not start".to_owned()))
}

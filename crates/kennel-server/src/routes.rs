//! The routes of `/v1`.

use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRef, FromRequest, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use kennel_engine::Handle;
use kennel_wire::{
    ActionReport, ActionRequest, AlertReport, Code, DaemonInfo, DownReport, DownRequest, FreezeReport, InstanceOrphans,
    OrphanStopRequest, PortStatus, Problem, ReloadReport, ReloadRequest, RunReport, RunRequest, ServiceStatus,
    SignalReport, UpReport, UpRequest,
};
use serde::Deserialize;

use crate::ending::Ending;
use crate::leases::{self, Leases};
use crate::load::{self, load_up};
use crate::reply::{Answer, Refusal, answer, bad_request};
use crate::{audit, health, metrics, owners, streams, succession, usage};

/// A request carries an environment at most; Linux allows 2 MiB of it with its arguments.
pub(crate) const MAX_BODY_BYTES: usize = 8 << 20;

/// What routes work with.
#[derive(Clone, FromRef)]
pub(crate) struct Doors {
    pub(crate) engine: Handle,
    pub(crate) ending: Ending,
    pub(crate) leases: Leases,
}

/// All routes.
pub(crate) fn router(doors: Doors) -> Router {
    Router::new()
        .route("/v1/info", get(info))
        .route("/v1/up", post(up))
        .route("/v1/start", post(start))
        .route("/v1/stop", post(stop))
        .route("/v1/restart", post(restart))
        .route("/v1/kill", post(kill))
        .route("/v1/freeze", post(freeze))
        .route("/v1/thaw", post(thaw))
        .route("/v1/down", post(down))
        .route("/v1/reload", post(reload))
        .route("/v1/run", post(run))
        .route("/v1/runs", post(owners::run_detached))
        .route("/v1/owners", get(owners::list).post(owners::open))
        .route("/v1/owners/{name}/hold", post(owners::hold))
        .route("/v1/owners/{name}/renew", post(owners::renew))
        .route("/v1/clean", post(owners::clean))
        .route("/v1/run/{token}/signal", post(signal_run))
        .route("/v1/run/{token}/wait", post(await_run))
        .route("/v1/processes/{pid}/signal", post(signal_process))
        .route("/v1/services", get(services))
        .route("/v1/ports", get(ports))
        .route("/v1/services/{name}", get(service))
        .route("/v1/health", get(health::health))
        .route("/v1/summary", get(health::summary))
        .route("/v1/usage", get(usage::now))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/usage/history", get(usage::history))
        .route("/v1/alerts", get(alerts))
        .route("/v1/logs", get(streams::logs))
        .route("/v1/events", get(streams::events))
        .route("/v1/audit", get(audit::list))
        .route("/v1/orphans", get(orphans))
        .route("/v1/orphans/stop", post(stop_orphans))
        .route("/v1/lease", post(leases::hold))
        .route("/v1/daemon/restart", post(succession::restart))
        .route("/v1/daemon/keeper", post(succession::keeper))
        .route_layer(from_fn_with_state(doors.clone(), audit::record))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(doors)
}

/// A JSON body whose errors are problems as all others.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Refusal))]
pub(crate) struct Body<T>(pub(crate) T);

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        bad_request(rejection.body_text())
    }
}

/// A query whose errors are problems as all others.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Refusal))]
pub(crate) struct Query<T>(pub(crate) T);

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        bad_request(rejection.body_text())
    }
}

async fn info(State(engine): State<Handle>) -> Answer<DaemonInfo> {
    answer(engine.info().await)
}

async fn alerts(State(engine): State<Handle>) -> Answer<AlertReport> {
    answer(engine.alerts().await)
}

async fn up(
    State(engine): State<Handle>,
    State(leases): State<Leases>,
    Body(request): Body<UpRequest>,
) -> Answer<UpReport> {
    leases.wanted();
    let loaded = tokio::task::spawn_blocking(|| load_up(request)).await;
    let up = loaded.unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))?;
    answer(engine.up(up).await)
}

async fn start(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<UpReport> {
    answer(engine.start(request).await)
}

async fn stop(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<ActionReport> {
    answer(engine.stop(request).await)
}

async fn restart(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<ActionReport> {
    answer(engine.restart(request).await)
}

async fn kill(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<ActionReport> {
    answer(engine.kill(request).await)
}

async fn freeze(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<FreezeReport> {
    answer(engine.freeze(request).await)
}

async fn thaw(State(engine): State<Handle>, Body(request): Body<ActionRequest>) -> Answer<FreezeReport> {
    answer(engine.thaw(request).await)
}

async fn down(State(ending): State<Ending>, Body(request): Body<DownRequest>) -> Answer<DownReport> {
    answer(ending.down(request).await)
}

async fn reload(State(engine): State<Handle>, Body(request): Body<ReloadRequest>) -> Answer<ReloadReport> {
    answer(load::reload(&engine, request).await)
}

async fn run(State(engine): State<Handle>, Body(request): Body<RunRequest>) -> Answer<RunReport> {
    if request.command.is_empty() {
        return Err(bad_request("no command is given"));
    }
    answer(engine.run(request).await)
}

async fn await_run(State(engine): State<Handle>, Path(token): Path<String>) -> Answer<RunReport> {
    answer(engine.await_run(token).await)
}

#[derive(Deserialize)]
struct Signal {
    signal: i32,
}

async fn signal_run(
    State(engine): State<Handle>,
    Path(token): Path<String>,
    Query(Signal { signal }): Query<Signal>,
) -> Result<StatusCode, Refusal> {
    if !(1..=64).contains(&signal) {
        return Err(bad_request(format!("{signal} is no signal")));
    }
    engine.signal_run(token, signal).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn signal_process(
    State(engine): State<Handle>,
    Path(pid): Path<String>,
    Query(Signal { signal }): Query<Signal>,
) -> Answer<SignalReport> {
    let pid = pid.parse().map_err(|_| bad_request(format!("`{pid}` is no process id")))?;
    if !(1..=64).contains(&signal) {
        return Err(bad_request(format!("{signal} is no signal")));
    }
    answer(engine.signal_process(pid, signal).await)
}

async fn services(State(engine): State<Handle>) -> Answer<Vec<ServiceStatus>> {
    answer(engine.services().await)
}

async fn ports(State(engine): State<Handle>) -> Answer<Vec<PortStatus>> {
    answer(engine.ports().await)
}

async fn service(State(engine): State<Handle>, Path(name): Path<String>) -> Answer<Vec<ServiceStatus>> {
    answer(engine.service(name).await)
}

async fn orphans(State(engine): State<Handle>) -> Answer<InstanceOrphans> {
    answer(engine.orphans().await)
}

async fn stop_orphans(State(engine): State<Handle>, Body(request): Body<OrphanStopRequest>) -> Answer<InstanceOrphans> {
    answer(engine.stop_orphans(request).await)
}

async fn no_route() -> Response {
    let mut problem = Problem::new(Code::BadRequest, "no such route");
    problem.status = 404;
    Refusal(problem).into_response()
}

async fn wrong_method() -> Response {
    let mut problem = Problem::new(Code::BadRequest, "the route does not take this method");
    problem.status = 405;
    Refusal(problem).into_response()
}

//! Commands that are run once, single processes, and those that nobody tracks.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use kennel_engine::Handle;
use kennel_wire::{
    AdoptReport, InstanceOrphans, OrphanAdoptRequest, OrphanStopRequest, RunReport, RunRequest, SignalReport,
};
use serde::Deserialize;

use crate::reply::{Answer, Refusal, answer, bad_request};
use crate::routes::{Body, Query};

/// Runs one command to its end.
#[utoipa::path(
    post,
    path = "/v1/run",
    tag = "runs",
    request_body = RunRequest,
    responses((status = 200, description = "its scope is empty", body = RunReport), Refusal),
)]
pub(crate) async fn run(State(engine): State<Handle>, Body(request): Body<RunRequest>) -> Answer<RunReport> {
    if request.command.is_empty() {
        return Err(bad_request("no command is given"));
    }
    answer(engine.run(request).await)
}

/// Waits for a command that another daemon had begun.
#[utoipa::path(
    post,
    path = "/v1/run/{token}/wait",
    tag = "runs",
    params(("token" = String, Path, description = "of the run")),
    responses((status = 200, description = "its scope is empty", body = RunReport), Refusal),
)]
pub(crate) async fn await_run(State(engine): State<Handle>, Path(token): Path<String>) -> Answer<RunReport> {
    answer(engine.await_run(token).await)
}

#[derive(Deserialize)]
pub(crate) struct Signal {
    signal: i32,
    start_ticks: Option<u64>,
}

impl Signal {
    fn number(&self) -> Result<i32, Refusal> {
        let signal = self.signal;
        (1..=64).contains(&signal).then_some(signal).ok_or_else(|| bad_request(format!("{signal} is no signal")))
    }
}

/// Sends a signal to a command.
#[utoipa::path(
    post,
    path = "/v1/run/{token}/signal",
    tag = "runs",
    params(
        ("token" = String, Path, description = "of the run"),
        ("signal" = i32, Query, description = "its number on Linux, 1 to 64"),
    ),
    responses((status = 204, description = "it was sent"), Refusal),
)]
pub(crate) async fn signal_run(
    State(engine): State<Handle>,
    Path(token): Path<String>,
    Query(signal): Query<Signal>,
) -> Result<StatusCode, Refusal> {
    engine.signal_run(token, signal.number()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a signal to a process of a service.
#[utoipa::path(
    post,
    path = "/v1/processes/{pid}/signal",
    tag = "processes",
    params(
        ("pid" = u32, Path, description = "a process of a service"),
        ("signal" = i32, Query, description = "its number on Linux, 1 to 64"),
        (
            "start_ticks" = Option<u64>, Query,
            description = "when the process that is meant began, clock ticks since boot: none other is signalled"
        ),
    ),
    responses((status = 200, description = "it was sent", body = SignalReport), Refusal),
)]
pub(crate) async fn signal_process(
    State(engine): State<Handle>,
    Path(pid): Path<String>,
    Query(signal): Query<Signal>,
) -> Answer<SignalReport> {
    let pid = pid.parse().map_err(|_| bad_request(format!("`{pid}` is no process id")))?;
    answer(engine.signal_process(pid, signal.start_ticks, signal.number()?).await)
}

/// Processes of this kennel that nobody tracks.
#[utoipa::path(
    get,
    path = "/v1/orphans",
    tag = "processes",
    responses(
        (status = 200, description = "processes of this kennel that nobody tracks", body = InstanceOrphans),
        Refusal,
    ),
)]
pub(crate) async fn orphans(State(engine): State<Handle>) -> Answer<InstanceOrphans> {
    answer(engine.orphans().await)
}

/// Ends some of them.
#[utoipa::path(
    post,
    path = "/v1/orphans/stop",
    tag = "processes",
    request_body = OrphanStopRequest,
    responses((status = 200, description = "what became of them", body = InstanceOrphans), Refusal),
)]
pub(crate) async fn stop_orphans(
    State(engine): State<Handle>,
    Body(request): Body<OrphanStopRequest>,
) -> Answer<InstanceOrphans> {
    answer(engine.stop_orphans(request).await)
}

/// Has one of them held again, with everybody of its scope.
#[utoipa::path(
    post,
    path = "/v1/orphans/adopt",
    tag = "processes",
    request_body = OrphanAdoptRequest,
    responses((status = 200, description = "it is held", body = AdoptReport), Refusal),
)]
pub(crate) async fn adopt_orphan(
    State(engine): State<Handle>,
    Body(request): Body<OrphanAdoptRequest>,
) -> Answer<AdoptReport> {
    answer(engine.adopt_orphan(request).await)
}

//! Routes of the [registry](crate::registry).

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use kennel_config::{dashboard_services, read_dashboard_text};
use kennel_engine::Handle;
use kennel_wire::{DashboardServer, Definition, Registry, ReloadReport};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::kept::version;
use crate::registry::{Change, Condition, How, Registered};
use crate::reply::{Answer, Refusal, bad_request, joined};
use crate::routes::{Body, Query};
use crate::{load, servers};

/// How a change is made.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// Only tell what would be done.
    dry_run: bool,
    /// Start what is registered; else it is only known.
    start: bool,
}

/// What is shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Shown {
    /// With the values of environments, which may be secrets.
    values: bool,
}

/// Services that were registered beside the configuration file.
#[utoipa::path(
    get,
    path = "/v1/registry",
    tag = "services",
    operation_id = "registry",
    params(Shown),
    responses((status = 200, description = "with its version as `ETag`", body = Registry), Refusal),
)]
pub(crate) async fn show(
    State(registered): State<Registered>,
    Query(shown): Query<Shown>,
) -> Result<Response, Refusal> {
    let registry = registered.read()?.registry();
    let tag = [(ETAG, version(&registry))];
    let registry = if shown.values { registry } else { registry.without_values() };
    Ok((tag, Json(registry)).into_response())
}

/// Registers these services and no others: those that are not among them are stopped and forgotten.
#[utoipa::path(
    put,
    path = "/v1/registry",
    tag = "services",
    operation_id = "register_all",
    params(
        Wish,
        ("If-Match" = Option<String>, Header, description = "only if the registry has this version"),
        ("If-None-Match" = Option<String>, Header, description = "only if the registry has not this version"),
    ),
    request_body = Registry,
    responses((status = 200, description = "what was done, with the new version as `ETag`", body = ReloadReport), Refusal),
)]
pub(crate) async fn replace(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    Body(registry): Body<Registry>,
) -> Result<Response, Refusal> {
    change(&engine, &registered, Change::All(registry), &headers, &wish).await
}

/// Registers these services beside those that are; one that is registered already is declared anew.
#[utoipa::path(
    post,
    path = "/v1/registry",
    tag = "services",
    operation_id = "register_several",
    params(Wish, ("If-Match" = Option<String>, Header, description = "only if the registry has this version")),
    request_body = Registry,
    responses((status = 200, description = "what was done, with the new version as `ETag`", body = ReloadReport), Refusal),
)]
pub(crate) async fn add(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    Body(registry): Body<Registry>,
) -> Result<Response, Refusal> {
    change(&engine, &registered, Change::Add(registry), &headers, &wish).await
}

/// Registers a service, or declares one that is registered anew. What runs and differs is restarted.
#[utoipa::path(
    put,
    path = "/v1/services/{name}",
    tag = "services",
    operation_id = "register",
    params(
        ("name" = String, Path, description = "of the service"),
        Wish,
        ("If-Match" = Option<String>, Header, description = "only if its declaration has this version"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if none of this name is registered"),
    ),
    request_body(content = Object, description = "the keys of a service in the configuration file; `working_dir` is needed, and absolute"),
    responses((status = 200, description = "what was done, with the version of its declaration as `ETag`", body = ReloadReport), Refusal),
)]
pub(crate) async fn register(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Path(name): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    Body(definition): Body<Definition>,
) -> Result<Response, Refusal> {
    change(&engine, &registered, Change::One(name, definition), &headers, &wish).await
}

/// Stops a service that was registered, and forgets it.
#[utoipa::path(
    delete,
    path = "/v1/services/{name}",
    tag = "services",
    operation_id = "unregister",
    params(
        ("name" = String, Path, description = "of the service"),
        Wish,
        ("If-Match" = Option<String>, Header, description = "only if its declaration has this version"),
    ),
    responses((status = 200, description = "what was done, with receipts", body = ReloadReport), Refusal),
)]
pub(crate) async fn unregister(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Path(name): Path<String>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    change(&engine, &registered, Change::Remove(name), &headers, &wish).await
}

async fn change(
    engine: &Handle,
    registered: &Registered,
    change: Change,
    headers: &HeaderMap,
    wish: &Wish,
) -> Result<Response, Refusal> {
    let how = How { dry_run: wish.dry_run, start: wish.start };
    let (report, version) = changed(engine, registered, change, headers, how).await?;
    let tag = version.map(|version| [(ETAG, version)]);
    Ok((tag, Json(report)).into_response())
}

/// Changes what is registered, if that is as the request wants it; answers with what was done, and the new version.
pub(crate) async fn changed(
    engine: &Handle,
    registered: &Registered,
    change: Change,
    headers: &HeaderMap,
    how: How,
) -> Result<(ReloadReport, Option<String>), Refusal> {
    let (engine, registered, condition) = (engine.clone(), registered.clone(), condition(headers)?);
    // Whoever asked may go away; what was begun is written and carried out as a whole.
    let work = tokio::spawn(async move { registered.change(&engine, change, &condition, how).await });
    Ok(joined(work.await)?)
}

/// What a request says of what there has to be.
fn condition(headers: &HeaderMap) -> Result<Condition, Refusal> {
    Ok(Condition { matches: header(headers, IF_MATCH)?, matches_none: header(headers, IF_NONE_MATCH)? })
}

/// All values of a header that is a list, as one.
fn header(headers: &HeaderMap, name: HeaderName) -> Result<Option<String>, Refusal> {
    let values: Result<Vec<&str>, _> = headers.get_all(&name).iter().map(|value| value.to_str()).collect();
    let values = values.map_err(|_| bad_request(format!("`{name}` is no text")))?;
    Ok((!values.is_empty()).then(|| values.join(",")))
}

/// The state of a dashboard: all servers by their ids.
#[utoipa::path(
    get,
    path = "/v1/state",
    tag = "servers",
    operation_id = "export_state",
    responses((status = 200, description = "as `GET /api/servers`", body = BTreeMap<String, DashboardServer>), Refusal),
)]
pub(crate) async fn export(engine: State<Handle>) -> Answer<IndexMap<String, DashboardServer>> {
    servers::list(engine).await
}

/// Registers the servers of a dashboard, as it has recorded them. Nothing of what it says of processes is believed.
#[utoipa::path(
    post,
    path = "/v1/state",
    tag = "servers",
    operation_id = "import_state",
    params(Wish),
    request_body(content = BTreeMap<String, DashboardServer>, description = "servers by their ids"),
    responses((status = 200, description = "what was done", body = ReloadReport), Refusal),
)]
pub(crate) async fn import(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let text = std::str::from_utf8(&body).map_err(|_| bad_request("it is not UTF-8"))?;
    let read = read_dashboard_text(std::path::Path::new("state.json"), text);
    let servers = read.map_err(|invalid| load::problem(invalid, "the state of the dashboard"))?;
    let services = dashboard_services(&servers).into_iter().collect();
    change(&engine, &registered, Change::Add(Registry { services }), &headers, &wish).await
}

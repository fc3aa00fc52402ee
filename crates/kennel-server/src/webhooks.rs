//! Where events are sent to: how that goes, and what can be done about it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kennel_engine::Handle;
use kennel_wire::{
    Code, Definition, DeliveryStatus, Problem, WebhookReport, WebhookRetryReport, WebhookRetryRequest,
    WebhookSecretReport, WebhookSecretRequest, WebhookStatus, WebhookTestReport,
};
use serde::Deserialize;

use crate::kept::version;
use crate::registrations::changed;
use crate::registry::{Change, How, Registered};
use crate::reply::{Answer, Refusal, answer};
use crate::routes::{Body, Query};

/// Messages that are answered unless it is said how many.
const USUAL: usize = 50;

/// The webhooks of the configuration and those that were registered, without their secrets.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    operation_id = "webhooks",
    responses((status = 200, description = "in the order of the configuration", body = Vec<WebhookStatus>), Refusal),
)]
pub(crate) async fn list(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
) -> Answer<Vec<WebhookStatus>> {
    answer(known(&engine, &registered).await)
}

/// With where each was declared.
async fn known(engine: &Handle, registered: &Registered) -> Result<Vec<WebhookStatus>, Problem> {
    let (mut webhooks, kept) = (engine.list_webhooks().await?, registered.read()?.webhooks);
    webhooks.iter_mut().for_each(|one| one.registered = kept.contains_key(&one.name));
    Ok(webhooks)
}

async fn one(engine: &Handle, registered: &Registered, name: &str) -> Result<WebhookStatus, Problem> {
    let found = known(engine, registered).await?.into_iter().find(|one| one.name == name);
    found.ok_or_else(|| Problem::new(Code::UnknownWebhook, "no webhook has that name"))
}

/// One webhook, without its secret.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{name}",
    tag = "webhooks",
    operation_id = "webhook",
    params(("name" = String, Path, description = "of the webhook")),
    responses((status = 200, description = "with the version of its declaration as `ETag`, if it was registered", body = WebhookStatus), Refusal),
)]
pub(crate) async fn show(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let status = one(&engine, &registered, &name).await?;
    let version = registered.read()?.webhooks.get(&name).map(version);
    Ok((version.map(|version| [(ETAG, version)]), Json(status)).into_response())
}

/// Registers a webhook beside those of the configuration file, or declares one that is registered anew.
#[utoipa::path(
    put,
    path = "/v1/webhooks/{name}",
    tag = "webhooks",
    operation_id = "register_webhook",
    params(
        ("name" = String, Path, description = "of the webhook"),
        ("If-Match" = Option<String>, Header, description = "only if its declaration has this version"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if none of this name is registered"),
    ),
    request_body(content = Object, description = "the keys of a webhook in the configuration file; paths of files are absolute"),
    responses((status = 200, description = "how it is now, with the version of its declaration as `ETag`", body = WebhookReport), Refusal),
)]
pub(crate) async fn register(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(definition): Body<Definition>,
) -> Result<Response, Refusal> {
    let created = !registered.read()?.webhooks.contains_key(&name);
    let change = Change::Webhook(name.clone(), definition);
    let (_, version) = changed(&engine, &registered, change, &headers, How::default()).await?;
    let webhook = one(&engine, &registered, &name).await?;
    let secret = match created {
        // One that is not ours, or was told before, is not told here.
        true => engine.webhook_secret(name, false).await.ok().map(|report| report.secret),
        false => None,
    };
    let tag = version.map(|version| [(ETAG, version)]);
    Ok((tag, Json(WebhookReport { webhook, created, secret })).into_response())
}

/// Forgets a webhook that was registered: its messages, and the secret that kennel made for it. The same for one that was in the
/// configuration file and is no more.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{name}",
    tag = "webhooks",
    operation_id = "remove_webhook",
    params(
        ("name" = String, Path, description = "of the webhook"),
        ("If-Match" = Option<String>, Header, description = "only if its declaration has this version"),
    ),
    responses((status = 204, description = "nothing is known of it any more"), Refusal),
)]
pub(crate) async fn remove(
    State(engine): State<Handle>,
    State(registered): State<Registered>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let change = Change::RemoveWebhook(name.clone());
    let removed = changed(&engine, &registered, change, &headers, How::default()).await;
    let is_forgotten = engine.forget_webhook(name.clone()).await?;
    match removed {
        Err(Refusal(problem)) if problem.code == Code::UnknownWebhook && !is_forgotten => {
            let Ok(_declared) = one(&engine, &registered, &name).await else { return Err(Refusal(problem)) };
            let file = engine.loaded_from().await?.config;
            let text = format!("`{name}` is declared in {}", file.display());
            Err(Refusal(Problem::new(Code::Conflict, text).hint("remove it there, and then: `kennel reload`")))
        }
        Err(Refusal(problem)) if problem.code != Code::UnknownWebhook => Err(Refusal(problem)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Of which webhook, and how many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeliveryQuery {
    webhook: Option<String>,
    limit: Option<usize>,
}

/// The newest messages: on their way, arrived, or dead.
#[utoipa::path(
    get,
    path = "/v1/deliveries",
    tag = "webhooks",
    operation_id = "deliveries",
    params(
        ("webhook" = Option<String>, Query, description = "only those to this one"),
        ("limit" = Option<usize>, Query, description = "so many of each webhook at most; 50 unless given"),
    ),
    responses((status = 200, description = "oldest first", body = Vec<DeliveryStatus>), Refusal),
)]
pub(crate) async fn deliveries(
    State(engine): State<Handle>,
    Query(query): Query<DeliveryQuery>,
) -> Answer<Vec<DeliveryStatus>> {
    answer(engine.deliveries(query.webhook, query.limit.unwrap_or(USUAL)).await)
}

/// Sends a message that says that it is a test.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{name}/test",
    tag = "webhooks",
    operation_id = "test_webhook",
    params(("name" = String, Path, description = "of the webhook")),
    responses((status = 200, description = "what came of it, also if it failed", body = WebhookTestReport), Refusal),
)]
pub(crate) async fn test(State(engine): State<Handle>, Path(name): Path<String>) -> Answer<WebhookTestReport> {
    answer(engine.test_webhook(name).await)
}

/// Tries dead messages again, and those that wait at once.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{name}/retry",
    tag = "webhooks",
    operation_id = "retry_webhook",
    params(("name" = String, Path, description = "of the webhook")),
    request_body = WebhookRetryRequest,
    responses((status = 200, description = "they are tried again", body = WebhookRetryReport), Refusal),
)]
pub(crate) async fn retry(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    Body(request): Body<WebhookRetryRequest>,
) -> Answer<WebhookRetryReport> {
    answer(engine.retry_webhook(name, request.ids).await)
}

/// Tells the secret that kennel made, once; or makes another one.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{name}/secret",
    tag = "webhooks",
    operation_id = "webhook_secret",
    params(("name" = String, Path, description = "of the webhook")),
    request_body = WebhookSecretRequest,
    responses((status = 200, description = "it, which is told only here", body = WebhookSecretReport), Refusal),
)]
pub(crate) async fn secret(
    State(engine): State<Handle>,
    Path(name): Path<String>,
    Body(request): Body<WebhookSecretRequest>,
) -> Answer<WebhookSecretReport> {
    answer(engine.webhook_secret(name, request.rotate).await)
}

//! Whether all is well: `/v1/health` and `/v1/summary`.

use axum::extract::{RawQuery, State};
use kennel_engine::Handle;
use kennel_wire::{HealthReport, Summary};

use crate::query::{pairs, unknown};
use crate::reply::{Answer, Refusal, answer};

/// Whether services are well.
#[utoipa::path(
    get,
    path = "/v1/health",
    tag = "monitoring",
    params(("service" = Option<Vec<String>>, Query, description = "services or replicas, one each; all without")),
    responses((status = 200, description = "whether these services are well", body = HealthReport), Refusal),
)]
pub(crate) async fn health(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<HealthReport> {
    let mut names = Vec::new();
    for (key, value) in pairs(raw.as_deref())? {
        match key {
            "service" => names.push(value),
            other => return Err(unknown(other, &["service"])),
        }
    }
    answer(engine.health(names).await)
}

/// Totals over all services.
#[utoipa::path(
    get,
    path = "/v1/summary",
    tag = "monitoring",
    responses((status = 200, description = "totals over all services", body = Summary), Refusal),
)]
pub(crate) async fn summary(State(engine): State<Handle>) -> Answer<Summary> {
    answer(engine.services().await.map(|services| Summary::of(&services)))
}

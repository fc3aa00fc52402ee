//! Whether all is well: `/v1/health` and `/v1/summary`.

use axum::extract::{RawQuery, State};
use kennel_engine::Handle;
use kennel_wire::{HealthReport, Summary};

use crate::query::{pairs, unknown};
use crate::reply::{Answer, answer};

/// `GET /v1/health?service=a&service=b`.
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

/// `GET /v1/summary`.
pub(crate) async fn summary(State(engine): State<Handle>) -> Answer<Summary> {
    answer(engine.services().await.map(|services| Summary::of(&services)))
}

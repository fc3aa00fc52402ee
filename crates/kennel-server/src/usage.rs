//! What services use: `/v1/usage`.

use axum::extract::{RawQuery, State};
use kennel_engine::Handle;
use kennel_wire::{UsageReport, UsageRequest};

use crate::query::{pairs, unknown};
use crate::reply::{Answer, Refusal, answer, bad_request};

/// `GET /v1/usage?service=a&service=b&processes=true&pss=true`.
pub(crate) async fn now(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<UsageReport> {
    answer(engine.usage(request(raw.as_deref())?).await)
}

fn request(raw: Option<&str>) -> Result<UsageRequest, Refusal> {
    let mut request = UsageRequest::default();
    for (key, value) in pairs(raw)? {
        let flag = || value.parse().map_err(|_| bad_request(format!("`{key}` is true or false")));
        match key {
            "processes" => request.processes = flag()?,
            "pss" => request.pss = flag()?,
            "service" => request.services.push(value),
            other => return Err(unknown(other, &["service", "processes", "pss"])),
        }
    }
    Ok(request)
}

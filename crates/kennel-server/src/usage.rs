//! What services use: `/v1/usage`.

use axum::extract::{RawQuery, State};
use kennel_engine::Handle;
use kennel_wire::{HistoryRequest, UsageHistory, UsageReport, UsageRequest};

use crate::query::{pairs, unknown};
use crate::reply::{Answer, Refusal, answer, bad_request};

/// What services use now.
#[utoipa::path(
    get,
    path = "/v1/usage",
    tag = "monitoring",
    operation_id = "usage",
    params(
        ("service" = Option<Vec<String>>, Query, description = "services or replicas, one each; all without"),
        ("processes" = Option<bool>, Query, description = "each process by itself as well"),
        ("zombies" = Option<bool>, Query, description = "those that have ended and wait for their parents as well"),
        ("pss" = Option<bool>, Query, description = "its proportional share of memory, which is expensive"),
        ("at_once" = Option<bool>, Query, description = "without waiting for a second look"),
    ),
    responses((status = 200, description = "what services use now", body = UsageReport), Refusal),
)]
pub(crate) async fn now(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<UsageReport> {
    answer(engine.usage(request(raw.as_deref())?).await)
}

/// What services used over time.
#[utoipa::path(
    get,
    path = "/v1/usage/history",
    tag = "monitoring",
    operation_id = "usage_history",
    params(
        ("service" = Option<Vec<String>>, Query, description = "services or replicas, one each; all without"),
        ("since" = Option<jiff::Timestamp>, Query, description = "a quarter of an hour ago without"),
        ("until" = Option<jiff::Timestamp>, Query, description = "now without"),
        ("step_ms" = Option<u64>, Query, description = "time between two points; 0: the samples in memory"),
    ),
    responses((status = 200, description = "what services used over time", body = UsageHistory), Refusal),
)]
pub(crate) async fn history(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<UsageHistory> {
    answer(engine.usage_history(history_request(raw.as_deref())?).await)
}

fn request(raw: Option<&str>) -> Result<UsageRequest, Refusal> {
    let mut request = UsageRequest::default();
    for (key, value) in pairs(raw)? {
        let flag = || value.parse().map_err(|_| bad_request(format!("`{key}` is true or false")));
        match key {
            "processes" => request.processes = flag()?,
            "zombies" => request.zombies = flag()?,
            "pss" => request.pss = flag()?,
            "at_once" => request.at_once = flag()?,
            "service" => request.services.push(value),
            other => return Err(unknown(other, &["service", "processes", "zombies", "pss", "at_once"])),
        }
    }
    Ok(request)
}

fn history_request(raw: Option<&str>) -> Result<HistoryRequest, Refusal> {
    let mut request = HistoryRequest::default();
    for (key, value) in pairs(raw)? {
        let time = || value.parse().map(Some).map_err(|_| bad_request(format!("`{key}` is an RFC 3339 time")));
        match key {
            "since" => request.since = time()?,
            "until" => request.until = time()?,
            "step_ms" => {
                request.step_ms =
                    Some(value.parse().map_err(|_| bad_request("`step_ms` is a number of milliseconds"))?);
            }
            "service" => request.services.push(value),
            other => return Err(unknown(other, &["service", "since", "until", "step_ms"])),
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let read = |raw| request(Some(raw)).map_err(|refusal| refusal.0.to_string());
        let services = vec!["a".into(), "b.2".into()];
        let all = UsageRequest { services, processes: true, zombies: true, pss: true, at_once: true };
        assert_eq!(read("service=a&processes=true&service=b.2&zombies=true&pss=true&at_once=true"), Ok(all));
        assert!(read("processes=maybe").is_err() && read("proc=true").is_err());
        let read = |raw| history_request(Some(raw)).map_err(|refusal| refusal.0.to_string());
        let since = "2026-01-02T03:04:05Z".parse().ok();
        let some = HistoryRequest { since, step_ms: Some(0), ..HistoryRequest::default() };
        assert_eq!(read("since=2026-01-02T03:04:05Z&step_ms=0"), Ok(some));
        assert!(read("since=yesterday").is_err() && read("step_ms=-1").is_err() && read("step=1").is_err());
    }
}

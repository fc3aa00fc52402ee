//! What services use: `/v1/usage`.

use axum::extract::{RawQuery, State};
use kennel_engine::Handle;
use kennel_wire::{HistoryRequest, UsageHistory, UsageReport, UsageRequest};

use crate::query::{pairs, unknown};
use crate::reply::{Answer, Refusal, answer, bad_request};

/// `GET /v1/usage?service=a&service=b&processes=true&pss=true`.
pub(crate) async fn now(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<UsageReport> {
    answer(engine.usage(request(raw.as_deref())?).await)
}

/// `GET /v1/usage/history?service=a&since=T&until=T&step_ms=N`.
pub(crate) async fn history(State(engine): State<Handle>, RawQuery(raw): RawQuery) -> Answer<UsageHistory> {
    answer(engine.usage_history(history_request(raw.as_deref())?).await)
}

fn request(raw: Option<&str>) -> Result<UsageRequest, Refusal> {
    let mut request = UsageRequest::default();
    for (key, value) in pairs(raw)? {
        let flag = || value.parse().map_err(|_| bad_request(format!("`{key}` is true or false")));
        match key {
            "processes" => request.processes = flag()?,
            "pss" => request.pss = flag()?,
            "at_once" => request.at_once = flag()?,
            "service" => request.services.push(value),
            other => return Err(unknown(other, &["service", "processes", "pss", "at_once"])),
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
        let all = UsageRequest { services: vec!["a".into(), "b.2".into()], processes: true, pss: true, at_once: true };
        assert_eq!(read("service=a&processes=true&service=b.2&pss=true&at_once=true"), Ok(all));
        assert!(read("processes=maybe").is_err() && read("proc=true").is_err());
        let read = |raw| history_request(Some(raw)).map_err(|refusal| refusal.0.to_string());
        let since = "2026-01-02T03:04:05Z".parse().ok();
        let some = HistoryRequest { since, step_ms: Some(0), ..HistoryRequest::default() };
        assert_eq!(read("since=2026-01-02T03:04:05Z&step_ms=0"), Ok(some));
        assert!(read("since=yesterday").is_err() && read("step_ms=-1").is_err() && read("step=1").is_err());
    }
}

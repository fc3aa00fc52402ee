//! `Prefer: respond-async` (RFC 7240): work that takes its time is answered with 202 and a place to look at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::header::{HeaderName, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use kennel_wire::{Code, Operation, OperationState, Problem};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use crate::access::Actor;
use crate::answered::{Answered, asker};
use crate::audit::Who;
use crate::reply::{Answer, Refusal, answer};
use crate::routes::Query;

/// Where it can be asked for. `down` ends whoever could answer, and streams have no end.
const LATER: [&str; 17] = [
    "/v1/up",
    "/v1/start",
    "/v1/stop",
    "/v1/restart",
    "/v1/kill",
    "/v1/freeze",
    "/v1/thaw",
    "/v1/reload",
    "/v1/clean",
    "/v1/runs",
    "/v1/registry",
    "/v1/orphans/stop",
    "/v1/orphans/adopt",
    "/v1/services/{name}",
    "/v1/services/{name}/{action}",
    "/v1/processes/{pid}/signal",
    "/api/servers/{id}",
];
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Most that are remembered; of those that have ended the oldest go first.
const MOST: usize = 256;
/// Most that go on at once.
const MOST_RUNNING: usize = 128;
/// Bytes of all results together.
const MOST_BYTES: usize = 16 << 20;
/// Longest that somebody may wait for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What was asked for and is remembered, the oldest first.
#[derive(Clone, Default)]
pub(crate) struct Operations(Arc<Mutex<VecDeque<Entry>>>);

struct Entry {
    operation: Operation,
    asker: String,
    bytes: usize,
    ended: watch::Sender<bool>,
}

impl Operations {
    fn begin(&self, id: &str, request: String, asker: String) -> Result<Operation, Problem> {
        let mut all = self.all();
        if all.iter().filter(|one| one.operation.state == OperationState::Running).count() >= MOST_RUNNING {
            let text = format!("{MOST_RUNNING} operations are under way already");
            return Err(Problem::new(Code::RateLimited, text));
        }
        let operation = Operation {
            id: id.to_owned(),
            request,
            state: OperationState::Running,
            created_at: Timestamp::now(),
            ended_at: None,
            status: None,
            result: None,
        };
        all.push_back(Entry { operation: operation.clone(), asker, bytes: 0, ended: watch::Sender::new(false) });
        shrink(&mut all);
        Ok(operation)
    }

    fn end(&self, id: &str, answered: &Answered) {
        let mut all = self.all();
        let Some(entry) = all.iter_mut().find(|one| one.operation.id == id) else { return };
        let state = if answered.status.is_success() { OperationState::Done } else { OperationState::Failed };
        entry.operation.state = state;
        entry.operation.ended_at = Some(Timestamp::now());
        entry.operation.status = Some(answered.status.as_u16());
        entry.operation.result = serde_json::from_slice(&answered.body).ok();
        entry.bytes = answered.body.len();
        entry.ended.send_replace(true);
        shrink(&mut all);
    }

    /// Those that this actor may see: a right for some things alone sees its own.
    fn seen_by(&self, id: Option<&str>, asker: &str, actor: Option<&Actor>) -> Vec<(Operation, watch::Receiver<bool>)> {
        let is_bound = actor.is_some_and(Actor::is_bound);
        let all = self.all();
        let seen =
            all.iter().filter(|one| id.is_none_or(|id| one.operation.id == id) && (!is_bound || one.asker == asker));
        seen.map(|one| (one.operation.clone(), one.ended.subscribe())).collect()
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shrink(all: &mut VecDeque<Entry>) {
    while all.len() > MOST || all.iter().map(|one| one.bytes).sum::<usize>() > MOST_BYTES {
        let Some(oldest) = all.iter().position(|one| one.operation.state != OperationState::Running) else { return };
        all.remove(oldest);
    }
}

/// The layer around all routes: answers at once where that is preferred and can be.
pub(crate) async fn later(
    State(operations): State<Operations>,
    ConnectInfo(who): ConnectInfo<Who>,
    actor: Option<Extension<Actor>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let is_change = !request.method().is_safe();
    if !is_change || !LATER.contains(&path.as_str()) || !is_preferred(request.headers()) {
        return next.run(request).await;
    }
    let Ok(id) = kennel_sys::random::token() else {
        return Refusal(Problem::new(Code::Internal, "there is nothing random to be had")).into_response();
    };
    let asked = format!("{} {}", request.method(), request.uri().path());
    let operation = match operations.begin(&id, asked, asker(who, actor.as_deref())) {
        Ok(operation) => operation,
        Err(problem) => return Refusal(problem).into_response(),
    };
    let known = id.clone();
    tokio::spawn(async move {
        let answered = Answered::by(next, request).await;
        operations.end(&known, &answered);
    });
    let place = HeaderValue::from_str(&format!("/v1/operations/{id}")).ok();
    let head: HeaderMap = place.map(|place| (LOCATION, place)).into_iter().collect();
    let applied = [("preference-applied", "respond-async")];
    (StatusCode::ACCEPTED, head, applied, axum::Json(operation)).into_response()
}

fn is_preferred(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    words.any(|word| word.eq_ignore_ascii_case("respond-async"))
}

/// What was asked for with `Prefer: respond-async`.
#[utoipa::path(
    get,
    path = "/v1/operations",
    tag = "daemon",
    operation_id = "operations",
    responses((status = 200, description = "the oldest first", body = Vec<Operation>), Refusal),
)]
pub(crate) async fn list(
    State(operations): State<Operations>,
    ConnectInfo(who): ConnectInfo<Who>,
    actor: Option<Extension<Actor>>,
) -> Answer<Vec<Operation>> {
    let actor = actor.as_deref();
    let seen = operations.seen_by(None, &asker(who, actor), actor);
    answer(Ok(seen.into_iter().map(|(operation, _)| operation).collect()))
}

/// Whether to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// Answer when it has ended, or after so long, at most a minute.
    wait_ms: u64,
}

/// How far one is.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    tag = "daemon",
    operation_id = "operation",
    params(("id" = String, Path, description = "as it was answered"), Wait),
    responses((status = 200, description = "as it is", body = Operation), Refusal),
)]
pub(crate) async fn show(
    State(operations): State<Operations>,
    ConnectInfo(who): ConnectInfo<Who>,
    actor: Option<Extension<Actor>>,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
) -> Answer<Operation> {
    let actor = actor.as_deref();
    let asker = asker(who, actor);
    let find = || {
        let found = operations.seen_by(Some(&id), &asker, actor).pop();
        found.ok_or_else(|| {
            let hint = "a daemon knows its own, and the latest of them";
            Problem::new(Code::BadRequest, "no such operation").with_status(404).hint(hint)
        })
    };
    let (_, mut ended) = find()?;
    let limit = Duration::from_millis(wait.wait_ms).min(LONGEST_WAIT);
    // Late or not: it is as it is.
    let _late = tokio::time::timeout(limit, ended.wait_for(|ended| *ended)).await;
    answer(find().map(|(operation, _)| operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, bytes: usize) -> Answered {
        let body = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2))).into();
        Answered { status: StatusCode::from_u16(status).unwrap_or_default(), head: HeaderMap::new(), body }
    }

    #[test]
    fn what_has_ended_gives_way_and_what_goes_on_does_not() {
        let operations = Operations::default();
        let begin = |id: usize| operations.begin(&id.to_string(), "POST /v1/stop".into(), "uid 0".into());
        let ids = || operations.all().iter().map(|one| one.operation.id.clone()).collect::<Vec<_>>();
        for id in 0..MOST_RUNNING {
            assert!(begin(id).is_ok());
        }
        assert_eq!(begin(999).map_err(|problem| problem.code).err(), Some(Code::RateLimited));
        for id in 1..MOST_RUNNING {
            operations.end(&id.to_string(), &answered(200, 2));
        }
        for id in 1000..1000 + MOST {
            assert!(begin(id).is_ok());
            operations.end(&id.to_string(), &answered(404, 2));
        }
        assert_eq!((ids().len(), ids()[0].as_str()), (MOST, "0"));
        // Long results push out others.
        for id in 2000..2010 {
            assert!(begin(id).is_ok());
            operations.end(&id.to_string(), &answered(200, 3 << 20));
        }
        assert_eq!(ids(), ["0", "2005", "2006", "2007", "2008", "2009"]);
    }

    #[test]
    fn a_preference_is_found_among_others() {
        let preferred = |values: &[&str]| {
            let mut head = HeaderMap::new();
            for value in values {
                head.append(PREFER, HeaderValue::from_str(value).unwrap());
            }
            is_preferred(&head)
        };
        assert!(
            preferred(&["respond-async"])
                && preferred(&["wait=5, Respond-Async"])
                && preferred(&["a", "respond-async; x"])
        );
        assert!(!preferred(&[]) && !preferred(&["return=minimal"]) && !preferred(&["respond-asynchronously"]));
    }
}

//! Answers: JSON, or a problem with its status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kennel_wire::{Code, Problem};
use serde::Serialize;

/// A problem as an HTTP answer (RFC 9457).
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = self.0.code;
        let mut response = (status, [("content-type", "application/problem+json")], Json(self.0)).into_response();
        // For the audit.
        response.extensions_mut().insert(code);
        response
    }
}

/// What a route answers.
pub(crate) type Answer<T> = Result<Json<T>, Refusal>;

/// Wraps what the engine answered.
pub(crate) fn answer<T: Serialize>(result: Result<T, Problem>) -> Answer<T> {
    result.map(Json).map_err(Refusal)
}

/// A request that cannot be read.
pub(crate) fn bad_request(text: impl Into<String>) -> Refusal {
    Refusal(Problem::new(Code::BadRequest, text))
}

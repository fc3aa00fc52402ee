//! Answers: JSON, or a problem with its status.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kennel_wire::{Code, Problem};
use serde::Serialize;
use tokio::task::JoinError;
use utoipa::IntoResponses;
use utoipa::openapi::{self, ContentBuilder, RefOr, ResponseBuilder};

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

impl IntoResponses for Refusal {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let content = ContentBuilder::new().schema(Some(openapi::Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description("a problem").content("application/problem+json", content);
        BTreeMap::from([("default".to_owned(), response.build().into())])
    }
}

/// What a route answers.
pub(crate) type Answer<T> = Result<Json<T>, Refusal>;

/// Wraps what the engine answered.
pub(crate) fn answer<T: Serialize>(result: Result<T, Problem>) -> Answer<T> {
    result.map(Json).map_err(Refusal)
}

/// What a task of its own has answered; that it has panicked is a problem as well.
pub(crate) fn joined<T>(result: Result<Result<T, Problem>, JoinError>) -> Result<T, Problem> {
    result.unwrap_or_else(|error| Err(Problem::new(Code::Internal, error.to_string())))
}

/// A request that cannot be read.
pub(crate) fn bad_request(text: impl Into<String>) -> Refusal {
    Refusal(Problem::new(Code::BadRequest, text))
}

//! An answer as a whole, to be given again.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, LINK, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use kennel_wire::{Code, Problem};

use crate::access::Actor;
use crate::audit::Who;

/// Longest body that is kept, bytes: receipts of some thousand processes.
const LONGEST: usize = 4 << 20;

/// Status, what the head says of the body, and the body.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) head: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    /// Has a request answered, also if whoever asked goes away meanwhile.
    pub(crate) async fn by(next: Next, request: Request) -> Self {
        let answered = tokio::spawn(async move { Self::of(next.run(request).await).await }).await;
        answered.unwrap_or_else(|error| Self::refused(&Problem::new(Code::Internal, error.to_string())))
    }

    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let mut head = HeaderMap::new();
        for name in [CONTENT_TYPE, ETAG, LINK, LOCATION] {
            if let Some(value) = parts.headers.get(&name) {
                head.insert(name, value.clone());
            }
        }
        match axum::body::to_bytes(body, LONGEST).await {
            Ok(body) => Self { status: parts.status, head, body },
            Err(_) => {
                Self::refused(&Problem::new(Code::Internal, "it was done, and its answer is too long to be kept"))
            }
        }
    }

    fn refused(problem: &Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let head = [(CONTENT_TYPE, "application/problem+json".parse())];
        let head = head.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))).collect();
        Self { status, head, body: serde_json::to_vec(problem).unwrap_or_default().into() }
    }

    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.head.clone();
        response
    }
}

/// Whoever asks, from one connection to the next.
pub(crate) fn asker(who: Who, actor: Option<&Actor>) -> String {
    match (actor, who) {
        (Some(actor), _) => actor.name.clone(),
        (None, Who::Peer(Some(peer))) => format!("uid {}", peer.uid),
        (None, _) => "unknown".to_owned(),
    }
}

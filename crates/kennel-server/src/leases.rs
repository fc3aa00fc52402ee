//! Clients that keep the stack up for as long as they are there: `kennel up` in the foreground.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use kennel_engine::Handle;
use serde_json::Value;
use tokio::sync::watch;

use crate::ending::Ending;
use crate::reply::Refusal;
use crate::routes::Doors;
use crate::streams::lines;

/// How long a client of the daemon before this one may take to come back.
const COMES_BACK: Duration = Duration::from_secs(15);
/// Recorded while there is one, so that the next daemon waits for it.
const ATTACHED: &str = "attached";

/// Who is there.
#[derive(Debug, Clone)]
pub(crate) struct Leases {
    engine: Handle,
    ending: Ending,
    state: watch::Sender<Held>,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    /// Somebody has asked for the stack since, whoever had it before.
    is_wanted: bool,
}

impl Leases {
    /// If a client held the stack of the daemon before, waits for it to come back, and takes everything down if it does not.
    pub(crate) fn new(engine: Handle, ending: Ending) -> Self {
        let leases = Self { engine, ending, state: watch::Sender::new(Held::default()) };
        if leases.engine.remembered(ATTACHED) == Some(&Value::Bool(true)) {
            let (waiting, mut state) = (leases.clone(), leases.state.subscribe());
            tokio::spawn(async move {
                let back = state.wait_for(|held| held.count > 0 || held.is_wanted);
                if tokio::time::timeout(COMES_BACK, back).await.is_err() {
                    tracing::warn!("the client that held the stack has not come back");
                    waiting.ending.client_gone();
                }
            });
        }
        leases
    }

    /// Somebody wants the stack up, whether the client of an earlier daemon comes back or not.
    pub(crate) fn wanted(&self) {
        self.state.send_modify(|held| held.is_wanted = true);
        if self.state.borrow().count == 0 {
            self.engine.remember(ATTACHED, None);
        }
    }

    fn take(&self) -> Lease {
        self.engine.remember(ATTACHED, Some(Value::Bool(true)));
        self.state.send_modify(|held| held.count += 1);
        Lease(self.clone())
    }
}

/// Keeps the stack up while it lives.
struct Lease(Leases);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.state.send_modify(|held| held.count -= 1);
        self.0.ending.client_gone();
    }
}

/// Holds the whole stack: it stays up while the answer is being read.
#[utoipa::path(
    post,
    path = "/v1/lease",
    tag = "daemon",
    operation_id = "hold_stack",
    responses(
        (
            status = 200, description = "everything lasts while this answer is being read", body = String,
            content_type = "application/x-ndjson"
        ),
        Refusal,
    ),
)]
pub(crate) async fn hold(State(doors): State<Doors>) -> Response {
    let state = (doors.engine, doors.leases.take(), true);
    lines(stream::unfold(state, |(engine, lease, first): (Handle, Lease, bool)| async move {
        if first {
            return Some((Bytes::from_static(b"{}\n"), (engine, lease, false)));
        }
        engine.finished().await;
        None
    }))
}

//! How people are told on their desktop.

use axum::extract::State;
use kennel_engine::Handle;
use kennel_wire::NotifyTestReport;

use crate::reply::{Answer, Refusal, answer};

/// Shows a notification that says that it is a test, on the desktop of whoever loaded the configuration.
#[utoipa::path(
    post,
    path = "/v1/notify/test",
    tag = "webhooks",
    operation_id = "test_notification",
    responses((status = 200, description = "what came of it, also if it cannot be shown", body = NotifyTestReport), Refusal),
)]
pub(crate) async fn test(State(engine): State<Handle>) -> Answer<NotifyTestReport> {
    answer(engine.test_notification().await)
}

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::DashboardServer;

/// `POST /api/servers/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerRequest {
    /// What to do.
    pub action: ServerAction,
}

/// What can be done to a server of a dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerAction {
    /// Start it.
    Start,
    /// Stop it, with all that belongs to it.
    Stop,
    /// Stop it and start it again.
    Restart,
}

/// Answer to an action on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerReport {
    /// Whether it is as asked for.
    pub success: bool,
    /// As it is now.
    pub server: DashboardServer,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is done to one service: `POST /v1/services/{name}/{action}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceAction {
    /// Answered as `POST /v1/start`.
    Start,
    /// Answered as `POST /v1/stop`.
    Stop,
    /// Answered as `POST /v1/restart`.
    Restart,
    /// Answered as `POST /v1/kill`; with `signal` that one.
    Kill,
    /// Answered as `POST /v1/freeze`.
    Freeze,
    /// Answered as `POST /v1/thaw`.
    Thaw,
}

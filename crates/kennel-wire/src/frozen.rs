use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer to `POST /v1/freeze` and `/v1/thaw`, which take an [`ActionRequest`](crate::ActionRequest): once each scope stands
/// still or goes on, has ended, or has not done so within five seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreezeReport {
    /// Whether every scope is as it was asked for.
    pub ok: bool,
    /// One for each instance that runs.
    pub services: Vec<FreezeOutcome>,
}

/// What became of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FreezeOutcome {
    /// Name in `ps`.
    pub service: String,
    /// Number of the run; absent where none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<u64>,
    /// Whether it stands still.
    pub frozen: bool,
    /// Why it is not as it was asked for; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

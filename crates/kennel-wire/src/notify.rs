use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of a notification that was shown as a test: answer to `POST /v1/notify/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotifyTestReport {
    /// Whether whoever shows notifications took it.
    pub ok: bool,
    /// Whether the configuration asks for notifications.
    pub enabled: bool,
    /// Why it was not shown, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asked the daemon to change something, and how that went.
///
/// Answer to `GET /v1/audit?since=T&limit=N&subject=S`, a list with the newest last. Each request has two entries: one
/// before anything was done, so that it is there whatever happens then, and one with the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// When it was recorded.
    pub time: Timestamp,
    /// Who asked, as the socket told: for example `uid 1000 pid 4711`.
    pub actor: String,
    /// Method and route, for example `POST /v1/stop`.
    pub action: String,
    /// What was meant: services, process ids, a file; `*` for everything. Nothing else of the request is recorded.
    pub subject: String,
    /// `asked`, then the HTTP status, with the code of a problem after it: `200`, `404 unknown_service`; or `abandoned`,
    /// if the client went away first.
    pub outcome: String,
}

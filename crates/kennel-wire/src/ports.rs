use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One port that a service declares or listens on. `GET /v1/ports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortStatus {
    /// Name in `ps`.
    pub service: String,
    /// Its name in `ports`; absent if it is not declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Whether kennel chose the number.
    #[serde(default)]
    pub chosen: bool,
    /// Who has it.
    pub state: PortState,
    /// Where somebody listens; `*` is everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Who listens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<PortHolder>,
}

/// Who has a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    /// The service listens on it.
    Listening,
    /// Somebody else does.
    Taken,
    /// kennel keeps it for the service.
    Held,
    /// Nobody.
    Free,
}

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortHolder {
    /// Which; absent where it belongs to another user and may not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its command line, cut at 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Who made the socket.
    pub user: String,
    /// Name in `ps` of the service it belongs to; absent for strangers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::DaemonInfo;

/// `POST /v1/daemon/keeper`: the keeper runs this program from now on, in the same process and with all that it holds; answered without a
/// body. `POST /v1/daemon/restart`: another daemon takes this one's place, and every service runs on. Answered, without a body, when
/// the other one is ready and this one lets go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SuccessionRequest {
    /// Absolute path of the program; absent: the one that the keeper runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub program: Option<PathBuf>,
}

/// What `daemon restart` and `upgrade` print with `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuccessionReport {
    /// Who answered before.
    pub before: DaemonInfo,
    /// Who answers now.
    pub after: DaemonInfo,
    /// Longest time in which nobody answered, milliseconds.
    pub pause_ms: u64,
    /// With `upgrade`: whether the keeper runs the new program as well.
    #[serde(default)]
    pub keeper: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper_refused: Option<String>,
}

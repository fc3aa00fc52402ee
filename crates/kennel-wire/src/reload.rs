use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Outcome, Receipt};

/// `POST /v1/reload`: load the configuration again and do what follows from its changes.
/// Answered by [`ReloadReport`] once what was started is ready, completed or failed, and what was stopped is down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReloadRequest {
    /// Absolute path of the configuration file; none: the one that is loaded.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub config: Option<PathBuf>,
    /// The caller's environment, for `${VAR}` and as the base of what is started from now on; none: that of the last
    /// request that brought one.
    #[serde(default)]
    pub environment: Option<BTreeMap<String, String>>,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer to `reload`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// Whether nothing is left of what was stopped, and what was started is ready or completed.
    pub ok: bool,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The file.
    #[schema(value_type = String)]
    pub config: PathBuf,
    /// Every service, in the file's order; those that are gone come last.
    pub services: Vec<ServicePlan>,
    /// Living processes left, over all receipts.
    pub left: u32,
    /// One for each instance that was stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
    /// What became of each start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<Outcome>,
}

/// What a reload changes for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServicePlan {
    /// Its declared name.
    pub service: String,
    /// How its declaration differs.
    pub change: Declared,
    /// With `changed`: which keys, of a map the entries, for example `environment.PORT`. Values are not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// What happens to it.
    pub will: Will,
    /// What happens to each of its replicas.
    pub places: Vec<PlacePlan>,
}

/// What a reload does with one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacePlan {
    /// Name in `ps`.
    pub name: String,
    /// What happens to it.
    pub will: Will,
}

/// How the declaration of a service differs from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Declared {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It differs.
    Changed,
    /// It is the same.
    Unchanged,
}

/// What a reload does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Will {
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped and started anew.
    Restart,
    /// It runs on, with other limits from now on.
    Adjust,
    /// Nothing now; a later start uses the new declaration.
    Nothing,
}

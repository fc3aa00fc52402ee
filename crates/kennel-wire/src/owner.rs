use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Identity, LimitStatus, Limits, Receipt};

/// When a run that was started on request ends at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// With its request.
    Call,
    /// With its owner. It outlives the daemon.
    Owner,
    /// With the daemon, and with its owner if it has one.
    Daemon,
    /// When it is stopped. It outlives the daemon.
    Keep,
}

/// Whether an end is followed by another run; as `restart` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartMode {
    /// Never.
    #[default]
    No,
    /// After a failure.
    OnFailure,
    /// After every end that nobody asked for.
    Always,
}

/// `POST /v1/owners`, and with every run: the owner is made, or changed where it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerRequest {
    /// 1 to 63 letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    pub name: String,
    /// An owner that is there: with it, this one ends at the latest. Once set, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How long it lives on without a lease; 10 s unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// Leases to take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseRequest>,
    /// What everything that runs for it and those below it may use together, in place of what was said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// What is to keep an owner alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LeaseRequest {
    /// A process of anybody.
    Process {
        /// Process id.
        pid: u32,
        /// Its begin in clock ticks since boot: another process with the number is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_ticks: Option<u64>,
        /// Inode of its pidfd, likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inode: Option<u64>,
    },
    /// Calls of `POST /v1/owners/{name}/renew`.
    Heartbeat {
        /// Longest pause between two.
        ttl_ms: u64,
    },
}

/// `GET /v1/owners`: one for each owner that is known, ended ones too, parents before their children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerStatus {
    /// Its name.
    pub name: String,
    /// With whom it ends at the latest.
    pub parent: Option<String>,
    /// Whether it is alive.
    pub state: OwnerState,
    /// In state `ended`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<OwnerEnd>,
    /// When it began.
    pub since: Timestamp,
    /// How long it lives on without a lease.
    pub grace_ms: u64,
    /// In state `grace`: until its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in_ms: Option<u64>,
    /// What keeps it alive.
    pub leases: Vec<LeaseStatus>,
    /// Runs of its own that go on.
    pub runs: u32,
    /// The same with those of all its descendants.
    pub runs_with_descendants: u32,
    /// What all of that may use together, and who sees to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitStatus>,
}

/// Whether an owner is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnerState {
    /// It never had a lease: it lives until it is stopped.
    Unbound,
    /// At least one lease is alive.
    Held,
    /// None is any more, and its end is near.
    Grace,
    /// Nothing is started for it any more.
    Ended,
}

/// Why an owner ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum OwnerEnd {
    /// Somebody asked.
    Stopped,
    /// Its last lease was lost, and none came within the grace.
    LeaseLost,
    /// An owner above it ended.
    ParentEnded {
        /// Which.
        ancestor: String,
    },
}

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseStatus {
    /// Its id.
    pub id: String,
    /// What has to go on.
    #[serde(flatten)]
    pub kind: LeaseKind,
}

/// What has to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LeaseKind {
    /// A connection.
    Held,
    /// A process.
    Process {
        /// Process id.
        pid: u32,
        /// Its begin, clock ticks since boot.
        start_ticks: u64,
        /// Its command line; absent if it cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// Calls.
    Heartbeat {
        /// Longest pause between two.
        ttl_ms: u64,
        /// Until it wears off; absent if it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in_ms: Option<u64>,
    },
}

/// A line of the answer to `POST /v1/owners/{name}/hold`, which goes on until the owner has ended: the first when the lease
/// is taken, the last at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseNews {
    /// Id of the lease.
    Lease(String),
    /// The owner has ended.
    Ended(OwnerEnd),
}

/// `POST /v1/runs`: start one command that outlives the request. Answered by [`DetachReport`] once it is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetachRequest {
    /// Chosen by the client: the same request sent twice starts one run. At most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Name in `ps`, as that of a service; one is made unless it is given. A run that has ended gives its name away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Absolute.
    #[schema(value_type = String)]
    pub directory: PathBuf,
    /// The caller's environment.
    pub environment: BTreeMap<String, String>,
    /// For whom it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerRequest>,
    /// `owner` with an owner and `daemon` without unless it is said; not `call`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// Whether it is started again.
    #[serde(default)]
    pub restart: RestartMode,
    /// Longest run time; then it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime_ms: Option<u64>,
    /// Longest time without output; then it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Answer to `POST /v1/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetachReport {
    /// Name in `ps`.
    pub name: String,
    /// Number of the run.
    pub instance: u64,
    /// Main process; absent if it has ended already.
    pub pid: Option<u32>,
    /// Which that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What it is.
    #[serde(flatten)]
    pub ad_hoc: AdHoc,
}

/// What there is to say of a run that was started on request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdHoc {
    /// For whom it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it ends at the latest.
    pub lifetime: Lifetime,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// `POST /v1/clean`: forget runs that have ended; with an owner, end it with all below it first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanRequest {
    /// Only what runs or ran for this owner and its descendants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Longest time before the kill; replaces the sum of the configured waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Answer to `POST /v1/clean`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CleanReport {
    /// Whether nothing is left.
    pub ok: bool,
    /// Living processes left.
    pub left: u32,
    /// One for each run that was stopped.
    pub receipts: Vec<Receipt>,
    /// Names of the owners that are forgotten.
    pub owners: Vec<String>,
    /// Names of the runs that are forgotten, with their logs.
    pub runs: Vec<String>,
}

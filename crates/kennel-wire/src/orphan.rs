use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AdHoc, DownReport, EndedProcess, Identity, Survivor};

/// A living process of a kennel instance that nobody tracks: no keeper and no daemon holds it.
///
/// Found by what it carries and where it is, never by its command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// Process id.
    pub pid: u32,
    /// Begin, clock ticks since boot.
    pub start_ticks: u64,
    /// Inode of its pidfd: never used twice. Absent where the kernel has none (before 6.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// Command line, cut at 200 characters, or its name in brackets. For eyes only.
    pub command: String,
    /// The user it runs as: a name, or a number that has none.
    pub user: String,
    /// Its begin, to about a second; absent where the clock of the machine cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Name of the kennel instance that started it.
    pub instance: String,
    /// Name in `ps` of the service that it was started for, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Number of the run, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Name of its scope, for example `web.17`, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What it is known by, the strongest first; never empty.
    pub known_by: Vec<KnownBy>,
    /// How sure it is that it is ours.
    pub sure: Sure,
    /// The reason for that, one line.
    pub why: String,
    /// What `sweep --stop` does with it.
    pub on_stop: Fate,
    /// What the next start of the instance does with it.
    pub on_start: Fate,
}

/// What tells that a process is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// It is in the cgroup of a scope.
    Scope,
    /// A run in the store has this process id with this start time and, where there are any, this inode.
    Record,
    /// It carries the tag that everything of a scope inherits.
    Stamp,
    /// It descends from one that is known by something else.
    Descent,
}

/// How sure it is that a process is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// Nobody else's process can be there or be that one.
    Certain,
    /// It carries what ours carry, which somebody may have taken on on purpose.
    Likely,
}

/// What becomes of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is ended.
    Ended,
    /// It is taken over by the new daemon: `on_daemon_loss: keep`.
    Adopted,
    /// Nothing: it runs as another user, and this one has no right to signal it.
    Refused,
}

/// In which state a kennel instance was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Neither keeper nor daemon lives, and the last ones ended as they should.
    Idle,
    /// Neither lives, and the last ones were lost.
    Lost,
    /// The daemon answers.
    Running,
    /// Somebody holds the instance's lock and does not answer.
    Silent,
}

/// What was found of one kennel instance and, where that was asked for, what became of it.
///
/// Answer to `GET /v1/orphans` and `POST /v1/orphans/stop`; one of the `instances` of [`OrphanReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceOrphans {
    /// Its name.
    pub instance: String,
    /// How it was found.
    pub state: InstanceState,
    /// The orphans that were found, by process id.
    pub orphans: Vec<Orphan>,
    /// With `clean --all`: how the running stack went down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<DownReport>,
    /// Those that were ended, by process id; kennel's own that did not answer among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedProcess>,
    /// Those that a daemon has taken over: process ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<u32>,
    /// Stale sockets and empty cgroups that were removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub removed: Vec<PathBuf>,
    /// Those that were to be ended and live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<Survivor>,
    /// How many those are, or why it cannot be zero: what could not be looked at counts as one.
    pub left: u32,
    /// Runs on request that had ended, and are forgotten with their logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<String>,
    /// What could not be done, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl InstanceOrphans {
    /// One of which nothing is known yet but how it was found.
    #[must_use]
    pub fn new(instance: impl Into<String>, state: InstanceState) -> Self {
        Self {
            instance: instance.into(),
            state,
            orphans: Vec::new(),
            down: None,
            ended: Vec::new(),
            adopted: Vec::new(),
            removed: Vec::new(),
            survivors: Vec::new(),
            left: 0,
            forgotten: Vec::new(),
            note: None,
        }
    }
}

/// What `ps --orphans`, `sweep` and `clean` print with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrphanReport {
    /// Whether everything that was asked for was done, and nothing is left that was to be ended.
    pub ok: bool,
    /// Over all instances.
    pub left: u32,
    /// One for each instance that was looked at.
    pub instances: Vec<InstanceOrphans>,
}

impl OrphanReport {
    /// Sums up.
    #[must_use]
    pub fn of(instances: Vec<InstanceOrphans>) -> Self {
        let left = instances.iter().map(|one| one.left).sum();
        Self { ok: left == 0 && instances.iter().all(|one| one.note.is_none()), left, instances }
    }
}

/// `POST /v1/orphans/stop`: end orphans of the instance. Answered by [`InstanceOrphans`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct OrphanStopRequest {
    /// Only these process ids; a number that is no orphan's is refused. Empty: all.
    #[serde(default)]
    pub pids: Vec<u32>,
    /// Time between `SIGTERM` and the kill; none, or 0: they are killed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// `POST /v1/orphans/adopt`: have an orphan held again, with everybody of its scope. Answered by [`AdoptReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanAdoptRequest {
    /// Process id of any process of it.
    pub pid: u32,
    /// When that one began, clock ticks since boot: a process that has the number by now is left alone.
    pub start_ticks: u64,
    /// The service that it is to be a run of, or one replica such as `worker.2`; it has to be at rest. Absent: the one that it was
    /// started for, or if there is none of that name any more, a run on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Also if it is only likely that it is ours.
    #[serde(default)]
    pub likely: bool,
}

/// Answer to `POST /v1/orphans/adopt`: the keeper holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdoptReport {
    /// Name in `ps`.
    pub name: String,
    /// Number of the run.
    pub instance: u64,
    /// Main process: that of a record, else the one that began first.
    pub pid: u32,
    /// Which that is.
    pub identity: Identity,
    /// Everybody who was adopted, by process id.
    pub processes: Vec<u32>,
    /// Whether they had to be moved to a cgroup of their own.
    pub moved: bool,
    /// Whether what they write is recorded from now on: not if their output goes where kennel did not make it go.
    pub output: bool,
    /// Whether they outlive keeper and daemon.
    pub kept: bool,
    /// What it is, unless it is a run of a service of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ad_hoc: Option<AdHoc>,
}

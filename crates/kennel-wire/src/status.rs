use std::path::PathBuf;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AdHoc, Exit, Foreseen, Identity, LimitStatus, Receipt, Survivor, ZombieParent};

/// One line of `kennel ps`: a service, or one replica of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceStatus {
    /// `web`, or `worker.2` for the second of several replicas.
    pub name: String,
    /// The declared service.
    pub service: String,
    /// What was asked for: true after `up` or `start`, false after `stop`.
    pub wanted: bool,
    /// What is observed.
    pub state: State,
    /// How it is: by its probes, and by what is seen of it.
    pub health: Health,
    /// Why, where that needs words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_reason: Option<String>,
    /// Since when; absent if it has never been anything but `none`, and from a daemon that does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_since: Option<Timestamp>,
    /// What it is doing, where that is watched (`hang`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_since: Option<Timestamp>,
    /// How long the last answer of a probe took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_ms: Option<f64>,
    /// Why it is in this state, where that needs words.
    pub reason: Option<String>,
    /// All of it stands still, see `POST /v1/freeze`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frozen: bool,
    /// What it has written since its run began, or since the daemon took it over; bytes of both streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// How much of it is in no file; absent if nothing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_lost_bytes: Option<u64>,
    /// Names of the rules whose alerts are about it, see `GET /v1/alerts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<String>,
    /// What of it will be too much soon; of several the soonest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<Foreseen>,
    /// Number of the current or last run.
    pub instance: Option<u64>,
    /// Main process of the current run.
    pub pid: Option<u32>,
    /// Which process that is when the number has been used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What holds its processes together: `cgroup` or `reaper`, with `+pidns` where it has a PID namespace.
    #[serde(default)]
    pub containment: String,
    /// Living processes in the scope.
    pub processes: Option<u32>,
    /// Share of one core since the last look (or since the start), percent.
    pub cpu_percent: Option<f64>,
    /// Resident memory of the scope, bytes.
    pub memory_bytes: Option<u64>,
    /// Begin of the current run.
    pub started_at: Option<Timestamp>,
    /// Length of the current run.
    pub uptime_ms: Option<u64>,
    /// From spawn to ready.
    pub ready_after_ms: Option<u64>,
    /// Restarts nobody asked for since the last start or stop by hand.
    pub restarts: u32,
    /// When the clock starts it next, or starts it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_in_ms: Option<u64>,
    /// Until the next restart, in state `waiting`.
    pub retry_in_ms: Option<u64>,
    /// End of the run before.
    pub last_exit: Option<Exit>,
    /// Declared ports by name.
    pub ports: IndexMap<String, u16>,
    /// Program and arguments of the current run, else of the next one. Empty from a daemon that does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its working directory, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub working_dir: Option<PathBuf>,
    /// Declared colour.
    pub color: Option<String>,
    /// What has to be true of other services before it is started, in the configuration's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// What it is if the configuration has none of it: a run that was started on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ad_hoc: Option<AdHoc>,
    /// What it may use, and who sees to that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitStatus>,
    /// In state `stuck`: who could not be ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<Survivor>,
    /// Processes of the scope; only in the answer to a question about one service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tree: Vec<Process>,
    /// Who in the scope has zombies and does not wait for them, most first; only in the answer to a question about one service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zombies: Vec<ZombieParent>,
    /// Receipt of the last stop, in state `stuck` of the one that goes on; only in the answer to a question about one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_receipt: Option<Receipt>,
}

/// How a service is configured: answer to `GET /v1/services/{name}/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceConfig {
    /// As it was asked for.
    pub name: String,
    /// Its entry in the configuration, resolved, with all defaults, as its next run has it. `environment` is a list of names;
    /// values are not told.
    pub settings: serde_json::Value,
}

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// A declared service, with all its replicas.
    pub service: String,
    /// What has to be true of it.
    pub condition: Condition,
}

/// What has to be true of a service that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It is executed.
    Started,
    /// It can serve.
    Healthy,
    /// It has ended, however.
    Completed,
    /// It has ended with success.
    CompletedSuccessfully,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Observed state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Never started, or stopped on request.
    Stopped,
    /// Nothing runs; the clock starts it when its time comes.
    Scheduled,
    /// Waits for its dependencies.
    Pending,
    /// Being executed.
    Starting,
    /// Executed, not yet ready.
    Up,
    /// Can serve.
    Ready,
    /// Was ready; the probe fails now.
    Unhealthy,
    /// Being emptied.
    Stopping,
    /// Could not be emptied; see the survivors.
    Stuck,
    /// Waits for its next restart.
    Waiting,
    /// Ended with success and is not started again.
    Completed,
    /// Ended or could not start, and is not started again.
    Failed,
    /// Failed too often in too short a time; not tried again until asked.
    GivenUp,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing is asked about it, or nothing runs and nothing is to.
    None,
    /// Not ready yet.
    Starting,
    /// All that is asked about it says so.
    Healthy,
    /// Its readiness or its liveness fails, or it hangs, or it cannot be ended.
    Unhealthy,
    /// Its main process has ended and nobody can reap it: a tracer holds it.
    Zombie,
    /// It ended with success.
    Completed,
    /// It ended without, or could not be started.
    Failed,
    /// Nobody can tell now: its keeper was lost, and it is being taken over.
    Unknown,
}

/// What an instance is doing, from its output, its CPU time and its disk accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It writes, reads, starts processes or computes.
    Active,
    /// Nothing of that, and not for long.
    Quiet,
    /// Nothing of that, and one of its processes waits for somebody to type.
    WaitingForInput,
    /// Nothing of that for as long as `hang` has it.
    Stalled,
    /// Nothing but computing for as long as `hang` has it, without a pause.
    Spinning,
}

impl Health {
    /// The word that stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Zombie => "zombie",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether there is nothing to worry about, now or to be waited for.
    #[must_use]
    pub fn is_well(self) -> bool {
        match self {
            Self::None | Self::Healthy | Self::Completed => true,
            Self::Starting | Self::Unhealthy | Self::Zombie | Self::Failed | Self::Unknown => false,
        }
    }
}

impl Activity {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Quiet => "quiet",
            Self::WaitingForInput => "waiting for input",
            Self::Stalled => "stalled",
            Self::Spinning => "spinning",
        }
    }
}

/// A living process of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Begin, clock ticks since boot.
    #[serde(default)]
    pub start_ticks: u64,
    /// Inode of its pidfd: never used twice. Absent where the kernel has none (before 6.9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// State letter as in `/proc/PID/stat`.
    pub state: char,
    /// Resident memory, bytes.
    pub memory_bytes: u64,
    /// Command line, or its name in brackets.
    pub command: String,
}

/// Who answers, and what it can promise on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DaemonInfo {
    /// Version of kennel.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Process id of the keeper.
    pub keeper_pid: u32,
    /// Name of the kennel instance.
    pub instance: String,
    /// Directory of its configuration, once one is loaded.
    #[schema(value_type = Option<String>)]
    pub directory: Option<PathBuf>,
    /// The configuration file, once one is loaded.
    #[schema(value_type = Option<String>)]
    pub config: Option<PathBuf>,
    /// Where logs and events are.
    #[schema(value_type = String)]
    pub state_dir: PathBuf,
    /// Begin of the daemon.
    pub started_at: Timestamp,
    /// The containment in use.
    pub containment: Containment,
    /// Why what happens cannot be recorded now; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The containment in use and what it promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Containment {
    /// `cgroup` or `reaper`.
    pub backend: String,
    /// What it promises here, one sentence.
    pub promise: String,
    /// What it cannot promise, one sentence each.
    pub limits: Vec<String>,
    /// Why no stronger one is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The same as one word: `no_cgroup2`, `not_visible`, `read_only`, `not_delegated`, `not_writable`, `not_usable`,
    /// `old_kernel`, `killed_at_birth`, `forced` or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What would give a stronger one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// What somebody can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Advice {
    /// What it does, one line, lower case, without a full stop.
    pub text: String,
    /// To be copied into a shell; absent where no command helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

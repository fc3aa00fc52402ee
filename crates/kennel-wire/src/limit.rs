use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a run, or everything of an owner, may use; what is not given is not limited. All processes together unless it is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Bytes. Beyond it processes are slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_high: Option<u64>,
    /// Bytes. None, where `memory` is given, unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Thousandths of a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u64>,
    /// 1 to 10000, usually 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u64>,
    /// The same of disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_weight: Option<u64>,
    /// Bytes a second from each disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_read: Option<u64>,
    /// Bytes a second to each disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_write: Option<u64>,
    /// Descriptors of each process; not of an owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Bytes a second of output; not of an owner, and not of a run on the descriptors of its client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_rate: Option<u64>,
    /// What happens beyond one of them; `kill` unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<LimitAction>,
}

/// What happens to an instance that has gone beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitAction {
    /// It is told, and nothing else.
    Warn,
    /// It stands still.
    Freeze,
    /// It is stopped and started again.
    Restart,
    /// It is stopped and stays so.
    Stop,
    /// All of it is killed; its restart policy decides what follows.
    Kill,
}

/// Whose a limit is that several instances share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitOf {
    /// All services together.
    Stack,
    /// Everything that runs for this owner and those below it.
    Owner(String),
}

impl fmt::Display for LimitOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack => f.write_str("the stack"),
            Self::Owner(name) => write!(f, "owner `{name}`"),
        }
    }
}

/// A limit that was the reason of an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitHit {
    /// Which, as in the configuration.
    pub limit: String,
    /// Whose; absent: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<LimitOf>,
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            None => write!(f, "{}", self.limit),
            Some(of) => write!(f, "{} of {of}", self.limit),
        }
    }
}

/// One limit of a service, and how strong it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitStatus {
    /// As in the configuration: `memory`, `pids`, `cpus` …
    pub name: String,
    /// Bytes, bytes a second, a number of processes, or thousandths of a CPU, by what it limits.
    pub value: u64,
    /// Whose it is, where several instances share it; absent: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<LimitOf>,
    /// Who sees to it.
    pub enforced_by: EnforcedBy,
    /// What that means here, or why it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A limit that a service could be given, and how strong it would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitSupport {
    /// As in the configuration.
    pub name: String,
    /// Who would see to it.
    pub enforced_by: EnforcedBy,
    /// Why it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who sees to a limit, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnforcedBy {
    /// The kernel, over all processes together.
    Cgroup,
    /// The same, by a version 1 group.
    CgroupV1,
    /// The kernel, for each process by itself.
    Rlimit,
    /// Kennel itself, for it has to go through kennel: output.
    Kennel,
    /// Kennel looks every few seconds, and acts afterwards.
    Sampling,
    /// Nobody can here.
    Nobody,
}

impl EnforcedBy {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::CgroupV1 => "cgroup v1",
            Self::Rlimit => "rlimit",
            Self::Kennel => "kennel",
            Self::Sampling => "sampling",
            Self::Nobody => "nobody",
        }
    }
}

/// Somebody was killed for want of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutOfMemory {
    /// How many processes.
    pub kills: u64,
    /// The limit that was too little, bytes; absent: the machine was short of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The most that the instance has used, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Whose limit it is, where several instances share it; absent: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<LimitOf>,
}

/// What was used at one moment before something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryPoint {
    /// So long before.
    pub before_ms: u64,
    /// Memory in use then, bytes.
    pub bytes: u64,
}

use serde::{Deserialize, Serialize};

/// One limit of a service, and how strong it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// As in the configuration: `memory`, `pids`, `cpus` …
    pub name: String,
    /// Bytes, bytes a second, a number of processes, or thousandths of a CPU, by what it limits.
    pub value: u64,
    /// Who sees to it.
    pub enforced_by: EnforcedBy,
    /// What that means here, or why it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who sees to a limit, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnforcedBy {
    /// The kernel, over all processes together.
    Cgroup,
    /// The same, by a version 1 group.
    CgroupV1,
    /// The kernel, for each process by itself.
    Rlimit,
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
            Self::Sampling => "sampling",
            Self::Nobody => "nobody",
        }
    }
}

/// Somebody was killed for want of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// How many processes.
    pub kills: u64,
    /// The limit of the service, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The most that it has used, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
}

/// What was used at one moment before something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// So long before.
    pub before_ms: u64,
    /// Memory in use then, bytes.
    pub bytes: u64,
}

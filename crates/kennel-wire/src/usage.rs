//! What services use: now, and over time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Health, State};

/// Which usage is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct UsageRequest {
    /// Names of services or replicas; empty: all.
    #[serde(default)]
    pub services: Vec<String>,
    /// Also each process by itself.
    #[serde(default)]
    pub processes: bool,
    /// With the zombies among them, which take a look at the children of each.
    #[serde(default)]
    pub zombies: bool,
    /// Also the proportional share of memory of each process, which is expensive to read.
    #[serde(default)]
    pub pss: bool,
    /// Do not wait for a second look: what was not looked at before has totals and no rates.
    #[serde(default)]
    pub at_once: bool,
}

/// What everything uses now. Figures that could not be read are absent, never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// When it was read.
    pub time: Timestamp,
    /// One for each line of `ps` that runs, in its order.
    pub services: Vec<ServiceUsage>,
    /// All services together.
    pub total: Usage,
    /// kennel's own processes.
    pub own: OwnUsage,
    /// The machine.
    pub machine: MachineUsage,
}

/// What one service uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceUsage {
    /// Name in `ps`.
    pub name: String,
    /// Number of its run.
    pub instance: u64,
    /// As in `ps`.
    pub state: State,
    /// As in `ps`.
    pub health: Health,
    /// Whether it is frozen: stopped where it is, to be looked at.
    #[serde(default)]
    pub frozen: bool,
    /// Its figures.
    #[serde(flatten)]
    pub usage: Usage,
    /// CPU percent of the last samples, the youngest last; what a sparkline shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_recent: Vec<f32>,
    /// Where its figures come from: `cgroup`, `cgroup+v1` or `processes`.
    pub source: String,
    /// Its processes, if they were asked for, parents before their children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes_detail: Vec<ProcessUsage>,
}

/// Figures of a scope or of several.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Percent of one CPU, over the time since the sample before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// CPU time since its begin, processes that have ended included, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Time it was held back by a CPU limit, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_ms: Option<u64>,
    /// Memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Its limit, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// The most it has used, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Swap, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_bytes: Option<u64>,
    /// Living processes.
    pub processes: u32,
    /// Their limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes_limit: Option<u64>,
    /// Threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Read from disks, bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_rate: Option<f64>,
    /// Written to disks, bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_rate: Option<f64>,
    /// Read from disks since its begin, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Written to disks since its begin, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Output, bytes a second.
    pub log_rate: f64,
    /// Output since its begin, bytes.
    pub log_bytes: u64,
    /// Of that, what is in no log: there was no room, or it was over its bound.
    #[serde(default)]
    pub log_lost_bytes: u64,
    /// Share of the last 10 s in which somebody waited for CPU, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<f64>,
    /// The same for I/O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_pressure: Option<f64>,
}

/// What one process uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessUsage {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// Depth below the main process or the process that is its own root here; 0 for those.
    pub depth: u32,
    /// Begin, clock ticks since boot: with the pid, which process it is.
    pub start_ticks: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// State letter as in `/proc/PID/stat`.
    pub state: char,
    /// Percent of one CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// CPU time, milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, bytes.
    pub memory_bytes: u64,
    /// Its proportional share, bytes; only if asked for, since it is expensive to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pss_bytes: Option<u64>,
    /// Threads.
    pub threads: u32,
    /// Open descriptors; absent if we may not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
    /// Read from disks since its begin, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Written to disks since its begin, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Command line, or its name in brackets.
    pub command: String,
}

/// What kennel itself uses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct OwnUsage {
    /// Resident memory of the daemon, bytes.
    pub daemon_memory_bytes: u64,
    /// Resident memory of the keeper, bytes.
    pub keeper_memory_bytes: u64,
    /// CPU time of the daemon, milliseconds.
    pub daemon_cpu_ms: u64,
    /// CPU time of the keeper, milliseconds.
    pub keeper_cpu_ms: u64,
    /// Open descriptors of the daemon.
    pub daemon_open_files: u32,
    /// Open descriptors of the keeper.
    pub keeper_open_files: u32,
    /// Threads of the daemon.
    pub daemon_threads: u32,
}

/// The machine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct MachineUsage {
    /// CPUs.
    pub cpus: u32,
    /// Load of the last minute.
    pub load: f64,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Memory that could still be given out, bytes.
    pub available_bytes: u64,
}

/// Which history is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct HistoryRequest {
    /// Names of services or replicas; empty: all that anything is recorded of.
    #[serde(default)]
    pub services: Vec<String>,
    /// From when; none: a quarter of an hour before the end.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Until when; none: now.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Length of a step, milliseconds; 0: samples as they were taken; none: as the time asks for.
    #[serde(default)]
    pub step_ms: Option<u64>,
}

/// What services used over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageHistory {
    /// Length of one step, milliseconds: 0 for samples as they were taken.
    pub step_ms: u64,
    /// One for each service, in the order of names.
    pub series: Vec<UsageSeries>,
}

/// What one service used over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageSeries {
    /// Name in `ps`.
    pub name: String,
    /// The oldest first. Steps in which nothing was sampled are missing.
    pub points: Vec<UsagePoint>,
}

/// What one service used in one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsagePoint {
    /// Begin of the step.
    pub time: Timestamp,
    /// Percent of one CPU, mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// The same, the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent_max: Option<f64>,
    /// Memory, mean, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The same, the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// Processes, the most.
    pub processes: u32,
    /// Read from disks within it, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Written to disks within it, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Output within it, bytes.
    pub log_bytes: u64,
}

//! What processes may, and what they see of the machine.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Which parts of the system a service has for itself. All false: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Isolation {
    /// A PID namespace: the kernel ends all of it together with its first process, and that with kennel.
    pub pid: bool,
    /// With `pid`: a `/proc` that shows this namespace only.
    pub proc: bool,
    /// An empty `/tmp` of its own.
    pub tmp: bool,
    /// No network but a loopback of its own.
    pub network: bool,
}

/// Rights, limits and priorities of a service's processes; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Privileges {
    /// Executing setuid files and files with capabilities gains nothing.
    pub no_new_privileges: bool,
    /// The capabilities it may ever have, as a set of [`crate::capability`]; none: as its user has them.
    pub capabilities: Option<u64>,
    /// Capabilities that it has from the start, whoever it runs as; [`crate::capability::ALL`]: all that kennel has.
    pub added_capabilities: u64,
    /// Resource limits by their name in lower case without `RLIMIT_`, for example `nofile`; in the file's order.
    pub limits: IndexMap<String, ResourceLimit>,
    /// Scheduling priority, -20 (first) to 19 (last).
    pub nice: Option<i32>,
    /// Numbers of the CPUs it may run on, ascending; empty: all.
    pub cpus: Vec<u32>,
    /// I/O priority.
    pub io: Option<IoPriority>,
    /// -1000 (never killed when memory is short) to 1000 (first).
    pub oom_score_adj: Option<i32>,
    /// Nothing but this service runs as its `user`, so all of that user's processes may be killed at once.
    pub dedicated_user: bool,
}

/// Names of the resource limits: those of `getrlimit(2)` in lower case without `RLIMIT_`.
pub const RESOURCE_LIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// One resource limit; none: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// What holds; the process may raise it up to `hard`.
    pub soft: Option<u64>,
    /// At least `soft`.
    pub hard: Option<u64>,
}

/// I/O priority, see `ioprio_set(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IoPriority {
    /// Before all others; level 0 (first) to 7.
    Realtime(u8),
    /// The usual; level 0 (first) to 7.
    BestEffort(u8),
    /// Only when nobody else wants the disk.
    Idle,
}

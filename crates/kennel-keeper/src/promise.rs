//! What a back end promises, in words.

use crate::proto::Backend;

impl Backend {
    /// `cgroup` or `reaper`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Cgroup { .. } => "cgroup",
            Self::Reaper { .. } => "reaper",
        }
    }

    /// What it promises, one sentence.
    #[must_use]
    pub fn promise(&self) -> String {
        match self {
            Self::Cgroup { root } => format!(
                "every descendant of a service is found and ended, daemonised or not (cgroup v2 below {})",
                root.display()
            ),
            Self::Reaper { .. } => {
                "every descendant of a service is found and ended while the service's own reaper process lives".into()
            }
        }
    }

    /// What it cannot promise, one sentence each.
    #[must_use]
    pub fn limits(&self) -> &'static [&'static str] {
        match self {
            Self::Cgroup { .. } => &[
                "who runs as root or owns the tree can leave its cgroup: found by its mark or its parent, told, and ended",
                "keeper and daemon killed in the same instant leave services until the next kennel command",
                "a process in uninterruptible sleep or held by an outside tracer ends only when released",
            ],
            Self::Reaper { .. } => &[
                "setuid programs gain no privileges inside a service",
                "a program of the same user can end kennel itself, as it can every process of that user",
                "a service that ends its own reaper process is cleaned up by the keeper, without exit codes",
                "keeper, daemon and a reaper killed in the same instant leave its service until the next kennel command",
                "a process in uninterruptible sleep or held by an outside tracer ends only when released",
            ],
        }
    }
}

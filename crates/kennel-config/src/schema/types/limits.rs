//! `limits`, compose's words for them, and `ulimits`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::schema::values::{Amount, ComposeCount, ComposeSize, Count, CpuTime, LimitAction, Rate, Size, Weight};

/// What all processes of one instance may use together. Sizes are written `512MiB`, rates `10MiB/s`.
#[derive(JsonSchema)]
pub(in crate::schema) struct UseLimits {
    /// Memory. Where the kernel holds it, a process is killed when more is wanted.
    memory: Size,
    /// Memory beyond which it is slowed down and memory is taken back from it; with cgroup version 2.
    memory_high: Size,
    /// Swap beside the memory. Default: none where `memory` is given.
    swap: Size,
    /// Processes and threads.
    pids: Count,
    /// CPU time, in CPUs: `1.5`, or `0.25` for a quarter of one.
    cpus: CpuTime,
    /// Share of the CPU while there is not enough for all: 1 to 10000, usually 100.
    cpu_weight: Weight,
    /// The same of disks.
    io_weight: Weight,
    /// Read from each disk in a second.
    io_read: Rate,
    /// Written to each disk in a second.
    io_write: Rate,
    /// Open files, sockets and pipes of each process.
    open_files: Count,
    /// Written to stdout and stderr in a second. What is too much is dropped, or waits with `on_full: block` of `logs`.
    log_rate: Rate,
    /// What happens when it was found beyond a limit, or one of its processes was killed for want of memory: `warn`, `freeze`, `restart`,
    /// `stop` or `kill` (the default: all of it, and its restart policy decides).
    action: LimitAction,
}

/// What all services together may use. Sizes are written `512MiB`, rates `10MiB/s`.
#[derive(JsonSchema)]
pub(in crate::schema) struct StackLimits {
    /// Memory. Where the kernel holds it, a process of one of them is killed when more is wanted.
    memory: Size,
    /// Memory beyond which they are slowed down and memory is taken back from them; with cgroup version 2.
    memory_high: Size,
    /// Swap beside the memory. Default: none where `memory` is given.
    swap: Size,
    /// Processes and threads.
    pids: Count,
    /// CPU time, in CPUs: `1.5`, or `0.25` for a quarter of one.
    cpus: CpuTime,
    /// Share of the CPU against other kennels while there is not enough for all: 1 to 10000, usually 100.
    cpu_weight: Weight,
    /// The same of disks.
    io_weight: Weight,
    /// Read from each disk in a second; with cgroup version 2.
    io_read: Rate,
    /// Written to each disk in a second; with cgroup version 2.
    io_write: Rate,
    /// What happens, when they were found beyond a limit, to the one whose figure grew, and to one of which a process was killed for want
    /// of memory: `warn`, `freeze`, `restart`, `stop` or `kill` (the default: all of it, and its restart policy decides).
    action: LimitAction,
}

/// Compose's place for limits.
#[derive(JsonSchema)]
pub(in crate::schema) struct Deploy {
    /// Of which only `limits` mean something here.
    resources: DeployResources,
}

/// Compose's place for limits.
#[derive(JsonSchema)]
pub(in crate::schema) struct DeployResources {
    /// As `limits` of the service.
    limits: DeployLimits,
}

/// Limits as compose has them.
#[derive(JsonSchema)]
pub(in crate::schema) struct DeployLimits {
    /// Bytes, or `512m`.
    memory: ComposeSize,
    /// CPU time, in CPUs.
    cpus: CpuTime,
    /// Processes and threads; 0 and -1 are no limit.
    pids: ComposeCount,
}

/// Resource limits by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum Limits {
    Limits(LimitsByName),
    None(()),
}

/// Resource limits by name.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(in crate::schema) struct LimitsByName(BTreeMap<String, LimitOrBoth>);

/// One number for both, or both.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum LimitOrBoth {
    Both(Amount),
    Apart(Limit),
}

/// A resource limit.
#[derive(JsonSchema)]
pub(in crate::schema) struct Limit {
    /// What holds; it may be raised up to `hard` by the service itself.
    soft: Amount,
    /// At least `soft`. Above kennel's own it needs root.
    hard: Amount,
}

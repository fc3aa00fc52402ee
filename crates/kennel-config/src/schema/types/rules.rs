//! `rules` and `storm_brake`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::schema::values::{Action, Count, Cpu, Duration, DurationOrOff, Number, Off, Rate, Scope, Size, Switch};

/// Rules by name.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum Rules {
    Rules(BTreeMap<String, RuleOrOff>),
    None(()),
}

/// A rule, or `off` for a built-in one.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum RuleOrOff {
    Rule(Rule),
    Off(Off),
}

/// Exactly one of `processes`, `memory`, `cpu`, `forks`, `open_files`, `log_rate`, `write_rate`, `written`, `restarts`: more than that is
/// too much. And what is done then.
#[derive(JsonSchema)]
pub(in crate::schema) struct Rule {
    /// Living processes.
    processes: Count,
    /// Memory in use, for example `4GiB`.
    memory: Size,
    /// CPU time: `150%`, or `1.5`, is one and a half CPUs.
    cpu: Cpu,
    /// New processes a second.
    forks: Number,
    /// Open files of the process that has most.
    open_files: Count,
    /// Output, for example `10MiB/s`.
    log_rate: Rate,
    /// Written to disks, for example `50MiB/s`.
    write_rate: Rate,
    /// Written to disks since it began, for example `100GiB`.
    written: Size,
    /// Restarts within the last minute.
    restarts: Count,
    /// How long it has to be too much. Default 0s; 10s for `forks`, `log_rate` and `write_rate`; 5m for `cpu`.
    #[serde(rename = "for")]
    lasting: Duration,
    /// `service`: each instance by itself; `stack`: all together. Default: `stack` in the rules of the file, `service` in those of a service.
    scope: Scope,
    /// What is done, if it is one thing: `event`, `warn`, `throttle`, `freeze`, `stop`, `kill`. Default `warn`.
    action: Action,
    /// What is done one after the other, while it is still too much.
    ladder: Ladder,
    /// How long it has to be clearly below until the alert is over. Default 60s.
    cooldown: Duration,
    /// How far ahead it is foreseen from the slope, or `off`; for what grows. Default 60s.
    predict: DurationOrOff,
}

/// One action, and how long after the alert it follows if it is still too much.
#[derive(JsonSchema)]
pub(in crate::schema) struct Rung {
    /// What is done.
    action: Action,
    /// How long after the alert. Default 0s.
    after: Duration,
}

/// An action, or one with its time.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum RungOrAction {
    Action(Action),
    Rung(Rung),
}

/// The rungs of a ladder, in the order of their times.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(in crate::schema) struct Ladder(#[schemars(length(min = 1))] Vec<RungOrAction>);

/// A bound for the restarts of all services together, or `off`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(in crate::schema) enum BrakeOrOff {
    Brake(StormBrake),
    Off(Switch),
}

/// A bound for the restarts of all services together.
#[derive(JsonSchema)]
pub(in crate::schema) struct StormBrake {
    /// So many within `window`. Default 60.
    restarts: Count,
    /// Length of the sliding window. Default 60s.
    window: Duration,
}

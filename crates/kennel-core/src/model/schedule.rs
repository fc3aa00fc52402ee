//! When something happens by itself: by the clock, and as files change.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When the clock starts a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// At which times.
    pub when: When,
    /// Name of the time zone that a cron expression is meant in; none: that of the machine.
    pub timezone: Option<String>,
    /// What a time does that finds the run before under way.
    pub overlap: Overlap,
    /// What becomes of times that passed while nobody was there to see them.
    pub missed: Missed,
    /// What it does to the service.
    pub action: ScheduledAction,
}

/// At which times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// A cron expression, checked.
    Cron(String),
    /// Every so often, at least a second; of the time that the machine is awake.
    Every(Duration),
}

/// What a time does that finds the run before under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing.
    #[default]
    Skip,
    /// Another run follows when that one has ended; one at most.
    Queue,
    /// That one is stopped, and another follows.
    Replace,
}

/// What becomes of times that passed while nobody was there to see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are gone.
    #[default]
    Skip,
    /// One run makes up for all of them.
    Run,
}

/// What the clock does to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduledAction {
    /// It starts it. Nobody else does unless it is named.
    #[default]
    Run,
    /// It starts it anew. It runs all the time.
    Restart,
}

/// Files whose changes make a service act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Never empty.
    pub paths: Vec<WatchPath>,
    /// What of them does not count, as patterns of [`crate::glob`], from the working directory; after [`crate::watch::USUAL`].
    pub ignore: Vec<String>,
    /// How long it must be quiet before anything is done.
    pub debounce: Duration,
    /// What is done.
    pub action: WatchAction,
}

/// Where changes are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchPath {
    /// An absolute file or directory, with all below it. It need not be there yet.
    pub root: PathBuf,
    /// Only files that match this count, from the root; as [`crate::glob`] has it.
    pub pattern: Option<String>,
}

/// What changed files do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchAction {
    /// The service is started anew, or started if it has ended.
    Restart,
    /// Its main process gets this signal, by its Linux number.
    Signal(i32),
    /// This command is run with its environment, in a scope of its own.
    Run(Vec<String>),
}

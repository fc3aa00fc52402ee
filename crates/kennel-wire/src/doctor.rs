use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Advice, Containment, DaemonInfo, LimitSupport};

/// What `kennel doctor --json` prints: what this machine gives, and what is wrong on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doctor {
    /// Whether `findings` is empty.
    pub ok: bool,
    /// What the user should act on, the worst first. None of the sections below is in here a second time in full.
    pub findings: Vec<Finding>,
    /// The containment of the daemon that runs, else what the next one would get.
    pub containment: Containment,
    /// Which cgroup hierarchies are mounted where, in words.
    pub cgroups: String,
    /// Version and build of the kernel.
    pub kernel: String,
    /// What the kernel can do, tried out.
    pub features: Vec<Feature>,
    /// How many of them were found to work, and how many not.
    pub feature_counts: FeatureCounts,
    /// Which limits can be held here and by whom; empty where it could not be tried.
    pub limits: Vec<LimitSupport>,
    /// What would have the kernel hold more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits_advice: Option<Advice>,
    /// Whether notifications could be shown on the desktop of whoever asks.
    pub desktop: DesktopSupport,
    /// Parents on this machine that leave zombies, most first.
    pub zombies: Vec<ZombieParent>,
    /// What earlier kennels of this user left.
    pub leftovers: Vec<Leftover>,
    /// Name of the kennel instance that was asked about.
    pub instance: String,
    /// Where its logs and events are.
    #[schema(value_type = String)]
    pub state_dir: PathBuf,
    /// Where its sockets are.
    #[schema(value_type = String)]
    pub runtime_dir: PathBuf,
    /// Version of the command.
    pub version: String,
    /// The daemon of the instance, if one runs.
    pub daemon: Option<DaemonInfo>,
}

/// Whether notifications can be shown on a desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopSupport {
    /// Whether somebody shows them.
    pub works: bool,
    /// Who, or why nobody.
    pub note: String,
}

/// Something to act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// `leftovers`, `containment_too_weak`, `daemon_silent`, `versions_differ`, `stuck`, `kernel_too_old`,
    /// `not_shown`.
    pub code: String,
    /// One line.
    pub text: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// One thing that a kernel can do or cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feature {
    /// Stable name.
    pub name: String,
    /// What was found.
    pub works: Works,
    /// What it means for kennel where it does not work, or why it could not be tried.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Works {
    /// It was tried and does.
    Yes,
    /// It was tried and does not.
    No,
    /// It could not be tried.
    Unknown,
}

/// How many features work, do not, and could not be tried: what was not tried speaks neither for the kernel nor against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeatureCounts {
    /// Tried, and they work.
    pub yes: usize,
    /// Tried, and they do not.
    pub no: usize,
    /// Not tried.
    pub unknown: usize,
}

impl FeatureCounts {
    /// Counts them.
    #[must_use]
    pub fn of(features: &[Feature]) -> Self {
        let count = |works| features.iter().filter(|one| one.works == works).count();
        Self { yes: count(Works::Yes), no: count(Works::No), unknown: count(Works::Unknown) }
    }
}

/// A process that does not wait for its children that have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZombieParent {
    /// The parent's process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// How many it has left.
    pub count: u32,
    /// Begin of the oldest of them, seconds ago; when it ended is not known.
    pub oldest_began_s: u64,
    /// The kennel instance that the parent belongs to, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// What an earlier kennel left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leftover {
    /// What kind of thing.
    pub kind: LeftoverKind,
    /// Name of the kennel instance, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Whether that instance is one of this user and state directory. Others are shown, and no finding.
    pub here: bool,
    /// Directory of the cgroup or of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub path: Option<PathBuf>,
    /// Living processes, at most 100.
    pub processes: Vec<u32>,
    /// What ends or removes it.
    pub command: String,
}

/// A kind of leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftoverKind {
    /// A cgroup with living processes and without a keeper.
    Scope,
    /// Processes with a tag of kennel's and without a keeper.
    Tagged,
    /// An instance whose keeper was lost without an end of its own.
    Instance,
}

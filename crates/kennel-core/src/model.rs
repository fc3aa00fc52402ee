//! What the user declares. Produced by `kennel-config`, read by everything that decides.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::brake;
use crate::liveness::{Hang, Liveness};
use crate::rules::{self, Rule};

mod logs;
mod notify;
mod privileges;
mod schedule;
pub mod webhook;

pub use crate::limit::{LimitAction, Limits};
pub use logs::{LogSink, Logs, OnFull, ProjectLogs};
pub use notify::{Chosen, Notify};
pub use privileges::{IoPriority, Isolation, Privileges, RESOURCE_LIMITS, ResourceLimit};
pub use schedule::{Missed, Overlap, Schedule, ScheduledAction, Watch, WatchAction, WatchPath, When};
pub use webhook::Webhook;

/// Everything one configuration file declares, resolved: no variables, aliases or relative paths are left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Shown to people: the directory's name unless the file sets `name`.
    pub name: String,
    /// Absolute directory of the configuration file.
    pub directory: PathBuf,
    /// The least that the machine must be able to promise; what it promises less, nothing is started.
    pub require_containment: RequireContainment,
    /// Where events go beside the store.
    #[serde(default)]
    pub log_events: LogEvents,
    /// Have everything sampled always, and recorded, not only while somebody looks.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// How much of what all of them write is kept.
    #[serde(default)]
    pub logs: ProjectLogs,
    /// Rules over the whole stack, or over each service of it; of a record without them, the usual ones.
    #[serde(default = "rules::defaults")]
    pub rules: Vec<Rule>,
    /// What all services together may use, and whatever else kennel runs.
    #[serde(default)]
    pub limits: Limits,
    /// How many restarts all services together may have.
    #[serde(default)]
    pub storm_brake: brake::Policy,
    /// Where events are sent to, by name.
    #[serde(default)]
    pub webhooks: IndexMap<String, Webhook>,
    /// Where people are told of events.
    #[serde(default)]
    pub notify: Notify,
    /// In the file's order.
    pub services: IndexMap<String, Service>,
}

impl Project {
    /// One without services, and with the usual values of everything else.
    #[must_use]
    pub fn empty(name: String, directory: PathBuf) -> Self {
        Self {
            name,
            directory,
            require_containment: RequireContainment::default(),
            log_events: LogEvents::default(),
            sampling: None,
            logs: ProjectLogs::default(),
            rules: rules::defaults(),
            limits: Limits::default(),
            storm_brake: brake::Policy::default(),
            webhooks: IndexMap::new(),
            notify: Notify::default(),
            services: IndexMap::new(),
        }
    }
}

/// A log of the machine that events are passed on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEvents {
    /// None.
    #[default]
    None,
    /// The journal of systemd, with fields.
    Journald,
    /// Whoever listens at `/dev/log`.
    Syslog,
}

/// How everything is sampled always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampling {
    /// Pause between two samples.
    pub interval: Duration,
}

/// The least containment that a project accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequireContainment {
    /// The best that the machine gives.
    #[default]
    Any,
    /// The kernel itself keeps the processes of a scope together: cgroup or PID namespace.
    Kernel,
}

/// One declared service. It does not run; its instances do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Program and arguments, never empty. A shell is already spelled out here.
    pub command: Vec<String>,
    /// Absolute.
    pub working_dir: PathBuf,
    /// `env_file` entries overlaid by `environment`; laid over the caller's environment at spawn.
    pub environment: BTreeMap<String, String>,
    /// What must be true of other services first, in the file's order.
    pub depends_on: Vec<Dependency>,
    /// When to start again after the main process ended.
    pub restart: RestartMode,
    /// How often and how soon.
    pub restart_policy: RestartPolicy,
    /// How the service says that it can serve; without it, started is ready.
    pub readiness: Option<Probe>,
    /// How it is found that it works no more.
    #[serde(default)]
    pub liveness: Option<Liveness>,
    /// When its silence counts as a hang; none: never, and what it is doing is not watched.
    #[serde(default)]
    pub hang: Option<Hang>,
    /// How long it may take from spawn to ready before the start counts as failed.
    pub start_timeout: Duration,
    /// What ends it, stage by stage; always closed by the kill of the whole scope.
    pub stop: Vec<StopStage>,
    /// Exit codes that count as success beside 0.
    pub success_exit_codes: Vec<i32>,
    /// Port numbers by name, in the file's order; [`crate::ports::AUTO`]: kennel chooses one.
    pub ports: IndexMap<String, u16>,
    /// How many instances run side by side, at least 1.
    pub replicas: u32,
    /// User name or numeric id to run as.
    pub user: Option<String>,
    /// Group name or numeric id to run as.
    pub group: Option<String>,
    /// File mode creation mask, 0 to 0o777.
    pub umask: Option<u32>,
    /// What happens to it when the daemon is lost.
    pub on_daemon_loss: OnDaemonLoss,
    /// What happens to a process that left its scope's cgroup.
    pub on_escape: OnEscape,
    /// How long one run may take; then it is stopped.
    #[serde(default)]
    pub max_runtime: Option<Duration>,
    /// How long it may write nothing; then it is stopped.
    #[serde(default)]
    pub idle_timeout: Option<Duration>,
    /// When the clock starts it; none: it is started with the others.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Files whose changes make it act.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// Rules over each of its instances.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Which parts of the system it has for itself.
    pub isolation: Isolation,
    /// Rights, limits and priorities of its processes.
    pub privileges: Privileges,
    /// What all processes of one instance may use together.
    #[serde(default)]
    pub limits: Limits,
    /// Started only if one of these is chosen; empty: always.
    pub profiles: Vec<String>,
    /// Free for users.
    pub labels: BTreeMap<String, String>,
    /// Colour of its prefix in merged logs: an ANSI name such as `cyan` or `#rrggbb`.
    pub color: Option<String>,
    /// How much of its output is kept.
    #[serde(default)]
    pub logs: Logs,
}

impl Service {
    /// One that says no more than what is executed where: started by nobody but on request, never again by itself, and ready when it runs.
    #[must_use]
    pub fn plain(command: Vec<String>, working_dir: PathBuf) -> Self {
        Self {
            command,
            working_dir,
            environment: BTreeMap::new(),
            depends_on: Vec::new(),
            restart: RestartMode::No,
            restart_policy: RestartPolicy::default(),
            readiness: None,
            liveness: None,
            hang: None,
            start_timeout: Duration::MAX,
            stop: default_stop_sequence(),
            success_exit_codes: Vec::new(),
            ports: IndexMap::new(),
            replicas: 1,
            user: None,
            group: None,
            umask: None,
            on_daemon_loss: OnDaemonLoss::default(),
            on_escape: OnEscape::default(),
            max_runtime: None,
            idle_timeout: None,
            schedule: None,
            watch: None,
            rules: Vec::new(),
            isolation: Isolation::default(),
            privileges: Privileges::default(),
            limits: Limits::default(),
            profiles: Vec::new(),
            labels: BTreeMap::new(),
            color: None,
            logs: Logs::default(),
        }
    }

    /// Whether it is the clock that starts it, and not `up`.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.schedule.as_ref().is_some_and(|schedule| schedule.action == ScheduledAction::Run)
    }

    /// Whether it runs on when the daemon is lost.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.on_daemon_loss == OnDaemonLoss::Keep
    }
}

/// One edge of the dependency graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Name of the service that is waited for.
    pub service: String,
    /// What must be true of it.
    pub condition: Condition,
    /// Whether a restart of that one that somebody asked for, a change of files or the clock, restarts the dependant as well.
    #[serde(default)]
    pub restart: bool,
}

/// What a dependant waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Every instance was executed.
    Started,
    /// Every instance is ready.
    Healthy,
    /// Every instance ended, however.
    Completed,
    /// Every instance ended with success.
    CompletedSuccessfully,
}

/// Whether an ended instance is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartMode {
    /// Never.
    No,
    /// After a failure only.
    OnFailure,
    /// After every end that nobody asked for.
    Always,
    /// As `Always`; the difference (after a reboot) is not there yet.
    UnlessStopped,
}

/// Pace and limit of restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Before the first restart; zero is allowed.
    pub delay: Duration,
    /// Each further delay is this many times the one before, at least 1.
    pub factor: f64,
    /// Upper bound of the delay.
    pub max_delay: Duration,
    /// Share of the delay, 0 to 1, by which it is varied up and down.
    pub jitter: f64,
    /// A run this long starts the count and the delay anew.
    pub reset_after: Duration,
    /// More restarts than this within `window` and the service is given up.
    pub max_restarts: u32,
    /// Length of the sliding window.
    pub window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(200),
            factor: 2.0,
            max_delay: Duration::from_secs(30),
            jitter: 0.2,
            reset_after: Duration::from_secs(60),
            max_restarts: 5,
            window: Duration::from_secs(60),
        }
    }
}

/// A readiness probe with its pace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// Pause between two attempts while not ready; default 250 ms.
    pub interval: Duration,
    /// Pause once ready; default 10 s. Not used by `log_line`, `notify`.
    pub ready_interval: Duration,
    /// Longest time one attempt may take; default 1 s.
    pub timeout: Duration,
    /// Pause before the first attempt; default 0.
    pub initial_delay: Duration,
    /// Successes in a row that make it ready; default 1.
    pub success_threshold: u32,
    /// Failures in a row that make a ready one unhealthy; default 3.
    pub failure_threshold: u32,
}

/// What a readiness probe asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// This command, run in a scope of its own, ends with 0.
    Exec(Vec<String>),
    /// A GET of this URL parts answers 200 to 399.
    HttpGet {
        /// Host, default `127.0.0.1`.
        host: String,
        /// Port number.
        port: u16,
        /// Path with its query, begins with `/`.
        path: String,
        /// Name of the port if kennel chooses it; `port` is its number as soon as that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auto: Option<String>,
    },
    /// A TCP connection is accepted.
    Tcp {
        /// Host, default `127.0.0.1`.
        host: String,
        /// Port number.
        port: u16,
        /// Name of the port if kennel chooses it; `port` is its number as soon as that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        auto: Option<String>,
    },
    /// A line of its output matches this regular expression.
    LogLine(String),
    /// It sends `READY=1` to the socket named in `NOTIFY_SOCKET`.
    Notify,
    /// This absolute path exists.
    File(PathBuf),
}

/// One stage of a stop: do something, then wait for the scope to empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopStage {
    /// What is done.
    pub step: StopStep,
    /// How long the next stage is held back. The moment the scope is empty, the stop is over.
    pub wait: Duration,
}

/// What a stop stage does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopStep {
    /// Sends a signal, by its Linux number.
    Signal {
        /// For example 15.
        signal: i32,
        /// To whom.
        target: Target,
    },
    /// Runs this command with the service's environment, in a scope of its own.
    Command(Vec<String>),
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every process of the scope.
    Scope,
    /// The main process alone.
    Main,
}

/// What happens to a service when the daemon is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDaemonLoss {
    /// Its scope is killed at once.
    #[default]
    Stop,
    /// It runs on, its output and its end are kept by the keeper, and the next daemon takes it over.
    Keep,
}

/// What happens to a process that moved itself out of its scope's cgroup, which only root and a delegated user can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnEscape {
    /// It is reported and killed as soon as it is found, at the latest when its scope is emptied.
    #[default]
    Kill,
    /// It is reported; it ends with its scope all the same.
    Report,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It called exit with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Nobody could learn it: the process that could was lost.
    Unknown,
}

impl Exit {
    /// Whether the service counts this as success.
    #[must_use]
    pub fn is_success(self, also: &[i32]) -> bool {
        matches!(self, Self::Code(code) if code == 0 || also.contains(&code))
    }
}

/// The default stop sequence: TERM 10 s, TERM 5 s, then the kill of the scope.
#[must_use]
pub fn default_stop_sequence() -> Vec<StopStage> {
    const SIGTERM: i32 = 15;
    [10, 5]
        .map(|seconds| StopStage {
            step: StopStep::Signal { signal: SIGTERM, target: Target::Scope },
            wait: Duration::from_secs(seconds),
        })
        .to_vec()
}

//! The same events under the names of the dashboard family.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Event, EventKind, Exit, Health, Receipt, StopReason};

/// One of our events, or a part of one, as a dashboard knows it: `GET /v1/events?names=dashboard`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DashboardEvent {
    /// Number of our event. Several lines of one event have the same.
    pub seq: u64,
    /// When that was recorded.
    pub time: Timestamp,
    /// Name in `ps`, if it concerns one service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: DashboardKind,
    /// Another line with this number follows. Whoever resumes has seen `seq` once a line without this was read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// What happened, in the words of the dashboard family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event")]
pub enum DashboardKind {
    /// A main process was executed.
    #[serde(rename = "processStarted")]
    ProcessStarted {
        /// Main process.
        pid: u32,
    },
    /// A main process was reaped.
    #[serde(rename = "processExit")]
    ProcessExit {
        /// Main process.
        pid: u32,
        /// What it called exit with; null if it did not, or nobody knows.
        code: Option<i32>,
        /// Linux number of the signal that ended it; null if none did, or nobody knows.
        signal: Option<i32>,
    },
    /// It could not be started, did not get ready, failed for good, or cannot be ended.
    #[serde(rename = "processError")]
    ProcessError {
        /// Why.
        error: String,
    },
    /// A main process ended and nobody had asked for that.
    #[serde(rename = "processDied")]
    ProcessDied {
        /// Main process; null if it is not known.
        pid: Option<u32>,
    },
    /// What the readiness probe says has changed.
    #[serde(rename = "healthCheck")]
    HealthCheck {
        /// Whether it can serve.
        healthy: bool,
        /// The probe's last word, if it cannot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It stands elsewhere.
    #[serde(rename = "statusChange")]
    StatusChange {
        /// Where.
        status: DashboardStatus,
    },
    /// A daemon began, with whatever it took over.
    #[serde(rename = "initialized")]
    Initialized {
        /// Process id of the daemon.
        pid: u32,
    },
    /// A service can serve.
    #[serde(rename = "serverStarted")]
    ServerStarted {},
    /// A service is down and stays so, by request or because it is done.
    #[serde(rename = "serverStopped")]
    ServerStopped {},
    /// A process that nobody tracked was ended.
    #[serde(rename = "orphanKilled")]
    OrphanKilled {
        /// Which.
        pid: u32,
    },
}

/// Where a server of a dashboard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DashboardStatus {
    /// Its main process lives.
    Running,
    /// Nothing of it runs: never started, stopped on request, or done.
    Stopped,
    /// It ended, or could not start, and nobody had asked for that.
    Crashed,
    /// Nobody can tell.
    Unknown,
}

/// One server in the state of a dashboard, which is an object of these by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardServer {
    /// Name in `ps`.
    pub id: String,
    /// Main process; null if none lives.
    pub pid: Option<u32>,
    /// Quoted so that a shell would split it into program and arguments.
    pub command: String,
    /// Absolute.
    pub cwd: String,
    /// Begin of the run, milliseconds since 1970; null if none lives.
    #[serde(rename = "startTime")]
    pub start_time: Option<i64>,
    /// Where it stands.
    pub status: DashboardStatus,
    /// Declared ports, each once.
    pub ports: Vec<u16>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl DashboardKind {
    /// The name that stands in `event`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ProcessStarted { .. } => "processStarted",
            Self::ProcessExit { .. } => "processExit",
            Self::ProcessError { .. } => "processError",
            Self::ProcessDied { .. } => "processDied",
            Self::HealthCheck { .. } => "healthCheck",
            Self::StatusChange { .. } => "statusChange",
            Self::Initialized { .. } => "initialized",
            Self::ServerStarted {} => "serverStarted",
            Self::ServerStopped {} => "serverStopped",
            Self::OrphanKilled { .. } => "orphanKilled",
        }
    }
}

impl DashboardEvent {
    /// What a dashboard hears of an event: nothing, or one line or more, the last of them without `more`.
    #[must_use]
    pub fn of(event: &Event) -> Vec<Self> {
        Self::chosen(event, |_| true)
    }

    /// The same, only those that `wanted` names.
    #[must_use]
    pub fn chosen(event: &Event, wanted: impl Fn(&DashboardKind) -> bool) -> Vec<Self> {
        let kinds = kinds(&event.kind).into_iter().filter(wanted);
        let line = |kind| Self { seq: event.seq, time: event.time, id: event.service.clone(), kind, more: true };
        let mut lines: Vec<Self> = kinds.map(line).collect();
        lines.last_mut().into_iter().for_each(|last| last.more = false);
        lines
    }
}

/// Every one of ours is decided here; `docs/api.md` has the same as a table.
fn kinds(kind: &EventKind) -> Vec<DashboardKind> {
    use DashboardKind as To;
    let status = |status| To::StatusChange { status };
    match kind {
        EventKind::Started { pid, .. } => {
            vec![To::ProcessStarted { pid: *pid }, status(DashboardStatus::Running)]
        }
        // Its keeper was lost while it ran: for a dashboard, it is there again.
        EventKind::Adopted { .. } => vec![status(DashboardStatus::Running)],
        EventKind::Ready { .. } => vec![To::HealthCheck { healthy: true, reason: None }, To::ServerStarted {}],
        EventKind::Unhealthy { reason } => vec![To::HealthCheck { healthy: false, reason: Some(reason.clone()) }],
        EventKind::Health { health, reason } => {
            let healthy = *health == Health::Healthy;
            vec![To::HealthCheck { healthy, reason: reason.clone().filter(|_| !healthy) }]
        }
        EventKind::Exited { pid, exit } => vec![process_exit(*pid, *exit)],
        EventKind::Stuck { receipt } => vec![To::ProcessError { error: cannot_be_ended(receipt) }],
        EventKind::Down { receipt } => down(receipt),
        EventKind::RestartScheduled { .. } => vec![status(DashboardStatus::Crashed)],
        EventKind::Completed {} | EventKind::Stopped {} => vec![status(DashboardStatus::Stopped), To::ServerStopped {}],
        EventKind::Failed { reason } | EventKind::GivenUp { reason } => {
            vec![To::ProcessError { error: reason.clone() }, status(DashboardStatus::Crashed)]
        }
        // With it each daemon begins its part of the stream, also one that follows another.
        EventKind::DaemonStarted { pid } => vec![To::Initialized { pid: *pid }],
        EventKind::OrphanKilled { process } => vec![To::OrphanKilled { pid: process.pid }],
        EventKind::Pending { .. }
        | EventKind::OutOfMemory { .. }
        | EventKind::LimitExceeded { .. }
        | EventKind::Frozen { .. }
        | EventKind::Thawed { .. }
        | EventKind::LogsLost { .. }
        | EventKind::LogsRecovered { .. }
        | EventKind::LogsBound { .. }
        | EventKind::LogsSinkFailed { .. }
        | EventKind::LogsSinkRecovered { .. }
        | EventKind::Stopping { .. }
        | EventKind::Stage { .. }
        | EventKind::Activity { .. }
        | EventKind::Escaped { .. }
        | EventKind::ScheduleArmed { .. }
        | EventKind::WatchBegun {}
        | EventKind::ZombiesFound { .. }
        | EventKind::WatchChanged { .. }
        | EventKind::WatchHeld { .. }
        | EventKind::WatchBlind { .. }
        | EventKind::WatchFailed { .. }
        | EventKind::ScheduleFired { .. }
        | EventKind::ScheduleSkipped { .. }
        | EventKind::DaemonRecovered { .. }
        | EventKind::DaemonTerminated { .. }
        | EventKind::DaemonPanicked { .. }
        | EventKind::DaemonReplaced { .. }
        | EventKind::HandoverFailed { .. }
        | EventKind::WebhookDead { .. }
        | EventKind::WebhookDisabled { .. }
        | EventKind::ConfigReloaded { .. }
        | EventKind::StoreRecovered { .. }
        | EventKind::Unreadable {}
        | EventKind::OrphanFound { .. }
        | EventKind::OwnerOpened { .. }
        | EventKind::LeaseTaken { .. }
        | EventKind::LeaseLost { .. }
        | EventKind::OwnerGrace { .. }
        | EventKind::OwnerHeld { .. }
        | EventKind::OwnerEnded { .. }
        | EventKind::AlertRaised { .. }
        | EventKind::AlertEscalated { .. }
        | EventKind::AlertCleared { .. }
        | EventKind::StormBrake { .. }
        | EventKind::KeeperLost {}
        | EventKind::ShutdownCompleted { .. } => Vec::new(),
    }
}

fn process_exit(pid: u32, exit: Exit) -> DashboardKind {
    let (code, signal) = match exit {
        Exit::Code { code } => (Some(code), None),
        Exit::Signal { signal } => (None, Some(signal)),
        Exit::Unknown => (None, None),
    };
    DashboardKind::ProcessExit { pid, code, signal }
}

/// Whether anybody had asked for the end is known only when it is over.
fn down(receipt: &Receipt) -> Vec<DashboardKind> {
    match receipt.reason {
        StopReason::MainExited | StopReason::DaemonLost | StopReason::KeeperLost => {
            let main = receipt.processes.iter().find(|process| process.main);
            vec![DashboardKind::ProcessDied { pid: main.map(|main| main.pid) }]
        }
        StopReason::StartTimeout => vec![DashboardKind::ProcessError { error: "it did not get ready in time".into() }],
        StopReason::NotAlive => vec![DashboardKind::ProcessError { error: "its liveness failed".into() }],
        StopReason::Hung => vec![DashboardKind::ProcessError { error: "it hung".into() }],
        StopReason::Requested
        | StopReason::Restart
        | StopReason::Down
        | StopReason::ClientGone
        | StopReason::OwnerEnded
        | StopReason::MaxRuntime
        | StopReason::Limit
        | StopReason::Idle
        | StopReason::LogBound => Vec::new(),
        StopReason::Rule => Vec::new(),
    }
}

fn cannot_be_ended(receipt: &Receipt) -> String {
    match receipt.left {
        1 => "1 process cannot be ended".to_owned(),
        left => format!("{left} processes cannot be ended"),
    }
}

#[cfg(test)]
#[path = "names/tests.rs"]
mod tests;

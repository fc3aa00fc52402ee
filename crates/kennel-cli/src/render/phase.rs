//! Where a service stands on its way up or down, told by events.

use anstyle::Style;
use jiff::Timestamp;
use kennel_wire::{Event, EventKind, Exit, Receipt};

use super::paint::{CYAN, DIM, GREEN, RED, YELLOW};
use super::units;

/// Where a service stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    Pending(Vec<String>),
    Scheduled(Option<Timestamp>),
    Starting { pid: u32 },
    Ready { after_ms: u64 },
    Unhealthy(String),
    Exited(Exit),
    Waiting { after: Option<Exit>, in_ms: u64, attempt: u32 },
    Stopping { stage: Option<String> },
    Stuck(Box<Receipt>),
    Down(Box<Receipt>),
    Completed,
    Failed(String),
    GivenUp(String),
    Stopped,
}

impl Phase {
    /// What an event says about its service; `None` for events about the daemon.
    pub(crate) fn of(event: &Event, before: Option<&Self>) -> Option<Self> {
        Some(match &event.kind {
            EventKind::Pending { waiting_for } => Self::Pending(waiting_for.clone()),
            EventKind::ScheduleArmed { next_at } => Self::Scheduled(*next_at),
            EventKind::Started { pid, .. } => Self::Starting { pid: *pid },
            EventKind::Ready { after_ms } => Self::Ready { after_ms: *after_ms },
            EventKind::Unhealthy { reason } => Self::Unhealthy(reason.clone()),
            EventKind::Exited { exit, .. } => Self::Exited(*exit),
            EventKind::Stopping { .. } => Self::Stopping { stage: None },
            EventKind::Stage { stage } => Self::Stopping { stage: Some(stage.clone()) },
            EventKind::Stuck { receipt } => Self::Stuck(receipt.clone()),
            EventKind::Down { receipt } => Self::Down(receipt.clone()),
            EventKind::RestartScheduled { in_ms, attempt } => {
                let after = match before {
                    Some(Self::Exited(exit)) => Some(*exit),
                    // The exit comes before or after the scope is empty; the receipt knows it in any case.
                    Some(Self::Down(receipt)) => Some(receipt.exit),
                    _ => None,
                };
                Self::Waiting { after, in_ms: *in_ms, attempt: *attempt }
            }
            EventKind::Completed {} => Self::Completed,
            EventKind::Failed { reason } => Self::Failed(reason.clone()),
            EventKind::GivenUp { reason } => Self::GivenUp(reason.clone()),
            EventKind::Stopped {} => Self::Stopped,
            // Of one process, or of how it is, and not of where the service stands.
            EventKind::Escaped { .. }
            | EventKind::Frozen { .. }
            | EventKind::OutOfMemory { .. }
            | EventKind::LimitExceeded { .. }
            | EventKind::Thawed { .. }
            | EventKind::LogsLost { .. }
            | EventKind::LogsRecovered { .. }
            | EventKind::LogsBound { .. }
            | EventKind::LogsSinkFailed { .. }
            | EventKind::LogsSinkRecovered { .. }
            | EventKind::ScheduleFired { .. }
            | EventKind::WatchBegun {}
            | EventKind::ZombiesFound { .. }
            | EventKind::WatchChanged { .. }
            | EventKind::WatchHeld { .. }
            | EventKind::WatchBlind { .. }
            | EventKind::WatchFailed { .. }
            | EventKind::ScheduleSkipped { .. }
            | EventKind::Health { .. }
            | EventKind::Activity { .. }
            | EventKind::Adopted { .. }
            | EventKind::OrphanFound { .. }
            | EventKind::OrphanKilled { .. }
            | EventKind::DaemonReplaced { .. }
            | EventKind::HandoverFailed { .. }
            | EventKind::DaemonStarted { .. }
            | EventKind::DaemonRecovered { .. }
            | EventKind::OwnerOpened { .. }
            | EventKind::OwnerGrace { .. }
            | EventKind::OwnerHeld { .. }
            | EventKind::OwnerEnded { .. }
            | EventKind::LeaseTaken { .. }
            | EventKind::LeaseLost { .. }
            | EventKind::StoreRecovered { .. }
            | EventKind::Unreadable {}
            | EventKind::AlertRaised { .. }
            | EventKind::AlertEscalated { .. }
            | EventKind::AlertCleared { .. }
            | EventKind::StormBrake { .. }
            | EventKind::WebhookDead { .. }
            | EventKind::WebhookDisabled { .. }
            | EventKind::KeeperLost {}
            | EventKind::DaemonTerminated { .. }
            | EventKind::DaemonPanicked { .. }
            | EventKind::ConfigReloaded { .. }
            | EventKind::ShutdownCompleted { .. } => return None,
        })
    }

    /// Whether nothing more is to come of a start.
    pub(crate) fn started(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Scheduled(_) | Self::Completed | Self::Failed(_) | Self::GivenUp(_))
    }

    /// Whether nothing more is to come of a stop.
    pub(crate) fn stopped(&self) -> bool {
        matches!(self, Self::Down(_) | Self::Stopped | Self::Completed | Self::Failed(_) | Self::GivenUp(_))
    }

    /// Whether the service ended on its own and stays down, or was stopped.
    pub(crate) fn over(&self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed(_) | Self::GivenUp(_))
    }

    /// A sign for the eye, with the style of the whole.
    pub(crate) fn mark(&self) -> (&'static str, Style) {
        match self {
            Self::Ready { .. } | Self::Completed => ("✓", GREEN),
            Self::Down(_) | Self::Stopped => ("✓", DIM),
            Self::Failed(_) | Self::GivenUp(_) | Self::Stuck(_) => ("✗", RED),
            Self::Exited(Exit::Code { code: 0 }) => ("●", CYAN),
            Self::Unhealthy(_) | Self::Exited(_) | Self::Waiting { .. } => ("!", YELLOW),
            Self::Starting { .. } | Self::Stopping { .. } => ("●", CYAN),
            Self::Pending(_) | Self::Scheduled(_) => ("○", DIM),
        }
    }

    /// In words.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Pending(waiting_for) if waiting_for.is_empty() => "pending".to_owned(),
            Self::Pending(waiting_for) => format!("waiting for {}", waiting_for.join(", ")),
            Self::Scheduled(next_at) => units::next_time(*next_at),
            Self::Starting { pid } => format!("starting, pid {pid}"),
            Self::Ready { after_ms } => format!("ready in {}", units::duration(*after_ms)),
            Self::Unhealthy(reason) => format!("unhealthy: {reason}"),
            Self::Exited(exit) => exit.to_string(),
            Self::Waiting { after, in_ms, attempt } => {
                let after = after.map_or_else(String::new, |exit| format!("{exit}, "));
                format!("{after}restart {attempt} in {}", units::duration(*in_ms))
            }
            Self::Stopping { stage: None } => "stopping".to_owned(),
            Self::Stopping { stage: Some(stage) } => format!("stopping, {stage}"),
            Self::Stuck(receipt) => format!("{} cannot be ended", units::processes(receipt.left as usize)),
            Self::Down(receipt) => format!("down in {}", units::duration(receipt.duration_ms)),
            Self::Completed => "completed".to_owned(),
            Self::Failed(reason) => format!("failed: {reason}"),
            Self::GivenUp(reason) => format!("given up: {reason}"),
            Self::Stopped => "stopped".to_owned(),
        }
    }
}

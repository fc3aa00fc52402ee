//! How the output of services is kept, and what follows when it cannot be.

use kennel_core::instance::{Reason, State};
use kennel_core::model::{OnFull, ProjectLogs, Service};
use kennel_core::slot::Event;
use kennel_logs::Bounds;
use kennel_wire::{EventKind, LogPolicy};

use super::runs::Kind;
use super::{Driver, Work};
use crate::logs::{Keep, Notice};

/// The longest segment unless somebody says otherwise, bytes.
const SEGMENT: u64 = 8 << 20;

/// In the words of the recorder.
pub(super) fn keep_of(service: &Service) -> Keep {
    let logs = &service.logs;
    let segment_size = logs.segment_size.unwrap_or((logs.max_size / 8).min(SEGMENT));
    Keep {
        bounds: Bounds { max_size: logs.max_size, max_age: logs.max_age, segment_size },
        compress: logs.compress,
        on_full: logs.on_full,
        rate: service.limits.log_rate,
        to: logs.to.clone(),
    }
}

impl Driver {
    /// After the configuration has changed: what holds from now on, also for what runs already.
    pub(super) fn keep_logs(&self) {
        let of_project = self.loaded.as_ref().map_or_else(ProjectLogs::default, |loaded| loaded.project.logs);
        self.recorder.within(of_project.max_size);
        for (name, slot) in self.slots.iter().filter(|(_, slot)| slot.run.is_some()) {
            self.recorder.keep(name, keep_of(&slot.service));
        }
    }

    /// The recorder has something to say of a service.
    pub(super) fn log_notice(&mut self, name: &str, id: u64, notice: Notice) {
        let kind = match notice {
            Notice::Lost { bytes, reason } => {
                tracing::error!(service = name, reason, "output cannot be written and is lost");
                EventKind::LogsLost { bytes, reason }
            }
            Notice::Recovered { lost_bytes } => {
                tracing::info!(service = name, lost_bytes, "output can be written again");
                EventKind::LogsRecovered { lost_bytes }
            }
            Notice::Full { policy, bytes } => {
                tracing::warn!(service = name, ?policy, bytes, "as much of its output is kept as may be");
                self.log_is_full(name, id, policy);
                EventKind::LogsBound { policy: wire_policy(policy), bytes }
            }
            Notice::SinkFailed { to, reason } => {
                tracing::warn!(service = name, to, reason, "output is not taken where it is passed on to");
                EventKind::LogsSinkFailed { to, reason }
            }
            Notice::SinkRecovered { to, lost_bytes } => {
                tracing::info!(service = name, to, lost_bytes, "output is taken again where it is passed on to");
                EventKind::LogsSinkRecovered { to, lost_bytes }
            }
            Notice::TooFast { rate, bound, waits } => self.log_too_fast(name, id, (rate, bound), waits),
        };
        self.events.publish(Some(name), Some(id), kind);
    }

    fn log_is_full(&mut self, name: &str, id: u64, policy: OnFull) {
        let run = self.runs.get(&id).filter(|run| matches!(run.kind, Kind::Slot));
        if policy == OnFull::Stop && run.is_some_and(|run| matches!(run.state, State::Running { .. })) {
            let stop = Event::Stop { reason: Reason::LogBound, limit: None };
            self.queue.push_back(Work::Slot(name.to_owned(), stop));
        }
    }
}

fn wire_policy(policy: OnFull) -> LogPolicy {
    match policy {
        OnFull::DropOldest => LogPolicy::DropOldest,
        OnFull::Block => LogPolicy::Block,
        OnFull::Stop => LogPolicy::Stop,
    }
}

//! What the engine says of what it tracks, for whoever looks for the rest, and what it records of that.

use kennel_keeper::proto::Backend;
use kennel_orphans::Tracking;
use kennel_wire::{EndedProcess, EventKind, Orphan};

use super::Driver;

impl Driver {
    /// Every scope that there is or that is being made.
    pub(super) fn tracking(&self) -> Tracking {
        let roots = match &self.backend {
            Backend::Cgroup { root } => vec![root.clone()],
            Backend::Reaper { .. } => Vec::new(),
        };
        Tracking {
            own: vec![std::process::id(), self.keeper_pid],
            roots,
            scopes: self.runs.values().map(|run| run.scope.clone()).filter(|scope| !scope.is_empty()).collect(),
        }
    }

    /// Each is told once when it is found, and once when it has ended.
    pub(super) fn tell_orphans(&mut self, found: Vec<Orphan>, ended: Vec<EndedProcess>) {
        for orphan in found {
            if self.told_orphans.insert((orphan.pid, orphan.start_ticks)) {
                tracing::warn!(pid = orphan.pid, command = orphan.command, why = orphan.why, "orphan found");
                self.feeds_a_storm(orphan.service.as_deref().unwrap_or(""));
                let (service, run) = (orphan.service.clone(), orphan.run);
                self.events.publish(service.as_deref(), run, EventKind::OrphanFound { orphan: Box::new(orphan) });
            }
        }
        for process in ended {
            let key = (process.pid, process.start_ticks.unwrap_or(0));
            self.told_orphans.remove(&key);
            self.events.publish(None, None, EventKind::OrphanKilled { process });
        }
    }
}

//! What instances may use: asked of the keeper, held by samples where the kernel cannot, and told when it was not enough.

use kennel_core::instance::{Event as RunEvent, Reason, State};
use kennel_core::limit::{Exceeded, LimitAction, Limits, Sampled, Watch};
use kennel_core::sample::{Rates, Sample};
use kennel_core::slot;
use kennel_keeper::proto::{Applied, Bound, HeldBy, Request, Resource, ScopeId};
use kennel_wire::{EnforcedBy, EventKind, LimitStatus, MemoryPoint, OutOfMemory, StopReason};

use super::runs::Kind;
use super::sampling::Need;
use super::{Driver, Work};
use crate::clock;
use crate::receipt::millis;

/// CPU time of a service that is held back, thousandths of a CPU, and its weight.
const THROTTLED_CPUS: u64 = 100;
const THROTTLED_WEIGHT: u64 = 1;
/// Most points of a curve that an event tells of.
const CURVE: usize = 60;

/// What is known of the limits of a run.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    /// What the keeper has said of each.
    applied: Vec<Applied>,
    /// Those that samples hold.
    watch: Watch,
    /// Whether it is held back on request.
    throttled: bool,
}

/// What the keeper is asked for.
pub(super) fn wanted(limits: &Limits) -> Vec<Bound> {
    let one = |resource: Resource| value(limits, resource).map(|value| Bound { resource, value: Some(value) });
    Resource::ALL.into_iter().filter_map(one).collect()
}

fn value(limits: &Limits, resource: Resource) -> Option<u64> {
    match resource {
        Resource::Memory => limits.memory,
        Resource::MemoryHigh => limits.memory_high,
        // Or what is too much would only go there.
        Resource::Swap => limits.swap.or(limits.memory.map(|_| 0)),
        Resource::Pids => limits.pids,
        Resource::Cpus => limits.cpus,
        Resource::CpuWeight => limits.cpu_weight,
        Resource::IoWeight => limits.io_weight,
        Resource::IoRead => limits.io_read,
        Resource::IoWrite => limits.io_write,
    }
}

const fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::Memory => "memory",
        Resource::MemoryHigh => "memory_high",
        Resource::Swap => "swap",
        Resource::Pids => "pids",
        Resource::Cpus => "cpus",
        Resource::CpuWeight => "cpu_weight",
        Resource::IoWeight => "io_weight",
        Resource::IoRead => "io_read",
        Resource::IoWrite => "io_write",
    }
}

impl Bounded {
    fn by(&self, resource: Resource) -> Option<&HeldBy> {
        self.applied.iter().find(|one| one.bound.resource == resource).map(|one| &one.by)
    }

    fn is_held(&self, resource: Resource) -> bool {
        matches!(self.by(resource), Some(HeldBy::Cgroup | HeldBy::CgroupV1))
    }

    /// Limits that samples have to hold.
    fn sampled(&self, limits: &Limits) -> Vec<Sampled> {
        let is_held = |what: Sampled| match what {
            Sampled::Memory => self.is_held(Resource::Memory),
            Sampled::Pids => self.is_held(Resource::Pids),
            Sampled::LogRate => false,
        };
        Sampled::ALL.into_iter().filter(|what| limits.sampled(*what).is_some() && !is_held(*what)).collect()
    }

    /// In the wire's words.
    pub(super) fn status(&self, limits: &Limits) -> Vec<LimitStatus> {
        let mut all: Vec<LimitStatus> = wanted(limits)
            .into_iter()
            .filter(|bound| bound.resource != Resource::Swap || limits.swap.is_some())
            .map(|bound| self.one(bound))
            .collect();
        let nofile = limits.open_files.map(|value| LimitStatus {
            name: "open_files".to_owned(),
            value,
            enforced_by: EnforcedBy::Rlimit,
            note: Some("each process by itself".to_owned()),
        });
        let log_rate = limits.log_rate.map(|value| LimitStatus {
            name: "log_rate".to_owned(),
            value,
            enforced_by: EnforcedBy::Sampling,
            note: Some(sampled_note(limits)),
        });
        all.extend(nofile.into_iter().chain(log_rate));
        all
    }

    fn one(&self, bound: Bound) -> LimitStatus {
        let resource = bound.resource;
        let (enforced_by, note) = match self.by(resource) {
            Some(HeldBy::Cgroup) => (EnforcedBy::Cgroup, None),
            Some(HeldBy::CgroupV1) => (EnforcedBy::CgroupV1, weaker_in_1(resource).map(str::to_owned)),
            by => {
                let why = match by {
                    Some(HeldBy::Nobody { why }) => why.clone(),
                    _ => "known once it runs, by a keeper that knows of limits".to_owned(),
                };
                match resource {
                    Resource::Memory | Resource::Pids => (EnforcedBy::Sampling, Some(why)),
                    _ => (EnforcedBy::Nobody, Some(why)),
                }
            }
        };
        LimitStatus { name: name(resource).to_owned(), value: bound.value.unwrap_or(0), enforced_by, note }
    }
}

fn sampled_note(limits: &Limits) -> String {
    format!("looked at every few seconds; beyond it: {}", limits.action.as_str())
}

/// What version 1 does less.
const fn weaker_in_1(resource: Resource) -> Option<&'static str> {
    match resource {
        Resource::MemoryHigh => Some("only while the whole machine is short of memory"),
        Resource::IoWrite => Some("only what is written past the page cache"),
        _ => None,
    }
}

impl Driver {
    /// The keeper says who sees to which limit.
    pub(super) fn bounded(&mut self, id: u64, applied: Vec<Applied>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        for one in applied {
            if run.bounded.throttled
                && let HeldBy::Nobody { why } = &one.by
            {
                tracing::warn!(service = run.name, why, "it cannot be held back");
            }
            run.bounded.applied.retain(|before| before.bound.resource != one.bound.resource);
            run.bounded.applied.push(one);
        }
    }

    /// For a run that was taken over: who sees to its limits, which the keeper is to do whatever its predecessor did.
    pub(super) fn ask_bounds(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id).filter(|run| run.pid.is_some()) else { return };
        let bounds = wanted(&run.service.limits);
        if !bounds.is_empty() {
            self.link.send(Request::Bound { scope: ScopeId(id), bounds });
        }
        self.arm_bounds(id);
    }

    /// Has what it uses looked at, where a limit needs that: those that samples hold, and memory, so that a kill for want of it can
    /// be told with what came before.
    pub(super) fn arm_bounds(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id).filter(|run| matches!(run.kind, Kind::Slot)) else { return };
        let limits = &run.service.limits;
        if limits.memory.is_some() || !run.bounded.sampled(limits).is_empty() {
            let pace = limits.pace(None, None);
            self.need_samples(id, pace, Need::Limits);
        }
    }

    pub(super) fn limits_sampled(&mut self, id: u64, sample: &Sample, rates: Option<Rates>) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| matches!(run.kind, Kind::Slot)) else { return };
        if run.service.limits.is_empty() {
            return;
        }
        let service = std::sync::Arc::clone(&run.service);
        let limits = &service.limits;
        let watched = run.bounded.sampled(limits);
        let found = run.bounded.watch.step(limits, &watched, sample, rates);
        if limits.memory.is_some() || !watched.is_empty() {
            let pace = limits.pace(Some(sample), rates);
            self.need_samples(id, pace, Need::Limits);
        }
        // One of them is enough.
        if let Some(Exceeded { what, value, limit }) = found.first().copied() {
            self.limit_exceeded(id, what.as_str(), value, limit);
        }
    }

    fn limit_exceeded(&mut self, id: u64, what: &str, value: u64, bound: u64) {
        let Some(run) = self.runs.get(&id).filter(|run| matches!(run.state, State::Running { .. })) else { return };
        let action = run.service.limits.action;
        let kind =
            EventKind::LimitExceeded { limit: what.to_owned(), value, bound, action: action.as_str().to_owned() };
        self.events.publish(Some(&run.name), Some(id), kind);
        self.act_on_limit(id, what);
    }

    fn act_on_limit(&mut self, id: u64, what: &str) {
        let Some(run) = self.runs.get(&id) else { return };
        let (action, name) = (run.service.limits.action, run.name.clone());
        match action {
            LimitAction::Warn => {}
            LimitAction::Freeze => self.set_frozen(id, true, format!("limit {what}")),
            LimitAction::Restart => self.queue.push_back(Work::Slot(name, slot::Event::Restart { limit: None })),
            LimitAction::Stop => {
                let stop = slot::Event::Stop { reason: Reason::Limit, limit: None };
                self.queue.push_back(Work::Slot(name, stop));
            }
            LimitAction::Kill => {
                let limit = Some(std::time::Duration::ZERO);
                let stop = RunEvent::StopRequested { reason: Reason::Limit, limit };
                self.queue.push_back(Work::Run(id, stop));
            }
        }
    }

    /// The kernel has killed somebody of it.
    pub(super) fn out_of_memory(&mut self, id: u64, kills: u64, limit: Option<u64>, peak: Option<u64>) {
        let curve = self.curve(id);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let what = OutOfMemory { kills, limit, peak };
        run.receipt.out_of_memory(what.clone());
        let is_service = matches!(run.kind, Kind::Slot);
        if is_service {
            self.events.publish(Some(&run.name), Some(id), EventKind::OutOfMemory { what, curve });
        }
        // The end of the main process, if it was that, is told next, and what follows is the restart policy's.
        if is_service && matches!(run.state, State::Running { .. }) {
            self.act_on_limit(id, "memory");
        }
    }

    /// What it used before, thinned out evenly.
    fn curve(&self, id: u64) -> Vec<MemoryPoint> {
        let (samples, now) = (self.recent_samples(id), clock::now());
        let every = samples.len().div_ceil(CURVE).max(1);
        let thinned = samples.iter().rev().step_by(every).filter_map(|sample| {
            Some(MemoryPoint { before_ms: millis(now.saturating_sub(sample.at)), bytes: sample.memory? })
        });
        let mut curve: Vec<MemoryPoint> = thinned.collect();
        curve.reverse();
        curve
    }

    /// Holds a service back, so that the others have the CPU, or no longer. Where no controller can, nothing happens, which is
    /// logged: a tree that is stopped and continued all the time would look like one that hangs.
    pub(super) fn throttle(&mut self, id: u64, throttled: bool) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.pid.is_some()) else { return };
        if std::mem::replace(&mut run.bounded.throttled, throttled) == throttled {
            return;
        }
        let limits = &run.service.limits;
        let (cpus, weight) = match throttled {
            true => (Some(limits.cpus.map_or(THROTTLED_CPUS, |cpus| cpus.min(THROTTLED_CPUS))), Some(THROTTLED_WEIGHT)),
            false => (limits.cpus, limits.cpu_weight),
        };
        let bounds = vec![
            Bound { resource: Resource::Cpus, value: cpus },
            Bound { resource: Resource::CpuWeight, value: weight },
        ];
        self.link.send(Request::Bound { scope: ScopeId(id), bounds });
    }
}

/// Why it ended, in words, where that was for want of memory: `killed: out of memory (limit 64 MiB, peak 64 MiB)`.
pub(super) fn explained(receipt: &kennel_wire::Receipt) -> Option<String> {
    let what = receipt.out_of_memory.as_ref()?;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let limit = what.limit.map(|bytes| format!("limit {}", mib(bytes)));
    let peak = what.peak.map(|bytes| format!("peak {}", mib(bytes)));
    let parts: Vec<String> = [limit, peak].into_iter().flatten().collect();
    let was_stopped = !matches!(receipt.reason, StopReason::MainExited | StopReason::Limit);
    (!was_stopped).then(|| match parts.is_empty() {
        true => "killed: out of memory".to_owned(),
        false => format!("killed: out of memory ({})", parts.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_memory_leaves_no_swap() {
        let limits = Limits { memory: Some(1 << 20), ..Limits::default() };
        let of = |resource| wanted(&limits).into_iter().find(|one| one.resource == resource).and_then(|one| one.value);
        assert_eq!((of(Resource::Memory), of(Resource::Swap), of(Resource::Pids)), (Some(1 << 20), Some(0), None));
        let limits = Limits { swap: Some(7), ..limits };
        assert_eq!(
            wanted(&limits).iter().find(|one| one.resource == Resource::Swap).and_then(|one| one.value),
            Some(7)
        );
        assert_eq!(wanted(&Limits::default()), []);
    }

    #[test]
    fn what_the_kernel_holds_is_not_sampled() {
        let limits = Limits { memory: Some(1), pids: Some(2), log_rate: Some(3), ..Limits::default() };
        let mut bounded = Bounded::default();
        assert_eq!(bounded.sampled(&limits), Sampled::ALL);
        let bound = Bound { resource: Resource::Memory, value: Some(1) };
        bounded.applied.push(Applied { bound, by: HeldBy::CgroupV1 });
        assert_eq!(bounded.sampled(&limits), [Sampled::Pids, Sampled::LogRate]);
        let by: Vec<_> = bounded.status(&limits).iter().map(|one| (one.name.clone(), one.enforced_by)).collect();
        let wanted =
            [("memory", EnforcedBy::CgroupV1), ("pids", EnforcedBy::Sampling), ("log_rate", EnforcedBy::Sampling)];
        assert_eq!(by, wanted.map(|(name, by)| (name.to_owned(), by)));
    }
}

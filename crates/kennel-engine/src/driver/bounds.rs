//! What instances may use: asked of the keeper, held by samples where the kernel cannot, and told when it was not enough.

use std::sync::Arc;

use kennel_core::instance::{Event as RunEvent, Reason, State};
use kennel_core::limit::{Exceeded, LimitAction, Limits, Sampled, Watch};
use kennel_core::model::Service;
use kennel_core::sample::Sample;
use kennel_core::slot;
use kennel_keeper::proto::{Applied, Bound, HeldBy, Request, Resource, ScopeId};
use kennel_sys::cgroup::bounds::Controller;
use kennel_wire::{EnforcedBy, EventKind, LimitHit, LimitStatus, MemoryPoint, OutOfMemory, StopReason};

use super::oneoff::Purpose;
use super::runs::{Kind, Run};
use super::sampling::Need;
use super::{Driver, Work, pools};
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

impl Bounded {
    fn by(&self, resource: Resource) -> Option<&HeldBy> {
        self.applied.iter().find(|one| one.bound.resource == resource).map(|one| &one.by)
    }

    fn is_held(&self, resource: Resource) -> bool {
        matches!(self.by(resource), Some(HeldBy::Cgroup | HeldBy::CgroupV1))
    }

    /// Takes in what the keeper has said.
    pub(super) fn learn(&mut self, applied: Vec<Applied>) {
        for one in applied {
            self.applied.retain(|before| before.bound.resource != one.bound.resource);
            self.applied.push(one);
        }
    }

    /// What holds some of them in version 1.
    pub(super) fn controllers_1(&self) -> impl Iterator<Item = Controller> {
        let held = self.applied.iter().filter(|one| one.by == HeldBy::CgroupV1);
        held.map(|one| one.bound.resource.controller())
    }

    /// Limits that samples have to hold.
    pub(super) fn sampled(&self, limits: &Limits) -> Vec<Sampled> {
        let is_held = |what: Sampled| match what {
            Sampled::Memory => self.is_held(Resource::Memory),
            Sampled::Pids => self.is_held(Resource::Pids),
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
            of: None,
            enforced_by: EnforcedBy::Rlimit,
            note: Some("each process by itself".to_owned()),
        });
        let log_rate = limits.log_rate.map(|value| LimitStatus {
            name: "log_rate".to_owned(),
            value,
            of: None,
            enforced_by: EnforcedBy::Kennel,
            note: Some("as it reads it".to_owned()),
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
        LimitStatus { name: resource.name().to_owned(), value: bound.value.unwrap_or(0), of: None, enforced_by, note }
    }
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
        let is_held = |one: &Applied| !matches!(one.by, HeldBy::Nobody { .. });
        let mut cpu = applied.iter().filter(|one| matches!(one.bound.resource, Resource::Cpus | Resource::CpuWeight));
        let refused = cpu.clone().find_map(|one| match &one.by {
            HeldBy::Nobody { why } if run.bounded.throttled => Some(why.clone()),
            _ => None,
        });
        // One of the two is enough to hold it back.
        let refused = refused.filter(|_| !cpu.any(is_held));
        run.bounded.learn(applied);
        if let Some(why) = refused {
            run.bounded.throttled = false;
            tracing::warn!(service = run.name, why, "it cannot be held back");
            self.not_throttled(id, &why);
        }
        // It may be in other groups now.
        self.pace_samples(id);
    }

    /// For a run that was taken over: who sees to its limits, which the keeper is to do whatever its predecessor did.
    pub(super) fn ask_bounds(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id).filter(|run| run.pid.is_some()) else { return };
        let bounds = wanted(&run.service.limits);
        if !bounds.is_empty() {
            self.link.send(Request::Bound { scope: ScopeId(id), bounds });
        }
        self.arm_bounds(id);
        self.arm_pools(id);
    }

    /// Gives an instance that runs the limits that its service is declared with now. What is held back gets its CPU time when it
    /// is no longer.
    pub(super) fn adjust(&mut self, name: &str) {
        let Some(slot) = self.slots.get(name) else { return };
        let (limits, id) = (slot.service.limits.clone(), slot.run);
        let Some((id, run)) = id.and_then(|id| Some((id, self.runs.get_mut(&id)?))) else { return };
        let is_cpu = |bound: &Bound| matches!(bound.resource, Resource::Cpus | Resource::CpuWeight);
        let mut bounds = pools::changes(&run.service.limits, &limits);
        bounds.retain(|bound| !run.bounded.throttled || !is_cpu(bound));
        run.service = Arc::new(Service { limits, ..(*run.service).clone() });
        run.bounded.watch = Watch::default();
        if !bounds.is_empty() {
            self.link.send(Request::Bound { scope: ScopeId(id), bounds });
        }
        self.dirty.run(id);
        self.drop_need(id, Need::Limits);
        self.arm_bounds(id);
    }

    /// Has what it uses looked at, where a limit needs that: those that samples hold, and memory, so that a kill for want of it can
    /// be told with what came before.
    pub(super) fn arm_bounds(&mut self, id: u64) {
        let Some(run) = self.runs.get(&id).filter(|run| run.is_bounded()) else { return };
        let limits = &run.service.limits;
        if limits.memory.is_some() || !run.bounded.sampled(limits).is_empty() {
            let pace = limits.pace(None);
            self.need_samples(id, pace, Need::Limits);
        }
    }

    pub(super) fn limits_sampled(&mut self, id: u64, sample: &Sample) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.is_bounded()) else { return };
        if run.service.limits.is_empty() {
            return;
        }
        let service = Arc::clone(&run.service);
        let limits = &service.limits;
        let watched = run.bounded.sampled(limits);
        let found = run.bounded.watch.step(limits, &watched, sample);
        if limits.memory.is_some() || !watched.is_empty() {
            let pace = limits.pace(Some(sample));
            self.need_samples(id, pace, Need::Limits);
        }
        // One of them is enough.
        if let Some(Exceeded { what, value, limit }) = found.first().copied() {
            let hit = LimitHit { limit: what.as_str().to_owned(), of: None };
            self.limit_exceeded(id, hit, value, limit, limits.action);
        }
    }

    pub(super) fn limit_exceeded(&mut self, id: u64, hit: LimitHit, value: u64, bound: u64, action: LimitAction) {
        let Some(run) = self.runs.get(&id).filter(|run| matches!(run.state, State::Running { .. })) else { return };
        if matches!(run.kind, Kind::Slot) {
            let (limit, of) = (hit.limit.clone(), hit.of.clone());
            let kind = EventKind::LimitExceeded { limit, value, bound, action: action.as_str().to_owned(), of };
            self.events.publish(Some(&run.name), Some(id), kind);
        }
        self.act_on_limit(id, hit, action);
    }

    /// It writes more a second than `log_rate` allows; what follows is the action of its limits, unless it is held at that by waiting in its
    /// write. Answers what is to be told: also of one that has ended meanwhile, for what it wrote is missing.
    pub(super) fn log_too_fast(&mut self, name: &str, id: u64, (value, bound): (u64, u64), waits: bool) -> EventKind {
        let hit = LimitHit { limit: "log_rate".to_owned(), of: None };
        let run = self.runs.get(&id);
        let declared = self.slots.get(name).map(|slot| &slot.service);
        let action = run.map(|run| &run.service).or(declared).map(|service| service.limits.action).unwrap_or_default();
        // It may write before the word that it runs has reached its machine.
        if !waits && run.is_some_and(|run| matches!(run.state, State::Starting { .. } | State::Running { .. })) {
            self.act_on_limit(id, hit.clone(), action);
        }
        let action = if waits { "block" } else { action.as_str() };
        let LimitHit { limit, of } = hit;
        EventKind::LimitExceeded { limit, value, bound, action: action.to_owned(), of }
    }

    fn act_on_limit(&mut self, id: u64, hit: LimitHit, action: LimitAction) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let (name, is_service) = (run.name.clone(), matches!(run.kind, Kind::Slot));
        if matches!(action, LimitAction::Warn | LimitAction::Freeze) {
            return if action == LimitAction::Freeze {
                self.set_frozen(id, true, format!("limit {hit}"))
            };
        }
        run.receipt.limit_hit(hit);
        let stop = |limit| slot::Event::Stop { reason: Reason::Limit, limit };
        match action {
            LimitAction::Restart if is_service => {
                self.queue.push_back(Work::Slot(name, slot::Event::Restart { limit: None }));
            }
            LimitAction::Stop if is_service => self.queue.push_back(Work::Slot(name, stop(None))),
            _ => {
                let limit = (action == LimitAction::Kill).then_some(std::time::Duration::ZERO);
                let stop = RunEvent::StopRequested { reason: Reason::Limit, limit };
                self.queue.push_back(Work::Run(id, stop));
            }
        }
    }

    /// The kernel has killed somebody of it. `of`: whose limit that was, if it is not its own.
    pub(super) fn out_of_memory(
        &mut self,
        id: u64,
        kills: u64,
        (limit, peak): (Option<u64>, Option<u64>),
        of: Option<Vec<String>>,
    ) {
        let curve = self.curve(id);
        let shared = of.as_deref().map(|of| self.pool_action(of));
        let Some(run) = self.runs.get_mut(&id) else { return };
        let what = OutOfMemory { kills, limit, peak, of: of.as_deref().map(pools::of) };
        run.receipt.out_of_memory(what.clone());
        let hit = LimitHit { limit: Sampled::Memory.as_str().to_owned(), of: what.of.clone() };
        let (is_service, is_bounded) = (matches!(run.kind, Kind::Slot), run.is_bounded());
        let action = shared.unwrap_or(run.service.limits.action);
        if is_service {
            self.events.publish(Some(&run.name), Some(id), EventKind::OutOfMemory { what, curve });
        }
        // The end of the main process, if it was that, is told next, and what follows is the restart policy's.
        if is_bounded && matches!(run.state, State::Running { .. }) {
            self.act_on_limit(id, hit, action);
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

    /// Holds a service back, so that the others have the CPU, or no longer. Where no controller can, nothing happens, which the
    /// alert tells: a tree that is stopped and continued all the time would look like one that hangs, and who has made itself
    /// nicer may not go back without root.
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

impl Run {
    /// Whether it may have limits: what works for a service is not counted with it, and is short.
    pub(super) fn is_bounded(&self) -> bool {
        matches!(self.kind, Kind::Slot | Kind::Helper(Purpose::OneOff { .. }))
    }
}

/// Why it ended, in words, where that was a limit: `killed: out of memory (limit 64 MiB, peak 64 MiB)`.
pub(super) fn explained(receipt: &kennel_wire::Receipt) -> Option<String> {
    let was_stopped = !matches!(receipt.reason, StopReason::MainExited | StopReason::Limit);
    match (&receipt.out_of_memory, &receipt.limit) {
        _ if was_stopped => None,
        (Some(what), _) => Some(out_of_memory(what)),
        (None, Some(LimitHit { limit, of: None })) => Some(format!("went beyond its limit of `{limit}`")),
        (None, Some(LimitHit { limit, of: Some(of) })) => Some(format!("went beyond the limit of `{limit}` of {of}")),
        (None, None) => None,
    }
}

fn out_of_memory(what: &OutOfMemory) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let of = what.of.as_ref().map_or_else(String::new, |of| format!(" of {of}"));
    let limit = what.limit.map(|bytes| format!("limit {}{of}", mib(bytes)));
    let peak = what.peak.map(|bytes| format!("peak {}", mib(bytes)));
    let parts: Vec<String> = [limit, peak].into_iter().flatten().collect();
    match parts.is_empty() {
        true => "killed: out of memory".to_owned(),
        false => format!("killed: out of memory ({})", parts.join(", ")),
    }
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
        assert_eq!(bounded.sampled(&limits), [Sampled::Pids]);
        let by: Vec<_> = bounded.status(&limits).iter().map(|one| (one.name.clone(), one.enforced_by)).collect();
        let wanted =
            [("memory", EnforcedBy::CgroupV1), ("pids", EnforcedBy::Sampling), ("log_rate", EnforcedBy::Kennel)];
        assert_eq!(by, wanted.map(|(name, by)| (name.to_owned(), by)));
    }
}

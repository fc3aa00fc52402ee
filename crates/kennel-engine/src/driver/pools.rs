//! What several instances may use together: all of the stack, or all that runs for an owner and those below it. Held by the group that
//! they are in, and by the sum of samples where the kernel cannot; then who grew has to pay for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kennel_core::instance::State;
use kennel_core::lease;
use kennel_core::limit::{Exceeded, Limits, Sampled, Watch};
use kennel_core::rules::Measure;
use kennel_core::rules::culprit::{Share, blame};
use kennel_core::sample::Sample;
use kennel_keeper::proto::{Applied, Bound, HeldBy, Request, Resource};
use kennel_sys::cgroup::bounds::Controller;
use kennel_wire::{LimitHit, LimitOf, LimitStatus};

use super::Driver;
use super::bounds::{Bounded, wanted};
use super::sampling::Need;

/// What the keeper was asked for, by owners, the outermost first; of none: the stack.
#[derive(Debug, Default)]
pub(super) struct Pools(BTreeMap<Vec<String>, Pool>);

#[derive(Debug, Default)]
struct Pool {
    limits: Limits,
    bounded: Bounded,
    watch: Watch,
    /// Who had to pay last.
    culprit: Option<u64>,
}

/// Whose limits are at this path.
pub(super) fn of(owners: &[String]) -> LimitOf {
    owners.last().map_or(LimitOf::Stack, |owner| LimitOf::Owner(owner.clone()))
}

impl Driver {
    /// For whom a run is, the outermost first.
    pub(super) fn owners_of(&self, id: u64) -> Vec<String> {
        let Some(run) = self.runs.get(&id) else { return Vec::new() };
        self.owner_path(run)
    }

    pub(super) fn owner_path(&self, run: &super::runs::Run) -> Vec<String> {
        let owner = run.owner.as_deref().or_else(|| self.slots.get(&run.name)?.owner());
        owner.map(|owner| self.owners.all.with_ancestors(owner)).unwrap_or_default()
    }

    pub(super) fn stack_limits(&self) -> Limits {
        self.loaded.as_ref().map(|loaded| loaded.project.limits.clone()).unwrap_or_default()
    }

    /// In which hierarchies of version 1 a run is in groups, for its own limits or those that it shares.
    pub(super) fn controllers_1(&self, id: u64) -> BTreeSet<Controller> {
        let Some(run) = self.runs.get(&id) else { return BTreeSet::new() };
        let owners = self.owner_path(run);
        let above = self.pools.0.iter().filter(|(path, _)| owners.starts_with(path));
        above.flat_map(|(_, pool)| pool.bounded.controllers_1()).chain(run.bounded.controllers_1()).collect()
    }

    /// Asks for what several instances may use together as it is said now, if that is other than before.
    pub(super) fn sync_pools(&mut self) {
        let stack = self.stack_limits();
        let ended = |owner: &lease::Owner| matches!(owner.state, lease::State::Ended(_));
        let owners = self.owners.all.iter().filter(|(_, owner)| !ended(owner) && !owner.limits.is_empty());
        let owners = owners.map(|(name, owner)| (self.owners.all.with_ancestors(name), owner.limits.clone()));
        let now: BTreeMap<Vec<String>, Limits> =
            owners.chain((!stack.is_empty()).then(|| (Vec::new(), stack))).collect();
        let gone: Vec<Vec<String>> = self.pools.0.keys().filter(|path| !now.contains_key(*path)).cloned().collect();
        let is_other =
            |(path, limits): &(Vec<String>, Limits)| self.pools.0.get(path).is_none_or(|pool| pool.limits != *limits);
        let changed: Vec<(Vec<String>, Limits)> =
            now.into_iter().chain(gone.into_iter().map(|path| (path, Limits::default()))).filter(is_other).collect();
        for (path, limits) in changed {
            let before = self.pools.0.remove(&path).unwrap_or_default();
            let bounds = changes(&before.limits, &limits);
            if !bounds.is_empty() {
                self.link.send(Request::BoundPool { owners: path.clone(), bounds });
            }
            if !limits.is_empty() {
                self.pools.0.insert(path, Pool { limits, watch: Watch::default(), ..before });
            }
        }
    }

    /// The keeper says who sees to which limit.
    pub(super) fn pool_bounded(&mut self, owners: &[String], applied: Vec<Applied>) {
        let Some(pool) = self.pools.0.get_mut(owners) else { return };
        pool.bounded.learn(applied);
        let paces = self.paces();
        let ids: Vec<u64> = self.runs.keys().copied().collect();
        for id in ids {
            self.arm_with(id, &paces);
            self.pace_samples(id);
        }
    }

    /// A keeper of an older version holds none of it.
    pub(super) fn pool_not_bounded(&mut self, owners: &[String], bounds: &[Bound], why: &str) {
        let by = HeldBy::Nobody { why: why.to_owned() };
        self.pool_bounded(owners, bounds.iter().map(|bound| Applied { bound: *bound, by: by.clone() }).collect());
    }

    /// Has what a run uses looked at, where a limit that it shares needs that.
    pub(super) fn arm_pools(&mut self, id: u64) {
        let paces = self.paces();
        self.arm_with(id, &paces);
    }

    /// How often those of each path have to be looked at, where the kernel does not hold all of it.
    fn paces(&self) -> Vec<(Vec<String>, Duration)> {
        let sampled = self.pools.0.iter().filter(|(_, pool)| !pool.bounded.sampled(&pool.limits).is_empty());
        sampled.map(|(path, pool)| (path.clone(), pool.limits.pace(self.sum(&pool.limits, path).as_ref()))).collect()
    }

    fn arm_with(&mut self, id: u64, paces: &[(Vec<String>, Duration)]) {
        if !self.runs.get(&id).is_some_and(|run| run.is_bounded() && run.pid.is_some()) {
            return;
        }
        let owners = self.owners_of(id);
        match paces.iter().filter(|(path, _)| owners.starts_with(path)).map(|(_, pace)| *pace).min() {
            Some(pace) => self.need_samples(id, pace, Need::Together),
            None => self.drop_need(id, Need::Together),
        }
    }

    /// Samples have come: what all of those that share a limit use.
    pub(super) fn pools_pass(&mut self) {
        let paths: Vec<Vec<String>> = self.pools.0.keys().cloned().collect();
        for path in paths {
            self.step_pool(&path);
        }
    }

    fn step_pool(&mut self, path: &[String]) {
        let Some(pool) = self.pools.0.get(path) else { return };
        let (limits, watched) = (pool.limits.clone(), pool.bounded.sampled(&pool.limits));
        let Some(sum) = (!watched.is_empty()).then(|| self.sum(&limits, path)).flatten() else { return };
        let has_paid = pool.culprit.is_some_and(|id| !self.runs.contains_key(&id));
        let Some(pool) = self.pools.0.get_mut(path) else { return };
        if has_paid {
            // If it is too much all the same, somebody else has to.
            (pool.watch, pool.culprit) = (Watch::default(), None);
        }
        let found = pool.watch.step(&limits, &watched, &sum);
        let Some(Exceeded { what, value, limit }) = found.first().copied() else { return self.repace(path) };
        let culprit = self.to_pay(path, what, limit);
        if let Some(pool) = self.pools.0.get_mut(path) {
            pool.culprit = culprit;
        }
        if let Some(id) = culprit {
            let hit = LimitHit { limit: what.as_str().to_owned(), of: Some(of(path)) };
            self.limit_exceeded(id, hit, value, limit, limits.action);
        }
        self.repace(path);
    }

    /// The nearer it is, the sooner everybody is looked at.
    fn repace(&mut self, path: &[String]) {
        let (paces, ids) = (self.paces(), self.within(path));
        ids.into_iter().for_each(|id| self.arm_with(id, &paces));
    }

    fn within(&self, path: &[String]) -> Vec<u64> {
        let ids = self.runs.iter().filter(|(_, run)| run.is_bounded() && self.owner_path(run).starts_with(path));
        ids.map(|(id, _)| *id).collect()
    }

    /// What those of a path use together by their last samples; none before there is any.
    fn sum(&self, limits: &Limits, path: &[String]) -> Option<Sample> {
        let samples: Vec<Sample> = self.within(path).into_iter().filter_map(|id| self.last_sample(id)).collect();
        let at = samples.iter().map(|sample| sample.at).max()?;
        let memory = limits.memory.map(|_| samples.iter().filter_map(|sample| sample.memory).sum());
        let processes = samples.iter().map(|sample| sample.processes).sum();
        Some(Sample { at, memory, processes, ..Sample::default() })
    }

    /// Whose growth it is.
    fn to_pay(&self, path: &[String], what: Sampled, limit: u64) -> Option<u64> {
        let measure = match what {
            Sampled::Memory => Measure::Memory,
            Sampled::Pids => Measure::Processes,
        };
        let is_running = |id: &u64| self.runs.get(id).is_some_and(|run| matches!(run.state, State::Running { .. }));
        let shares = self.within(path).into_iter().filter(is_running).filter_map(|id| {
            let now = measure.of(&self.last_sample(id)?, None, 0)?;
            let (lately, before) = self.earlier(id, measure);
            Some(Share { id, now, lately, before })
        });
        #[expect(clippy::cast_precision_loss, reason = "compared with growth")]
        blame(&shares.collect::<Vec<Share>>(), limit as f64)
    }

    /// Limits that a run with these owners shares, in the wire's words, the stack's first.
    pub(super) fn shared_limits(&self, owners: &[String]) -> Vec<LimitStatus> {
        let above = self.pools.0.iter().filter(|(path, _)| owners.starts_with(path));
        above.flat_map(|(path, _)| self.pool_status(path)).collect()
    }

    /// Those of one owner, or of the stack.
    pub(super) fn pool_status(&self, path: &[String]) -> Vec<LimitStatus> {
        let Some(pool) = self.pools.0.get(path) else { return Vec::new() };
        let all = pool.bounded.status(&pool.limits).into_iter();
        all.map(|status| LimitStatus { of: Some(of(path)), ..status }).collect()
    }

    /// What happens to somebody that has gone beyond a limit of these.
    pub(super) fn pool_action(&self, path: &[String]) -> kennel_core::limit::LimitAction {
        self.pools.0.get(path).map(|pool| pool.limits.action).unwrap_or_default()
    }
}

/// What makes one of the other.
pub(super) fn changes(before: &Limits, now: &Limits) -> Vec<Bound> {
    let (before, now) = (wanted(before), wanted(now));
    let is_gone = |old: &&Bound| !now.iter().any(|new| new.resource == old.resource);
    let gone = before.iter().filter(is_gone).map(|old| Bound { value: None, ..*old });
    // With version 1 what there is of swap counts in the memory beside it.
    let memory = |bounds: &[Bound]| bounds.iter().find(|bound| bound.resource == Resource::Memory).copied();
    let is_beside = |new: &&Bound| new.resource == Resource::Swap && memory(&before) != memory(&now);
    let changed = now.iter().filter(|new| !before.contains(new) || is_beside(new)).copied();
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_other_is_asked_for() {
        let before = Limits { memory: Some(5), pids: Some(7), ..Limits::default() };
        let now = Limits { memory: Some(6), cpus: Some(100), ..Limits::default() };
        let bound = |resource, value| Bound { resource, value };
        let expected = [
            bound(Resource::Memory, Some(6)),
            bound(Resource::Swap, Some(0)),
            bound(Resource::Cpus, Some(100)),
            bound(Resource::Pids, None),
        ];
        assert_eq!(changes(&before, &now), expected);
        assert_eq!(changes(&now, &now), []);
    }

    #[test]
    fn a_limit_is_told_of_whose_it_is() {
        assert_eq!(of(&[]).to_string(), "the stack");
        assert_eq!(of(&["a".to_owned(), "b".to_owned()]).to_string(), "owner `b`");
    }
}

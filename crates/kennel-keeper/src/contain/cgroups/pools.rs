//! What all scopes, or those of an owner, may use together: bounds of the group that they are in.

use std::collections::BTreeMap;
use std::io;

use kennel_sys::cgroup::Group;
use kennel_sys::cgroup::bounds::{Controller, Resource};

use super::Cgroups;
use crate::bounds::{Above, Bounds, by_nobody};
use crate::codec::{Malformed, Reader, Writer, read_bound, write_bound};
use crate::place::{Place, layout};
use crate::proto::{Applied, Bound, ScopeId};
use crate::start::is_plain;

/// By the owners that they are of, the outermost first; of none: all scopes.
#[derive(Default)]
pub(crate) struct Pools(BTreeMap<Vec<String>, Pool>);

#[derive(Default)]
struct Pool {
    wanted: BTreeMap<Resource, Bound>,
    bounds: Bounds,
    /// The share of all scopes is one against other kennels, so it is that of the root.
    share: Bounds,
}

impl Pools {
    fn set(&mut self, place: &Place, owners: &[String], wanted: &[Bound]) -> Vec<Applied> {
        if !owners.iter().all(|owner| is_plain(owner.as_ref())) {
            return by_nobody(wanted, "its name cannot be that of a group");
        }
        let pool = self.0.entry(owners.to_owned()).or_default();
        for bound in wanted {
            match bound.value {
                Some(_) => drop(pool.wanted.insert(bound.resource, *bound)),
                None => drop(pool.wanted.remove(&bound.resource)),
            }
        }
        let applied = pool.apply(place, owners, wanted);
        if pool.wanted.is_empty() {
            self.0.remove(owners);
        }
        applied.unwrap_or_else(|error| by_nobody(wanted, &format!("its group cannot be made: {error}")))
    }

    /// Has a new scope of these owners take part in what is bounded above it, and makes its bounds if it has none.
    pub(crate) fn join(&mut self, place: &Place, owners: &[String], group: &Group, bounds: &mut Option<Box<Bounds>>) {
        let above: Vec<&[String]> = (0..=owners.len()).filter_map(|depth| owners.get(..depth)).collect();
        for owners in &above {
            // The groups of an owner go with its last scope.
            if let Some(pool) = self.0.get_mut(*owners).filter(|_| !owners.is_empty() && !place.has_pool(owners)) {
                let wanted: Vec<Bound> = pool.wanted.values().copied().collect();
                let _told_before = pool.apply(place, owners, &wanted);
            }
        }
        self.join_again(place, group, bounds);
    }

    /// The same of one that is there.
    pub(crate) fn join_again(&self, place: &Place, group: &Group, bounds: &mut Option<Box<Bounds>>) {
        let above = || self.0.iter().filter(|(owners, _)| group.directory().starts_with(place.pool_directory(owners)));
        if above().next().is_none() && bounds.is_none() {
            return;
        }
        let directory = |owners: &[String]| place.pool_directory(owners);
        let memory: Vec<Above> =
            above().filter_map(|(owners, pool)| pool.bounds.above(owners, &directory(owners))).collect();
        let controllers: Vec<Controller> =
            above().flat_map(|(_, pool)| pool.bounds.controllers_1().chain(pool.share.controllers_1())).collect();
        bounds.get_or_insert_default().join(place, group.directory(), memory, controllers.into_iter());
    }

    pub(crate) fn save(&self, writer: &mut Writer<'_>) {
        writer.length(self.0.len());
        for (owners, pool) in &self.0 {
            writer.length(owners.len());
            owners.iter().for_each(|owner| writer.bytes(owner.as_bytes()));
            writer.length(pool.wanted.len());
            pool.wanted.values().for_each(|bound| write_bound(writer, bound));
        }
    }

    pub(crate) fn load(reader: &mut Reader<'_>, place: &Place) -> Result<Self, Malformed> {
        let mut this = Self::default();
        for (owners, wanted) in reader.list(|reader| Ok((reader.list(Reader::text)?, reader.list(read_bound)?)))? {
            this.set(place, &owners, &wanted);
        }
        Ok(this)
    }
}

impl Pool {
    fn apply(&mut self, place: &Place, owners: &[String], wanted: &[Bound]) -> io::Result<Vec<Applied>> {
        let is_share = |bound: &Bound| matches!(bound.resource, Resource::CpuWeight | Resource::IoWeight);
        let (shares, others): (Vec<Bound>, Vec<Bound>) =
            wanted.iter().partition(|bound| owners.is_empty() && is_share(bound));
        let mut applied = self.bounds.set_together(place, &place.pool(owners)?, &others);
        applied.extend(self.share.set_together(place, place.root(), &shares));
        Ok(applied)
    }
}

impl Cgroups {
    /// Changes what all scopes of these owners may use together; which of them it has to be told to.
    pub(crate) fn bound_pool(&mut self, owners: &[String], wanted: &[Bound]) -> Vec<Applied> {
        let applied = self.pools.set(&self.place, owners, wanted);
        let pool = self.place.pool_directory(owners);
        let inside = |live: &super::Live| live.removed.is_none() && live.group.directory().starts_with(&pool);
        let scopes: Vec<ScopeId> = self.live.iter().filter(|(_, live)| inside(live)).map(|(scope, _)| *scope).collect();
        scopes.into_iter().for_each(|scope| self.take_part(scope));
        applied
    }

    /// Has a scope take part in what is bounded above it now.
    pub(super) fn take_part(&mut self, scope: ScopeId) {
        let Some(live) = self.live.get_mut(&scope) else { return };
        self.pools.join_again(&self.place, &live.group, &mut live.bounds);
        if let Some(bounds) = &mut live.bounds {
            bounds.move_in(&live.group);
        }
        self.watch_bounds(scope);
    }

    /// Removes the groups of the owners of a scope that is over, if it was the last.
    pub(super) fn leave_pool(&self, group: &Group) {
        let inside = group.directory().strip_prefix(self.place.root());
        let owners = inside.map(layout::owners_of).unwrap_or_default();
        if !owners.is_empty() {
            self.place.remove_pool(&owners);
        }
    }
}

//! The runs by number.

use std::collections::{HashMap, hash_map};

use super::runs::Run;

/// As a map of runs. Each is boxed: a table has up to twice the places that it needs, and a run is nearly a kilobyte.
#[derive(Debug, Default)]
pub(super) struct Runs(HashMap<u64, Box<Run>>);

impl Runs {
    pub(super) fn insert(&mut self, id: u64, run: Run) {
        self.0.insert(id, Box::new(run));
    }

    pub(super) fn remove(&mut self, id: &u64) -> Option<Run> {
        self.0.remove(id).map(|run| *run)
    }

    pub(super) fn get(&self, id: &u64) -> Option<&Run> {
        self.0.get(id).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, id: &u64) -> Option<&mut Run> {
        self.0.get_mut(id).map(Box::as_mut)
    }

    pub(super) fn contains_key(&self, id: &u64) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &u64> {
        self.0.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Run> {
        self.0.values().map(Box::as_ref)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        self.0.values_mut().map(Box::as_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&u64, &Run)> {
        self.into_iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&u64, &mut Run)> {
        self.0.iter_mut().map(|(id, run)| (id, run.as_mut()))
    }
}

/// As [`Runs::iter`] gives them.
type Pair<'a> = (&'a u64, &'a Run);

impl<'a> IntoIterator for &'a Runs {
    type Item = Pair<'a>;
    type IntoIter = std::iter::Map<hash_map::Iter<'a, u64, Box<Run>>, fn((&'a u64, &'a Box<Run>)) -> Pair<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(id, run)| (id, run.as_ref()))
    }
}

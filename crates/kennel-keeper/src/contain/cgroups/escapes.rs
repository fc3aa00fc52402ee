//! Processes that left the cgroup of their scope, which root and the owner of a delegated subtree can.
//!
//! The kernel tells nobody of it, and nothing here wakes up to look for it. It is found when a leaf gets empty while
//! its main process lives, and whenever the children of the keeper are looked at anyway: whose parents have ended
//! becomes a child of the keeper, wherever its cgroup is. So a process that got away together with a parent that
//! lives on in the leaf is found at the latest when its scope is emptied, and no scope is empty before that.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kennel_sys::cgroup::{self, survivors};
use kennel_sys::proc;
use kennel_sys::tag::Tag;

use super::{Cgroups, Live, Main, stuck};
use crate::hunt::{self, Hunt, Pass, Quarry};
use crate::proto::{Event, ScopeId};

/// Who left one scope.
#[derive(Default)]
pub(super) struct Escapes {
    /// With the times of their starts: each is told once.
    pub(super) told: HashSet<(u32, u64)>,
    pub(super) hunt: Option<Hunt>,
}

/// The children of the keeper that are neither daemon nor main process, at one moment. Most are zombies about to be
/// reaped.
#[derive(Default)]
pub(super) struct Children {
    /// In the leaf of their scope, as far as one can tell.
    inside: Vec<(PathBuf, u32)>,
    /// Elsewhere, with the scope whose tag they carry.
    outside: Vec<(ScopeId, u32)>,
}

impl Children {
    pub(super) fn of(&self, scope: ScopeId) -> impl Iterator<Item = u32> {
        self.outside.iter().filter(move |(of, _)| *of == scope).map(|(_, pid)| *pid)
    }

    pub(super) fn of_leaf<'a>(&'a self, leaf: &'a Path) -> impl Iterator<Item = u32> + 'a {
        self.inside.iter().filter(move |(of, _)| of == leaf).map(|(_, pid)| *pid)
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = ScopeId> {
        self.outside.iter().map(|(scope, _)| *scope)
    }
}

impl Cgroups {
    /// The children of this process, sorted by what they are to us. Who is in no leaf and carries no tag came out of
    /// some scope, and nothing tells which: such a one goes to `ending`, a scope that is about to end, so that none
    /// outlives the last.
    pub(super) fn children(&self, ending: Option<ScopeId>) -> Children {
        let mut found = Children::default();
        let reapers = self.tools.reapers.borrow();
        for pid in kennel_sys::process::children().unwrap_or_default() {
            if self.mains.contains_key(&pid) || self.daemons.contains(&pid) || reapers.contains(&pid) {
                continue;
            }
            let leaf = self.place.leaf_of(pid);
            let scope = leaf.as_ref().and_then(|leaf| self.leaves.get(leaf).copied());
            let tag = Tag::of(pid).filter(|tag| tag.instance() == self.tools.tags.instance());
            let tagged = tag.and_then(|tag| self.tags.get(&tag).copied());
            match (leaf, scope, tagged) {
                (_, scope, Some(tagged)) if scope != Some(tagged) => found.outside.push((tagged, pid)),
                (Some(leaf), Some(_), _) => found.inside.push((leaf, pid)),
                // In the leaf, or with the tag, of a scope that something else holds together.
                (Some(_), None, _) => {}
                (None, ..) if tag.is_some() => {}
                (None, ..) => found.outside.extend(ending.map(|ending| (ending, pid))),
            }
        }
        found
    }

    pub(super) fn is_hunted(&self, scope: ScopeId) -> bool {
        self.live.get(&scope).is_some_and(|live| live.escapes.hunt.is_some())
    }

    /// Whether a tag is that of a scope that lives.
    pub(crate) fn holds_tag(&self, tag: Tag) -> bool {
        self.tags.contains_key(&tag)
    }

    /// The scope whose tag a process carries, if it lives.
    pub(super) fn scope_of_tag(&self, pid: u32) -> Option<ScopeId> {
        self.tags.get(&Tag::of(pid)?).copied()
    }

    /// Tells who has left a scope, and ends them if its policy or its own end says so. Answers whether any lives.
    pub(super) fn chase(&mut self, scope: ScopeId, children: &Children, out: &mut Vec<Event>) -> bool {
        let Some(live) = self.live.get_mut(&scope) else { return false };
        let main = live.main_has_left().then_some(live.pid);
        let roots: Vec<u32> = children.of(scope).chain(main).collect();
        let tag = live.tag;
        let by_tag = |found: Tag| found == tag;
        let members = match live.adopted {
            // Those do not become our children, so only their mark tells whose they are.
            true => hunt::living_outside(&Quarry::Tagged(&by_tag), &live.group),
            false if roots.is_empty() => Vec::new(),
            false => hunt::living(&roots),
        };
        if members.is_empty() {
            live.escapes.hunt = None;
            return false;
        }
        for stat in &members {
            if live.escapes.told.insert((stat.pid, stat.start_ticks)) {
                out.extend(told(scope, live, stat.pid));
            }
        }
        if live.kill_escaped || live.killer.is_some() || live.removed.is_some() {
            let hunt = live.escapes.hunt.get_or_insert_with(|| Hunt::new(Instant::now()));
            if hunt.due() <= Instant::now()
                && let Pass::Stuck(pids) =
                    hunt.pass_on(&if live.adopted { Quarry::Tagged(&by_tag) } else { Quarry::From(&roots) })
            {
                out.push(stuck(scope, &pids));
            }
        }
        true
    }

    /// Sends a signal to those who are known to have left a scope.
    pub(super) fn signal_escaped(&self, scope: ScopeId, signal: i32) {
        let Some(live) = self.live.get(&scope).filter(|live| !live.escapes.told.is_empty()) else { return };
        let children = self.children(None);
        let main = live.main_has_left().then_some(live.pid);
        let roots: Vec<u32> = children.of(scope).chain(main).collect();
        hunt::signal_from(&roots, signal);
    }
}

impl Live {
    /// Whether the main process, which is not reaped, is in another cgroup. One that is just ending still has its
    /// own.
    pub(super) fn main_has_left(&self) -> bool {
        // While it is not reaped its number is its own.
        let is_there = match &self.main {
            Main::Child(_) => true,
            Main::Foreign(main) => !main.has_exited(),
            Main::Ended => false,
        };
        is_there && cgroup::of_process(self.pid).is_some_and(|path| !self.group.covers(&path))
    }
}

/// The event, unless the process is gone or is in its leaf: a descendant of one that left need not have left.
fn told(scope: ScopeId, live: &Live, pid: u32) -> Option<Event> {
    let path = cgroup::of_process(pid).filter(|path| !live.group.covers(path))?;
    // With its parent gone it could be somebody else by now; but who left is reported and nothing more.
    proc::stat(pid)?;
    let process = survivors(&[pid], 1).pop()?.into();
    Some(Event::Escaped { scope, process, path: path.to_string_lossy().into_owned() })
}

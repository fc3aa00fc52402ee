//! Finding out what has become of a scope: whether its leaf is empty, who is left outside of it, whether all is reaped.

use std::path::PathBuf;
use std::time::Instant;

use kennel_sys::cgroup::{Killer, Step};

use super::escapes::Children;
use super::{Cgroups, PATIENCE, stuck};
use crate::proto::{Event, KillStage, ScopeId};

/// What was seen at the leaf of a scope.
enum Leaf {
    /// Somebody is in it, or a kill goes on.
    Lives,
    /// Nobody is in it, but its main process is elsewhere.
    Left,
    /// It is gone.
    Removed,
}

impl Cgroups {
    /// Looks at every scope that something has happened to. The kernel may hold its notice back for 10 ms, so this
    /// is also called after each round of reaping: the last of a tree is always ours to reap.
    pub(crate) fn look(&mut self, out: &mut Vec<Event>) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        let now = Instant::now();
        let mut ending = Vec::new();
        let mut left = Vec::new();
        for scope in touched {
            match self.at_leaf(scope, now, out) {
                Leaf::Removed => ending.push(scope),
                Leaf::Left => left.push(scope),
                Leaf::Lives if self.is_hunted(scope) => left.push(scope),
                Leaf::Lives => {}
            }
        }
        // Only now and then, for it costs more the more children there are.
        if ending.is_empty() && left.is_empty() {
            return;
        }
        let children = self.children(ending.first().copied());
        left.extend(children.scopes().filter(|scope| !ending.contains(scope)));
        left.sort_unstable();
        left.dedup();
        for scope in left {
            self.chase(scope, &children, out);
        }
        for scope in ending {
            self.settle(scope, &children, now, out);
        }
    }

    /// Looks at one leaf; it is removed once nobody lives in it and below.
    fn at_leaf(&mut self, scope: ScopeId, now: Instant, out: &mut Vec<Event>) -> Leaf {
        let Some(live) = self.live.get_mut(&scope) else { return Leaf::Lives };
        if live.removed.is_some() {
            return Leaf::Removed;
        }
        if live.killer.is_none() {
            if live.group.populated().unwrap_or(true) {
                return Leaf::Lives;
            }
            if live.main_has_left() {
                return Leaf::Left;
            }
            if live.group.remove().is_err() {
                // Something got in between: nothing that should be there.
                live.killer = Some(Killer::start(&live.group, now).0);
            }
        }
        let step = live.killer.as_mut().map_or(Step::Empty, |killer| killer.step(&live.group, now));
        if live.killer.as_mut().is_some_and(Killer::began_to_sweep) {
            out.push(Event::Stage { scope, stage: KillStage::Sweep });
        }
        match step {
            Step::Again => Leaf::Lives,
            Step::Empty => {
                kennel_sys::crash_point!("stop.leaf-removed");
                live.killer = None;
                live.removed = Some(now + PATIENCE);
                Leaf::Removed
            }
            Step::Stuck => {
                let pids = live.group.members();
                out.push(stuck(scope, &pids));
                Leaf::Lives
            }
        }
    }

    /// Ends the record of a scope whose leaf is gone, as soon as nobody lives outside of it and all of it is reaped.
    fn settle(&mut self, scope: ScopeId, children: &Children, now: Instant, out: &mut Vec<Event>) {
        let chased = self.chase(scope, children, out);
        let Some(live) = self.live.get_mut(&scope) else { return };
        let Some(leaf) = live.group.directory().file_name().map(PathBuf::from) else { return };
        // A process leaves its cgroup before it can be reaped, and the end of a scope is told after the end of its
        // last process.
        let mut waiting: Vec<u32> = children.of_leaf(&leaf).chain(children.of(scope)).collect();
        waiting.extend((!live.main_exited).then_some(live.pid));
        if waiting.is_empty() {
            if let Some(live) = self.live.remove(&scope) {
                self.unwatch(&live.watch);
                self.tags.remove(&live.tag);
            }
            self.leaves.remove(&leaf);
            out.push(Event::Emptied { scope });
        } else if !chased && live.removed.is_some_and(|report| report <= now) {
            // Held by a tracer: the kernel gives it to us when that lets go.
            live.removed = Some(now + PATIENCE);
            out.push(stuck(scope, &waiting));
        }
    }
}

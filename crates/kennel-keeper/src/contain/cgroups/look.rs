//! Finding out what has become of a scope: whether its leaf is empty, who is left outside of it, whether all is reaped.

use std::time::{Duration, Instant};

use kennel_sys::cgroup::{Condition, Killer, Step};
use kennel_sys::wait;

use super::escapes::Children;
use super::{Cgroups, PATIENCE, stuck};
use crate::proto::{Event, KillStage, ScopeId};

/// While children wait to be reaped, the look at all of them is put off by this much at least.
const LEAST: Duration = Duration::from_millis(100);
/// And by this many times what the last one took.
const REST: u32 = 10;

/// When all children are looked at.
///
/// Such a look reads two files of each. As soon as all that ended are reaped there are few; after each round of
/// reaping it would cost the square of their number, and reaping would never catch up with a service that forks
/// all the time. But nor may one that does so keep the end of another from being told: so now and then it is done
/// all the same.
#[derive(Default)]
pub(super) struct Pace {
    /// Set while it is put off.
    due: Option<Instant>,
}

impl Pace {
    /// Whether to look now; `waiting` if there are children to reap.
    fn may(&mut self, waiting: bool, now: Instant) -> bool {
        if !waiting {
            self.due = None;
        }
        !waiting || now >= *self.due.get_or_insert(now + LEAST)
    }

    /// A look took so long.
    fn took(&mut self, time: Duration, now: Instant) {
        if let Some(due) = &mut self.due {
            *due = now + LEAST.max(time.saturating_mul(REST));
        }
    }

    /// When what was put off may be done.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

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
    /// Looks at every scope that something has happened to, once in each turn of the loop. The kernel may hold its
    /// notice back for 10 ms, so that is also done after each round of reaping: the last of a tree is always ours to
    /// reap.
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
            self.pace = Pace::default();
            return;
        }
        if !self.pace.may(matches!(wait::peek(false), Ok(Some(_))), now) {
            self.touched.extend(ending.into_iter().chain(left));
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
        self.pace.took(now.elapsed(), Instant::now());
    }

    /// Looks at one leaf; it is removed once nobody lives in it and below.
    fn at_leaf(&mut self, scope: ScopeId, now: Instant, out: &mut Vec<Event>) -> Leaf {
        self.ask_foreign(scope, now, out);
        let Some(live) = self.live.get_mut(&scope) else { return Leaf::Lives };
        if live.removed.is_some() {
            return Leaf::Removed;
        }
        if let Some(bounds) = &mut live.bounds {
            out.extend(bounds.news(scope, &live.group, now));
        }
        if live.killer.is_none() {
            let condition = live.group.condition().unwrap_or(Condition { populated: true, frozen: live.frozen });
            if condition.populated {
                // A member that takes a signal, or dies of one, does not stand still for a moment.
                if condition.frozen != live.frozen && (condition.frozen || !live.group.is_told_to_freeze()) {
                    live.frozen = condition.frozen;
                    out.push(Event::Frozen { scope, frozen: condition.frozen });
                }
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
        let leaf = live.group.path().to_owned();
        // A process leaves its cgroup before it can be reaped, and the end of a scope is told after the end of its
        // last process.
        let mut waiting: Vec<u32> = children.of_leaf(&leaf).chain(children.of(scope)).collect();
        waiting.extend((!live.main.has_ended()).then_some(live.pid));
        if waiting.is_empty() {
            if let Some(mut live) = self.live.remove(&scope) {
                if let Some(mut bounds) = live.bounds.take()
                    && !bounds.remove(&self.tools)
                {
                    self.used.push(*bounds);
                }
                self.unwatch(&live.watch);
                self.tags.remove(&live.tag);
                self.leave_pool(&live.group);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_put_off_once_all_is_reaped() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert!(pace.may(false, now) && pace.may(false, now));
        assert!(!pace.may(true, now));
        assert!(pace.may(false, now));
        assert_eq!(pace.due(), None);
    }

    /// However long a storm lasts and whatever a look costs, looks take a small part of the time and do not end.
    #[test]
    fn looks_in_a_storm_take_a_part_of_the_time() {
        for cost in [Duration::from_micros(10), Duration::from_millis(3), Duration::from_secs(2)] {
            let (mut pace, begin) = (Pace::default(), Instant::now());
            let (mut now, mut spent) = (begin, Duration::ZERO);
            for _ in 0..20 {
                assert!(!pace.may(true, now), "{cost:?}");
                now = pace.due().unwrap();
                assert!(pace.may(true, now), "{cost:?}");
                now += cost;
                spent += cost;
                pace.took(cost, now);
            }
            assert!(spent * REST <= now - begin + cost * REST, "{cost:?}: {spent:?}");
            assert!(now - begin <= 20 * (LEAST + cost * (REST + 1)), "{cost:?}");
        }
    }
}

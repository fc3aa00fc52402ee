//! Ending a tree without a cgroup: stop every member until none moves, then kill them all.
//!
//! Killing one by one loses against a tree that forks: a newborn of a process that is killed is not yet in the
//! list. A stopped process does not fork, so once every member has been seen stopped twice the list is complete.

mod absence;
mod members;
mod patience;
mod still;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use kennel_sys::cgroup::{self, Group};
use kennel_sys::proc::{self, Stat};
use kennel_sys::tag::{Tag, carriers};
use rustix::process::Signal;

use self::absence::Absence;
pub(crate) use self::members::{Chosen, Quarry};
use self::members::{Members, Rest};
use self::patience::Patience;
pub(crate) use self::still::Still;

/// Pause between passes while they are likely to help.
const QUICK: Duration = Duration::from_millis(1);
/// And when they were many.
const SLOW: Duration = Duration::from_millis(100);
/// Longest time that is left for a tree to die in before it is looked at again.
const DYING: Duration = Duration::from_millis(200);
/// So many passes are quick.
const PATIENT: u32 = 64;
/// More members than this are a large tree.
const LARGE: usize = 32;
/// So many looks in a row at who is there, where one is not to be missed and the machine starts programs meanwhile.
const LOOKS: u32 = 16;
/// After this much time the survivors are worth a report, and again after each such span.
const REPORT: Duration = Duration::from_secs(5);

/// The state of a hunt; each [`Hunt::pass`] is short.
#[derive(Debug)]
pub(crate) struct Hunt {
    /// Members of the last pass, if every one was at rest.
    at_rest: Option<HashSet<(u32, u64)>>,
    passes: u32,
    /// Living members of the last pass.
    seen: HashSet<(u32, u64)>,
    /// Most members that lived at once, and whether the dead should be left as they are for now.
    most: usize,
    crowded: bool,
    patience: Patience,
    absence: Absence,
    /// Whether the first pass kills at once, which is all that most trees need.
    eager: bool,
    next: Instant,
    report: Instant,
}

/// Result of a pass.
#[derive(Debug)]
pub(crate) enum Pass {
    /// There is no living member; zombies may be.
    Gone,
    /// Call again when due.
    Again,
    /// As `Again`, and these are left after a long time.
    Stuck(Vec<u32>),
}

/// What a pass did to the members.
#[derive(Debug, Clone, Copy)]
enum Did {
    Nothing,
    Stopped,
    Killed,
}

impl Hunt {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            at_rest: None,
            passes: 0,
            seen: HashSet::new(),
            most: 0,
            crowded: false,
            patience: Patience::new(now),
            absence: Absence::default(),
            eager: true,
            next: now,
            report: now + REPORT,
        }
    }

    /// A hunt that always stops before it kills: for a quarry that scatters when its parents die, because they are
    /// not ours to inherit.
    pub(crate) fn wary(now: Instant) -> Self {
        Self { eager: false, ..Self::new(now) }
    }

    /// When the next pass is due.
    pub(crate) fn due(&self) -> Instant {
        self.next
    }

    /// Who lived at the last pass.
    pub(crate) fn living(&self) -> impl Iterator<Item = u32> {
        self.seen.iter().map(|(pid, _)| *pid)
    }

    /// Whether the dead should be left as they are for now: a zombie counts against the limit of its user's
    /// processes, so a tree that has come up to that limit has the less room to fork the more of it is dead.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Looks at all descendants of this process except those children that are `spared`, with theirs.
    pub(crate) fn pass(&mut self, spared: impl Fn(u32) -> bool) -> Pass {
        self.pass_on(&Quarry::Below(&spared))
    }

    /// Looks at the quarry, and stops or kills what is found.
    pub(crate) fn pass_on(&mut self, quarry: &Quarry<'_>) -> Pass {
        let begin = Instant::now();
        let members = Members::now(quarry);
        let living = members.living.len();
        self.most = self.most.max(living);
        // If the dead are far more than there ever were alive, nothing holds this tree back, and they only get in
        // the way of a look at it.
        let holds = members.pids.len() <= self.most * 2 + LARGE;
        self.crowded = holds && (living > LARGE || self.crowded && living > 0);
        let set: HashSet<(u32, u64)> = members.living.iter().map(|member| member.key()).collect();
        let same = set == self.seen;
        self.seen = set;
        let did = self.act(&members, begin);
        self.passes += 1;
        // Where nothing moves any more, haste is of no use.
        let pause = if self.passes < PATIENT || !same || living == 0 { QUICK } else { SLOW };
        let now = Instant::now();
        let taken = now.duration_since(begin);
        // A look at a large tree takes its time: as much again is left for the tree to die in, less for it to stop,
        // and both in bounds, for one that fills up again does so meanwhile. Where nobody got a signal there is
        // nothing to wait for.
        let room = match did {
            Did::Killed => taken.min(DYING),
            Did::Stopped => taken.min(SLOW),
            Did::Nothing => Duration::ZERO,
        };
        self.next = now + pause.max(room);
        if living == 0 {
            return if self.absence.is_certain(members.is_all, begin) { Pass::Gone } else { Pass::Again };
        }
        self.absence = Absence::default();
        if begin >= self.report {
            self.report = begin + REPORT;
            return Pass::Stuck(members.living.iter().map(|member| member.stat.pid).collect());
        }
        Pass::Again
    }

    fn act(&mut self, members: &Members<'_>, now: Instant) -> Did {
        if members.living.is_empty() {
            return Did::Nothing;
        }
        if self.eager && self.passes == 0 || self.patience.is_over(now) {
            members.signal(Signal::KILL.as_raw(), |_| true);
            self.at_rest = None;
            return Did::Killed;
        }
        let rests: Vec<Rest> = members.living.iter().map(|member| member.rest()).collect();
        let moving = rests.iter().filter(|rest| **rest == Rest::Moves).count();
        if moving == 0 && self.at_rest.as_ref() == Some(&self.seen) {
            members.signal(Signal::KILL.as_raw(), |_| true);
            self.at_rest = None;
            self.patience = Patience::new(now);
            return Did::Killed;
        }
        self.patience.saw(moving);
        self.at_rest = (moving == 0).then(|| self.seen.clone());
        // Also who is in an uninterruptible sleep, or it would go on at the end of that.
        let stopped = members.signal(Signal::STOP.as_raw(), |at| rests.get(at) != Some(&Rest::Stopped));
        if stopped > 0 { Did::Stopped } else { Did::Nothing }
    }
}

/// Sends `signal` to every living descendant of this process; answers with how many got it.
pub(crate) fn signal_all(signal: i32) -> usize {
    Members::now(&Quarry::Below(&|_| false)).signal(signal, |_| true)
}

/// As [`signal_all`], for these children of this process and their descendants.
pub(crate) fn signal_from(children: &[u32], signal: i32) -> usize {
    Members::now(&Quarry::From(children)).signal(signal, |_| true)
}

/// Those of a quarry that live and are not in a group.
pub(crate) fn living_outside(quarry: &Quarry<'_>, group: &Group) -> Vec<Stat> {
    let outside = |stat: &Stat| cgroup::of_process(stat.pid).is_some_and(|path| !group.covers(&path));
    looks(|| {
        let members = Members::now(quarry);
        let found: Vec<Stat> = members.living.into_iter().map(|member| member.stat).filter(outside).collect();
        (members.is_all || !found.is_empty()).then_some(found)
    })
}

/// Everybody alive who carries a tag that `wanted` picks, by process id.
pub(crate) fn living_carriers(wanted: impl Fn(Tag) -> bool) -> Vec<(u32, Tag)> {
    let mut found = BTreeMap::new();
    looks(|| {
        let (pids, moment) = carriers(&wanted);
        let lives = |pid: u32| proc::stat(pid).is_some_and(|stat| !proc::has_ended(&stat));
        let tag = |pid: u32| Tag::of(pid).filter(|tag| wanted(*tag));
        found.extend(pids.into_iter().filter(|pid| lives(*pid)).filter_map(|pid| Some((pid, tag(pid)?))));
        moment.lasts().then(Vec::<()>::new)
    });
    found.into_iter().collect()
}

/// Looks until the look has an answer; a few looks in vain are one as well.
fn looks<T>(mut look: impl FnMut() -> Option<Vec<T>>) -> Vec<T> {
    (0..LOOKS).find_map(|_| look()).unwrap_or_default()
}

/// Those of these children of this process and of their descendants that live.
pub(crate) fn living(children: &[u32]) -> Vec<Stat> {
    living_of(&Quarry::From(children))
}

/// Those of a quarry that live, at one look.
pub(crate) fn living_of(quarry: &Quarry<'_>) -> Vec<Stat> {
    Members::now(quarry).living.into_iter().map(|member| member.stat).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test starts what it hunts")]

    use std::cell::Cell;
    use std::process::{Command, Stdio};

    use kennel_sys::process;
    use kennel_sys::tag::Instance;

    use super::*;

    /// Each member starts its successor and ends, a few milliseconds after it was born.
    const LINEAGE: &str = "sleep 0.002; sh -c \"$0\" \"$0\" &";

    fn start(tag: Tag) {
        let limit = format!("--rttime={}:", tag.value());
        let mut child = Command::new("prlimit")
            .args([&limit, "setsid", "sh", "-c", LINEAGE, LINEAGE])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Who is looked at so slowly that everybody found is dead by then is not taken for gone.
    #[test]
    fn a_lineage_that_is_dead_at_every_look_is_not_gone() {
        // Open until the end: its inode, by which the instance is named, could be that of another test's else.
        let lock = tempfile::tempfile().unwrap();
        let tag = Instance::of(&lock).unwrap().tag(7);
        start(tag);
        let paused = Cell::new(None);
        // Once in each listing, or the listings would take the longer the more dead they find.
        let slowly = |it: Tag| {
            let is_new = paused.get().is_none_or(|at: Instant| at.elapsed() > Duration::from_micros(300));
            if it == tag && is_new {
                process::pause(Duration::from_millis(15));
                paused.set(Some(Instant::now()));
            }
            it == tag
        };
        let slow = Hunt::wary(Instant::now()).pass_on(&Quarry::Tagged(&slowly));
        let mut hunt = Hunt::wary(Instant::now());
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut passes = 0;
        while !matches!(hunt.pass_on(&Quarry::Tagged(&|it| it == tag)), Pass::Gone) {
            passes += 1;
            assert!(Instant::now() < deadline);
            process::pause(hunt.due().saturating_duration_since(Instant::now()));
        }
        assert!(matches!(slow, Pass::Again), "{slow:?}");
        assert!(passes > 0 && living_carriers(|it| it == tag).is_empty());
    }
}

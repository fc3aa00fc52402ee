//! Who is hunted: found, looked at, signalled.

use std::collections::HashSet;

use kennel_sys::identity::Identity;
use kennel_sys::listing::Moment;
use kennel_sys::proc::{self, Stat};
use kennel_sys::tag::{self, Tag};
use kennel_sys::{pidfd, process};

/// Who is hunted.
pub(crate) enum Quarry<'a> {
    /// All descendants of this process except those children that are spared, with theirs.
    Below(&'a dyn Fn(u32) -> bool),
    /// These children of this process with all their descendants.
    From(&'a [u32]),
    /// Whoever carries one of these tags, with all descendants, which may carry another: a kennel inside of a
    /// service marks what it starts itself. Never this process.
    Tagged(&'a dyn Fn(Tag) -> bool),
    /// Those that were chosen, whoever has started them, with all descendants. Never this process.
    These(&'a Chosen),
}

/// Processes that were chosen by somebody who has looked at them.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// These very ones.
    pub(crate) known: Vec<Identity>,
    /// And whoever carries one of these tags.
    pub(crate) tags: HashSet<Tag>,
    /// But for these numbers: there is no right to signal them, and nobody is to wait for their end.
    pub(crate) spared: HashSet<u32>,
}

impl Chosen {
    /// And up to when that is everybody with a tag, where tags are looked for.
    fn pids(&self) -> (Vec<u32>, Option<Moment>) {
        let carriers = (!self.tags.is_empty()).then(|| tag::carriers(|tag| self.tags.contains(&tag)));
        let (carriers, moment) = carriers.map_or_else(Default::default, |(pids, moment)| (pids, Some(moment)));
        let known = self.known.iter().filter(|it| is_there(it)).map(|it| it.pid);
        (carriers.into_iter().chain(known).filter(|pid| !self.spared.contains(pid)).collect(), moment)
    }

    fn has(&self, pid: u32) -> bool {
        let is_known = self.known.iter().any(|it| it.pid == pid && is_there(it));
        is_known || Tag::of(pid).is_some_and(|tag| self.tags.contains(&tag))
    }
}

/// A living process as it was seen.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stat: Stat,
    /// Its threads but the main one.
    others: Vec<u32>,
}

/// How far from making another process something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rest {
    /// It may do so right now.
    Moves,
    /// In an uninterruptible sleep, at whose end a stop that is pending comes first.
    Waits,
    /// Stopped, held by a tracer, or dead.
    Stopped,
}

impl Rest {
    /// Of a thread by its state letter. Source: `proc_pid_stat(5)`.
    pub(super) fn of(state: char) -> Self {
        match state {
            'T' | 't' | 'Z' | 'X' => Self::Stopped,
            'D' => Self::Waits,
            _ => Self::Moves,
        }
    }
}

impl Member {
    /// What it is called for as long as it lives.
    pub(super) fn key(&self) -> (u32, u64) {
        (self.stat.pid, self.stat.start_ticks)
    }

    /// That of the thread that is farthest from rest: a stop reaches one thread after the other, and a process whose
    /// main thread has ended shows as a zombie while others of it run.
    pub(super) fn rest(&self) -> Rest {
        let others = self.others.iter().map(|thread| match proc::thread_state(self.stat.pid, *thread) {
            Some(state) => Rest::of(state),
            None => Rest::Stopped,
        });
        others.chain([Rest::of(self.stat.state)]).min().unwrap_or(Rest::Stopped)
    }
}

/// Living members at one moment.
pub(super) struct Members<'a> {
    quarry: &'a Quarry<'a>,
    pub(super) living: Vec<Member>,
    /// Every member, zombies included.
    pub(super) pids: HashSet<u32>,
    /// Whether nobody can have slipped through who is known by a tag alone. What is ours to reap comes to us when its parent
    /// ends, so of that the end is known otherwise.
    pub(super) is_all: bool,
}

impl<'a> Members<'a> {
    pub(super) fn now(quarry: &'a Quarry<'a>) -> Self {
        let mut pids = HashSet::new();
        let mut living = Vec::new();
        let own = std::process::id();
        // Parents come before their children there, so leaving out a parent leaves out its tree.
        let (found, moment) = match quarry {
            Quarry::Below(_) => (descendants(own), None),
            Quarry::From(children) => (with_descendants(children.to_vec()), None),
            Quarry::Tagged(wanted) => {
                let (carriers, moment) = tag::carriers(wanted);
                (with_descendants(carriers), Some(moment))
            }
            Quarry::These(chosen) => {
                let (pids, moment) = chosen.pids();
                (with_descendants(pids), moment)
            }
        };
        for member in found {
            let stat = &member.stat;
            let ours = match quarry {
                Quarry::Below(spared) if stat.ppid == own => !spared(stat.pid),
                Quarry::Below(_) => pids.contains(&stat.ppid),
                // The number of a child that was reaped meanwhile may be anybody's.
                Quarry::From(_) => stat.ppid == own || pids.contains(&stat.ppid),
                Quarry::Tagged(_) => stat.pid != own,
                Quarry::These(chosen) => stat.pid != own && !chosen.spared.contains(&stat.pid),
            };
            if ours && pids.insert(stat.pid) && !proc::has_ended(stat) {
                living.push(member);
            }
        }
        // Asked last: a carrier that was found may have made its successor and ended before it was looked at.
        Self { quarry, living, pids, is_all: moment.is_none_or(Moment::lasts) }
    }

    /// Sends `signal` to those living members whose position is wanted; answers with how many got it.
    ///
    /// Parents before their children, so that none is replaced; but where orphans do not come to us, children first:
    /// a parent that dies first would give them away, and nothing but a tag would still show whose they were.
    pub(super) fn signal(&self, signal: i32, wanted: impl Fn(usize) -> bool) -> usize {
        let all = self.living.iter().enumerate();
        let send = |(at, member): &(usize, &Member)| wanted(*at) && self.signal_one(&member.stat, signal);
        match self.quarry {
            Quarry::Below(_) | Quarry::From(_) => all.filter(send).count(),
            Quarry::Tagged(_) | Quarry::These(_) => all.rev().filter(send).count(),
        }
    }

    /// The number may be another process by now, so it is opened first, and what it is checked after.
    fn signal_one(&self, stat: &Stat, signal: i32) -> bool {
        let Ok(fd) = pidfd::open(stat.pid) else { return false };
        let same = proc::stat(stat.pid).is_some_and(|now| {
            // With the time of its start equal and a parent among us it is ours even if it is not the same.
            now.start_ticks == stat.start_ticks && (self.pids.contains(&now.ppid) || self.is_known(&now))
        });
        same && pidfd::send_signal(&fd, signal).is_ok()
    }

    fn is_known(&self, stat: &Stat) -> bool {
        match self.quarry {
            Quarry::Below(_) | Quarry::From(_) => stat.ppid == std::process::id(),
            Quarry::Tagged(wanted) => Tag::of(stat.pid).is_some_and(wanted),
            Quarry::These(chosen) => chosen.has(stat.pid),
        }
    }
}

/// Whether the number still is that process's own.
fn is_there(it: &Identity) -> bool {
    it.open().is_ok()
}

/// All descendants, parents before their children. By the kernel's lists of children, for that costs as much as the
/// tree is large; where it keeps none, by a look at every process there is.
fn descendants(root: u32) -> Vec<Member> {
    match process::children() {
        Ok(children) => with_descendants(children),
        Err(_) => proc::descendants(root).into_iter().map(member).collect(),
    }
}

/// These and all their descendants, parents before their children.
fn with_descendants(mut open: Vec<u32>) -> Vec<Member> {
    let mut found = Vec::new();
    let lists = process::children().is_ok();
    while let Some(pid) = open.pop() {
        if let Some(stat) = proc::stat(pid) {
            let member = member(stat);
            // If it ends in between, they are ours and in the next list.
            open.extend(children(&member));
            found.push(member);
        }
        if !lists {
            found.extend(proc::descendants(pid).into_iter().map(member));
        }
    }
    found
}

/// Most processes have a single thread, which needs no list.
fn member(stat: Stat) -> Member {
    let mut others = if stat.threads > 1 { proc::threads(stat.pid) } else { Vec::new() };
    others.retain(|thread| *thread != stat.pid);
    Member { stat, others }
}

fn children(member: &Member) -> Vec<u32> {
    let pid = member.stat.pid;
    // A main thread that has ended has given its children to the others; a process that has ended has none.
    let main = (!matches!(member.stat.state, 'Z' | 'X')).then_some(pid);
    let threads = main.into_iter().chain(member.others.iter().copied());
    threads.flat_map(|thread| process::children_of_thread(pid, thread)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_that_moves_is_enough() {
        for (state, rest) in [('R', Rest::Moves), ('S', Rest::Moves), ('D', Rest::Waits), ('Z', Rest::Stopped)] {
            assert_eq!(Rest::of(state), rest, "{state}");
        }
        let states = ['T', 'Z', 'S', 'D'];
        assert_eq!(states.into_iter().map(Rest::of).min(), Some(Rest::Moves));
    }

    #[test]
    fn who_has_several_threads_is_judged_by_all() {
        // The test harness runs this in a thread of its own.
        let own = member(proc::stat(std::process::id()).unwrap());
        assert!(!own.others.is_empty() && !own.others.contains(&own.stat.pid), "{own:?}");
        let as_zombie = Member { stat: Stat { state: 'Z', ..own.stat }, others: own.others };
        assert!(!proc::has_ended(&as_zombie.stat));
        assert_eq!(as_zombie.rest(), Rest::Moves);
    }
}

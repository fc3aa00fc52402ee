//! Ending a tree without a cgroup: stop every member until none moves, then kill them all.
//!
//! Killing one by one loses against a tree that forks: a newborn of a process that is killed is not yet in the
//! list. A stopped process does not fork, so once every member has been seen stopped twice the list is complete.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kennel_sys::proc::{self, Stat};
use kennel_sys::tag::{self, Tag};
use kennel_sys::{pidfd, process};
use rustix::process::Signal;

/// Who is hunted.
pub(crate) enum Quarry<'a> {
    /// All descendants of this process except those children that are spared, with theirs.
    Below(&'a dyn Fn(u32) -> bool),
    /// These children of this process with all their descendants.
    From(&'a [u32]),
    /// Whoever carries one of these tags, with all descendants, which may carry another: a kennel inside of a
    /// service marks what it starts itself. Never this process.
    Tagged(&'a dyn Fn(Tag) -> bool),
}

/// Pause between passes while they are likely to help.
const QUICK: Duration = Duration::from_millis(1);
/// And when they were many.
const SLOW: Duration = Duration::from_millis(100);
/// So many passes are quick.
const PATIENT: u32 = 64;
/// If the members will not come to rest in this time, they are killed as they are for as long, and so on.
const RESTLESS: Duration = Duration::from_millis(300);
/// More members than this are a large tree.
const LARGE: usize = 32;
/// After this much time the survivors are worth a report, and again after each such span.
const REPORT: Duration = Duration::from_secs(5);

/// The state of a hunt; each [`Hunt::pass`] is short.
#[derive(Debug)]
pub(crate) struct Hunt {
    /// Members of the last pass, if every one was at rest.
    at_rest: Option<HashSet<(u32, u64)>>,
    since: Instant,
    passes: u32,
    /// Living members of the last pass.
    seen: HashSet<(u32, u64)>,
    /// Most members that lived at once, and whether the dead should be left as they are for now.
    most: usize,
    crowded: bool,
    /// The members do not come to rest, so somebody continues them: until then they are killed as they are.
    restless: Option<Instant>,
    /// Whether the first pass kills at once, which is all that most trees need.
    eager: bool,
    next: Instant,
    report: Instant,
}

/// Result of a pass.
#[derive(Debug)]
pub(crate) enum Pass {
    /// No living member was found; zombies may be.
    Gone,
    /// Call again when due.
    Again,
    /// As `Again`, and these are left after a long time.
    Stuck(Vec<u32>),
}

impl Hunt {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            at_rest: None,
            since: now,
            passes: 0,
            seen: HashSet::new(),
            most: 0,
            crowded: false,
            restless: None,
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
        let set: HashSet<(u32, u64)> = members.living.iter().map(|stat| (stat.pid, stat.start_ticks)).collect();
        let same = set == self.seen;
        self.seen = set;
        let result = self.act(&members, begin);
        self.passes += 1;
        // A look at a large tree takes its time: as much again is left for the tree to die in. Where nothing moves
        // any more, haste is of no use.
        let pause = if self.passes < PATIENT || !same { QUICK } else { SLOW };
        let now = Instant::now();
        self.next = now + pause.max(now.duration_since(begin));
        result
    }

    fn act(&mut self, members: &Members, now: Instant) -> Pass {
        if members.living.is_empty() {
            return Pass::Gone;
        }
        let rests = members.living.iter().all(is_at_rest);
        let twice = rests && self.at_rest.as_ref() == Some(&self.seen);
        if self.restless.is_some_and(|until| until <= now) {
            self.restless = None;
            self.since = now;
        } else if self.restless.is_none() && now.duration_since(self.since) > RESTLESS {
            self.restless = Some(now + RESTLESS);
        }
        if self.eager && self.passes == 0 || twice || self.restless.is_some() {
            members.signal(Signal::KILL.as_raw(), |_| true);
            self.at_rest = None;
            self.since = now;
        } else {
            members.signal(Signal::STOP.as_raw(), |stat| !is_at_rest(stat));
            self.at_rest = rests.then(|| self.seen.clone());
        }
        if now >= self.report {
            self.report = now + REPORT;
            return Pass::Stuck(members.living.iter().map(|stat| stat.pid).collect());
        }
        Pass::Again
    }
}

/// Whether nothing of it runs any more. A process whose main thread alone has ended looks like a zombie, too, and
/// lives on in its other threads.
pub(crate) fn is_dead(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X') && threads(stat.pid).count() <= 1
}

/// State letters of the threads of a process.
fn threads(pid: u32) -> impl Iterator<Item = char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(move |task| {
        let thread = task.file_name().to_str()?.parse().ok()?;
        // A thread can be read like a process, though it is not listed as one.
        proc::stat(thread).map(|stat| stat.state)
    })
}

/// Stopped, traced, or in an uninterruptible sleep, at whose end a stop that is pending comes first: none of these
/// can make another process.
fn is_at_rest(stat: &Stat) -> bool {
    let rests = |state: char| matches!(state, 'T' | 't' | 'D');
    // Here a zombie is one without its main thread, see `is_dead`.
    rests(stat.state) || stat.state == 'Z' && threads(stat.pid).all(|state| rests(state) || state == 'Z')
}

/// Sends `signal` to every living descendant of this process; answers with how many got it.
pub(crate) fn signal_all(signal: i32) -> usize {
    Members::now(&Quarry::Below(&|_| false)).signal(signal, |_| true)
}

/// As [`signal_all`], for these children of this process and their descendants.
pub(crate) fn signal_from(children: &[u32], signal: i32) -> usize {
    Members::now(&Quarry::From(children)).signal(signal, |_| true)
}

/// Those of these children of this process and of their descendants that live.
pub(crate) fn living(children: &[u32]) -> Vec<Stat> {
    Members::now(&Quarry::From(children)).living
}

/// Living members at one moment.
struct Members<'a> {
    quarry: &'a Quarry<'a>,
    living: Vec<Stat>,
    /// Every member, zombies included.
    pids: HashSet<u32>,
}

impl<'a> Members<'a> {
    fn now(quarry: &'a Quarry<'a>) -> Self {
        let mut pids = HashSet::new();
        let mut living = Vec::new();
        let own = std::process::id();
        // Parents come before their children there, so leaving out a parent leaves out its tree.
        let found = match quarry {
            Quarry::Below(_) => descendants(own),
            Quarry::From(children) => with_descendants(children.to_vec()),
            Quarry::Tagged(wanted) => with_descendants(tag::carriers(wanted)),
        };
        for stat in found {
            let ours = match quarry {
                Quarry::Below(spared) if stat.ppid == own => !spared(stat.pid),
                Quarry::Below(_) => pids.contains(&stat.ppid),
                // The number of a child that was reaped meanwhile may be anybody's.
                Quarry::From(_) => stat.ppid == own || pids.contains(&stat.ppid),
                Quarry::Tagged(_) => stat.pid != own,
            };
            if ours && pids.insert(stat.pid) && !is_dead(&stat) {
                living.push(stat);
            }
        }
        Self { quarry, living, pids }
    }

    /// Parents before their children, so that none is replaced; but where orphans do not come to us, children first:
    /// a parent that dies first would give them away, and nothing but a tag would still show whose they were.
    fn signal(&self, signal: i32, wanted: impl Fn(&Stat) -> bool) -> usize {
        let send = |stat: &&Stat| wanted(stat) && self.signal_one(stat, signal);
        match self.quarry {
            Quarry::Below(_) | Quarry::From(_) => self.living.iter().filter(send).count(),
            Quarry::Tagged(_) => self.living.iter().rev().filter(send).count(),
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
        }
    }
}

/// All descendants, parents before their children. By the kernel's lists of children, for that costs as much as the
/// tree is large; where it keeps none, by a look at every process there is.
fn descendants(root: u32) -> Vec<Stat> {
    match process::children() {
        Ok(children) => with_descendants(children),
        Err(_) => proc::descendants(root),
    }
}

/// These and all their descendants, parents before their children.
fn with_descendants(mut open: Vec<u32>) -> Vec<Stat> {
    let mut found = Vec::new();
    let lists = process::children().is_ok();
    while let Some(pid) = open.pop() {
        // Its children before itself: if it ends in between, they are ours and in the next list.
        let children = process::children_of(pid);
        if let Some(stat) = proc::stat(pid) {
            found.push(stat);
            open.extend(children);
        }
        if !lists {
            found.extend(proc::descendants(pid));
        }
    }
    found
}

//! Whose an untracked process is: a pure function of what was read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use kennel_sys::identity::Identity;
use kennel_sys::tag::{Instance, Tag};

/// The machine at one moment.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Name of this boot: see [`kennel_sys::identity::boot_id`].
    pub boot_id: String,
    /// Every process that can be seen, zombies included, each once.
    pub processes: Vec<Process>,
    /// Groups of scopes, of every kennel that can be seen.
    pub leaves: Vec<Leaf>,
    /// Tags of processes that were gone before they could be looked at, perhaps with a successor.
    pub fleeting: HashSet<Tag>,
}

/// A process as it was read while a descriptor of it was open, so that everything here is about one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Which. The inode is 0 also for one that nothing but its number was of interest of.
    pub identity: Identity,
    /// Its parent, if that was still there after this was read; else 0.
    pub ppid: u32,
    /// The user it runs as.
    pub uid: u32,
    /// The tag it carries.
    pub tag: Option<Tag>,
    /// Positions in [`Machine::leaves`] of the groups it is in, the innermost first: a kennel inside of a service
    /// makes its groups below that service's.
    pub leaves: Vec<usize>,
    /// Nothing of it runs any more.
    pub ended: bool,
    /// Whether this process has the right to signal it.
    pub may_signal: bool,
    /// For eyes; decides nothing.
    pub command: String,
}

/// The group of one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Name of the kennel instance, as the group above says it.
    pub instance: String,
    /// That group: `…/kennel/<instance>`.
    pub root: PathBuf,
    /// Its own name, for example `web.17`.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
    /// It is one that outlives keeper and daemon, to be adopted by the next.
    pub kept: bool,
    /// A keeper or daemon is in the group above.
    pub is_held: bool,
    /// It belongs to the user of this process.
    pub is_ours: bool,
}

/// A run as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Name in `ps`.
    pub service: String,
    /// Number of the run.
    pub run: u64,
    /// Name of its scope.
    pub scope: String,
    /// The boot that the rest is about.
    pub boot_id: String,
    /// Its main process; an inode of 0 is unknown.
    pub process: Identity,
}

/// What is known of one kennel instance.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// As tags name it; `None` if it never ran.
    pub tag: Option<Instance>,
    /// Runs that the store says to live.
    pub records: Vec<Record>,
    /// What is not untracked.
    pub tracked: Tracked,
}

/// What of an instance is tracked.
#[derive(Debug, Clone)]
pub enum Tracked {
    /// Nothing: neither keeper nor daemon lives.
    Nothing,
    /// Everything, as far as one can tell without asking those who hold it.
    Everything,
    /// What its daemon says.
    These(Tracking),
}

/// What a daemon says that it and its keeper track.
#[derive(Debug, Clone, Default)]
pub struct Tracking {
    /// Daemon and keeper. Everything below them is theirs.
    pub own: Vec<u32>,
    /// The group that the keeper is in: `…/kennel/<instance>`.
    pub roots: Vec<PathBuf>,
    /// Names of scopes, those included that are being made or adopted. One that is adopted may be in another root.
    pub scopes: HashSet<String>,
}

/// How a record fits a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Number, start time and inode.
    Full,
    /// Number and start time; the kernel has nothing better.
    WithoutInode,
}

/// What tells that a process is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// It is in this leaf: a position in [`Machine::leaves`].
    pub leaf: Option<usize>,
    /// It is the process of a record: a position in [`Known::records`].
    pub record: Option<(usize, Match)>,
    /// It carries a tag of the instance.
    pub stamp: Option<Tag>,
    /// It is a child of this orphan.
    pub parent: Option<u32>,
}

/// A living process that is ours and tracked by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// As it was read.
    pub process: Process,
    /// Why it is ours; the parent only for one that would not be, or not be certain, without.
    pub evidence: Evidence,
    /// Whether nobody else's process could look like this.
    pub is_certain: bool,
    /// A new daemon adopts it.
    pub kept: bool,
    /// Its scope, where that is known.
    pub scope: Option<String>,
    /// The group of its scope, if it is in that.
    pub group: Option<PathBuf>,
}

/// Who is an orphan of the instance, by process id. Never one of the process `own`, which asks.
#[must_use]
pub fn classify(machine: &Machine, known: &Known, own: u32) -> Vec<Orphan> {
    let tracked = match &known.tracked {
        Tracked::Everything => return Vec::new(),
        Tracked::Nothing => TrackedNow::default(),
        Tracked::These(tracking) => TrackedNow::of(machine, known, tracking),
    };
    let ours = our_leaves(machine, known, &tracked);
    let candidates = machine.processes.iter().filter(|one| one.identity.pid != own && !tracked.has(one));
    let mut found = BTreeMap::new();
    let mut others: HashMap<u32, Vec<&Process>> = HashMap::new();
    for process in candidates {
        match judge(machine, known, &ours, process) {
            Some(orphan) => {
                found.insert(process.identity.pid, orphan);
            }
            None => others.entry(process.ppid).or_default().push(process),
        }
    }
    add_descendants(&mut found, &mut others);
    pass_certainty_on(&mut found);
    name_scopes(&mut found, known);
    // The dead are looked at because they may have living children; nothing is to be done about them.
    found.into_values().filter(|orphan| !orphan.process.ended).collect()
}

/// Tags of the instance that somebody carried who was gone before it could be told who it was. None where something is
/// tracked: such a one may have been of that.
#[must_use]
pub fn fleeting(machine: &Machine, known: &Known) -> HashSet<Tag> {
    match &known.tracked {
        Tracked::Everything | Tracked::These(_) => HashSet::new(),
        Tracked::Nothing => machine.fleeting.iter().filter(|tag| Some(tag.instance()) == known.tag).copied().collect(),
    }
}

fn judge(machine: &Machine, known: &Known, ours: &BTreeSet<usize>, process: &Process) -> Option<Orphan> {
    let leaf = process.leaves.iter().copied().find(|leaf| ours.contains(leaf));
    let stamp = process.tag.filter(|tag| Some(tag.instance()) == known.tag);
    let fits = |record: &Record| if record.boot_id == machine.boot_id { fits(record, &process.identity) } else { None };
    let record = known.records.iter().enumerate().find_map(|(at, record)| Some((at, fits(record)?)));
    if leaf.is_none() && stamp.is_none() && record.is_none() {
        return None;
    }
    let of_record = record.and_then(|(at, _)| known.records.get(at));
    let of_leaf = leaf.and_then(|at| machine.leaves.get(at));
    let by_record = match record {
        Some((_, Match::Full)) => true,
        // Two that say the same and that nobody can have by accident.
        Some((_, Match::WithoutInode)) => stamp.is_some(),
        None => false,
    };
    Some(Orphan {
        process: process.clone(),
        is_certain: leaf.is_some() || by_record,
        kept: of_leaf.map_or_else(|| stamp.is_some_and(Tag::is_kept), |leaf| leaf.kept),
        scope: of_leaf.map(|leaf| leaf.name.clone()).or_else(|| of_record.map(|record| record.scope.clone())),
        group: of_leaf.map(|leaf| leaf.directory.clone()),
        evidence: Evidence { leaf, record, stamp, parent: None },
    })
}

/// A process is that of a record if everything that both know of it is equal.
fn fits(record: &Record, process: &Identity) -> Option<Match> {
    let it = &record.process;
    if (it.pid, it.start_ticks) != (process.pid, process.start_ticks) {
        return None;
    }
    match (it.inode, process.inode) {
        (0, _) | (_, 0) => Some(Match::WithoutInode),
        (recorded, now) => (recorded == now).then_some(Match::Full),
    }
}

/// Whoever descends from an orphan is one, as surely as that is.
fn add_descendants(found: &mut BTreeMap<u32, Orphan>, others: &mut HashMap<u32, Vec<&Process>>) {
    let mut open: Vec<u32> = found.keys().copied().collect();
    while let Some(parent) = open.pop() {
        // Whose parent is gone is a child of nobody that we know.
        let Some((is_certain, kept, scope)) =
            found.get(&parent).filter(|_| parent != 0).map(|it| (it.is_certain, it.kept, it.scope.clone()))
        else {
            continue;
        };
        for process in others.remove(&parent).unwrap_or_default() {
            let evidence = Evidence { parent: Some(parent), ..Evidence::default() };
            let scope = scope.clone();
            let orphan = Orphan { process: process.clone(), evidence, is_certain, kept, scope, group: None };
            found.insert(process.identity.pid, orphan);
            open.push(process.identity.pid);
        }
    }
}

/// A child of one that is certain is as certain, whatever else points to it.
fn pass_certainty_on(found: &mut BTreeMap<u32, Orphan>) {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for orphan in found.values().filter(|orphan| orphan.process.ppid != 0) {
        children.entry(orphan.process.ppid).or_default().push(orphan.process.identity.pid);
    }
    let mut open: Vec<u32> = found.values().filter(|it| it.is_certain).map(|it| it.process.identity.pid).collect();
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if let Some(orphan) = found.get_mut(&child).filter(|orphan| !orphan.is_certain) {
                orphan.is_certain = true;
                orphan.evidence.parent = Some(parent);
                open.push(child);
            }
        }
    }
}

/// Everything of one scope carries the same tag: what is known of one is known of all.
fn name_scopes(found: &mut BTreeMap<u32, Orphan>, known: &Known) {
    // The process of a record alone: what is in a group may have come there from another scope.
    let recorded = found.values().filter_map(|orphan| {
        let (at, _) = orphan.evidence.record?;
        Some((orphan.evidence.stamp?, known.records.get(at)?.scope.clone()))
    });
    let scopes: HashMap<Tag, String> = recorded.collect();
    for orphan in found.values_mut().filter(|orphan| orphan.scope.is_none()) {
        orphan.scope = orphan.evidence.stamp.and_then(|tag| scopes.get(&tag).cloned());
    }
}

/// Leaves of the instance that nobody holds.
///
/// A name alone does not make a group ours: another user, or another state directory of the same user, may have a
/// kennel of that name. So what the processes carry who are in it decides, then what those carry who are in the
/// leaves beside it; the name counts only where nobody carries anything.
fn our_leaves(machine: &Machine, known: &Known, tracked: &TrackedNow) -> BTreeSet<usize> {
    let mut by_leaf: HashMap<usize, Vec<Instance>> = HashMap::new();
    for process in &machine.processes {
        // Those of a kennel inside of the service carry other tags, and have an inner leaf.
        if let (Some(leaf), Some(tag)) = (process.leaves.first(), process.tag) {
            by_leaf.entry(*leaf).or_default().push(tag.instance());
        }
    }
    let mut by_root: HashMap<&PathBuf, Vec<Instance>> = HashMap::new();
    for (at, tags) in &by_leaf {
        if let Some(leaf) = machine.leaves.get(*at) {
            by_root.entry(&leaf.root).or_default().extend(tags);
        }
    }
    let is_meant = |tags: Option<&Vec<Instance>>| tags.map(|tags| tags.iter().any(|tag| Some(*tag) == known.tag));
    let is_ours = |(at, leaf): &(usize, &Leaf)| {
        let free = if leaf.is_held { tracked.roots.contains(&leaf.root) } else { leaf.is_ours };
        let carried = is_meant(by_leaf.get(at)).or_else(|| is_meant(by_root.get(&leaf.root)));
        free && leaf.instance == known.name && carried.unwrap_or(true)
    };
    machine.leaves.iter().enumerate().filter(is_ours).map(|(at, _)| at).collect()
}

/// What is tracked, found in what was read.
#[derive(Debug, Default)]
struct TrackedNow {
    processes: HashSet<u32>,
    tags: HashSet<Tag>,
    roots: HashSet<PathBuf>,
}

impl TrackedNow {
    /// Everything below the keeper, everything in a scope that is known, and whoever carries a tag of those: one that
    /// left its scope's group is the keeper's to find.
    fn of(machine: &Machine, known: &Known, tracking: &Tracking) -> Self {
        let is_scope = |name: &str| [name, plain(name)].iter().any(|name| tracking.scopes.contains(*name));
        let is_known = |at: &usize| {
            machine.leaves.get(*at).is_some_and(|leaf| leaf.instance == known.name && is_scope(&leaf.name))
        };
        let parents: HashMap<u32, u32> = machine.processes.iter().map(|one| (one.identity.pid, one.ppid)).collect();
        let is_below = |process: &Process| {
            let chain = std::iter::successors(Some(process.identity.pid), |pid| parents.get(pid).copied());
            chain.take_while(|pid| *pid != 0).take(parents.len() + 1).any(|pid| tracking.own.contains(&pid))
        };
        let is_in = |one: &&Process| one.leaves.iter().any(is_known) || is_below(one);
        let inside: Vec<&Process> = machine.processes.iter().filter(is_in).collect();
        Self {
            processes: inside.iter().map(|one| one.identity.pid).collect(),
            tags: inside.iter().filter_map(|one| one.tag).collect(),
            roots: tracking.roots.iter().cloned().collect(),
        }
    }

    fn has(&self, process: &Process) -> bool {
        self.processes.contains(&process.identity.pid) || process.tag.is_some_and(|tag| self.tags.contains(&tag))
    }
}

/// A leaf's name without the number that it gets where the name is taken.
fn plain(name: &str) -> &str {
    name.split_once('~').map_or(name, |(name, _)| name)
}

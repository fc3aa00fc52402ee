//! Reads the machine for a classification.
//!
//! What is looked at closely is opened first and read after, so that no fact is about another process that has the
//! number by now.

use std::collections::{HashMap, HashSet};
use std::io;

use kennel_sys::cgroup::Group;
use kennel_sys::identity::{self, Identity};
use kennel_sys::listing::each_process;
use kennel_sys::pidfd;
use kennel_sys::proc::{self, Stat};
use kennel_sys::tag::Tag;

use super::{Known, Leaf, Machine, Process, roots};

/// Longest command that is kept, characters.
const COMMAND: usize = 200;

impl Machine {
    /// Reads every process, and closely those that may be of one of these instances.
    ///
    /// Costs some 20 µs for every process of the machine and some 100 µs for each that is looked at closely.
    ///
    /// # Errors
    /// The name of the boot cannot be read, or `/proc` shows other processes than this one's system calls mean.
    pub fn read(instances: &[&Known]) -> io::Result<Self> {
        if !proc::is_of_this_namespace() {
            let text = "/proc is that of another PID namespace, whose numbers mean other processes here";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let leaves: Vec<Leaf> = roots().iter().flat_map(|root| root.leaves().collect::<Vec<_>>()).collect();
        let groups: Vec<Option<Group>> = leaves.iter().map(|leaf| Group::at(&leaf.directory).ok()).collect();
        let members = members(&groups);
        let recorded: HashSet<u32> =
            instances.iter().flat_map(|known| known.records.iter().map(|record| record.process.pid)).collect();
        let Listed { seen, tags, mut fleeting } = list();
        // The dead are as many as their parents let them become, and nothing is to be done about them.
        let living = || seen.iter().filter(|stat| !proc::has_ended(stat));
        let is_close = |pid: u32| members.contains_key(&pid) || tags.contains_key(&pid) || recorded.contains(&pid);
        let close = with_descendants(living(), is_close);
        let look = |stat: &Stat| match close.contains(&stat.pid) {
            true => look_closely(stat.pid, members.get(&stat.pid).map_or(&[], Vec::as_slice), &groups),
            false => Some(from_afar(stat)),
        };
        let mut processes = Vec::with_capacity(seen.len());
        for stat in &seen {
            match look(stat) {
                // Alive when it was listed, and dead by now: perhaps with a successor.
                Some(process) if process.ended && !proc::has_ended(stat) => {
                    fleeting.extend(tags.get(&stat.pid));
                    processes.push(process);
                }
                Some(process) => processes.push(process),
                None => fleeting.extend(tags.get(&stat.pid)),
            }
        }
        forget_parents_that_ended(&mut processes);
        Ok(Self { boot_id: identity::boot_id()?, processes, leaves, fleeting })
    }
}

/// Every process as it was seen first.
#[derive(Default)]
struct Listed {
    seen: Vec<Stat>,
    tags: HashMap<u32, Tag>,
    fleeting: HashSet<Tag>,
}

/// Whoever is new is looked at at once, or would be gone by then.
fn list() -> Listed {
    let mut listed = Listed::default();
    let _moment = each_process(|pid, first| listed.add(pid, !first));
    listed
}

impl Listed {
    /// One that was born after the first listing and is dead already may have a successor.
    fn add(&mut self, pid: u32, newborn: bool) {
        let Some(stat) = proc::stat(pid) else { return };
        let ended = proc::has_ended(&stat);
        if let Some(tag) = Some(pid).filter(|_| newborn || !ended).and_then(Tag::of) {
            if ended {
                self.fleeting.insert(tag);
            } else {
                self.tags.insert(pid, tag);
            }
        }
        self.seen.push(stat);
    }
}

/// Who is in which of the groups, with the groups in each other the innermost first.
fn members(groups: &[Option<Group>]) -> HashMap<u32, Vec<usize>> {
    let mut found: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, group) in groups.iter().enumerate() {
        for pid in group.iter().flat_map(Group::members) {
            found.entry(pid).or_default().push(at);
        }
    }
    let depth = |at: &usize| groups.get(*at).and_then(Option::as_ref).map_or(0, |it| it.directory().iter().count());
    found.values_mut().for_each(|leaves| leaves.sort_by_key(|at| std::cmp::Reverse(depth(at))));
    found
}

/// Those that `is_meant` picks, and all below them.
fn with_descendants<'a>(seen: impl Iterator<Item = &'a Stat>, is_meant: impl Fn(u32) -> bool) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut open = Vec::new();
    for stat in seen {
        children.entry(stat.ppid).or_default().push(stat.pid);
        open.extend(Some(stat.pid).filter(|pid| is_meant(*pid)));
    }
    let mut found: HashSet<u32> = open.iter().copied().collect();
    while let Some(pid) = open.pop() {
        let below = children.get(&pid).into_iter().flatten().copied().filter(|pid| found.insert(*pid));
        open.extend(below);
    }
    found
}

fn from_afar(stat: &Stat) -> Process {
    Process {
        identity: Identity { pid: stat.pid, start_ticks: stat.start_ticks, inode: 0 },
        ppid: stat.ppid,
        uid: 0,
        tag: None,
        leaves: Vec::new(),
        ended: proc::has_ended(stat),
        may_signal: false,
        command: String::new(),
    }
}

/// `None` if it is gone.
fn look_closely(pid: u32, leaves: &[usize], groups: &[Option<Group>]) -> Option<Process> {
    let fd = pidfd::open(pid).ok()?;
    let stat = proc::stat(pid)?;
    let is_in = |at: &usize| groups.get(*at).and_then(Option::as_ref).is_some_and(|group| group.contains(pid, &fd));
    let process = Process {
        ppid: stat.ppid,
        uid: proc::user_ids(pid).map_or(u32::MAX, |ids| ids[1]),
        tag: Tag::of(pid),
        leaves: leaves.iter().copied().filter(is_in).collect(),
        ended: proc::has_ended(&stat),
        may_signal: pidfd::send_signal(&fd, 0).is_ok(),
        command: proc::command(pid, COMMAND).unwrap_or_else(|| format!("[{}]", stat.comm)),
        // Last: it fails if the number was another's before all of this was read.
        identity: Identity::read(pid, &fd).ok()?,
    };
    (process.identity.start_ticks == stat.start_ticks).then_some(process)
}

/// A parent is believed if it is still there after its child was read: one that ends hands its children over first,
/// and its number may be a stranger's when the stranger's children are read.
fn forget_parents_that_ended(processes: &mut [Process]) {
    let close: HashMap<u32, Identity> =
        processes.iter().filter(|one| !one.command.is_empty()).map(|one| (one.identity.pid, one.identity)).collect();
    let mut still_there: HashMap<u32, bool> = HashMap::new();
    for process in processes {
        let Some(parent) = close.get(&process.ppid) else { continue };
        if !*still_there.entry(parent.pid).or_insert_with(|| parent.open().is_ok()) {
            process.ppid = 0;
        }
    }
}

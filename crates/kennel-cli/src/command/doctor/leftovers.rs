//! What earlier kennels left: processes in cgroups without a keeper, tagged processes, instances that were lost.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use kennel_client::{Daemon, Home};
use kennel_keeper::orphans::{Leaf, Root, roots};
use kennel_sys::proc;
use kennel_sys::tag::{self, Instance, Tag};
use kennel_wire::{Advice, Finding, Leftover, LeftoverKind};

use super::sibling;

/// Most processes that are told of one leftover.
const PROCESSES: usize = 100;

/// An instance of this user, as its state directory tells.
struct Known {
    home: Home,
    tag: Option<Instance>,
    /// Its keeper or daemon lives.
    lives: bool,
    /// Its keeper was lost without an end of its own.
    lost: bool,
}

/// Everything that was left, worst first.
pub(super) fn find(home: &Home) -> Vec<Leftover> {
    let known = known(home);
    let mut found = scopes(&known);
    let told: HashSet<u32> = found.iter().flat_map(|one| one.processes.iter().copied()).collect();
    found.extend(tagged(&known, &told));
    let named: HashSet<Option<String>> = found.iter().map(|one| one.instance.clone()).collect();
    let lost = known.iter().filter(|one| one.lost && !named.contains(&Some(one.home.name.clone())));
    found.extend(lost.map(|one| Leftover {
        kind: LeftoverKind::Instance,
        instance: Some(one.home.name.clone()),
        here: true,
        path: Some(one.home.state_dir.clone()),
        processes: Vec::new(),
        command: down(&one.home.name),
    }));
    found
}

/// What to say of one that has living processes.
pub(super) fn finding(one: &Leftover) -> Finding {
    let count = crate::render::units::processes(one.processes.len());
    let of =
        one.instance.as_ref().map_or_else(|| "a lost kennel".to_owned(), |name| format!("the lost kennel `{name}`"));
    let text =
        if one.command.ends_with(" sweep") { "shows them; what is kept can be adopted or ended" } else { "ends them" };
    let advice = Advice { text: text.to_owned(), command: Some(one.command.clone()) };
    super::finding("leftovers", format!("{count} of {of} still run"), Some(advice))
}

/// The next command for an instance starts a keeper, which ends what is left before anything else.
fn down(instance: &str) -> String {
    format!("kennel --instance {instance} down")
}

fn known(home: &Home) -> Vec<Known> {
    let entries = home.state_dir.parent().and_then(|parent| fs::read_dir(parent).ok()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut known: Vec<Known> = names
        .map(|name| sibling(home, &name))
        .filter_map(|home| {
            let length = fs::metadata(home.lock_file()).ok()?.len();
            let lost = Daemon::may_have_left_something(&home).ok()?;
            let tag = Instance::at(&home.lock_file()).ok();
            Some(Known { lives: length > 0 && !lost, lost, tag, home })
        })
        .collect();
    known.sort_by(|a, b| a.home.name.cmp(&b.home.name));
    known
}

/// Groups of scopes whose kennel has neither keeper nor daemon any more.
fn scopes(known: &[Known]) -> Vec<Leftover> {
    roots().iter().filter(|root| !root.is_held).filter_map(|root| abandoned(root, known)).collect()
}

fn abandoned(root: &Root, known: &[Known]) -> Option<Leftover> {
    // Root ends anybody's.
    let is_ours = rustix::process::geteuid().is_root() || root.is_ours;
    let (kept, ended): (Vec<Leaf>, Vec<Leaf>) = root.leaves().partition(|leaf| leaf.kept);
    let members = |leaves: &[Leaf]| -> Vec<u32> {
        leaves.iter().flat_map(|leaf| proc::cgroup_members(&leaf.directory)).collect()
    };
    let (kept, ended) = (members(&kept), members(&ended));
    // A keeper may hold what the one before it kept in a root of its own.
    let lives = known.iter().any(|one| one.lives && one.home.name == root.instance);
    if !is_ours || lives || kept.is_empty() && ended.is_empty() {
        return None;
    }
    let name = &root.instance;
    let is_known = known.iter().any(|one| one.lost && one.home.name == *name);
    let by_hand = || format!("echo 1 | tee {}/*/*/cgroup.kill", root.directory.display());
    Some(Leftover {
        kind: LeftoverKind::Scope,
        here: is_known,
        command: match (is_known, kept.is_empty()) {
            (true, true) => down(name),
            // There is a choice to make.
            (true, false) => format!("kennel --instance {name} sweep"),
            (false, _) => by_hand(),
        },
        instance: Some(name.clone()),
        path: Some(root.directory.clone()),
        processes: kept.into_iter().chain(ended).take(PROCESSES).collect(),
    })
}

/// Processes that carry a tag of kennel's and have no keeper any more.
fn tagged(known: &[Known], told: &HashSet<u32>) -> Vec<Leftover> {
    let lives = |instance: Instance| known.iter().any(|one| one.lives && one.tag == Some(instance));
    let mut by_instance: BTreeMap<Option<String>, Vec<u32>> = BTreeMap::new();
    for pid in tag::carriers(|tag| !lives(tag.instance())).0 {
        let Some(stat) = proc::stat(pid).filter(|stat| !proc::has_ended(stat)) else { continue };
        let Some(tag) = Tag::of(pid) else { continue };
        let of = known.iter().find(|one| one.tag == Some(tag.instance())).map(|one| one.home.name.clone());
        // One of another user, or of another state directory: kept as long as a kennel is above it or keeps its group.
        let is_kept = of.is_none() && (kennel_keeper::whose(pid).is_some() || !is_ours(stat.pid));
        if !told.contains(&pid) && !is_kept {
            by_instance.entry(of).or_default().push(pid);
        }
    }
    let leftover = |(instance, processes): (Option<String>, Vec<u32>)| {
        let listed = processes.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        Leftover {
            kind: LeftoverKind::Tagged,
            command: instance.as_deref().map_or_else(|| format!("kill -9 {listed}"), down),
            here: instance.is_some(),
            instance,
            path: None,
            processes: processes.into_iter().take(PROCESSES).collect(),
        }
    };
    by_instance.into_iter().map(leftover).collect()
}

fn is_ours(pid: u32) -> bool {
    let uid = rustix::process::geteuid();
    uid.is_root() || proc::owner(pid) == Some(uid.as_raw())
}

//! What earlier kennels left: processes in cgroups without a keeper, tagged processes, instances that were lost.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use kennel_client::{Daemon, Home};
use kennel_sys::cgroup::Hierarchy;
use kennel_sys::proc;
use kennel_sys::tag::{self, Instance, Tag};
use kennel_wire::{Advice, Finding, Leftover, LeftoverKind};

use super::sibling;

/// Most cgroups that are looked at: a machine has hundreds.
const GROUPS: usize = 20_000;
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
    let advice = Advice { text: "ends them".to_owned(), command: Some(one.command.clone()) };
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
    let mut budget = GROUPS;
    let mut roots = Vec::new();
    for hierarchy in Hierarchy::mounted().unwrap_or_default() {
        kennels(&hierarchy.mount, &mut budget, &mut roots);
    }
    roots.sort();
    roots.dedup();
    roots.iter().filter_map(|root| abandoned(root, known)).collect()
}

/// Directories `…/kennel/<instance>` below `group`, those inside of scopes included.
fn kennels(group: &Path, budget: &mut usize, found: &mut Vec<PathBuf>) {
    let is_ours = |name: &str| name == "kennel" || name.starts_with("kennel~");
    let inside_kennel = group.file_name().and_then(|name| name.to_str()).is_some_and(is_ours);
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if *budget == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        *budget -= 1;
        let path = entry.path();
        if inside_kennel && path.join("svc").is_dir() {
            found.push(path.clone());
        }
        kennels(&path, budget, found);
    }
}

fn abandoned(root: &Path, known: &[Known]) -> Option<Leftover> {
    use std::os::unix::fs::MetadataExt;
    let entries = || fs::read_dir(root).into_iter().flatten().flatten();
    let is_own = |name: &str| name == "self" || name.starts_with("self~");
    let own = entries().filter(|entry| entry.file_name().to_str().is_some_and(is_own));
    let is_kept = own.map(|entry| entry.path()).any(|dir| !proc::cgroup_members(&dir).is_empty());
    let uid = rustix::process::geteuid();
    let is_ours = uid.is_root() || fs::metadata(root).is_ok_and(|meta| meta.uid() == uid.as_raw());
    let processes = proc::cgroup_members(&root.join("svc"));
    if is_kept || !is_ours || processes.is_empty() {
        return None;
    }
    let name = root.file_name()?.to_str()?;
    // Where the name was taken, a number stands behind it.
    let name = name.split('~').next().unwrap_or(name).to_owned();
    let is_known = known.iter().any(|one| one.lost && one.home.name == name);
    let by_hand = || format!("echo 1 | tee {}/svc/*/cgroup.kill", root.display());
    Some(Leftover {
        kind: LeftoverKind::Scope,
        here: is_known,
        command: if is_known { down(&name) } else { by_hand() },
        instance: Some(name),
        path: Some(root.to_owned()),
        processes: processes.into_iter().take(PROCESSES).collect(),
    })
}

/// Processes that carry a tag of kennel's and have no keeper any more.
fn tagged(known: &[Known], told: &HashSet<u32>) -> Vec<Leftover> {
    let lives = |instance: Instance| known.iter().any(|one| one.lives && one.tag == Some(instance));
    let mut by_instance: BTreeMap<Option<String>, Vec<u32>> = BTreeMap::new();
    for pid in tag::carriers(|tag| !lives(tag.instance())) {
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

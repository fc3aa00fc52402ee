//! The groups of every kennel that this machine shows, wherever somebody has let one run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kennel_sys::cgroup::{self, Hierarchy};

use super::Leaf;
use crate::place::layout;

/// Most groups that are looked at: a machine has hundreds.
const MOST: usize = 20_000;
/// The group of one keeper, there or gone: `…/kennel/<instance>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its directory.
    pub directory: PathBuf,
    /// Name of the instance, without the number that a second keeper of that name adds.
    pub instance: String,
    /// A keeper or daemon is in it.
    pub is_held: bool,
    /// It belongs to the user of this process.
    pub is_ours: bool,
}

/// Every root, by directory: at any depth, for a kennel may run where a manager has put it or in a service of another.
#[must_use]
pub fn roots() -> Vec<Root> {
    let mut found = BTreeSet::new();
    let mut budget = MOST;
    for hierarchy in Hierarchy::mounted().unwrap_or_default() {
        collect(&hierarchy.mount, &mut budget, &mut found);
    }
    found.into_iter().filter_map(Root::at).collect()
}

/// Whether a group is a leaf of nobody in particular directly in this root, and if so, whether it outlives the keeper.
#[must_use]
pub fn keeps_leaf(root: &Path, group: &Path) -> Option<bool> {
    [true, false].into_iter().find(|kept| group.parent() == Some(&root.join(layout::parent(&[], *kept))))
}

impl Root {
    fn at(directory: PathBuf) -> Option<Self> {
        let name = directory.file_name()?.to_str()?;
        let uid = rustix::process::geteuid().as_raw();
        Some(Self {
            instance: name.split('~').next().unwrap_or(name).to_owned(),
            is_held: own(&directory).any(|dir| !cgroup::members(&dir).is_empty()),
            is_ours: fs::metadata(&directory).is_ok_and(|meta| meta.uid() == uid),
            directory,
        })
    }

    /// The groups of its scopes.
    pub fn leaves(&self) -> impl Iterator<Item = Leaf> {
        layout::parents(&self.directory).into_iter().flat_map(move |(parent, kept)| {
            below(&parent).map(move |(name, directory)| Leaf {
                instance: self.instance.clone(),
                root: self.directory.clone(),
                name,
                directory,
                kept,
                is_held: self.is_held,
                is_ours: self.is_ours,
            })
        })
    }
}

/// Removes whatever nobody is in of these roots; answers with the directories that are gone: a root itself, or the
/// leaves of one that is still needed. One that a keeper takes at this moment is left to it.
#[must_use]
pub fn clear(roots: &[Root]) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for root in roots.iter().filter(|root| !root.is_held && root.is_ours) {
        if let Ok(Some(lock)) = cgroup::lock(&root.directory) {
            removed.extend(clear_one(root, &lock));
        }
    }
    removed
}

fn clear_one(root: &Root, _held: &File) -> Vec<PathBuf> {
    let gone = |directory: &Path| cgroup::remove_tree(directory).is_ok() && !directory.exists();
    let mut removed: Vec<PathBuf> =
        root.leaves().map(|leaf| leaf.directory).filter(|directory| gone(directory)).collect();
    let scopes = layout::parents(&root.directory).into_iter().map(|(parent, _)| parent);
    for directory in own(&root.directory).chain(scopes).chain([root.directory.join(layout::STACK)]) {
        let _in_use = cgroup::remove_tree(&directory);
    }
    // Not with everything below it: somebody else may have made something there that is not ours to remove.
    if fs::remove_dir(&root.directory).is_ok() {
        removed = vec![root.directory.clone()];
        if let Some(parent) = root.directory.parent() {
            // Shared with other kennels: the last one succeeds.
            let _used: io::Result<()> = fs::remove_dir(parent);
        }
    }
    removed
}

fn collect(group: &Path, budget: &mut usize, found: &mut BTreeSet<PathBuf>) {
    let is_parent = group.file_name().and_then(|name| name.to_str()).is_some_and(crate::place::is_parent);
    for (_, path) in below(group) {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        if is_parent && layout::has_scopes(&path) {
            found.insert(path.clone());
        }
        collect(&path, budget, found);
    }
}

/// Where keeper and daemon of a root are.
fn own(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    below(root).filter(|(name, _)| name == "self" || name.starts_with("self~")).map(|(_, path)| path)
}

/// The groups of a group; a name that is not UTF-8 is none of ours.
fn below(group: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

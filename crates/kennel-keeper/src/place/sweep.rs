//! What an earlier keeper left: found by the names of the groups and emptied before anything starts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_sys::cgroup::{self, Group, Killer, bounds};

use super::{Node, PARENTS, Place, layout};
use crate::start::note;

/// Most groups of version 1 that are looked at.
const MOST: usize = 20_000;
/// How long the start waits for what an earlier keeper left.
const SWEEP: Duration = Duration::from_secs(5);

impl Place {
    /// Empties what an earlier keeper left; answers with what would not go, and with what it was to keep.
    pub(crate) fn sweep(&mut self) -> (Vec<Group>, Vec<Group>) {
        let name = |root: &Path| unnumbered(root.file_name().unwrap_or_default()).to_owned();
        // With a number or below another parent.
        let others = self.abandoned(|root| name(root) == name(self.root()));
        let (mut left, mut kept) = (leaves(&self.root, false), leaves(&self.root, true));
        for (root, _lock) in &others {
            left.extend(leaves(root, false));
            kept.extend(leaves(root, true));
        }
        // All at once first, so that they die side by side.
        for group in &left {
            let _later = group.kill();
        }
        if !left.is_empty() {
            note!("emptying {} scopes below {}, left by an earlier keeper", left.len(), self.root().display());
        }
        left.retain(|group| !Killer::run(group, SWEEP));
        // An empty one is nobody's to adopt any more.
        kept.retain(|group| group.populated().unwrap_or(true) || group.remove().is_err());
        for (root, lock) in others {
            // What is still in use stays, for the sweep of the next keeper; what is kept there is held.
            let _used = cgroup::remove_tree(&root.directory);
            if kept.iter().any(|group| group.directory().starts_with(&root.directory)) {
                self.others.push((root, lock));
            }
        }
        self.remove_empty();
        (left, kept)
    }

    /// Removes what a lost keeper of this name has left in hierarchies of version 1, wherever it was: another shell or service
    /// that starts the next one is in other groups there. Found by the name, for only what somebody is in stays.
    pub(crate) fn remove_lost_1(&self) {
        let Some(name) = self.root().file_name().filter(|_| self.follows_a_loss) else { return };
        let mut open = bounds::mounts_1().unwrap_or_default();
        let mut budget = MOST;
        while let Some(group) = open.pop().filter(|_| budget > 0) {
            budget -= 1;
            let is_parent = group.file_name().is_some_and(|name| PARENTS.iter().any(|parent| name == *parent));
            if is_parent {
                let _used = cgroup::remove_tree(&group.join(name));
                // Shared with others: the last one succeeds.
                let _used = fs::remove_dir(&group);
            }
            let below = fs::read_dir(&group).into_iter().flatten().flatten();
            open.extend(below.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()));
        }
    }

    /// Removes what lost kennels of any name have left and nobody is in: a kennel that ran in a service and was ended
    /// with it may never be started again. What somebody is in stays for the kennel of that name to tell and to end.
    fn remove_empty(&self) {
        let populated = |root: &Path| {
            let Node { directory, path } = self.beside(root.to_owned());
            Group::open(directory, path).and_then(|it| it.populated())
        };
        // Only who was lost has scopes and nobody in or beside them; who is just starting makes them under its lock.
        let is_lost = |root: &Path| layout::has_scopes(root) && matches!(populated(root), Ok(false));
        for (root, _lock) in self.abandoned(is_lost) {
            // Once more under the lock, for a kennel of that name may have come in between.
            if is_lost(&root.directory) {
                let _not_ours = cgroup::remove_tree(&root.directory);
            }
        }
    }

    /// Those roots beside this one, below any parent, that no keeper has any more.
    fn abandoned(&self, is_meant: impl Fn(&Path) -> bool) -> Vec<(Node, File)> {
        let base = self.base();
        let parents = PARENTS.iter().flat_map(|parent| fs::read_dir(base.join(parent)).into_iter().flatten().flatten());
        parents
            .map(|entry| entry.path())
            .filter(|root| *root != self.root() && is_meant(root))
            .filter_map(|root| {
                let lock = cgroup::lock(&root).ok()??;
                Some((self.beside(root), lock))
            })
            .collect()
    }

    /// Another root below the same base.
    fn beside(&self, root: PathBuf) -> Node {
        let path = self.root.path.ancestors().nth(2).unwrap_or(&self.root.path);
        Node { path: path.join(root.strip_prefix(self.base()).unwrap_or(&root)), directory: root }
    }
}

/// Those below a root that are kept, or those that are not.
fn leaves(root: &Node, kept: bool) -> Vec<Group> {
    let parents = layout::parents(&root.directory).into_iter().filter(|(_, is_kept)| *is_kept == kept);
    let parents = parents.filter_map(|(parent, _)| Some(root.child(parent.strip_prefix(&root.directory).ok()?)));
    parents
        .flat_map(|parent| {
            let entries = fs::read_dir(&parent.directory).into_iter().flatten().flatten();
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .filter_map(|entry| Group::open(entry.path(), parent.path.join(entry.file_name())).ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The name without the number that a second keeper of that name adds.
fn unnumbered(name: &OsStr) -> &OsStr {
    let bytes = name.as_bytes();
    let number = bytes.iter().rposition(|byte| *byte == b'~');
    OsStr::from_bytes(number.and_then(|at| bytes.get(..at)).unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_not_part_of_the_name() {
        assert_eq!(unnumbered(OsStr::new("web-1a2b~12")), "web-1a2b");
        assert_eq!(unnumbered(OsStr::new("web-1a2b")), "web-1a2b");
    }
}

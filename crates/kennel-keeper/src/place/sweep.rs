//! What an earlier keeper left: found by the names of the groups and emptied before anything starts.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_sys::cgroup::{self, Group, Killer};

use super::{PARENTS, Parent, Place};
use crate::start::note;

/// How long the start waits for what an earlier keeper left.
const SWEEP: Duration = Duration::from_secs(5);

impl Place {
    /// Empties what an earlier keeper left; answers with what would not go, and with what it was to keep.
    pub(crate) fn sweep(&mut self) -> (Vec<Group>, Vec<Group>) {
        let name = |root: &Path| unnumbered(root.file_name().unwrap_or_default()).to_owned();
        // With a number or below another parent.
        let others = self.abandoned(|root| name(root) == name(&self.root));
        let mut left = leaves(&self.scopes);
        let mut kept = leaves(&self.kept);
        for (root, _lock) in &others {
            let there = Parent { directory: root.clone(), path: self.beside(root) };
            left.extend(leaves(&there.child("svc")));
            kept.extend(leaves(&there.child("keep")));
        }
        // All at once first, so that they die side by side.
        for group in &left {
            let _later = group.kill();
        }
        if !left.is_empty() {
            note!("emptying {} scopes below {}, left by an earlier keeper", left.len(), self.root.display());
        }
        left.retain(|group| !Killer::run(group, SWEEP));
        // An empty one is nobody's to adopt any more.
        kept.retain(|group| group.populated().unwrap_or(true) || group.remove().is_err());
        for (root, lock) in others {
            // What is still in use stays, for the sweep of the next keeper; what is kept there is held.
            let _used = cgroup::remove_tree(&root);
            let parent = Parent { directory: root.join("keep"), path: self.beside(&root).join("keep") };
            if kept.iter().any(|group| group.directory().starts_with(&parent.directory)) {
                self.others.push((parent, lock));
            }
        }
        self.remove_empty();
        (left, kept)
    }

    /// Removes what lost kennels of any name have left and nobody is in: a kennel that ran in a service and was ended
    /// with it may never be started again. What somebody is in stays for the kennel of that name to tell and to end.
    fn remove_empty(&self) {
        let populated = |root: &Path| Group::open(root.to_owned(), self.beside(root)).and_then(|it| it.populated());
        // Only who was lost has scopes and nobody in or beside them; who is just starting makes them under its lock.
        let is_lost = |root: &Path| root.join("svc").is_dir() && matches!(populated(root), Ok(false));
        for (root, _lock) in self.abandoned(is_lost) {
            // Once more under the lock, for a kennel of that name may have come in between.
            if is_lost(&root) {
                let _not_ours = cgroup::remove_tree(&root);
            }
        }
    }

    /// Those roots beside this one, below any parent, that no keeper has any more.
    fn abandoned(&self, is_meant: impl Fn(&Path) -> bool) -> Vec<(PathBuf, File)> {
        let Some(base) = self.root.ancestors().nth(2) else { return Vec::new() };
        let parents = PARENTS.iter().flat_map(|parent| fs::read_dir(base.join(parent)).into_iter().flatten().flatten());
        parents
            .map(|entry| entry.path())
            .filter(|root| *root != self.root && is_meant(root))
            .filter_map(|root| Some((root.clone(), cgroup::lock(&root).ok()??)))
            .collect()
    }

    /// How `/proc/PID/cgroup` shows another root below the same base.
    fn beside(&self, root: &Path) -> PathBuf {
        let path = self.scopes.path.ancestors().nth(3).unwrap_or(&self.scopes.path);
        let base = self.root.ancestors().nth(2).unwrap_or(&self.root);
        path.join(root.strip_prefix(base).unwrap_or(root))
    }
}

fn leaves(parent: &Parent) -> Vec<Group> {
    let entries = fs::read_dir(&parent.directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Group::open(entry.path(), parent.path.join(entry.file_name())).ok())
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

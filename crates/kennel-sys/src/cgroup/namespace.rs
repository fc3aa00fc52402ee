//! A tree that was mounted outside of this process's cgroup namespace.
//!
//! The names inside begin at the namespace's root, and the mount is shown as so many levels above it: `/../..`. Which
//! directory there is that root is not told, so it is looked for: it is the one that this process is in.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Hierarchy;

/// Most directories that are looked at.
const MOST: usize = 10_000;

/// The hierarchy as if it were mounted at the namespace's root; unchanged where it is, or where the root is not found.
pub(super) fn from_inside(hierarchy: Hierarchy, own: Option<&Path>) -> Hierarchy {
    let Some(levels) = levels_above(&hierarchy.root) else { return hierarchy };
    let inside = own.and_then(|own| own.strip_prefix("/").ok()).filter(|own| !climbs(own));
    let found = inside.and_then(|inside| find(&hierarchy.mount, levels, inside));
    found.map_or(hierarchy, |mount| Hierarchy { mount, root: PathBuf::from("/") })
}

/// How many levels above the namespace's root the mount is; `None` if it is not straight above.
fn levels_above(root: &Path) -> Option<usize> {
    let mut levels = 0;
    for part in root.components().skip(1) {
        if part != Component::ParentDir {
            return None;
        }
        levels += 1;
    }
    (levels > 0).then_some(levels)
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

fn find(mount: &Path, levels: usize, inside: &Path) -> Option<PathBuf> {
    let own_pid = std::process::id().to_string();
    let mut looked_at = 0;
    let mut level = vec![mount.to_owned()];
    for _ in 0..levels {
        level = level.iter().flat_map(|dir| below(dir)).take(MOST).collect();
        looked_at += level.len();
        if looked_at > MOST {
            return None;
        }
    }
    level.into_iter().find(|dir| {
        let members = fs::read_to_string(dir.join(inside).join("cgroup.procs")).unwrap_or_default();
        members.lines().any(|line| line == own_pid)
    })
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_straight_above_counts() {
        assert_eq!(levels_above(Path::new("/")), None);
        assert_eq!(levels_above(Path::new("/..")), Some(1));
        assert_eq!(levels_above(Path::new("/../..")), Some(2));
        assert_eq!(levels_above(Path::new("/../beside")), None);
        assert_eq!(levels_above(Path::new("/a")), None);
    }
}

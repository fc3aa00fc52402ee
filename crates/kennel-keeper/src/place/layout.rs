//! How the groups of one kennel stand below its root: `stack/svc/<leaf>` and `stack/keep/<leaf>`, and of what runs for an owner
//! `stack/own/<owner>/svc/<leaf>`, with the owners below that one at `stack/own/<owner>/own/<other>/…`. So whatever all scopes,
//! or those of one owner, may use together is bounded at one group.
//!
//! Keepers before had `svc` and `keep` in the root itself; what they left is found there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// All scopes.
pub(crate) const STACK: &str = "stack";
/// Owners.
const OWN: &str = "own";
/// Scopes that end with the keeper, and those that outlive it.
const SCOPES: &str = "svc";
const KEPT: &str = "keep";

/// What all scopes of an owner are in, below the root; `owners`: those above it and itself, the outermost first, of which none is
/// everybody.
pub(crate) fn pool(owners: &[String]) -> PathBuf {
    owners.iter().fold(PathBuf::from(STACK), |above, owner| above.join(OWN).join(owner))
}

/// What the leaves of these owners are in, below the root.
pub(crate) fn parent(owners: &[String], kept: bool) -> PathBuf {
    pool(owners).join(if kept { KEPT } else { SCOPES })
}

/// The leaf that a path below a root is, or is below; one that was removed, by the kernel's remark, as if it were there.
pub(crate) fn leaf_in(inside: &Path) -> Option<PathBuf> {
    let mut parts = inside.iter();
    let mut leaf = PathBuf::new();
    let mut next = parts.next()?;
    if next == STACK {
        leaf.push(next);
        next = parts.next()?;
    }
    while next == OWN {
        leaf.push(next);
        leaf.push(parts.next()?);
        next = parts.next()?;
    }
    if next != SCOPES && next != KEPT {
        return None;
    }
    leaf.push(next);
    let name = parts.next()?.as_bytes();
    // No name of ours has a blank.
    leaf.push(OsStr::from_bytes(name.strip_suffix(b" (deleted)").unwrap_or(name)));
    Some(leaf)
}

/// For whom what is at a path below a root runs, the outermost first.
pub(crate) fn owners_of(inside: &Path) -> Vec<String> {
    let mut parts = inside.iter().skip_while(|part| *part == STACK);
    let mut owners = Vec::new();
    while let (Some(own), Some(owner)) = (parts.next(), parts.next()) {
        if own != OWN {
            break;
        }
        owners.extend(owner.to_str().map(ToOwned::to_owned));
    }
    owners
}

/// Directories that leaves are in below a root, and whether those are kept.
pub(crate) fn parents(root: &Path) -> Vec<(PathBuf, bool)> {
    let kinds = |pool: PathBuf| [(pool.join(SCOPES), false), (pool.join(KEPT), true)];
    pools(root).into_iter().flat_map(kinds).filter(|(directory, _)| directory.is_dir()).collect()
}

/// Everything that has such directories, each before those below it.
fn pools(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned(), root.join(STACK)];
    let mut next = 0;
    while let Some(pool) = found.get(next) {
        let owners = fs::read_dir(pool.join(OWN)).into_iter().flatten().flatten();
        let owners = owners.filter(|owner| owner.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(owners.map(|owner| owner.path()).collect::<Vec<_>>());
        next += 1;
    }
    found
}

/// Removes what was made for scopes below a root and nothing is in.
pub(crate) fn remove_empty(root: &Path) {
    for pool in pools(root).into_iter().rev() {
        let parts = [pool.join(SCOPES), pool.join(KEPT), pool.join(OWN)];
        let _in_use = parts.map(fs::remove_dir);
        if pool != root {
            let _in_use = fs::remove_dir(pool);
        }
    }
}

/// What scopes are in directly below a root.
pub(crate) fn tops(root: &Path) -> Vec<PathBuf> {
    [STACK, SCOPES, KEPT].iter().map(|name| root.join(name)).filter(|top| top.is_dir()).collect()
}

/// Whether scopes have been made below a root.
pub(crate) fn has_scopes(root: &Path) -> bool {
    !tops(root).is_empty()
}

/// Whether what stands directly below a root is of scopes.
pub(crate) fn is_of_scopes(name: &str) -> bool {
    [STACK, SCOPES, KEPT].contains(&name)
}

/// Removes the groups of an owner and of those above it as far as nothing is in them. `root`: in whatever hierarchy.
pub(crate) fn remove_pool(root: &Path, owners: &[String]) {
    for depth in (1..=owners.len()).rev() {
        let pool = root.join(pool(owners.get(..depth).unwrap_or_default()));
        let parts = [pool.join(SCOPES), pool.join(KEPT), pool.join(OWN), pool];
        // Somebody may be in any of them, or it was never made.
        let [_, _, _, removed] = parts.map(|part| fs::remove_dir(part).is_ok());
        if !removed {
            return;
        }
    }
    let _used = fs::remove_dir(root.join(STACK).join(OWN));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_found_however_deep_its_owner_is() {
        let leaf = |path: &str| leaf_in(Path::new(path)).map(|leaf| leaf.display().to_string());
        assert_eq!(leaf("stack/svc/web.1/sub/deeper").as_deref(), Some("stack/svc/web.1"));
        assert_eq!(leaf("stack/own/svc/own/b/keep/run.7 (deleted)").as_deref(), Some("stack/own/svc/own/b/keep/run.7"));
        assert_eq!(leaf("keep/old.3").as_deref(), Some("keep/old.3"));
        for none in ["", "self", "stack", "stack/svc", "stack/own/a", "stack/other/svc/x", "stack/own/a/own"] {
            assert_eq!(leaf(none), None, "{none}");
        }
    }

    #[test]
    fn owners_are_told_from_where_it_is() {
        let owners = ["own".to_owned(), "b".to_owned()];
        assert_eq!(owners_of(&parent(&owners, true).join("run.1")), owners);
        assert_eq!(owners_of(&pool(&owners)), owners);
        assert_eq!(owners_of(&parent(&[], false).join("own")), Vec::<String>::new());
    }

    #[test]
    fn what_is_made_is_found_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let owners = ["a".to_owned(), "b".to_owned()];
        let made = [parent(&[], true), parent(&owners, false), parent(&owners[..1], true)];
        made.iter().for_each(|one| fs::create_dir_all(dir.path().join(one)).unwrap());
        let mut found = parents(dir.path());
        found.sort();
        let mut expected: Vec<_> = made.iter().map(|one| (dir.path().join(one), one.ends_with(KEPT))).collect();
        expected.sort();
        assert_eq!(found, expected);
        fs::create_dir(dir.path().join(parent(&owners[..1], true)).join("leaf")).unwrap();
        remove_pool(dir.path(), &owners);
        assert!(!dir.path().join(pool(&owners)).exists() && dir.path().join(pool(&owners[..1])).exists());
        remove_empty(dir.path());
        assert!(dir.path().join(parent(&owners[..1], true)).join("leaf").exists() && has_scopes(dir.path()));
        fs::remove_dir(dir.path().join(parent(&owners[..1], true)).join("leaf")).unwrap();
        remove_empty(dir.path());
        assert!(!has_scopes(dir.path()) && dir.path().exists());
    }
}

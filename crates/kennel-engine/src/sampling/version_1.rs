//! Where the groups of version 1 of a scope are.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kennel_sys::cgroup::bounds::{self, Controller};

/// Those of this daemon, which are those of its keeper.
static OWN: LazyLock<Vec<(Controller, PathBuf)>> = LazyLock::new(|| bounds::own_1().unwrap_or_default());

/// Of the scope in this group, below this root of its keeper, whether they are there or not.
pub(crate) fn groups(root: &Path, leaf: &Path) -> Vec<(Controller, PathBuf)> {
    let base = root.ancestors().nth(2).unwrap_or(root);
    let Ok(inside) = leaf.strip_prefix(base) else { return Vec::new() };
    OWN.iter().map(|(controller, own)| (*controller, own.join(inside))).collect()
}

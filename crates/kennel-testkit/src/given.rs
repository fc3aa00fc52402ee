//! A cgroup that root gives to an ordinary user, as systemd does for `Delegate=yes`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the version 2 tree can be mounted: beside version 1, or alone.
pub(crate) const TREES: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) directory: PathBuf,
}

impl Given {
    /// Makes one at the top of the tree. The user gets the directory and the files that are needed to make groups
    /// and to move processes there; nothing else.
    ///
    /// # Panics
    /// If there is no version 2 tree, or root may not make a group.
    pub(crate) fn new(name: &str, uid: u32) -> Self {
        let tree = TREES.map(Path::new).into_iter().find(|tree| tree.join("cgroup.procs").exists());
        let directory = tree.expect("a cgroup v2 tree").join(format!("{name}-given"));
        std::fs::create_dir(&directory).expect("a group");
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            std::os::unix::fs::chown(directory.join(file), Some(uid), Some(uid)).expect("chown");
        }
        Self { directory }
    }

    /// A command that enters the group as root, becomes the user and then `program`, all as one process.
    pub(crate) fn command(&self, uid: u32, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 0 >\"$1/cgroup.procs\" && shift && exec \"$@\"", "sh"]).arg(&self.directory);
        command.args(["setpriv", "--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups", "--"]);
        command.arg(program);
        command
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // What is still in use is reported as left by whoever looks for it.
        let _used = std::fs::remove_dir(&self.directory);
    }
}

//! A cgroup that root gives to an ordinary user, as systemd does for `Delegate=yes`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the version 2 tree can be mounted: beside version 1, or alone.
pub(crate) const TREES: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct Given {
    directory: PathBuf,
    /// Where commands are started.
    entered: PathBuf,
    /// Groups that were made here, the innermost first.
    made: Vec<PathBuf>,
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
        give(&directory, uid);
        Self { entered: directory.clone(), made: vec![directory.clone()], directory }
    }

    /// Splits it as a login is: `session` belongs to root and is where commands are started from now on, `scope`
    /// belongs to the user, who may move processes from the one to the other. Gives the scope's directory.
    ///
    /// # Panics
    /// If root may not make a group.
    pub(crate) fn split(&mut self, uid: u32) -> PathBuf {
        let [session, scope] = ["session", "scope"].map(|name| self.directory.join(name));
        for directory in [&session, &scope] {
            std::fs::create_dir(directory).expect("a group");
            self.made.insert(0, directory.clone());
        }
        give(&scope, uid);
        self.entered = session;
        scope
    }

    /// Whether a group is one that was made here, and not by kennel.
    pub(crate) fn made(&self, directory: &Path) -> bool {
        self.made.iter().any(|made| made == directory)
    }

    /// A command that enters the group as root, becomes the user and then `program`, all as one process.
    pub(crate) fn command(&self, uid: u32, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 0 >\"$1/cgroup.procs\" && shift && exec \"$@\"", "sh"]).arg(&self.entered);
        command.args(["setpriv", "--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups", "--"]);
        command.arg(program);
        command
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        // What is still in use is reported as left by whoever looks for it.
        for directory in &self.made {
            let _used = std::fs::remove_dir(directory);
        }
    }
}

fn give(directory: &Path, uid: u32) {
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        std::os::unix::fs::chown(directory.join(file), Some(uid), Some(uid)).expect("chown");
    }
}

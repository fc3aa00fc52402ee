//! Who and what is left of a scratch kennel, found without asking it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Scratch;
use crate::given::TREES;
use crate::processes::Seen;
use crate::survivors;
use crate::wait::{patience, pause, wait_for};

/// Longer than anything that is waited for takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

impl Scratch {
    /// Everything with the mark, after orphans that came to us were reaped; our own children are not counted.
    ///
    /// # Panics
    /// Never in a test that is in order.
    #[must_use]
    pub fn survivors(&self) -> Vec<Seen> {
        let own = self.own.lock().expect("not poisoned");
        survivors::reap_orphans(self.mark, &own);
        survivors::survivors(self.mark).into_iter().filter(|seen| !own.contains(&seen.pid)).collect()
    }

    /// The survivors that bad children with a cell left.
    #[must_use]
    pub fn in_cells(&self) -> Vec<Seen> {
        self.survivors().into_iter().filter(|seen| seen.cell.is_some()).collect()
    }

    /// The running daemon, found by its arguments.
    ///
    /// # Panics
    /// If there is none within a minute.
    #[must_use]
    pub fn daemon(&self) -> Seen {
        wait_for(DEADLINE, "a daemon", || self.running_daemon())
    }

    /// The running keeper, found by its arguments.
    ///
    /// # Panics
    /// If there is none within a minute.
    #[must_use]
    pub fn keeper(&self) -> Seen {
        wait_for(DEADLINE, "a keeper", || self.running_keeper())
    }

    /// The daemon, if one runs.
    #[must_use]
    pub fn running_daemon(&self) -> Option<Seen> {
        self.survivors().into_iter().find(|seen| seen.living && seen.verb() == "__daemon")
    }

    /// How many threads of this name the running daemon has.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn daemon_threads(&self, name: &str) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.daemon().pid)).into_iter().flatten().flatten();
        let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        names.filter(|comm| comm.trim() == name).count()
    }

    /// The keeper, if one runs: not the reapers of scopes, which are its children and carry its arguments.
    #[must_use]
    pub fn running_keeper(&self) -> Option<Seen> {
        let keepers: Vec<Seen> =
            self.survivors().into_iter().filter(|seen| seen.living && seen.verb() == "__keeper").collect();
        keepers.iter().find(|seen| !keepers.iter().any(|other| other.pid == seen.ppid)).cloned()
    }

    /// Waits until nothing with the mark is left, neither living nor zombie.
    ///
    /// # Panics
    /// With who is left when the deadline passes.
    pub fn expect_nothing(&self, deadline: Duration) {
        if let Err(left) = self.nothing_within(deadline) {
            panic!("left after {deadline:?}:\n{}", list(&left));
        }
    }

    /// Waits until nothing with the mark is left; else gives who is.
    ///
    /// # Errors
    /// The survivors when the deadline passes.
    pub fn nothing_within(&self, deadline: Duration) -> Result<(), Vec<Seen>> {
        let deadline = patience(deadline);
        let end = std::time::Instant::now() + deadline;
        loop {
            let left = self.survivors();
            if left.is_empty() {
                return Ok(());
            }
            if std::time::Instant::now() > end {
                return Err(left);
            }
            pause();
        }
    }

    /// Kills everything with the mark and gives what was killed: for tests that leave something on purpose.
    ///
    /// # Panics
    /// If something cannot be killed.
    pub fn kill_everything(&self) -> Vec<Seen> {
        survivors::kill_marked(self.mark, &self.own.lock().expect("not poisoned"))
    }

    /// Directories of this scratch's kennel in any cgroup tree, the innermost first. The project's directory and
    /// with it kennel's instance are named like nothing else on the machine.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for tree in TREES.map(Path::new).iter().filter(|tree| tree.join("cgroup.procs").exists()) {
            collect(tree, &self.name, &mut found);
        }
        found.retain(|dir| self.given.as_ref().is_none_or(|given| !given.made(dir)));
        found.reverse();
        found
    }
}

impl Scratch {
    /// The same in the hierarchies of version 1, where those with limits have some.
    fn cgroups_1(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let trees = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|tree| tree.path());
        // Beside version 2 there; a group of version 2 alone has no such file.
        for tree in trees.filter(|tree| tree.join("release_agent").exists()) {
            collect(&tree, &self.name, &mut found);
        }
        found.reverse();
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let own = self.own.lock().map(|own| own.clone()).unwrap_or_default();
        let killed = survivors::kill_marked(self.mark, &own);
        let (mut cgroups, cgroups_1) = (self.cgroups(), self.cgroups_1());
        for dir in cgroups.iter().chain(&cgroups_1) {
            let _ = std::fs::remove_dir(dir);
        }
        // Shared with other kennels of the same groups: the last one succeeds.
        for parent in cgroups_1.iter().filter_map(|dir| dir.parent()) {
            let _used = std::fs::remove_dir(parent);
        }
        cgroups.extend(cgroups_1);
        self.given = None;
        let logs = daemon_logs(&self.path("state"));
        if std::env::var_os("KENNEL_TEST_KEEP").is_some()
            && let Some(root) = self.root.take()
        {
            eprintln!("kept: {}", root.keep().display());
        }
        if std::thread::panicking() {
            // The first failure is the one that counts; what it left and what the daemon said help to read it.
            eprintln!("killed at the end:\n{}kennel's own log:\n{logs}", list(&killed));
            return;
        }
        assert!(killed.is_empty(), "left behind and killed by the test:\n{}{logs}", list(&killed));
        assert!(cgroups.is_empty(), "cgroups left behind and removed by the test: {cgroups:?}\n{logs}");
        if let Some(root) = self.root.take() {
            let path = root.path().to_owned();
            let closed = root.close();
            assert!(closed.is_ok() && !path.exists(), "{} cannot be removed: {closed:?}", path.display());
        }
    }
}

/// What daemon and keeper wrote to their own log, the last 4,000 characters of each.
fn daemon_logs(state: &Path) -> String {
    let instances = std::fs::read_dir(state.join("kennel")).into_iter().flatten().filter_map(Result::ok);
    instances
        .filter_map(|instance| std::fs::read_to_string(instance.path().join("kennel.log")).ok())
        .map(|log| log.chars().skip(log.chars().count().saturating_sub(4000)).collect::<String>())
        .collect()
}

/// All directories below `dir` whose own or whose ancestor's name contains `name`, outer ones first.
fn collect(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if path.to_string_lossy().contains(name) {
            found.push(path.clone());
        }
        collect(&path, name, found);
    }
}

/// Living and dead, one a line.
pub(crate) fn list(left: &[Seen]) -> String {
    left.iter().map(|seen| format!("  {seen}\n")).collect()
}

//! Holding one process up from outside, in a way that its parent does not see and a kill ends.

use std::path::PathBuf;

use kennel_sys::cgroup::{self, Group, Hierarchy};

use super::wait_until;

/// A process in a frozen cgroup of the test's own. What it starts later is in there, too.
pub struct Frozen {
    group: Group,
    home: PathBuf,
    pid: u32,
}

impl Frozen {
    /// Needs root and a cgroup v2 tree.
    pub fn new(pid: u32) -> Self {
        let hierarchies = Hierarchy::mounted().unwrap();
        let directory = |path: &PathBuf| hierarchies.iter().find_map(|it| it.directory(path)).unwrap();
        let name = format!("frozen-{}-{pid}", std::process::id());
        let beside = cgroup::of_self().unwrap();
        let group = Group::create(directory(&beside).join(&name), beside.join(&name)).unwrap();
        let home = directory(&cgroup::of_process(pid).unwrap());
        std::fs::write(group.directory().join("cgroup.procs"), pid.to_string()).unwrap();
        group.freeze(true).unwrap();
        let events = || std::fs::read_to_string(group.directory().join("cgroup.events")).unwrap();
        wait_until("it is not frozen", || events().contains("frozen 1"), events);
        Self { group, home, pid }
    }
}

/// Thaws it and puts it back; without effect if it has ended.
impl Drop for Frozen {
    fn drop(&mut self) {
        let _gone = std::fs::write(self.home.join("cgroup.procs"), self.pid.to_string());
        let _gone = self.group.freeze(false);
        let removed = || self.group.remove().is_ok();
        if !removed() && !std::thread::panicking() {
            wait_until("the group is not empty", removed, || format!("{:?}", self.group.members()));
        }
    }
}

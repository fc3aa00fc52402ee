//! Who and what is left of a keeper, found without asking it.

use std::path::PathBuf;
use std::time::Duration;

use kennel_keeper::proto::{Backend, Place, Request};
use kennel_sys::cgroup::{Group, Hierarchy, bounds, remove_tree};
use kennel_sys::{pidfd, wait};

use super::talk::wait_until;
use super::{Delegation, Rig, World};

impl Rig {
    /// Living processes and zombies that carry the mark, wherever they have gone.
    pub fn marked(&self) -> Vec<u32> {
        marked(self.mark)
    }

    /// Those that are neither keeper, daemon nor scope reaper.
    pub fn services(&self) -> Vec<u32> {
        let reapers: Vec<u32> = self
            .seen
            .spawned
            .values()
            .filter_map(|(_, place, _)| match place {
                Place::Reaper(pid) => Some(*pid),
                Place::Cgroup(_) => None,
            })
            .collect();
        let is_init = |pid: u32| {
            kennel_sys::proc::stat(pid).is_some_and(|it| it.comm == "kennel-init" && it.ppid == self.keeper.pid)
        };
        let own = |pid: &u32| {
            [self.keeper.pid, self.daemon].contains(pid)
                || self.others.contains(pid)
                || reapers.contains(pid)
                || is_init(*pid)
        };
        self.marked().into_iter().filter(|pid| !own(pid)).collect()
    }

    /// Waits until no service process is left, not even a zombie.
    pub fn no_service_is_left(&self) {
        wait_until("services left", || self.services().is_empty(), || format!("{:?}", describe(&self.services())));
    }

    /// Says goodbye and proves that nothing is left.
    pub fn finish(mut self) {
        self.send(&Request::Bye);
        self.leash = None;
        let reaped = wait::reap(self.keeper.pid, true).unwrap().unwrap();
        assert_eq!(reaped.exit, wait::Exit::Code(0), "{}", self.log());
        if self.world == World::RootReaper && self.root.join("nested").exists() {
            // The one inside had cgroups that are no part of its scope. With all of it killed they stay, empty, and
            // the next keeper on the machine removes them.
            Self::new(World::Cgroup).finish();
        }
        self.nothing_is_left();
    }

    /// After the keeper's end, however it came.
    pub fn nothing_is_left(&self) {
        wait_until("processes left", || self.marked().is_empty(), || format!("{:?}", describe(&self.marked())));
        wait_until("cgroups left", || self.cgroups().is_empty(), || format!("{:?}: {}", self.cgroups(), self.log()));
    }

    /// Groups of this keeper and of the one inside, wherever they are, but for what was given to it, and for those of
    /// a namesake that lives.
    fn cgroups(&self) -> Vec<PathBuf> {
        let given = self.delegation.as_deref().map(Delegation::path);
        let is_ours =
            |name: &str| name.strip_prefix(&self.name).is_some_and(|rest| !rest.starts_with(char::is_numeric));
        let mut found = Vec::new();
        let mut left: Vec<PathBuf> = Hierarchy::mounted().unwrap().into_iter().map(|it| it.mount).collect();
        left.extend(bounds::mounts_1().unwrap());
        while let Some(group) = left.pop() {
            let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
            left.extend(entries.filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()));
            let name = group.file_name().and_then(|name| name.to_str());
            let lived_in = || Group::at(&group).is_ok_and(|it| it.populated().unwrap_or(false));
            if name.is_some_and(is_ours) && given != Some(group.as_path()) && !lived_in() {
                found.push(group);
            }
        }
        found
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Only after a failed test is anything left here.
        let root = match &self.backend {
            Backend::Cgroup { root } => Some(root.clone()),
            Backend::Reaper { .. } => None,
        };
        for _ in 0..50 {
            let left = self.marked();
            if left.is_empty() {
                break;
            }
            for pid in left {
                if let Ok(fd) = pidfd::open(pid) {
                    let _gone = pidfd::send_signal(fd, 9);
                }
            }
            let _reaped = wait::reap(self.keeper.pid, false);
            kennel_sys::process::pause(Duration::from_millis(20));
        }
        if let Some(root) = root {
            let _gone = remove_tree(&root);
            if let Some(inside) = root.ancestors().nth(2).and_then(|base| root.strip_prefix(base).ok()) {
                bounds::remove_1(inside);
            }
        }
    }
}

fn marked(mark: u64) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let limits = std::fs::read_to_string(entry.path().join("limits")).unwrap_or_default();
        let line = limits.lines().find(|line| line.starts_with("Max msgqueue size"));
        if line.and_then(|line| line.split_whitespace().nth(3)) == Some(mark.to_string().as_str()) {
            found.push(pid);
        }
    }
    found
}

pub fn describe(pids: &[u32]) -> Vec<String> {
    pids.iter()
        .filter_map(|pid| {
            let stat = kennel_sys::proc::stat(*pid)?;
            Some(format!("{pid} {} ppid {} {:?}", stat.state, stat.ppid, kennel_sys::proc::command(*pid, 60)))
        })
        .collect()
}

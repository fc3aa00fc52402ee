//! One look at many scopes, by somebody who does not come back: nothing is kept open.
//!
//! Nearly all that such a look costs is the way to each file. So a group is opened from the one above it, its files from there, and what one of
//! them does not have is not looked for in its siblings.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::kept::{Kept, LONGEST, number, value};
use super::version_1::Version1;
use crate::cgroup::bounds::Controller;

/// What a cgroup uses now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// Living processes in it and in every group below, in no order.
    pub members: Vec<u32>,
    /// CPU time, total, microseconds, members that have ended included.
    pub cpu_us: Option<u64>,
    /// What a controller counts, bytes: that of version 2, else that of version 1; none where none does.
    pub memory: Option<u64>,
}

/// Looks at one group after the other; cheap for those beside each other.
#[derive(Debug, Default)]
pub struct Glances {
    above: Option<Above>,
}

/// The group above those that are looked at.
#[derive(Debug)]
struct Above {
    path: PathBuf,
    directory: OwnedFd,
    /// Whether memory is counted in the groups of it: the one above decides that for all. Not known before the first.
    counts_memory: Option<bool>,
}

impl Glances {
    /// Looks at a group, with those of version 1 beside it. Of one that is gone there is nothing.
    #[must_use]
    pub fn at(&mut self, leaf: &Path, others: &[(Controller, PathBuf)]) -> Glance {
        self.look(leaf, others).unwrap_or_default()
    }

    fn look(&mut self, leaf: &Path, others: &[(Controller, PathBuf)]) -> Option<Glance> {
        let mut buffer = [0; LONGEST];
        let above = self.above(leaf.parent()?)?;
        let directory = rustix::fs::openat(&above.directory, leaf.file_name()?, GROUP, Mode::empty()).ok()?;
        let members = Kept::new("cgroup.procs").members(&directory, &mut buffer)?;
        let cpu_us = Kept::new("cpu.stat").read(&directory, &mut buffer).and_then(|text| value(text, b"usage_usec"));
        let mut memory = None;
        if above.counts_memory != Some(false) {
            let mut file = Kept::new("memory.current");
            memory = file.read(&directory, &mut buffer).and_then(number);
            above.counts_memory = Some(file.is_there());
        }
        if memory.is_none() && !others.is_empty() {
            memory = Version1::open(others).memory(&mut buffer).map(|used| used.memory);
        }
        Some(Glance { members, cpu_us, memory })
    }

    fn above(&mut self, path: &Path) -> Option<&mut Above> {
        if self.above.as_ref().is_none_or(|above| above.path != path) {
            let directory = rustix::fs::open(path, GROUP | OFlags::PATH, Mode::empty()).ok()?;
            self.above = Some(Above { path: path.to_owned(), directory, counts_memory: None });
        }
        self.above.as_mut()
    }
}

const GROUP: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories with files as the kernel shows them: of each group its name, what it counts and whether that is memory as well.
    fn groups(groups: &[(&str, &str, bool)]) -> tempfile::TempDir {
        let above = tempfile::tempdir().unwrap();
        for (name, number, has_memory) in groups {
            let group = above.path().join(name);
            std::fs::create_dir(&group).unwrap();
            std::fs::write(group.join("cpu.stat"), format!("usage_usec {number}\nuser_usec 1\n")).unwrap();
            std::fs::write(group.join("cgroup.procs"), format!("{number}\n{number}1\n")).unwrap();
            if *has_memory {
                std::fs::write(group.join("memory.current"), format!("{number}00\n")).unwrap();
            }
        }
        above
    }

    #[test]
    fn groups_are_read_beside_each_other_and_of_others() {
        let (one, other) = (groups(&[("a", "5", true), ("b", "6", true)]), groups(&[("a", "7", false)]));
        let mut glances = Glances::default();
        let mut at = |directory: &tempfile::TempDir, name: &str| glances.at(&directory.path().join(name), &[]);
        assert_eq!(at(&one, "a"), Glance { members: vec![5, 51], cpu_us: Some(5), memory: Some(500) });
        assert_eq!(at(&one, "b"), Glance { members: vec![6, 61], cpu_us: Some(6), memory: Some(600) });
        assert_eq!(at(&one, "gone"), Glance::default());
        assert_eq!(at(&other, "a"), Glance { members: vec![7, 71], cpu_us: Some(7), memory: None });
        assert_eq!(at(&one, "a").memory, Some(500), "what is missing in one place is looked for in another");
    }

    #[test]
    fn version_1_counts_where_version_2_does_not() {
        let (group, memory) = (groups(&[("a", "5", false), ("b", "6", false)]), tempfile::tempdir().unwrap());
        std::fs::write(memory.path().join("memory.usage_in_bytes"), "4096\n").unwrap();
        let others = [(Controller::Memory, memory.path().to_owned())];
        let mut glances = Glances::default();
        for (name, others, expected) in
            [("a", &others[..], Some(4096)), ("b", &others[..], Some(4096)), ("a", &[], None)]
        {
            assert_eq!(glances.at(&group.path().join(name), others).memory, expected, "{name}");
        }
    }
}

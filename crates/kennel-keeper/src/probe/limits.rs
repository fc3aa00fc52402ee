//! Which bounds the kernel can hold here, found out by setting each of a group that nobody is in.

use std::fs;
use std::path::{Path, PathBuf};

use kennel_sys::cgroup::bounds::{self, Controller, Resource};

use crate::bounds::Bounds;
use crate::place::Place;
use crate::proto::{Applied, Bound, HeldBy};

/// More than any machine has, and less than the kernel takes.
const PLENTY: u64 = 1 << 40;
const NUMBER: u64 = 1 << 20;
const WEIGHT: u64 = 100;

/// What becomes of each resource.
pub(super) fn try_out(place: &Place) -> Vec<Applied> {
    let Ok(group) = place.leaf("limits", &[], false, |_| false) else { return Vec::new() };
    let passed_on = passed_on(place.root());
    let wanted: Vec<Bound> =
        Resource::ALL.iter().map(|resource| Bound { resource: *resource, value: Some(plenty(*resource)) }).collect();
    let mut bounds = Bounds::default();
    let applied = bounds.set(place, group.directory(), &wanted);
    bounds.remove_groups();
    let _gone = group.remove();
    take_back(place.root(), &passed_on);
    applied
}

fn plenty(resource: Resource) -> u64 {
    match resource {
        Resource::Memory | Resource::MemoryHigh | Resource::Swap | Resource::IoRead | Resource::IoWrite => PLENTY,
        Resource::Pids | Resource::Cpus => NUMBER,
        Resource::CpuWeight | Resource::IoWeight => WEIGHT,
    }
}

/// Groups above a root that stay after it: its parent, which is shared with other kennels, and what that is below.
fn stay(root: &Path) -> impl Iterator<Item = PathBuf> {
    root.ancestors().skip(1).take(2).map(Path::to_owned)
}

/// What those pass on already.
fn passed_on(root: &Path) -> Vec<Vec<Controller>> {
    stay(root).map(|group| bounds::passed_on(&group)).collect()
}

/// Nothing stays passed on that was not before; the kernel refuses it where another kennel has come to need it.
fn take_back(root: &Path, before: &[Vec<Controller>]) {
    for (group, before) in stay(root).zip(before) {
        for controller in bounds::passed_on(&group).into_iter().filter(|one| !before.contains(one)) {
            let _needed = fs::write(group.join("cgroup.subtree_control"), format!("-{}", controller.name()));
        }
    }
}

/// A letter for each, in the order of [`Resource::ALL`]; those that a copy of us prints.
pub(super) fn letters(applied: &[Applied]) -> String {
    let of = |resource: &Resource| applied.iter().find(|one| one.bound.resource == *resource);
    Resource::ALL
        .iter()
        .map(|resource| match of(resource).map(|one| &one.by) {
            Some(HeldBy::Cgroup) => '2',
            Some(HeldBy::CgroupV1) => '1',
            Some(HeldBy::Nobody { .. }) | None => '-',
        })
        .collect()
}

/// What such letters say.
pub(super) fn read(letters: &str) -> Vec<Applied> {
    let all = Resource::ALL.iter().zip(letters.chars());
    all.map(|(resource, letter)| {
        let by = match letter {
            '2' => HeldBy::Cgroup,
            '1' => HeldBy::CgroupV1,
            _ => HeldBy::Nobody { why: crate::bounds::missing(resource.controller()) },
        };
        Applied { bound: Bound { resource: *resource, value: Some(plenty(*resource)) }, by }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_back() {
        let told = read("221-12-1-");
        assert_eq!(letters(&told), "221-12-1-");
        assert_eq!(told.len(), Resource::ALL.len());
        let why = HeldBy::Nobody { why: "no `pids` controller can be used here".to_owned() };
        assert_eq!(told[3].by, why);
    }
}

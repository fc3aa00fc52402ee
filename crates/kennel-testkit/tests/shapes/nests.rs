//! Shapes with a place or a face of their own.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use kennel_testkit::{Seen, Shown, wait_for, wait_until};

use crate::{DEADLINE, PROGRAM, Shape};

#[test]
fn the_finder_sees_into_other_pid_namespaces() {
    let shape = Shape::start(&["pid-namespace"]);
    let inside = shape.others().iter().filter(|seen| Shown::of(seen.pid).numbers().len() > 1).count();
    // The numbers inside our own namespace may already be two.
    let outside = Shown::of(shape.main_seen().pid).numbers().len();
    assert_eq!(outside, 1);
    assert_eq!(inside, 3);
}

#[test]
fn a_subreaper_adopts_and_leaves_a_zombie_that_is_attributed() {
    let shape = Shape::start(&["subreaper"]);
    let reaper = shape.others().into_iter().find(|seen| seen.ppid == shape.main.id()).unwrap();
    // Those between are zombies as well, for a moment.
    let adopted = wait_for(DEADLINE, "two daemons and a zombie", || {
        let adopted: Vec<Seen> = shape.others().into_iter().filter(|seen| seen.ppid == reaper.pid).collect();
        (adopted.len() == 3 && adopted.iter().filter(|seen| seen.zombie()).count() == 1).then_some(adopted)
    });
    assert!(adopted.iter().all(|seen| seen.cell == Some(7)), "{adopted:?}");
}

/// A cgroup of this test, removed at its end.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let tree = trees.iter().map(Path::new).find(|tree| tree.join("cgroup.procs").exists())?;
        let dir = tree.join(format!("shapes-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        Some(Self(dir))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A zombie has left it already; a process that is being killed has not.
        let dirs = ["sub/deep", "sub", ""];
        let gone = |dir: &str| std::fs::remove_dir(self.0.join(dir)).is_ok() || !self.0.join(dir).exists();
        wait_until(DEADLINE, "cgroups removed", || dirs.iter().all(|dir| gone(dir)));
    }
}

fn cgroup_of(seen: &Seen) -> String {
    std::fs::read_to_string(format!("/proc/{}/cgroup", seen.pid)).unwrap()
}

#[test]
fn sub_cgroups_hold_the_children() {
    let Some(group) = Cgroup::new("sub") else {
        return eprintln!("not possible here: no cgroup can be made");
    };
    let shape = Shape::start_with(&["--cgroup", &group.0.to_string_lossy()], &["sub-cgroups"], |_| {});
    let mut groups: Vec<String> = shape.others().iter().map(cgroup_of).collect();
    groups.sort();
    let name = group.0.file_name().unwrap().to_string_lossy();
    assert!(groups[0].contains(&format!("/{name}/sub\n")), "{groups:?}");
    assert!(groups[1].contains(&format!("/{name}/sub/deep\n")), "{groups:?}");
}

#[test]
fn another_cgroup_is_not_that_of_main() {
    let Some(group) = Cgroup::new("other") else {
        return eprintln!("not possible here: no cgroup can be made");
    };
    let shape = Shape::start(&["other-cgroup", &group.0.to_string_lossy()]);
    let name = group.0.file_name().unwrap().to_string_lossy();
    assert!(cgroup_of(&shape.other()).contains(&*name));
    assert!(!cgroup_of(&shape.main_seen()).contains(&*name));
}

#[test]
fn a_setuid_child_has_the_rights_of_its_owner() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not possible here: only root makes a program setuid root");
    }
    let dir = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let copy = dir.path().join("setuid");
    std::fs::copy(PROGRAM, &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let shape = Shape::start_with(&[], &["setuid", &copy.to_string_lossy()], |command| {
        command.uid(60_200).gid(60_200);
    });
    assert!(Shown::of(shape.main_seen().pid).status("Uid").starts_with("60200"));
    wait_until(DEADLINE, "all its user ids are 0", || {
        Shown::of(shape.other().pid).status("Uid").split_whitespace().all(|uid| uid == "0")
    });
}

#[test]
fn the_finder_sees_through_a_cloak() {
    let shape = Shape::start(&["cloak"]);
    let bare = |seen: &Seen, file: &str| std::fs::read(format!("/proc/{}/{file}", seen.pid)).unwrap();
    // While it is being executed it has no line at all.
    let is_hidden = |line: &[u8]| !line.is_empty() && line.iter().all(|byte| *byte == 0);
    wait_until(DEADLINE, "no arguments", || is_hidden(&bare(&shape.other(), "cmdline")));
    let daemon = shape.other();
    assert_eq!(bare(&daemon, "environ"), b"");
    assert_eq!(bare(&daemon, "comm"), b"kworker/0:1\n");
    assert_eq!(std::fs::read_dir(format!("/proc/{}/fd", daemon.pid)).unwrap().count(), 0);
    assert_ne!(daemon.ppid, shape.main.id());
    assert_eq!(daemon.cell, Some(7));
}

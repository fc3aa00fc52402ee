//! Where kennel makes its cgroups: in containers, in groups with a history, beside leftovers.
//!
//! covers: C2, C3, C7

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kennel_testkit::{Output, Scratch, User, wait_until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

const STACK: &str = "services:\n  web:\n    command: ['@badchild@', daemon]\n    readiness: { log_line: '^up$' }\n    \
                     stop_grace_period: 500ms\n";

/// Root, with whatever back end is found.
fn root() -> Option<Scratch> {
    let mut scratch = Scratch::new(User::Root, Path::new(env!("CARGO_BIN_EXE_kennel")))?;
    scratch.env("KENNEL_CONTAINMENT", "auto");
    scratch.config(STACK);
    Some(scratch)
}

/// Where the version 2 tree is mounted on this machine.
fn tree() -> PathBuf {
    let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    trees.into_iter().find(|tree| tree.join("cgroup.procs").exists()).expect("a cgroup v2 tree")
}

/// A group of the test's own, with those below it; removed at the end.
struct Group(PathBuf);

impl Group {
    fn new(scratch: &Scratch, below: &str) -> (Self, PathBuf) {
        let name = scratch.project().file_name().unwrap().to_string_lossy().into_owned();
        // Not named as the scratch is, for then it would count as left behind by kennel.
        let top = tree().join(name.replace("kt-", "place-"));
        let inner = top.join(below);
        std::fs::create_dir_all(&inner).unwrap();
        (Self(top), inner)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    let _used = std::fs::remove_dir(dir);
}

/// Runs a script, in which `kennel` is in the path, in a group of the test's own.
fn script(scratch: &Scratch, group: Option<&Path>, text: &str) -> Output {
    let enter = group.map(|group| format!("echo 0 >{}/cgroup.procs || exit 99\n", group.display()));
    let text = format!("set -e\n{}{text}", enter.unwrap_or_default());
    scratch.spawn_program(Path::new("/bin/sh"), &["-c", &text], Stdio::null(), |_| {}).wait(PATIENCE)
}

/// What `kennel doctor` says in a script that brings a stack up and down.
fn containment(scratch: &Scratch, group: Option<&Path>, before: &str, wrapper: &str) -> Value {
    let stack = "kennel up -d >&2; kennel doctor --json; kennel down >&2";
    let output = script(scratch, group, &format!("{wrapper} sh -ec '{before}\n{stack}'"));
    assert_eq!(output.code(), 0, "{}", output.all());
    scratch.expect_nothing(PATIENCE);
    assert!(scratch.cgroups().is_empty(), "{:?}", scratch.cgroups());
    let info: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.all()));
    // The report of `doctor` has it at the top or within what the daemon says.
    [&info["containment"], &info["daemon"]["containment"]].into_iter().find(|it| it.is_object()).unwrap().clone()
}

fn mounts_of_version_2() -> String {
    // Field 5 is the mount point; the type comes after the separator.
    "$(awk \"/ - cgroup2 /{print \\$5}\" /proc/self/mountinfo)".to_owned()
}

#[test]
fn in_a_namespace_with_a_tree_of_its_own() {
    let Some(scratch) = root() else { return };
    let (_group, inner) = Group::new(&scratch, "a/b");
    let before = format!(
        "for it in {}; do umount -l $it; done; mount -t cgroup2 cgroup2 {}",
        mounts_of_version_2(),
        tree().display()
    );
    let containment = containment(&scratch, Some(&inner), &before, "unshare --cgroup --mount");
    assert_eq!(containment["backend"], "cgroup", "{containment}");
    let expected = format!("{}/kennel/", tree().display());
    assert!(containment["promise"].as_str().unwrap().contains(&expected), "{containment}");
}

#[test]
fn in_a_namespace_with_the_tree_of_the_machine() {
    let Some(scratch) = root() else { return };
    let (_group, inner) = Group::new(&scratch, "a/b");
    let before = "grep -q \" /../../.. .* - cgroup2\" /proc/self/mountinfo";
    let containment = containment(&scratch, Some(&inner), before, "unshare --cgroup --mount");
    assert_eq!(containment["backend"], "cgroup", "{containment}");
    let expected = format!("{}/kennel/", inner.display());
    assert!(containment["promise"].as_str().unwrap().contains(&expected), "{containment}");
}

#[test]
fn below_a_tree_that_is_read_only() {
    let Some(scratch) = root() else { return };
    let before = format!("for it in {}; do mount -o remount,bind,ro $it; done", mounts_of_version_2());
    falls_back(&containment(&scratch, None, &before, "unshare --mount"), "read_only");
}

#[test]
fn without_a_tree() {
    let Some(scratch) = root() else { return };
    let before = format!("for it in {}; do umount -l $it; done", mounts_of_version_2());
    falls_back(&containment(&scratch, None, &before, "unshare --mount"), "no_cgroup2");
}

#[test]
fn where_only_a_part_is_mounted_that_is_elsewhere() {
    let Some(scratch) = root() else { return };
    let (group, _inner) = Group::new(&scratch, "");
    let before = format!(
        "mount --bind {} /mnt; for it in {}; do [ $it = /mnt ] || umount -l $it; done",
        group.0.display(),
        mounts_of_version_2()
    );
    falls_back(&containment(&scratch, None, &before, "unshare --mount"), "not_visible");
}

fn falls_back(containment: &Value, reason: &str) {
    assert_eq!(containment["backend"], "reaper", "{containment}");
    assert_eq!(containment["reason"], reason, "{containment}");
}

/// Some kernels kill what is born in a group that was killed before, or below one.
#[test]
fn below_a_group_that_was_killed() {
    let Some(scratch) = root() else { return };
    // As a scope of another kennel, so that it is used and not the top of the tree.
    let (group, inner) = Group::new(&scratch, "kennel/x/svc/y.1");
    for dir in inner.ancestors().take_while(|dir| dir.starts_with(&group.0)) {
        std::fs::write(dir.join("cgroup.kill"), "1").unwrap();
    }
    let containment = containment(&scratch, Some(&inner), "", "");
    assert_eq!(containment["backend"], "cgroup", "{containment}");
    assert!(containment["promise"].as_str().unwrap().contains(&*inner.to_string_lossy()), "{containment}");
}

#[test]
fn after_a_kill_of_everything_of_ours() {
    let Some(scratch) = root() else { return };
    for _ in 0..2 {
        scratch.ok(&["up", "-d"]);
        let place = own_root(&scratch);
        std::fs::write(place.join("cgroup.kill"), "1").unwrap();
        scratch.expect_nothing(PATIENCE);
    }
    scratch.ok(&["up", "-d"]);
    scratch.down();
}

/// `…/kennel/<instance>` of this scratch's running kennel.
fn own_root(scratch: &Scratch) -> PathBuf {
    let name = scratch.instance_dir().file_name().unwrap().to_owned();
    tree().join("kennel").join(name)
}

#[test]
fn no_process_is_in_an_inner_group() {
    let Some(scratch) = root() else { return };
    scratch.ok(&["up", "-d"]);
    let place = own_root(&scratch);
    for inner in [place.parent().unwrap(), &place, &place.join("stack"), &place.join("stack/svc")] {
        let members = std::fs::read_to_string(inner.join("cgroup.procs")).unwrap();
        assert_eq!(members, "", "{}", inner.display());
        // So controllers can be enabled, where there are any: the kernel refuses it above a process.
        let controllers = std::fs::read_to_string(inner.join("cgroup.controllers")).unwrap();
        for controller in controllers.split_whitespace() {
            std::fs::write(inner.join("cgroup.subtree_control"), format!("+{controller}"))
                .unwrap_or_else(|error| panic!("{}: +{controller}: {error}", inner.display()));
        }
    }
    // Scopes are born there as before.
    scratch.ok(&["restart", "web"]);
    scratch.down();
}

#[test]
fn what_earlier_runs_left_is_ended_and_removed() {
    let Some(scratch) = root() else { return };
    scratch.ok(&["up", "-d"]);
    let place = own_root(&scratch);
    scratch.down();
    let name = place.file_name().unwrap().to_string_lossy().into_owned();
    let numbered = place.with_file_name(format!("{name}~3"));
    let fallen_back = tree().join("kennel~1").join(&name);
    let (mut sleepers, mut locks) = (Vec::new(), Vec::new());
    for root in [&place, &numbered, &fallen_back] {
        std::fs::create_dir_all(root).unwrap();
        // As a keeper has it: no other one that just starts takes it for empty before the sleeper is in.
        let lock = std::fs::File::open(root).unwrap();
        lock.lock().unwrap();
        locks.push(lock);
        let leaf = root.join("stack/svc/web.1");
        std::fs::create_dir_all(&leaf).unwrap();
        let enter = format!("echo 0 >{}/cgroup.procs && exec sleep 1000", leaf.display());
        sleepers.push(scratch.spawn_program(Path::new("/bin/sh"), &["-c", &enter], Stdio::null(), |_| {}));
        wait_until(PATIENCE, "a sleeper", || {
            std::fs::read_to_string(leaf.join("cgroup.events")).unwrap().contains("populated 1")
        });
    }
    for number in 0..1000 {
        std::fs::create_dir(place.join(format!("stack/svc/old.{number}"))).unwrap();
    }
    drop(locks);
    scratch.ok(&["up", "-d"]);
    for sleeper in &mut sleepers {
        sleeper.wait(PATIENCE);
    }
    let leaves = std::fs::read_dir(place.join("stack/svc")).unwrap().flatten().filter(|it| it.path().is_dir()).count();
    assert_eq!(leaves, 1, "the one of `web`");
    assert!(!numbered.exists() && !fallen_back.exists());
    let _shared = std::fs::remove_dir(tree().join("kennel~1"));
    scratch.down();
}

#[test]
fn in_a_group_that_was_delegated_to_root() {
    let Some(scratch) = root() else { return };
    let (_group, inner) = Group::new(&scratch, "web.service");
    rustix::fs::setxattr(&inner, "trusted.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    let containment = containment(&scratch, Some(&inner), "", "");
    assert_eq!(containment["backend"], "cgroup", "{containment}");
    assert!(containment["promise"].as_str().unwrap().contains(&*inner.to_string_lossy()), "{containment}");
}
